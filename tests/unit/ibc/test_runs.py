"""Runs take what is plainly good. `World.deliver` holds every packet message of this folder's tests to the plain
handlers' decision; here stands what those do not ask."""

from __future__ import annotations

import pytest

from lockgate.codec import type_urls as urls
from lockgate.ibc import host
from lockgate.ibc.commitment import commit_acknowledgement, commit_packet
from lockgate.ibc.errors import (
    AcknowledgementExists,
    AcknowledgementUnnamed,
    BadAcknowledgement,
    CounterpartyMismatch,
    SignerMismatch,
)
from lockgate.ibc.packet import MAX_PAYLOAD_BYTES, Acknowledgement
from lockgate.ibc.ports import Ending, Held, Rejected, Terms
from lockgate.ibc.runs import RUNNERS
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.ids import ClientId
from lockgate.primitives.state import Draft, Outcome
from tests.support.ibc_fakes import SENDER
from tests.support.ibc_world import Pair, payload


def test_a_run_takes_each_kind_of_good_packet_message() -> None:
    pair = Pair.connected()
    packet = pair.delivered()
    pair.acknowledge(packet)
    assert (pair.a.taken, pair.b.taken) == (2, 1)


def test_on_own_lanes_too_with_held_packets() -> None:
    pair = Pair.connected()
    pair.own_lane()
    held = Outcome()
    held.set("guard", b"held", b"\x01")
    pair.b.gate.admission = Held(held)
    pair.receive(pair.in_flight())
    assert pair.b.taken == 1
    pair.b.gate.admission = None
    pair.acknowledge(pair.delivered(payload(b"again")))
    assert (pair.a.taken, pair.b.taken) == (3, 2)


def test_a_refused_packet_ends_as_refused_and_its_receipt_is_left_to_the_plain_handler() -> None:
    pair = Pair.connected()
    pair.b.app.answers[b"hello"] = Rejected("test.refused")
    packet = pair.delivered()
    assert pair.b.taken == 0
    pair.acknowledge(packet)
    assert pair.a.taken == 2
    assert pair.a.run_endings == pair.a.gate.endings == [Ending.REFUSED]


def test_a_receipt_that_was_pruned_counts_as_received() -> None:
    pair = Pair.connected()
    packet = pair.in_flight()
    pair.b.lanes.by_client[pair.b.client] = Terms(own=True, max_payloads=4, forgotten_to=packet.sequence)
    assert pair.receive(packet).is_noop
    assert pair.b.taken == 0


def test_an_acknowledgement_that_stands_already_is_left() -> None:
    pair = Pair.connected()
    packet = pair.in_flight()
    pair.b.state.stores["ibc"][host.packet_acknowledgement(packet.destination_client, packet.sequence)] = b"x"
    with pytest.raises(AcknowledgementExists):
        pair.receive(packet)


def test_an_acknowledgement_that_names_another_packet_is_left() -> None:
    pair = Pair.connected()
    pair.own_lane()
    packet = pair.delivered()
    for element in (b"y" * 32 + b"reply", bytes(commit_packet(packet)), b"short"):
        acknowledgement = Acknowledgement((element,))
        key = host.packet_acknowledgement(packet.destination_client, packet.sequence)
        pair.b.state.stores["ibc"][key] = commit_acknowledgement(acknowledgement)
        pair.sync()
        with pytest.raises(AcknowledgementUnnamed):
            pair.a.deliver(urls.MSG_ACKNOWLEDGEMENT, pair.acknowledge_message(packet, acknowledgement))


def test_another_signer_is_left() -> None:
    pair = Pair.connected()
    packet = pair.in_flight()
    for kind, data, world in (
        (urls.MSG_SEND_PACKET, pair.send_message(), pair.a),
        (urls.MSG_RECV_PACKET, pair.receive_message(packet), pair.b),
    ):
        with pytest.raises(SignerMismatch):
            world.deliver(kind, data, "dd" * 20)


def test_a_packet_of_another_client_of_the_same_ledger_is_left_though_it_is_proven() -> None:
    pair = Pair.connected()
    packet = pair.in_flight()._replace(source_client=ClientId("99-fake-7"))
    key = host.packet_commitment(packet.source_client, packet.sequence)
    pair.a.state.stores["ibc"][key] = commit_packet(packet)
    pair.sync()
    with pytest.raises(CounterpartyMismatch):
        pair.receive(packet)


def test_an_empty_acknowledgement_is_left_though_it_is_proven() -> None:
    pair = Pair.connected()
    packet = pair.delivered()
    nothing = Acknowledgement((b"",))
    key = host.packet_acknowledgement(packet.destination_client, packet.sequence)
    pair.b.state.stores["ibc"][key] = commit_acknowledgement(nothing)
    pair.sync()
    with pytest.raises(BadAcknowledgement):
        pair.a.deliver(urls.MSG_ACKNOWLEDGEMENT, pair.acknowledge_message(packet, nothing))


@pytest.mark.parametrize("size", [0, MAX_PAYLOAD_BYTES + 1])
def test_a_run_ends_before_a_value_that_no_packet_may_have(size: int) -> None:
    pair = Pair.connected()
    messages = [(urls.MSG_SEND_PACKET, pair.send_message(payload(bytes(each)))) for each in (1, size, 1)]
    world = pair.a
    ran = RUNNERS[urls.MSG_SEND_PACKET](world.wiring, Draft(world.state), world.block, SENDER, messages, 0, 3)
    assert len(ran.responses) == 1


@pytest.mark.parametrize("size", [1, 127, 128, 193, 16_383, 16_384, MAX_PAYLOAD_BYTES, MAX_PAYLOAD_BYTES + 1])
def test_values_of_every_length_are_judged_alike(size: int) -> None:
    pair = Pair.connected()
    data = pair.send_message(payload(bytes(size)))
    if size > MAX_PAYLOAD_BYTES:
        with pytest.raises(LockgateError):
            pair.a.deliver(urls.MSG_SEND_PACKET, data, SENDER)
        return
    pair.acknowledge(pair.delivered(payload(bytes(size))))
    assert (pair.a.taken, pair.b.taken) == (2, 1)
