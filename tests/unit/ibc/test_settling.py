"""Acknowledgement and Timeout: every refusal by one spoiling, no-ops, and the exact second of a timeout."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lockgate.codec import type_urls as urls
from lockgate.codec.wire import ibc_client_pb2
from lockgate.ibc import host, wire
from lockgate.ibc.commitment import commit_acknowledgement, commit_packet
from lockgate.ibc.errors import (
    AcknowledgementCount,
    AcknowledgementUnnamed,
    BadAcknowledgement,
    BadPacket,
    ClientNotActive,
    CommitmentMismatch,
    CounterpartyMismatch,
    CounterpartyNotFound,
    EmptyProof,
    NoRoute,
    RelayerNotAllowed,
    SignerMismatch,
    TimeoutNotReached,
)
from lockgate.ibc.packet import ERROR_ACKNOWLEDGEMENT, SENTINEL, Acknowledgement, Packet
from lockgate.ibc.ports import Ending, Rejected
from lockgate.primitives.errors import LockgateError, Refused
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.time import NANOS_PER_SECOND
from tests.support.ibc_fakes import RELAYER, SENDER, FakeNoConsensus, FakeProofWrong, set_status
from tests.support.ibc_world import Pair, payload, update_client
from tests.support.values import replace


def refused(pair: Pair, refusal: type[LockgateError], url: str, data: bytes, account: str = RELAYER) -> None:
    before = pair.a.state.snapshot()
    with pytest.raises(refusal):
        pair.a.deliver(url, data, account)
    assert pair.a.state.snapshot() == before


def pending(pair: Pair, packet: Packet) -> bool:
    return pair.a.state.get("ibc", host.packet_commitment(packet.source_client, packet.sequence)) is not None


def expired(pair: Pair, packet: Packet, past_second: int = 0) -> None:
    """Let b's time reach the timeout, plus so many nanoseconds, and tell a."""
    pair.b.time = packet.timeout * NANOS_PER_SECOND + past_second
    pair.b.commit()
    update_client(pair.a, pair.b.height)


# Acknowledgement.


def test_an_acknowledgement_ends_the_packet() -> None:
    pair = Pair.connected()
    packet = pair.delivered()
    done = pair.acknowledge(packet)
    assert done.outcome.response == b"\x08\x02"
    assert not pending(pair, packet)
    assert [event.type for event in done.outcome.events] == ["acknowledge_packet", "message", "app_acknowledge"]
    assert pair.a.app.calls[-1] == ("acknowledge", 1, b"ack of hello")
    assert pair.a.gate.endings == [Ending.ACKNOWLEDGED]


def test_an_error_acknowledgement_reaches_every_payload_as_the_sentinel() -> None:
    pair = Pair.connected()
    pair.own_lane()
    pair.b.app.answers[b"one"] = Rejected("test.refused")
    packet = pair.delivered(payload(b"one"), payload(b"two"))
    pair.acknowledge(packet)
    assert pair.a.app.calls[-2:] == [("acknowledge", 1, SENTINEL)] * 2
    assert pair.a.gate.endings == [Ending.REFUSED]


def test_applications_get_their_own_element_without_the_name() -> None:
    pair = Pair.connected()
    pair.own_lane()
    packet = pair.delivered(payload(b"one"), payload(b"two", port="beta"))
    pair.acknowledge(packet)
    assert pair.a.app.calls[-1] == ("acknowledge", 1, b"ack of one")
    assert pair.a.other_app.calls[-1] == ("acknowledge", 1, b"ack of two")


Spoil = Callable[[Pair, Packet], bytes]


def edited(**fields: object) -> Spoil:
    def spoil(pair: Pair, packet: Packet) -> bytes:
        message = wire.read_acknowledge(pair.acknowledge_message(packet))
        other = replace(packet, **fields)  # type: ignore[arg-type]
        return wire.encode_acknowledge(other, message.acknowledgement, message.proof, message.proof_height, RELAYER)

    return spoil


def saying(*elements: bytes) -> Spoil:
    return lambda pair, packet: pair.acknowledge_message(packet, Acknowledgement(elements))


def without_proof(pair: Pair, packet: Packet) -> bytes:
    return wire.encode_acknowledge(packet, ERROR_ACKNOWLEDGEMENT, b"", Height(1, 1), RELAYER)


def at_unknown_height(pair: Pair, packet: Packet) -> bytes:
    return wire.encode_acknowledge(packet, pair.written_acknowledgement(), b"x", Height(1, 900), RELAYER)


def with_status(status: str) -> Spoil:
    def spoil(pair: Pair, packet: Packet) -> bytes:
        pair.a.apply(set_status(pair.a.state, pair.a.client, status))
        return pair.acknowledge_message(packet)

    return spoil


def unpaired(pair: Pair, packet: Packet) -> bytes:
    del pair.a.state.stores["ibc"][host.counterparty(pair.a.client)]
    return pair.acknowledge_message(packet)


def not_listed(pair: Pair, packet: Packet) -> bytes:
    config = ibc_client_pb2.Config(allowed_relayers=[SENDER]).SerializeToString()
    pair.a.state.stores["ibc"][host.config(pair.a.client)] = config
    return pair.acknowledge_message(packet)


