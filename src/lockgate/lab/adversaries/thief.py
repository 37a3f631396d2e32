"""A thief of an endpoint's account key: may act for it on its ledger, and holds neither identity nor sealing key.

It can answer, refuse and send in the endpoint's name, and so stop it: the true host finds its root
moved and is fenced off. It cannot make anything that a peer would open as the endpoint's word.
"""

from __future__ import annotations

from typing import Any, Final

from lockgate.ibc import wire
from lockgate.lab.adversaries.adversary import Adversary
from lockgate.lab.history import Record
from lockgate.lab.parties import LedgerParty
from lockgate.machine import endpoints, keys
from lockgate.merkle.multistore import MultiStore
from lockgate.primitives.time import NANOS_PER_SECOND
from lockgate.storage.ledger import LedgerStore
from lockgate.storage.nodes import SqliteNodes

LANE: Final = 9
TIMEOUT_S: Final = 20
AFTER: Final = 3  # acts it lets pass, so that there is something to forge


class Thief(Adversary):
    name = "thief"

    async def begin(self) -> None:
        host = self.draws.choice(self.cast.hosts)
        self._config = host.origin.config
        self._ledger = next(ledger for ledger in self.cast.ledgers if ledger.name == self._config.local.name)
        self._submitter = self.submitter(self._ledger, host.origin.account, LANE)
        self._endpoint = bytes.fromhex(self._config.endpoint)
        self._peer = next(iter(self._config.peers.values()))
        self._acts = 0
        self._counter = 1 << 20  # past the true host's
        self.report("steals", account=host.origin.account.id)

    async def act(self) -> None:
        self._acts += 1
        if self._acts <= AFTER:
            return
        record = Record()
        record.read(LedgerStore(self._ledger.disk, None))
        waiting = self._waiting(self._ledger)
        if waiting and self.draws.chance(600):
            await self._forge_answer(*self.draws.choice(waiting))
        elif record.sent and self.draws.chance(700):
            await self._send_again(record)
        else:
            await self._send(b"not sealed at all" + self.draws.bytes(64), self._now_s() + TIMEOUT_S)

    def _waiting(self, ledger: LedgerParty) -> list[tuple[str, int]]:
        """Open inbox entries: client and sequence are in the key."""
        state = MultiStore(keys.STORES, SqliteNodes(ledger.disk))
        found = []
        for key, _ in state.scan(keys.INBOX, keys.ENTRY_PREFIX, keys.ENTRY_PREFIX + b"\xff"):
            client, _, sequence = key[len(keys.ENTRY_PREFIX) :].partition(b"/")
            found.append((client.decode(), int.from_bytes(sequence)))
        return found

    async def _forge_answer(self, client: str, sequence: int) -> None:
        content: dict[str, Any] = {"client": client, "sequence": sequence, "sends": []}
        if self.draws.chance(700):
            content["ack"] = self.draws.bytes(96)
        else:
            content["refusal"] = ["guest.refused", self.draws.bytes(32)]
        await self._submit("endpoint.answer", content, f"answer {client}/{sequence}")

    async def _send_again(self, record: Record) -> None:
        """A sealed body of the endpoint's own, taken from the chain, in a packet of its own."""
        packets = [wire.read_packet(bytes.fromhex(sent[0])) for sent in record.sent.values()]
        live = [packet for packet in packets if packet.timeout > self._now_s()]
        if live:
            packet = self.draws.choice(live)
            await self._send(packet.payloads[0].value, packet.timeout)

    async def _send(self, value: bytes, timeout: int) -> None:
        self._counter += 1
        send = {
            "client": self._peer.local_client,
            "destination": self._peer.endpoint,
            "timeout": timeout,
            "value": value,
            "fence": self._state().fence,
            "counter": self._counter,
        }
        await self._submit("endpoint.advance", {"sends": [send]}, "send")

    async def _submit(self, name: str, content: dict[str, Any], words: str) -> None:
        state = self._state()
        message = {
            "endpoint": self._endpoint,
            "fence": state.fence,
            "prev_root": state.root,
            "next_root": self.draws.bytes(32),
            **content,
        }
        done = await self._submitter.submit([(name, message)])
        self.report(words, code=done.code, log=done.log[:80])

    def _state(self) -> endpoints.EndpointState:
        return endpoints.load(MultiStore(keys.STORES, SqliteNodes(self._ledger.disk)), self._endpoint)

    def _now_s(self) -> int:
        return self.world.clock.now() // NANOS_PER_SECOND


__all__ = ("Thief",)
