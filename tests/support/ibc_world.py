"""Two ledgers in memory that speak IBC v2 to each other through a fake light client.

A `World` has state, a clock, and a snapshot per block; `deliver` runs one message and applies it, or
leaves everything as it was. A `Pair` is two of them with clients of each other, and the messages a
relayer would carry between them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from google.protobuf.any_pb2 import Any as AnyMessage

from lockgate.codec import type_urls as urls
from lockgate.codec.wire import ibc_client_pb2
from lockgate.ibc import dispatch, events, host, wire
from lockgate.ibc.modules import ClientModules
from lockgate.ibc.packet import Acknowledgement, Packet, Payload
from lockgate.ibc.ports import ClientKind, Ending, Terms
from lockgate.ibc.router import Router
from lockgate.ibc.runs import RUNNERS, Ran
from lockgate.ibc.wiring import Wiring
from lockgate.primitives.ids import Height
from lockgate.primitives.state import Block, Draft, Event, Outcome
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos, UnixSeconds
from tests.support.ibc_fakes import (
    CLIENT_TYPE,
    CONSENSUS_URL,
    HEADER_URL,
    RELAYER,
    SENDER,
    START,
    STATE_URL,
    FakeLightClient,
    LaneTable,
    OneAuthority,
    Recorder,
    ScriptedGate,
    client_state,
    consensus_state,
    proof_of,
)
from tests.support.memory_view import MemoryView


@dataclass
class World:
    """One ledger: its state, its clock, a snapshot per block, and what core is wired with."""

    name: str
    time: int = START
    height: int = 1
    state: MemoryView = field(default_factory=MemoryView)
    client: str = ""  # our client of the other world
    light: FakeLightClient = field(default_factory=FakeLightClient)
    app: Recorder = field(default_factory=Recorder)
    other_app: Recorder = field(default_factory=lambda: Recorder("other"))
    gate: ScriptedGate = field(default_factory=ScriptedGate)
    lanes: LaneTable = field(default_factory=LaneTable)
    blocks: dict[int, tuple[int, dict[str, dict[bytes, bytes]]]] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    taken: int = 0  # messages that a run decided, too
    run_endings: list[Ending] = field(default_factory=list)  # of the last packet message, as a run saw them

    def __post_init__(self) -> None:
        self.wiring = Wiring(
            clients=ClientModules([ClientKind(
                client_type=CLIENT_TYPE, client_state_url=STATE_URL, consensus_state_url=CONSENSUS_URL,
                module=self.light,
            )]),
            router=Router({"alpha": self.app, "beta": self.other_app}),
            gate=self.gate,
            lanes=self.lanes,
            authority=OneAuthority(),
        )  # fmt: skip
        self.state.stores["ibc"] = {b"schema": b"\x01"}
        self.blocks[self.height] = (self.time, self.state.snapshot())

    @property
    def block(self) -> Block:
        """The block a message runs in now: the one after the last committed."""
        return Block(self.name, Height(1, self.height + 1), UnixNanos(self.time))

    def commit(self, seconds: float = 1.0) -> Height:
        """Commit a block at the present time, then let `seconds` pass."""
        self.height += 1
        self.blocks[self.height] = (self.time, self.state.snapshot())
        self.time += round(seconds * NANOS_PER_SECOND)
        return Height(1, self.height)

    def time_at(self, height: Height) -> int:
        return self.blocks[height.height][0]

    def state_at(self, height: Height) -> dict[str, dict[bytes, bytes]]:
        return self.blocks[height.height][1]

    def deliver(self, type_url: str, data: bytes, account: str = RELAYER) -> dispatch.Dispatched:
        """Run one message and apply what it decided; a refusal leaves the state as it was.

        A packet message is given to a run first: it must decide the same, or leave the message.
        """
        ran = self._run(type_url, data, account)
        try:
            done = dispatch.dispatch(self.wiring, self.state, self.block, account, type_url, data)
        except Exception:
            assert ran == Ran(Outcome(), []), "a run takes nothing that is refused, and keeps nothing of it"
            raise
        if ran.responses:
            self.taken += 1
            assert (ran.outcome.writes, ran.outcome.events) == (done.outcome.writes, done.outcome.events)
            assert ran.responses == [done.outcome.response]
        self.apply(done.outcome)
        return done

    def _run(self, type_url: str, data: bytes, account: str) -> Ran:
        if type_url not in RUNNERS or self.app.reenter is not None:
            return Ran(Outcome(), [])
        kept = [self.app.calls, self.other_app.calls, self.gate.seen, self.gate.endings]
        lengths = [len(calls) for calls in kept]  # type: ignore[arg-type]  # lists of unlike things
        verifications = self.light.verifications
        ran = RUNNERS[type_url](self.wiring, Draft(self.state), self.block, account, [(type_url, data)], 0, 1)
        self.run_endings = self.gate.endings[lengths[3] :]
        for calls, length in zip(kept, lengths, strict=True):
            del calls[length:]  # type: ignore[attr-defined]  # as above
        self.light.verifications = verifications
        return ran

    def apply(self, outcome: Outcome) -> None:
        self.state.apply(outcome)
        self.events += outcome.events

    def last_event(self, kind: str) -> Event:
        return next(event for event in reversed(self.events) if event.type == kind)


def payload(value: bytes = b"hello", port: str = "alpha", to: str = "alpha") -> Payload:
    return Payload(
        source_port=port, destination_port=to, version="v1", encoding="application/octet-stream", value=value
    )


@dataclass
class Pair:
    """Two worlds with clients of each other, paired and up to date."""

    a: World
    b: World

    @classmethod
    def connected(cls) -> Pair:
        pair = cls(World("ledger-a-1"), World("ledger-b-1"))
        a, b = pair.a, pair.b
        b.deliver(  # so that the two client ids differ
            urls.MSG_CREATE_CLIENT, create_client_message(Height(1, 1), START, SENDER), SENDER
        )
        for world, other in ((a, b), (b, a)):
            world.light.remote = other
            done = world.deliver(
                urls.MSG_CREATE_CLIENT, create_client_message(Height(1, 1), other.time_at(Height(1, 1)), SENDER), SENDER
            )
            world.client = ibc_client_pb2.MsgCreateClientResponse.FromString(done.outcome.response).client_id
        for world, other in ((a, b), (b, a)):
            world.deliver(urls.MSG_REGISTER_COUNTERPARTY, register_message(world.client, other.client, SENDER), SENDER)
        pair.sync()
        return pair

    def sync(self) -> None:
        """Commit a block on both and tell each the other's newest header."""
        for world in (self.a, self.b):
            world.commit()
        for world, other in ((self.a, self.b), (self.b, self.a)):
            update_client(world, other.height)

    def own_lane(self, max_payloads: int = 4) -> None:
        for world in (self.a, self.b):
            world.lanes.by_client[world.client] = Terms(own=True, max_payloads=max_payloads)

    def send(self, *payloads: Payload, seconds: int = 100) -> Packet:
        """Send from a to b; return the packet as the event gives it."""
        done = self.a.deliver(urls.MSG_SEND_PACKET, self.send_message(*payloads, seconds=seconds), SENDER)
        assert done.sent is not None
        return wire.read_packet(bytes.fromhex(self.a.last_event(events.SEND_PACKET).get("encoded_packet_hex") or ""))

    def send_message(self, *payloads: Payload, seconds: int = 100) -> bytes:
        timeout = UnixSeconds(self.a.time // NANOS_PER_SECOND + seconds)
        return wire.encode_send(wire.SendMessage(self.a.client, timeout, payloads or (payload(),), SENDER))

    def receive_message(self, packet: Packet) -> bytes:
        """A MsgRecvPacket for b, proven at b's newest header of a."""
        height = self.b.light.latest_height(self.b.state, self.b.client)
        key = host.packet_commitment(packet.source_client, packet.sequence)
        value = self.a.state_at(height)["ibc"].get(key)
        return wire.encode_receive(packet, proof_of(height, (b"ibc", key), value), height, RELAYER)

    def acknowledge_message(self, packet: Packet, acknowledgement: Acknowledgement | None = None) -> bytes:
        """A MsgAcknowledgement for a, proven at a's newest header of b."""
        height = self.a.light.latest_height(self.a.state, self.a.client)
        key = host.packet_acknowledgement(packet.destination_client, packet.sequence)
        value = self.b.state_at(height)["ibc"].get(key)
        written = acknowledgement or self.written_acknowledgement()
        return wire.encode_acknowledge(packet, written, proof_of(height, (b"ibc", key), value), height, RELAYER)

    def written_acknowledgement(self) -> Acknowledgement:
        text = self.b.last_event(events.WRITE_ACKNOWLEDGEMENT).get("encoded_acknowledgement_hex")
        return wire.read_acknowledgement(bytes.fromhex(text or ""))

    def timeout_message(self, packet: Packet) -> bytes:
        """A MsgTimeout for a, proven at a's newest header of b."""
        height = self.a.light.latest_height(self.a.state, self.a.client)
        key = host.packet_receipt(packet.destination_client, packet.sequence)
        return wire.encode_timeout(packet, proof_of(height, (b"ibc", key), None), height, RELAYER)

    def receive(self, packet: Packet) -> dispatch.Dispatched:
        return self.b.deliver(urls.MSG_RECV_PACKET, self.receive_message(packet))

    def acknowledge(self, packet: Packet) -> dispatch.Dispatched:
        return self.a.deliver(urls.MSG_ACKNOWLEDGEMENT, self.acknowledge_message(packet))

    def time_out(self, packet: Packet) -> dispatch.Dispatched:
        return self.a.deliver(urls.MSG_TIMEOUT, self.timeout_message(packet))

    def in_flight(self, *payloads: Payload, seconds: int = 100) -> Packet:
        """A packet sent by a and provable to b."""
        packet = self.send(*payloads, seconds=seconds)
        self.sync()
        return packet

    def delivered(self, *payloads: Payload) -> Packet:
        """A packet received by b whose acknowledgement is provable to a."""
        packet = self.in_flight(*payloads)
        self.receive(packet)
        self.sync()
        return packet


def create_client_message(latest: Height, time: int, signer: str) -> bytes:
    return ibc_client_pb2.MsgCreateClient(
        client_state=client_state(latest), consensus_state=consensus_state(time), signer=signer
    ).SerializeToString()


def register_message(client: str, counterparty: str, signer: str, prefix: tuple[bytes, ...] = (b"ibc", b"")) -> bytes:
    return ibc_client_pb2.MsgRegisterCounterparty(
        client_id=client, counterparty_merkle_prefix=prefix, counterparty_client_id=counterparty, signer=signer
    ).SerializeToString()


def update_message(client: str, height: int, signer: str = RELAYER, kind: str = HEADER_URL) -> bytes:
    return ibc_client_pb2.MsgUpdateClient(
        client_id=client,
        client_message=AnyMessage(type_url=kind, value=str(Height(1, height)).encode()),
        signer=signer,
    ).SerializeToString()


def update_client(world: World, height: int) -> None:
    world.deliver(urls.MSG_UPDATE_CLIENT, update_message(world.client, height))


def upgrade_message(client: str, proof: bytes = b"upgrade", consensus_url: str = CONSENSUS_URL) -> bytes:
    message = ibc_client_pb2.MsgUpgradeClient(
        client_id=client,
        client_state=client_state(Height(2, 1)),
        consensus_state=consensus_state(START),
        proof_upgrade_client=proof,
        proof_upgrade_consensus_state=b"upgrade",
        signer=RELAYER,
    )
    message.consensus_state.type_url = consensus_url
    return message.SerializeToString()


def upgrade_client(world: World) -> None:
    world.deliver(urls.MSG_UPGRADE_CLIENT, upgrade_message(world.client))
