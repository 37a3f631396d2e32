"""The guest of a run: plain Python, told by each message what to do with it, keeping a tally of effects.

A body is `marker|author|number|what|…`. The tally lies in the guest's own state, under its root: what
the checkers count there is what the ledger lets stand.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Final

from lockgate.host.ports import Deferred, GuestId, Message, MessageRef, Refusal, Reply
from lockgate.lab.journal import Journal
from lockgate.primitives.ids import Hash32
from lockgate.runtime.imports import Imports
from lockgate.runtime.inprocess import InProcessGuest

SCHEMA: Final = "lab@1.0"
HANDLED: Final = b"handled/"
ENDED: Final = b"ended/"
CHAINED_TIMEOUT_S: Final = 20


@dataclass(frozen=True, slots=True)
class LabProgram:
    """Meets `runtime.inprocess.Program`. Fresh for each call; `journal` is the run's, not the guest's."""

    name: str
    journal: Journal

    def handle(self, message: Message, host: Imports, /) -> Reply | Refusal | Deferred:
        self.journal.handled.append((self.name, message.sender, message.body))
        if what_of(message.body) == "defer":
            return Deferred()  # before any effect: what a deferring call writes stands, whatever comes of the message
        _count(host, HANDLED + hashlib.sha256(message.body).digest())
        match what_of(message.body):
            case "refuse":
                return Refusal("not-today", message.body.decode())
            case "trap":
                raise RuntimeError("a defect of the guest")
            case "chain":
                self._send(host, message.sender, message.body + b"|then|reply", CHAINED_TIMEOUT_S)
        reply = self.journal.marker + b"|reply to " + hashlib.sha256(message.body).hexdigest().encode()
        self.journal.replied.add((self.name, message.body, reply))
        return Reply(reply)

    def acknowledged(self, sent: MessageRef, reply: bytes, host: Imports, /) -> None:
        self.journal.answers.append((self.name, sent, reply))
        _count(host, ENDED + sent)

    def timed_out(self, sent: MessageRef, host: Imports, /) -> None:
        _count(host, ENDED + sent)

    def refused(self, sent: MessageRef, code: str, host: Imports, /) -> None:
        _count(host, ENDED + sent)

    def command(self, data: bytes, host: Imports, /) -> Reply | Refusal:
        order = json.loads(data)
        self._send(host, order["to"], order["body"].encode(), order["timeout_s"])
        return Reply(b"sent")

    def _send(self, host: Imports, to: str, body: bytes, timeout_s: int) -> None:
        self.journal.said.add((self.name, body))
        ref = host.send(to, SCHEMA, body, timeout_s)
        assert isinstance(ref, bytes), ref
        self.journal.bodies[ref] = (self.name, body)


def what_of(body: bytes) -> str:
    """What a body tells the guest to do with it: its last word."""
    return body.rpartition(b"|")[2].decode("ascii", "replace")


def order(to: str, body: bytes, timeout_s: int) -> bytes:
    """A command that has the guest send one message."""
    return json.dumps({"to": to, "body": body.decode(), "timeout_s": timeout_s}).encode()


def guest(name: str, journal: Journal) -> InProcessGuest:
    identity = GuestId(Hash32(hashlib.sha256(b"lab guest").digest()))
    return InProcessGuest(identity, lambda: LabProgram(name, journal))


def _count(host: Imports, key: bytes) -> None:
    before = host.get(key) or b"\x00"
    host.set(key, bytes([before[0] + 1]))


__all__ = ("ENDED", "HANDLED", "SCHEMA", "LabProgram", "guest", "order", "what_of")