def unserved(pair: Pair, packet: Packet) -> bytes:
    pair.a.wiring.router._exact.pop("alpha")
    return pair.acknowledge_message(packet)


ACK_REFUSALS: list[tuple[str, Spoil, type[LockgateError]]] = [
    ("no counterparty", unpaired, CounterpartyNotFound),
    ("other source", edited(source_client=ClientId("99-fake-44")), CounterpartyNotFound),
    ("other destination", edited(destination_client=ClientId("99-fake-44")), CounterpartyMismatch),
    ("sequence zero", edited(sequence=0), BadPacket),
    ("other value", edited(payloads=(payload(b"hallo"),)), CommitmentMismatch),
    ("other acknowledgement", saying(b"another"), FakeProofWrong),
    ("refusal instead", saying(SENTINEL), FakeProofWrong),
    ("empty list", saying(), BadAcknowledgement),
    ("empty element", saying(b""), BadAcknowledgement),
    ("two elements", saying(b"a", b"b"), BadAcknowledgement),
    ("no proof", without_proof, EmptyProof),
    ("unknown height", at_unknown_height, FakeNoConsensus),
    ("frozen", with_status("Frozen"), ClientNotActive),
    ("expired", with_status("Expired"), ClientNotActive),
    ("relayer not listed", not_listed, RelayerNotAllowed),
    ("port not served", unserved, NoRoute),
]


@pytest.mark.parametrize(("_name", "spoil", "refusal"), ACK_REFUSALS, ids=[case[0] for case in ACK_REFUSALS])
def test_acknowledge_refuses(_name: str, spoil: Spoil, refusal: type[LockgateError]) -> None:
    pair = Pair.connected()
    packet = pair.delivered()
    refused(pair, refusal, urls.MSG_ACKNOWLEDGEMENT, spoil(pair, packet))
    assert pending(pair, packet)


def test_the_signer_must_have_signed() -> None:
    pair = Pair.connected()
    packet = pair.delivered()
    refused(pair, SignerMismatch, urls.MSG_ACKNOWLEDGEMENT, pair.acknowledge_message(packet), SENDER)


def test_a_second_acknowledgement_does_nothing() -> None:
    pair = Pair.connected()
    packet = pair.delivered()
    data = pair.acknowledge_message(packet)
    pair.a.deliver(urls.MSG_ACKNOWLEDGEMENT, data)
    before = pair.a.state.snapshot()
    done = pair.a.deliver(urls.MSG_ACKNOWLEDGEMENT, data)
    assert done.is_noop
    assert (done.outcome.writes, done.outcome.events, done.outcome.response) == ({}, [], b"\x08\x01")
    assert pair.a.state.snapshot() == before
    assert pair.a.app.calls.count(("acknowledge", 1, b"ack of hello")) == 1


class Later(Refused):
    code = "test.later"
    summary = "The application is not ready for the end of this packet."


@pytest.mark.parametrize("step", ["acknowledge", "timeout"])
def test_an_application_error_keeps_the_packet_pending(step: str) -> None:
    pair = Pair.connected()
    if step == "acknowledge":
        packet = pair.delivered()
        url, data = urls.MSG_ACKNOWLEDGEMENT, pair.acknowledge_message(packet)
    else:
        packet = pair.in_flight()
        expired(pair, packet)
        url, data = urls.MSG_TIMEOUT, pair.timeout_message(packet)
    pair.a.app.raises[step] = Later()
    refused(pair, Later, url, data)
    assert pending(pair, packet)
    pair.a.app.raises.clear()
    assert pair.a.deliver(url, data).outcome.response == b"\x08\x02"
    assert not pending(pair, packet)


def forged(pair: Pair, packet: Packet, *elements: bytes) -> bytes:
    """An acknowledgement message proven against a counterparty that wrote `elements`."""
    acknowledgement = Acknowledgement(elements)
    key = host.packet_acknowledgement(packet.destination_client, packet.sequence)
    pair.b.state.stores["ibc"][key] = commit_acknowledgement(acknowledgement)
    pair.sync()
    return pair.acknowledge_message(packet, acknowledgement)


def test_a_proven_list_of_another_length_is_refused_before_it_is_indexed() -> None:
    pair = Pair.connected()
    pair.own_lane()
    packet = pair.delivered(payload(b"one"), payload(b"two"))
    name = commit_packet(packet)
    data = forged(pair, packet, name + b"only one")
    refused(pair, AcknowledgementCount, urls.MSG_ACKNOWLEDGEMENT, data)
    data = forged(pair, packet, *[name + b"three"] * 3)
    refused(pair, AcknowledgementCount, urls.MSG_ACKNOWLEDGEMENT, data)


def test_a_proven_acknowledgement_of_another_packet_is_refused_on_own_lanes() -> None:
    """P4: after a rollback of the other ledger its sequence may name another packet."""
    pair = Pair.connected()
    pair.own_lane()
    packet = pair.delivered()
    for element in (b"no name", bytes(32) + b"ok", commit_packet(packet), commit_packet(packet)[:31]):
        refused(pair, AcknowledgementUnnamed, urls.MSG_ACKNOWLEDGEMENT, forged(pair, packet, element))
    assert pending(pair, packet)
    assert pair.a.deliver(urls.MSG_ACKNOWLEDGEMENT, forged(pair, packet, commit_packet(packet) + b"ok"))


