"""RecvPacket: every refusal by one spoiling, no-ops, atomic payloads, holding, and what the gate may do."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lockgate.codec import type_urls as urls
from lockgate.codec.wire import ibc_client_pb2
from lockgate.ibc import host, wire
from lockgate.ibc.commitment import SENTINEL_COMMITMENT, commit_acknowledgement, commit_packet
from lockgate.ibc.errors import (
    AcknowledgementExists,
    BadAcknowledgement,
    BadHostIdentifier,
    BadPacket,
    BadPayload,
    ClientNotActive,
    CounterpartyMismatch,
    CounterpartyNotFound,
    EmptyProof,
    NoRoute,
    RelayerNotAllowed,
    SentinelAsSuccess,
    SignerMismatch,
    TimeoutElapsed,
)
from lockgate.ibc.packet import ERROR_ACKNOWLEDGEMENT, MAX_PAYLOAD_BYTES, SENTINEL, Acknowledgement, Packet
from lockgate.ibc.ports import Accepted, Rejected, Terms
from lockgate.primitives.errors import LockgateError, Refused
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.time import NANOS_PER_SECOND, UnixSeconds
from tests.support.ibc_fakes import RELAYER, SENDER, FakeNoConsensus, FakeProofWrong, set_status
from tests.support.ibc_world import Pair, payload
from tests.support.values import replace


def refused(pair: Pair, refusal: type[LockgateError], data: bytes, account: str = RELAYER) -> None:
    before = pair.b.state.snapshot()
    with pytest.raises(refusal):
        pair.b.deliver(urls.MSG_RECV_PACKET, data, account)
    assert pair.b.state.snapshot() == before


def acknowledgement_of(pair: Pair, packet: Packet) -> bytes | None:
    return pair.b.state.get("ibc", host.packet_acknowledgement(packet.destination_client, packet.sequence))


def receipt_of(pair: Pair, packet: Packet) -> bytes | None:
    return pair.b.state.get("ibc", host.packet_receipt(packet.destination_client, packet.sequence))


def test_a_packet_leaves_receipt_acknowledgement_and_events() -> None:
    pair = Pair.connected()
    packet = pair.in_flight()
    done = pair.receive(packet)
    assert done.outcome.response == b"\x08\x02"
    assert receipt_of(pair, packet) == b"\x02"
    assert acknowledgement_of(pair, packet) == commit_acknowledgement(Acknowledgement((b"ack of hello",)))
    kinds = [event.type for event in done.outcome.events]
    assert kinds == ["recv_packet", "message", "app_receive", "write_acknowledgement", "message"]
    received, written = done.outcome.events[0], done.outcome.events[3]
    assert written.attributes[:-1] == received.attributes
    assert received.get("encoded_packet_hex") == wire.encode_packet(packet).hex()
    assert pair.written_acknowledgement() == Acknowledgement((b"ack of hello",))
    assert done.received is not None
    assert done.received.commitment == commit_packet(packet)
    assert pair.b.app.calls == [("receive", 1, None)]


Spoil = Callable[[Pair, Packet], bytes]


def edited(**fields: object) -> Spoil:
    """The message with other packet fields, its proof left as it was for the packet."""

    def spoil(pair: Pair, packet: Packet) -> bytes:
        message = wire.read_receive(pair.receive_message(packet))
        other = replace(packet, **fields)  # type: ignore[arg-type]
        return wire.encode_receive(other, message.proof, message.proof_height, RELAYER)

    return spoil


def no_proof(pair: Pair, packet: Packet) -> bytes:
    return wire.encode_receive(packet, b"", Height(1, 2), RELAYER)


def wrong_proof(pair: Pair, packet: Packet) -> bytes:
    return wire.encode_receive(packet, b"x", pair.b.light.latest_height(pair.b.state, pair.b.client), RELAYER)


def unknown_height(pair: Pair, packet: Packet) -> bytes:
    return wire.encode_receive(packet, b"x", Height(1, 900), RELAYER)


def late(pair: Pair, packet: Packet) -> bytes:
    pair.b.time = packet.timeout * NANOS_PER_SECOND
    return pair.receive_message(packet)


def with_status(status: str) -> Spoil:
    def spoil(pair: Pair, packet: Packet) -> bytes:
        pair.b.apply(set_status(pair.b.state, pair.b.client, status))
        return pair.receive_message(packet)

    return spoil


def unpaired(pair: Pair, packet: Packet) -> bytes:
    del pair.b.state.stores["ibc"][host.counterparty(pair.b.client)]
    return pair.receive_message(packet)


def not_listed(pair: Pair, packet: Packet) -> bytes:
    config = ibc_client_pb2.Config(allowed_relayers=[SENDER]).SerializeToString()
    pair.b.state.stores["ibc"][host.config(pair.b.client)] = config
    return pair.receive_message(packet)


def never_sent(pair: Pair, packet: Packet) -> bytes:
    return pair.receive_message(replace(packet, sequence=9))


REFUSALS: list[tuple[str, Spoil, type[LockgateError]]] = [
    ("no counterparty", unpaired, CounterpartyNotFound),
    ("other destination", edited(destination_client=ClientId("99-fake-44")), CounterpartyNotFound),
    ("other source", edited(source_client=ClientId("99-fake-44")), CounterpartyMismatch),
    ("bad client id", edited(source_client=ClientId("a/b")), BadHostIdentifier),
    ("sequence zero", edited(sequence=0), BadPacket),
    ("no timeout", edited(timeout=UnixSeconds(0)), BadPacket),
    ("no payload", edited(payloads=()), BadPayload),
    ("two payloads", edited(payloads=(payload(), payload())), BadPayload),
    ("empty value", edited(payloads=(payload(b""),)), BadPayload),
    ("large value", edited(payloads=(payload(bytes(MAX_PAYLOAD_BYTES + 1)),)), BadPayload),
    ("other value", edited(payloads=(payload(b"hallo"),)), FakeProofWrong),
    ("other port", edited(payloads=(payload(to="beta"),)), FakeProofWrong),
    ("other sequence", edited(sequence=2), FakeProofWrong),
    ("later timeout", edited(timeout=UnixSeconds(2_000_000_000)), FakeProofWrong),
    ("never sent", never_sent, FakeProofWrong),
    ("no proof", no_proof, EmptyProof),
    ("wrong proof", wrong_proof, FakeProofWrong),
    ("unknown height", unknown_height, FakeNoConsensus),
    ("too late", late, TimeoutElapsed),
    ("frozen", with_status("Frozen"), ClientNotActive),
    ("expired", with_status("Expired"), ClientNotActive),
    ("relayer not listed", not_listed, RelayerNotAllowed),
]


@pytest.mark.parametrize(("_name", "spoil", "refusal"), REFUSALS, ids=[case[0] for case in REFUSALS])
def test_receive_refuses(_name: str, spoil: Spoil, refusal: type[LockgateError]) -> None:
    pair = Pair.connected()
    packet = pair.in_flight()
    refused(pair, refusal, spoil(pair, packet))


def test_the_signer_must_have_signed() -> None:
    pair = Pair.connected()
    refused(pair, SignerMismatch, pair.receive_message(pair.in_flight()), SENDER)


@pytest.mark.parametrize(("past_second", "accepted"), [(-NANOS_PER_SECOND, True), (-1, True), (0, False), (1, False)])
def test_the_last_moment_to_receive_is_one_nanosecond_before_the_timeout(past_second: int, accepted: bool) -> None:
    pair = Pair.connected()
    packet = pair.in_flight()
    data = pair.receive_message(packet)
    pair.b.time = packet.timeout * NANOS_PER_SECOND + past_second
    if accepted:
        assert pair.b.deliver(urls.MSG_RECV_PACKET, data).outcome.response == b"\x08\x02"
    else:
        refused(pair, TimeoutElapsed, data)


def test_a_duplicate_does_nothing_and_needs_no_proof() -> None:
    pair = Pair.connected()
    packet = pair.in_flight()
    data = pair.receive_message(packet)
    pair.b.deliver(urls.MSG_RECV_PACKET, data)
    before, checked = pair.b.state.snapshot(), pair.b.light.verifications
    done = pair.b.deliver(urls.MSG_RECV_PACKET, data)
    assert done.is_packet
    assert done.is_noop
    assert (done.outcome.writes, done.outcome.events, done.outcome.response) == ({}, [], b"\x08\x01")
    assert pair.b.state.snapshot() == before
    assert pair.b.light.verifications == checked
    assert len(pair.b.app.calls) == 1
    pair.b.apply(set_status(pair.b.state, pair.b.client, "Frozen"))
    assert pair.b.deliver(urls.MSG_RECV_PACKET, data).is_noop


def test_an_expired_duplicate_is_an_error() -> None:
    pair = Pair.connected()
    packet = pair.in_flight()
    data = pair.receive_message(packet)
    pair.b.deliver(urls.MSG_RECV_PACKET, data)
    pair.b.time = packet.timeout * NANOS_PER_SECOND
    refused(pair, TimeoutElapsed, data)


def test_a_pruned_packet_counts_as_received() -> None:
    """I15: the receipt went by proof; an old consensus state still proves the commitment."""
    pair = Pair.connected()
    packet = pair.in_flight()
    pair.b.lanes.by_client[pair.b.client] = Terms(own=False, max_payloads=1, forgotten_to=packet.sequence)
    assert pair.receive(packet).is_noop
    assert pair.b.app.calls == []


# Applications.


def test_a_refusal_keeps_the_receipt_and_drops_the_rest() -> None:
    pair = Pair.connected()
    packet = pair.in_flight()
    pair.b.app.answers[b"hello"] = Rejected("test.refused", b"sealed detail")
    done = pair.receive(packet)
    assert done.outcome.response == b"\x08\x02"
    assert done.received is not None
    assert done.received.rejected == Rejected("test.refused", b"sealed detail")
    assert receipt_of(pair, packet) == b"\x02"
    assert acknowledgement_of(pair, packet) == SENTINEL_COMMITMENT
    assert pair.written_acknowledgement() == ERROR_ACKNOWLEDGEMENT
    assert {store for store, _ in done.outcome.writes} == {"ibc"}


def test_a_refusal_by_a_later_payload_drops_what_earlier_ones_wrote() -> None:
    pair = Pair.connected()
    pair.own_lane()
    packet = pair.in_flight(payload(b"one"), payload(b"two", to="beta"), payload(b"three"))
    pair.b.other_app.answers[b"two"] = Rejected("test.refused")
    done = pair.receive(packet)
    assert {store for store, _ in done.outcome.writes} == {"ibc"}
    assert [call[0] for call in pair.b.app.calls] == ["receive"]  # the third payload was not tried
    assert acknowledgement_of(pair, packet) == SENTINEL_COMMITMENT
    marked = [event for event in done.outcome.events if event.type.startswith("ibccallbackerror-")]
    assert [event.type for event in marked] == ["ibccallbackerror-app_receive"]
    assert marked[0].attributes == (("ibccallbackerror-port", "alpha"),)


def test_payloads_see_what_earlier_ones_wrote() -> None:
    pair = Pair.connected()
    pair.own_lane()
    packet = pair.in_flight(payload(b"one"), payload(b"two"))
    seen = []
    pair.b.app.reenter = lambda step, view, call: seen.append(view.get("app", b"app/receive/1/0"))
    pair.receive(packet)
    assert seen == [None, b"\x00\x01"]


class Broken(Refused):
    code = "test.broken"
    summary = "The application cannot say yes or no."


SPOILED_ANSWERS: list[tuple[object, type[LockgateError]]] = [
    (Broken(), Broken),
    (Accepted(SENTINEL), SentinelAsSuccess),
    (Accepted(b""), BadAcknowledgement),
]


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize(("answer", "refusal"), SPOILED_ANSWERS)
def test_a_misbehaving_application_fails_the_transaction(
    answer: Accepted, refusal: type[LockgateError], own: bool
) -> None:
    pair = Pair.connected()
    if own:
        pair.own_lane()
    packet = pair.in_flight()
    pair.b.app.answers[b"hello"] = answer
    refused(pair, refusal, pair.receive_message(packet))


def test_a_port_nobody_serves_fails_the_transaction() -> None:
    pair = Pair.connected()
    packet = pair.in_flight(payload(to="gamma"))
    refused(pair, NoRoute, pair.receive_message(packet))


def test_on_own_lanes_every_acknowledgement_names_its_packet() -> None:
    pair = Pair.connected()
    pair.own_lane()
    packet = pair.in_flight(payload(b"one"), payload(b"two"))
    pair.receive(packet)
    name = commit_packet(packet)
    assert pair.written_acknowledgement().elements == (name + b"ack of one", name + b"ack of two")


def test_an_acknowledgement_already_stored_is_never_replaced() -> None:
    pair = Pair.connected()
    packet = pair.in_flight()
    key = host.packet_acknowledgement(packet.destination_client, packet.sequence)
    pair.b.state.stores["ibc"][key] = bytes(32)
    refused(pair, AcknowledgementExists, pair.receive_message(packet))
