"""Acknowledgements written later: once, with one element per payload, naming their packet on own lanes."""

from __future__ import annotations

import pytest

from lockgate.ibc import answering, host
from lockgate.ibc.commitment import SENTINEL_COMMITMENT, commit_packet
from lockgate.ibc.errors import (
    AcknowledgementCount,
    AcknowledgementExists,
    AcknowledgementUnnamed,
    BadAcknowledgement,
    CounterpartyMismatch,
    HeldPacketMissing,
    ReceiptMissing,
    SentinelAsSuccess,
)
from lockgate.ibc.packet import ERROR_ACKNOWLEDGEMENT, SENTINEL, Acknowledgement, Packet, Payload
from lockgate.ibc.ports import Deferred, Held, Rejected
from lockgate.primitives.errors import LockgateError
from tests.support.ibc_fakes import RELAYER
from tests.support.ibc_world import Pair, payload


def held(*payloads: Payload, own: bool = False) -> tuple[Pair, Packet]:
    pair = Pair.connected()
    if own:
        pair.own_lane()
    packet = pair.in_flight(*payloads)
    pair.b.gate.admission = Held()
    pair.receive(packet)
    pair.b.gate.admission = None
    return pair, packet


def write(pair: Pair, packet: Packet, acknowledgement: Acknowledgement) -> answering.Answered:
    world = pair.b
    done = answering.write_acknowledgement(
        world.wiring, world.state, packet.destination_client, packet.sequence, acknowledgement
    )
    world.apply(done.outcome)
    return done


def answer(pair: Pair, packet: Packet, given: dict[int, bytes]) -> answering.Answered:
    world = pair.b
    done = answering.answer(
        world.wiring, world.state, world.block, packet.destination_client, packet.sequence, RELAYER, given
    )
    world.apply(done.outcome)
    return done


def test_an_answer_is_written_once() -> None:
    pair, packet = held()
    done = write(pair, packet, Acknowledgement((b"late",)))
    assert (done.packet, done.commitment, done.rejected) == (packet, commit_packet(packet), None)
    assert pair.written_acknowledgement() == Acknowledgement((b"late",))
    assert pair.b.state.get("ibc", host.async_packet(packet.destination_client, packet.sequence)) is None
    with pytest.raises(HeldPacketMissing):
        write(pair, packet, Acknowledgement((b"again",)))
    pair.sync()
    assert pair.acknowledge(packet).outcome.response == b"\x08\x02"
    assert pair.a.app.calls[-1] == ("acknowledge", 1, b"late")


def test_the_held_packet_can_be_read() -> None:
    pair, packet = held()
    assert answering.held_packet(pair.b.wiring, pair.b.state, packet.destination_client, 1) == packet
    with pytest.raises(HeldPacketMissing):
        answering.held_packet(pair.b.wiring, pair.b.state, packet.destination_client, 2)


@pytest.mark.parametrize(
    ("elements", "refusal"),
    [
        ((), BadAcknowledgement),
        ((b"",), BadAcknowledgement),
        ((b"a", b"b"), BadAcknowledgement),
    ],
)
def test_a_list_that_does_not_fit_is_refused(elements: tuple[bytes, ...], refusal: type[LockgateError]) -> None:
    pair, packet = held()
    before = pair.b.state.snapshot()
    with pytest.raises(refusal):
        write(pair, packet, Acknowledgement(elements))
    assert pair.b.state.snapshot() == before


def test_on_own_lanes_elements_are_counted_and_named() -> None:
    pair, packet = held(payload(b"one"), payload(b"two"), own=True)
    name = commit_packet(packet)
    with pytest.raises(AcknowledgementCount):
        write(pair, packet, Acknowledgement((name + b"x",)))
    with pytest.raises(BadAcknowledgement):
        write(pair, packet, Acknowledgement((name + b"x", SENTINEL)))
    for elements in ((name + b"x", b"y"), (name + b"x", name), (name + b"x", bytes(32) + b"y")):
        with pytest.raises(AcknowledgementUnnamed):
            write(pair, packet, Acknowledgement(elements))
    write(pair, packet, Acknowledgement((name + b"x", name + b"y")))


def test_a_refusal_needs_no_name_and_stands_for_all_payloads() -> None:
    pair, packet = held(payload(b"one"), payload(b"two"), own=True)
    world = pair.b
    rejected = Rejected("test.deadline")
    done = answering.refuse(world.wiring, world.state, packet.destination_client, packet.sequence, rejected)
    world.apply(done.outcome)
    assert done.rejected == rejected
    assert pair.written_acknowledgement() == ERROR_ACKNOWLEDGEMENT


def test_an_acknowledgement_that_exists_is_not_replaced() -> None:
    pair, packet = held()
    key = host.packet_acknowledgement(packet.destination_client, packet.sequence)
    pair.b.state.stores["ibc"][key] = bytes(32)
    with pytest.raises(AcknowledgementExists):
        write(pair, packet, Acknowledgement((b"late",)))


def test_an_acknowledgement_needs_a_receipt() -> None:
    pair, packet = held()
    del pair.b.state.stores["ibc"][host.packet_receipt(packet.destination_client, packet.sequence)]
    with pytest.raises(ReceiptMissing):
        write(pair, packet, Acknowledgement((b"late",)))


def test_an_acknowledgement_needs_the_counterparty() -> None:
    pair, packet = held()
    key = host.counterparty(packet.destination_client)
    record = pair.b.state.stores["ibc"][key]
    pair.b.state.stores["ibc"][key] = record.replace(packet.source_client.encode(), b"99-fake-9")
    with pytest.raises(CounterpartyMismatch):
        write(pair, packet, Acknowledgement((b"late",)))


# Executing a held packet as a whole (P2).


def test_payloads_executed_elsewhere_and_here_make_one_acknowledgement() -> None:
    pair, packet = held(payload(b"one"), payload(b"two", to="beta"), own=True)
    done = answer(pair, packet, {0: b"from the endpoint"})
    name = commit_packet(packet)
    assert pair.written_acknowledgement().elements == (name + b"from the endpoint", name + b"ack of two")
    assert done.rejected is None
    assert (pair.b.app.calls, len(pair.b.other_app.calls)) == ([], 1)


def test_a_refusal_at_the_answer_drops_all_payloads() -> None:
    pair, packet = held(payload(b"one"), payload(b"two", to="beta"), own=True)
    pair.b.other_app.answers[b"two"] = Rejected("test.refused", b"why")
    done = answer(pair, packet, {})
    assert done.rejected == Rejected("test.refused", b"why")
    key = host.packet_acknowledgement(packet.destination_client, packet.sequence)
    assert pair.b.state.get("ibc", key) == SENTINEL_COMMITMENT
    assert pair.b.state.get("app", b"app/receive/1/0") is None


def test_an_answer_of_the_sentinel_is_refused() -> None:
    pair, packet = held(own=True)
    with pytest.raises(SentinelAsSuccess):
        answer(pair, packet, {0: SENTINEL})
    with pytest.raises(BadAcknowledgement):
        answer(pair, packet, {0: b""})


def test_an_application_may_defer_again() -> None:
    pair, packet = held()
    pair.b.app.answers[b"hello"] = Deferred()
    assert answer(pair, packet, {}).held
    del pair.b.app.answers[b"hello"]
    answer(pair, packet, {})
    assert pair.written_acknowledgement() == Acknowledgement((b"ack of hello",))