# Timeout.


def test_a_proven_absence_ends_the_packet() -> None:
    pair = Pair.connected()
    packet = pair.in_flight()
    expired(pair, packet)
    done = pair.time_out(packet)
    assert done.outcome.response == b"\x08\x02"
    assert not pending(pair, packet)
    assert [event.type for event in done.outcome.events] == ["timeout_packet", "message", "app_timeout"]
    assert pair.a.gate.endings == [Ending.TIMED_OUT]
    again = pair.time_out(packet)
    assert again.is_noop
    assert (again.outcome.writes, again.outcome.events) == ({}, [])


@pytest.mark.parametrize(("past_second", "provable"), [(-1, False), (0, True), (1, True)])
def test_the_proving_header_is_at_or_past_the_timeout_in_whole_seconds(past_second: int, provable: bool) -> None:
    pair = Pair.connected()
    packet = pair.in_flight()
    expired(pair, packet, past_second)
    if provable:
        pair.time_out(packet)
    else:
        refused(pair, TimeoutNotReached, urls.MSG_TIMEOUT, pair.timeout_message(packet))


def test_a_received_packet_cannot_time_out() -> None:
    pair = Pair.connected()
    packet = pair.delivered()
    expired(pair, packet)
    refused(pair, FakeProofWrong, urls.MSG_TIMEOUT, pair.timeout_message(packet))


def test_absence_is_proven_of_the_receipt_of_the_destination_client() -> None:
    """An absence proof of a key under the source client's name would always succeed."""
    pair = Pair.connected()
    packet = pair.delivered()
    expired(pair, packet)
    paths: list[tuple[bytes, ...]] = []
    pair.a.light.verify_non_membership = (  # type: ignore[method-assign]
        lambda view, client_id, height, proof, path: paths.append(path)
    )
    pair.time_out(packet)
    assert paths == [(b"ibc", host.packet_receipt(packet.destination_client, packet.sequence))]


def timeout_with(proof: bytes | None = None, height: Height | None = None, **fields: object) -> Spoil:
    def spoil(pair: Pair, packet: Packet) -> bytes:
        message = wire.read_timeout(pair.timeout_message(packet))
        return wire.encode_timeout(
            replace(packet, **fields),  # type: ignore[arg-type]
            message.proof if proof is None else proof,
            height or message.proof_height,
            RELAYER,
        )

    return spoil


def timeout_status(status: str) -> Spoil:
    def spoil(pair: Pair, packet: Packet) -> bytes:
        data = pair.timeout_message(packet)
        pair.a.apply(set_status(pair.a.state, pair.a.client, status))
        return data

    return spoil


def timeout_not_listed(pair: Pair, packet: Packet) -> bytes:
    config = ibc_client_pb2.Config(allowed_relayers=[SENDER]).SerializeToString()
    pair.a.state.stores["ibc"][host.config(pair.a.client)] = config
    return pair.timeout_message(packet)


TIMEOUT_REFUSALS: list[tuple[str, Spoil, type[LockgateError]]] = [
    ("no proof", timeout_with(proof=b""), EmptyProof),
    ("wrong proof", timeout_with(proof=b"x"), FakeProofWrong),
    ("unknown height", timeout_with(height=Height(1, 900)), FakeNoConsensus),
    ("earlier height", timeout_with(height=Height(1, 3)), TimeoutNotReached),
    ("other source", timeout_with(source_client=ClientId("99-fake-44")), CounterpartyNotFound),
    ("other destination", timeout_with(destination_client=ClientId("99-fake-44")), CounterpartyMismatch),
    ("other value", timeout_with(payloads=(payload(b"hallo"),)), CommitmentMismatch),
    ("earlier timeout", timeout_with(timeout=1_700_000_001), CommitmentMismatch),
    ("sequence zero", timeout_with(sequence=0), BadPacket),
    ("frozen", timeout_status("Frozen"), ClientNotActive),
    ("expired", timeout_status("Expired"), ClientNotActive),
    ("relayer not listed", timeout_not_listed, RelayerNotAllowed),
]


@pytest.mark.parametrize(("_name", "spoil", "refusal"), TIMEOUT_REFUSALS, ids=[case[0] for case in TIMEOUT_REFUSALS])
def test_timeout_refuses(_name: str, spoil: Spoil, refusal: type[LockgateError]) -> None:
    pair = Pair.connected()
    packet = pair.in_flight()
    expired(pair, packet)
    refused(pair, refusal, urls.MSG_TIMEOUT, spoil(pair, packet))
    assert pending(pair, packet)


def test_the_signer_of_a_timeout_must_have_signed() -> None:
    pair = Pair.connected()
    packet = pair.in_flight()
    expired(pair, packet)
    refused(pair, SignerMismatch, urls.MSG_TIMEOUT, pair.timeout_message(packet), SENDER)
