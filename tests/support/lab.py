"""Two joined lab ledgers with one endpoint each: the good world that tests spoil."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lockgate.crypto import ed25519
from lockgate.crypto.keys import IdentitySigner
from lockgate.crypto.suites import SEAL_X25519, SIGN_ED25519
from lockgate.ibc import host
from lockgate.ibc.commitment import commit_packet
from lockgate.ibc.packet import Acknowledgement, Packet, Payload
from lockgate.ibc.ports import Application
from lockgate.lab.clock import SimulatedClock
from lockgate.lab.endpoints import LabEndpoint
from lockgate.lab.ledgers import LabAccount, LabLedger, lab_authority
from lockgate.lab.paths import (
    End,
    acknowledge_message,
    acknowledgements_of,
    connect,
    expect,
    packets_of,
    receive_in_order_message,
    receive_message,
    timeout_message,
    update,
    update_message,
)
from lockgate.machine import lanes
from lockgate.machine.genesis import Parameters
from lockgate.machine.machine import TxResult
from lockgate.machine.records import LaneOrder
from lockgate.machine.suite_table import DEFAULT, SuiteTable
from lockgate.machine.transaction import Message
from lockgate.primitives.ids import Sequence
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos, UnixSeconds, seconds

START = UnixNanos(1_750_000_000 * NANOS_PER_SECOND)


def account(name: str) -> LabAccount:
    return LabAccount(ed25519.SigningKey(name.encode().ljust(32, b"\0")[:32]))


@dataclass
class World:
    """Ledger A with a sender, ledger B with a receiver, clients and lane open both ways."""

    clock: SimulatedClock
    a: End
    b: End
    relayer_a: LabAccount
    relayer_b: LabAccount
    sender: LabEndpoint
    receiver: LabEndpoint
    lane: bytes

    @classmethod
    def make(
        cls,
        parameters: Parameters | None = None,
        applications: Mapping[str, Application] | None = None,
        suite: int = SIGN_ED25519.id,
        order: LaneOrder = LaneOrder.UNORDERED,
        join: Callable[[End, End], None] | None = None,
        validators: int = 1,
        spares: int = 0,
        suites: SuiteTable = DEFAULT,
        keys_of: tuple[int, int] = (SIGN_ED25519.id, SEAL_X25519.id),
    ) -> World:
        """`validators` sign ledger A, and `spares` may; `suite` is that of the ledgers' authority; `join` makes the
        clients and opens the lane in another way. `suites` are the ledgers' at first, `keys_of` those of both
        endpoints' identities and sealing keys."""
        clock = SimulatedClock(START)
        gov = lab_authority("authority", suite)
        ledgers = [
            LabLedger(
                name,
                clock,
                authority=(gov.key,),
                parameters=parameters,
                applications=applications,
                validators=count,
                spares=more,
                suites=suites,
            )
            for name, count, more in (("alpha-1", validators, spares), ("beta-1", 1, 0))
        ]
        a, b = End(ledgers[0], account("operator a")), End(ledgers[1], account("operator b"))
        if join is None:
            connect(a, b, order=order)
        else:
            join(a, b)
        host_a, host_b = account("host a"), account("host b")
        sender = LabEndpoint(b"sender", (host_a.id,), *keys_of)
        receiver = LabEndpoint(b"receiver", (host_b.id,), *keys_of)
        lane = lanes.lane_of(a.ledger.chain.view(), a.client)
        assert lane is not None
        world = cls(clock, a, b, account("relayer a"), account("relayer b"), sender, receiver, lane.lane_id)
        world.host_a, world.host_b, world.gov = host_a, host_b, gov
        expect(a.ledger.transact(host_a, sender.register(), sender.take_fence()))
        expect(b.ledger.transact(host_b, receiver.register(), receiver.take_fence()))
        expect(b.ledger.transact(host_b, receiver.grant(lane.lane_id, sender)))
        expect(a.ledger.transact(host_a, sender.grant(lane.lane_id, receiver)))
        return world

    host_a: LabAccount = None  # type: ignore[assignment]  # set by make
    host_b: LabAccount = None  # type: ignore[assignment]  # set by make
    gov: IdentitySigner = None  # type: ignore[assignment]  # set by make

    @property
    def now_s(self) -> int:
        return self.clock.now() // NANOS_PER_SECOND

    def send(self, body: bytes = b"sealed", *, timeout_s: int = 600) -> Packet:
        sending = self.sender.sending(self.a.client, self.receiver, self.now_s + timeout_s, body)
        result = expect(self.a.ledger.transact(self.host_a, self.sender.advance(sending)))
        return packets_of(result)[0]

    def commit_anything(self, payloads: tuple[Payload, ...], *, sequence: int = 1, timeout_s: int = 600) -> Packet:
        """Ledger A commits to a packet that its own machine would never send: its operator writes the state."""
        packet = Packet(
            sequence=Sequence(sequence),
            source_client=self.a.client,
            destination_client=self.b.client,
            timeout=UnixSeconds(self.now_s + timeout_s),
            payloads=payloads,
        )
        key = host.packet_commitment(self.a.client, sequence)
        self.a.ledger.chain.state.apply({("ibc", key): bytes(commit_packet(packet))})
        for _ in range(2):
            self.a.ledger.block()
        return packet

    def deliver(self, packet: Packet) -> TxResult:
        """Update B's client of A (where it is behind) and receive, in one transaction."""
        updates = self._update(self.b, self.a)
        return self.b.ledger.transact(self.b.account, *updates, receive_message(self.b, self.a, packet))

    def deliver_in_order(self, *packets: Packet) -> TxResult:
        """Update, then receive with the proof of each packet's place, in a transaction of its own."""
        if self.b.trusted < self.a.ledger.height:
            update(self.b, self.a.ledger)
        messages = [receive_in_order_message(self.b, self.a, packet) for packet in packets]
        return self.b.ledger.transact(self.b.account, *messages)

    def time_out(self, packet: Packet) -> TxResult:
        """Let the packet's time pass on B, and prove to A that it was not received."""
        self.clock.advance(seconds(max(0, packet.timeout - self.now_s + 1)))
        for _ in range(2):
            self.b.ledger.block()
        updates = self._update(self.a, self.b)
        return self.a.ledger.transact(self.a.account, *updates, timeout_message(self.a, self.b, packet))

    @staticmethod
    def _update(on: End, of: End) -> list[Message]:
        if on.trusted == of.ledger.height:
            return []
        message = update_message(on, of.ledger, of.ledger.height)
        on.trusted = of.ledger.height
        return [message]

    def answer(self, packet: Packet, ack: bytes = b"reply") -> TxResult:
        message = self.receiver.answer(self.b.client, packet.sequence, ack=ack)
        return self.b.ledger.transact(self.host_b, message)

    def acknowledge(self, packet: Packet, acknowledgement: Acknowledgement) -> TxResult:
        updates = self._update(self.a, self.b)
        message = acknowledge_message(self.a, self.b, packet, acknowledgement)
        return self.a.ledger.transact(self.a.account, *updates, message)

    def acknowledgement(self, result: TxResult, packet: Packet) -> Acknowledgement:
        return acknowledgements_of(result.events)[packet.sequence]
