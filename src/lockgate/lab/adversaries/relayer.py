"""A hostile relayer: repeats, truncates and alters what honest ones brought, with stale and foreign proofs.

Whatever it made up and a ledger accepted is written into the journal, where `NoForgery` finds it. What
it merely repeats may be accepted: bringing a packet is anybody's right.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Final

from google.protobuf.any_pb2 import Any as AnyMessage

from lockgate.codec.type_urls import MSG_ACKNOWLEDGEMENT, MSG_RECV_PACKET, MSG_UPDATE_CLIENT
from lockgate.codec.wire import ibc_client_pb2 as client_wire
from lockgate.ibc import host, wire
from lockgate.ibc.packet import Acknowledgement, Packet
from lockgate.lab.adversaries.adversary import Adversary, public_messages
from lockgate.lab.history import Record
from lockgate.lab.origin import account
from lockgate.lab.parties import LedgerParty
from lockgate.machine.transaction import Message
from lockgate.primitives.ids import Height
from lockgate.relay.submitter import AccountSubmitter
from lockgate.storage.ledger import LedgerStore

LANE: Final = 7
ACTS: Final = frozenset({"recv_packet", "acknowledge_packet"})  # a message that was too late succeeds without one
Seen = tuple[int, bytes, str, bytes]  # height, transaction, type, message


class HostileRelayer(Adversary):
    name = "relayer"
    pause_ms = (100, 1_000)

    async def begin(self) -> None:
        self._seen: dict[str, list[Seen]] = {ledger.name: [] for ledger in self.cast.ledgers}
        self._next = {ledger.name: 1 for ledger in self.cast.ledgers}
        self._submitters = {
            ledger.name: self.submitter(ledger, account(f"hostile {ledger.name}"), LANE) for ledger in self.cast.ledgers
        }
        self._moves: Mapping[str, Callable[[LedgerParty, Seen, AccountSubmitter], Message | None]] = {
            "repeated": self._repeated,
            "truncated": self._truncated,
            "altered": self._altered,
            "stale proof": self._stale,
            "foreign proof": self._foreign,
        }

    async def act(self) -> None:
        ledger = self.draws.choice(self.cast.ledgers)
        self._read(ledger)
        update, fresh = await self._fresh(ledger) if self.draws.chance(600) else ([], None)
        seen = self._seen[ledger.name] if fresh is None else [fresh]
        if not seen:
            return
        if fresh is None and self.draws.chance(250):
            await self._broadcast_a_piece(ledger, self.draws.choice(seen)[1])
            return
        name = self.draws.choice(tuple(self._moves))
        message = self._moves[name](ledger, self.draws.choice(seen), self._submitters[ledger.name])
        if message is None:
            return
        done = await self._submitters[ledger.name].submit([*update, message])
        words = {"ledger": ledger.name, "first": fresh is not None, "code": done.code, "codespace": done.codespace}
        self.report(name, **words)
        if name != "repeated" and any(event.type in ACTS for event in done.events):
            self.world.journal.accepted_forgeries.append(f"{name} {message[0]} on {ledger.name}")

    def _read(self, ledger: LedgerParty) -> None:
        for seen in public_messages(ledger, self._next[ledger.name]):
            self._next[ledger.name] = seen[0] + 1
            if seen[2] in {MSG_RECV_PACKET, MSG_ACKNOWLEDGEMENT, MSG_UPDATE_CLIENT}:
                self._seen[ledger.name].append(seen)

    async def _fresh(self, ledger: LedgerParty) -> tuple[list[Message], Seen | None]:
        """A true receive of a packet that nobody has brought yet, with the client update it needs: to be spoiled."""
        other = next(party for party in self.cast.ledgers if party is not ledger)
        here, there = Record(), Record()
        here.read(LedgerStore(ledger.disk, None))
        there.read(LedgerStore(other.disk, None))
        packets = [wire.read_packet(bytes.fromhex(sent[0])) for sent in there.sent.values()]
        waiting = [packet for packet in packets if (packet.destination_client, packet.sequence) not in here.received]
        if not waiting:
            return [], None
        packet, by, far = self.draws.choice(waiting), self._submitters[ledger.name], self.chain(other)
        client = ledger.origin.client
        tracked, at = await by.chain.client(client), (await far.tip()).height
        update: list[Message] = []
        if at > tracked.latest:
            wrapped = AnyMessage.FromString(await far.update_message(client, tracked.latest, at))
            message = client_wire.MsgUpdateClient(client_id=client, client_message=wrapped, signer=by.signer)
            update.append((MSG_UPDATE_CLIENT, message.SerializeToString(deterministic=True)))
        proven = await far.prove("ibc", host.packet_commitment(packet.source_client, packet.sequence), at)
        if proven.value is None:
            return [], None
        return update, (0, b"", MSG_RECV_PACKET, wire.encode_receive(packet, proven.proof, at, by.signer))

    async def _broadcast_a_piece(self, ledger: LedgerParty, transaction: bytes) -> None:
        """A transaction of somebody else's, cut short or with a bit turned."""
        place = self.draws.below(len(transaction))
        cut = transaction[:place] if self.draws.chance(500) else flipped(transaction, place, self.draws.below(8))
        link = self.chain(ledger).rpc
        answer = await link.call("broadcast_tx_sync", tx=b64encode(cut).decode())
        self.report("piece", ledger=ledger.name, code=answer.get("code"))
        if answer.get("code") == 0:
            self.world.journal.accepted_forgeries.append(f"a damaged transaction on {ledger.name}")

    def _repeated(self, ledger: LedgerParty, seen: Seen, by: AccountSubmitter) -> Message | None:
        return _rebuilt(seen, by, lambda packet, proof, at: (packet, proof, at))

    def _truncated(self, ledger: LedgerParty, seen: Seen, by: AccountSubmitter) -> Message | None:
        return seen[2], seen[3][: self.draws.between(1, len(seen[3]) - 1)]

    def _altered(self, ledger: LedgerParty, seen: Seen, by: AccountSubmitter) -> Message | None:
        """One bit of the body, the acknowledgement or the timeout, under the proof of the true one."""
        later = self.draws.between(1, 100)

        def spoil(packet: Packet, proof: bytes, at: Height) -> tuple[Packet, bytes, Height]:
            first, *rest = packet.payloads
            bad = first._replace(value=flipped(first.value, later % len(first.value), later % 8))
            if self.draws.chance(500):
                return packet._replace(timeout=type(packet.timeout)(packet.timeout + later)), proof, at
            return packet._replace(payloads=(bad, *rest)), proof, at

        if seen[2] == MSG_ACKNOWLEDGEMENT:
            brought = wire.read_acknowledge(seen[3])
            elements = brought.acknowledgement.elements
            forged = Acknowledgement((flipped(elements[0], later % len(elements[0]), 0), *elements[1:]))
            return seen[2], wire.encode_acknowledge(
                brought.packet, forged, brought.proof, brought.proof_height, by.signer
            )
        return _rebuilt(seen, by, spoil)

    def _stale(self, ledger: LedgerParty, seen: Seen, by: AccountSubmitter) -> Message | None:
        """A true proof, said to be of a height before."""
        back = self.draws.between(1, 8)
        return _rebuilt(
            seen,
            by,
            lambda packet, proof, at: (packet, proof, Height(at.revision, max(1, at.height - back))),
        )

    def _foreign(self, ledger: LedgerParty, seen: Seen, by: AccountSubmitter) -> Message | None:
        """The packet under the next sequence, or with its clients exchanged: the proof is of another key."""
        other = self.draws.chance(500)

        def move(packet: Packet, proof: bytes, at: Height) -> tuple[Packet, bytes, Height]:
            if other:
                ghost = type(packet.sequence)(packet.sequence + 1_000)
                return packet._replace(sequence=ghost), proof, at
            stranger = type(packet.source_client)("07-tendermint-9")
            return packet._replace(source_client=stranger), proof, at

        return _rebuilt(seen, by, move)


def _rebuilt(
    seen: Seen, by: AccountSubmitter, spoil: Callable[[Packet, bytes, Height], tuple[Packet, bytes, Height]]
) -> Message | None:
    _, _, kind, content = seen
    if kind == MSG_RECV_PACKET:
        received = wire.read_receive(content)
        return kind, wire.encode_receive(*spoil(received.packet, received.proof, received.proof_height), by.signer)
    if kind == MSG_ACKNOWLEDGEMENT:
        brought = wire.read_acknowledge(content)
        packet, proof, at = spoil(brought.packet, brought.proof, brought.proof_height)
        return kind, wire.encode_acknowledge(packet, brought.acknowledgement, proof, at, by.signer)
    return None


def flipped(data: bytes, place: int, bit: int) -> bytes:
    """The bytes with one bit turned."""
    return data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]


__all__ = ("HostileRelayer", "flipped")
