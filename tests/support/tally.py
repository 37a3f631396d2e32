"""A guest that counts how often each message acted, and each end was told."""

from __future__ import annotations

from collections import Counter

from lockgate.host.ports import Message, MessageRef, Reply
from lockgate.hosting.host import Host
from lockgate.runtime.imports import Imports
from lockgate.runtime.inprocess import InProcessGuest
from tests.support import probe
from tests.support.guests import PROBE_ID
from tests.support.hosts import Side


class Tally(probe.Probe):
    """Counts how often each message acted, and each end was told; asks the other side once per command."""

    def handle(self, message: Message, host: Imports) -> Reply:
        self._count(b"acted/" + message.body, host)
        return Reply(b"done")

    def command(self, data: bytes, host: Imports) -> Reply:
        for peer in ("a", "b"):
            host.send(peer, "tally@1.0", data, 600)
        return Reply(b"")

    def acknowledged(self, sent: MessageRef, reply: bytes, host: Imports) -> None:
        self._count(b"told/" + sent, host)

    @staticmethod
    def _count(key: bytes, host: Imports) -> None:
        before = host.get(key)
        host.set(key, bytes([(before or b"\0")[0] + 1]))


def tally() -> InProcessGuest:
    return InProcessGuest(PROBE_ID, Tally)


def counts(side: Side, host: Host | None = None) -> Counter[bytes]:
    tree = (host or side.host).parts.tree
    return Counter({key: value[0] for key, value in tree.scan(b"", b"")})
