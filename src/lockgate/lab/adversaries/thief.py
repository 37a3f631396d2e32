"""A thief of an endpoint's account key: may act for it on its ledger, and holds neither identity nor sealing key.

It can answer, refuse and send in the endpoint's name, and so stop it: the true host finds its root
moved and is fenced off. It cannot make anything that a peer would open as the endpoint's word.
"""

from __future__ import annotations

from typing import Any, Final

from lockgate.crypto.keys import KeyRole
from lockgate.envelope.binding import Role, SenderChoice
from lockgate.envelope.content import LedgerView
from lockgate.host.sealing import Lane, Place, outgoing, schema_ref, seal
from lockgate.hosting.config import LedgerRef
from lockgate.ibc import wire
from lockgate.lab.adversaries.adversary import Adversary
from lockgate.lab.entropy import seeded_identity_signer
from lockgate.lab.guests import SCHEMA
from lockgate.lab.history import Record
from lockgate.lab.parties import LedgerParty
from lockgate.machine import endpoints, keys
from lockgate.machine.records import EndpointState
from lockgate.merkle.multistore import MultiStore
from lockgate.primitives.ids import ClientId, DomainId, Hash32, Height, revision_number
from lockgate.primitives.time import NANOS_PER_SECOND, UnixSeconds
from lockgate.storage.ledger import LedgerStore
from lockgate.storage.nodes import SqliteNodes

LANE: Final = 9
TIMEOUT_S: Final = 20
AFTER: Final = 3  # acts it lets pass, so that there is something to forge


class Thief(Adversary):
    name = "thief"

    async def begin(self) -> None:
        host = self.draws.choice(self.cast.hosts)
        self.victim = host.origin
        self._config = host.origin.config
        self._ledger = next(ledger for ledger in self.cast.ledgers if ledger.name == self._config.local.name)
        self._submitter = self.submitter(self._ledger, host.origin.account, LANE)
        self._endpoint = bytes.fromhex(self._config.endpoint)
        alias, self._peer = next(iter(self._config.peers.items()))
        self._receiver = self.origin.hosts[alias]
        self._entropy = self.world.entropy.fork("thief")
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
        elif record.sent and self.draws.chance(600):
            await self._send_again(record)
        elif self.draws.chance(800):
            await self._impersonate()
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

    async def _impersonate(self) -> None:
        """A perfect envelope in the endpoint's name, but for the signature: that key is not the thief's."""
        here, there = self._config.local, self._config.remotes[0]
        lane = Lane(
            local_domain=DomainId(Hash32(bytes.fromhex(here.domain))),
            remote_domain=DomainId(Hash32(bytes.fromhex(there.domain))),
            local_client=ClientId(self._peer.local_client),
            remote_client=ClientId(self._peer.remote_client),
            local_revision=revision_number(here.chain_id),
            remote_revision=revision_number(there.chain_id),
        )
        timeout = UnixSeconds(self._now_s() + TIMEOUT_S)
        own, peer = self.origin.hosts[self._config.name].endpoint.record, self._receiver.endpoint.record
        context = outgoing(lane, own, peer, Place(Role.MESSAGE, timeout))
        signer = seeded_identity_signer(self.origin.suite.identity, self.draws.bytes(32), KeyRole.IDENTITY)
        choice = SenderChoice.outside_sessions(self._state().fence, self._counter + 1)
        views = (_view(here), _view(there))
        body = b"a forgery|" + self._config.name.encode() + b"|0|reply"
        value = seal(context, signer, peer, choice, views, schema_ref(SCHEMA), body, self._entropy)
        await self._send(value, timeout)

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

    def _state(self) -> EndpointState:
        return endpoints.load(MultiStore(keys.STORES, SqliteNodes(self._ledger.disk)), self._endpoint)

    def _now_s(self) -> int:
        return self.world.clock.now() // NANOS_PER_SECOND


def _view(ref: LedgerRef) -> LedgerView:
    return LedgerView(Height(revision_number(ref.chain_id), ref.height), Hash32(bytes.fromhex(ref.header_hash)))


__all__ = ("Thief",)
