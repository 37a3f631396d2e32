"""Several payloads in one packet of an own lane: held whole, executed whole at the Answer, or not at all (P2)."""

from __future__ import annotations

from typing import Any

import pytest

from lockgate.codec import type_urls as urls
from lockgate.ibc import host
from lockgate.ibc import wire as ibc_wire
from lockgate.ibc.commitment import commit_packet
from lockgate.ibc.packet import SENTINEL, Packet, Payload
from lockgate.lab.paths import End, create_client, expect, packets_of, register
from lockgate.machine import endpoints, inbox, keys
from lockgate.machine.records import Reason
from lockgate.primitives.time import UnixSeconds, seconds
from tests.support.lab import World
from tests.support.notes import PORT, REFUSED, Notes, note_key


def world() -> World:
    return World.make(applications={PORT: Notes()})


def note(value: bytes) -> list[Any]:
    return [PORT, PORT, "notes-1", "text/plain", value]


def send(w: World, *beside: list[Any]) -> Packet:
    sending = w.sender.sending(w.a.client, w.receiver, w.now_s + 600, b"sealed")
    result = expect(w.a.ledger.transact(w.host_a, w.sender.advance({**sending, "beside": list(beside)})))
    return packets_of(result)[0]


def kept(w: World, packet: Packet, index: int) -> bytes | None:
    return w.b.ledger.chain.view().get("app", note_key("received", packet.sequence, index))


def root_of(w: World) -> bytes:
    return endpoints.load(w.b.ledger.chain.view(), w.receiver.id).root


def test_P2_every_payload_waits_and_all_execute_at_the_answer() -> None:
    w = world()
    packet = send(w, note(b"one"), note(b"two"))
    received = expect(w.deliver(packet))
    assert any(event.type == "inbox" for event in received.events)
    assert kept(w, packet, 1) is None
    answered = expect(w.answer(packet))
    assert (kept(w, packet, 1), kept(w, packet, 2)) == (b"one", b"two")
    acknowledgement = w.acknowledgement(answered, packet)
    commitment = bytes(commit_packet(packet))
    assert acknowledgement.elements == (commitment + b"reply", commitment + b"kept", commitment + b"kept")
    expect(w.acknowledge(packet, acknowledgement))
    view = w.a.ledger.chain.view()
    assert view.get("app", note_key("acknowledged", packet.sequence, 2)) == b"kept"
    assert view.get("ibc", host.packet_commitment(w.a.client, packet.sequence)) is None


def test_P2_a_refusal_by_one_application_drops_all_of_it_the_guests_step_too() -> None:
    w = world()
    packet = send(w, note(b"one"), note(b"refuse me"))
    expect(w.deliver(packet))
    before = root_of(w)
    later = w.receiver.sending(w.b.client, w.sender, w.now_s + 60, b"would leave with the answer")
    message = w.receiver.answer(w.b.client, packet.sequence, ack=b"reply", sends=[later])
    result = expect(w.b.ledger.transact(w.host_b, message))
    assert packets_of(result) == []
    assert root_of(w) == before
    assert kept(w, packet, 1) is None
    assert w.acknowledgement(result, packet).elements == (SENTINEL,)
    reason = w.b.ledger.chain.view().get("reason", keys.reason(w.b.client, packet.sequence))
    assert reason is not None
    assert Reason.from_bytes(reason) == Reason(bytes(commit_packet(packet)), REFUSED, b"")
    assert [e.get("undone") for e in result.events if e.type == "answer"] == [REFUSED]
    assert inbox.find(w.b.ledger.chain.view(), w.b.client, packet.sequence) is None
    w.receiver.root = before
    expect(w.b.ledger.transact(w.host_b, w.receiver.advance()))


@pytest.mark.parametrize("end", ["refusal", "deadline"])
def test_P2_a_refusal_of_the_guest_and_the_deadline_drop_every_payload(end: str) -> None:
    w = world()
    packet = send(w, note(b"one"))
    expect(w.deliver(packet))
    if end == "deadline":
        w.clock.advance(seconds(61))
        w.b.ledger.block()
    else:
        message = w.receiver.answer(w.b.client, packet.sequence, refusal=("guest.refused", b""))
        expect(w.b.ledger.transact(w.host_b, message))
    assert kept(w, packet, 1) is None
    assert w.b.ledger.chain.view().get("ibc", host.packet_acknowledgement(w.b.client, packet.sequence)) is not None


def test_P2_two_payloads_to_endpoints_are_refused_by_the_sender() -> None:
    w = world()
    envelope = [w.sender.port, w.receiver.port, "lockgate-1", "application/cose", b"second"]
    sending = w.sender.sending(w.a.client, w.receiver, w.now_s + 600, b"sealed")
    before = w.a.ledger.chain.view().get("ibc", host.next_sequence_send(w.a.client))
    log = w.a.ledger.transact(w.host_a, w.sender.advance({**sending, "beside": [envelope]})).log
    assert "payload.not_ours" in log
    assert w.a.ledger.chain.view().get("ibc", host.next_sequence_send(w.a.client)) == before


def test_P2_two_payloads_to_endpoints_are_refused_by_the_receiver() -> None:
    """The sending ledger may be run by anybody: the receiver counts for himself."""
    w = world()
    packet = w.commit_anything((envelope_of(w, b"one"), envelope_of(w, b"two")))
    result = expect(w.deliver(packet))
    assert w.acknowledgement(result, packet).elements == (SENTINEL,)
    assert [e.get("code") for e in result.events if e.type == "packet_refused"] == ["payload.not_ours"]
    assert inbox.find(w.b.ledger.chain.view(), w.b.client, packet.sequence) is None


def envelope_of(w: World, value: bytes) -> Payload:
    return payload(w.sender.port, w.receiver.port, "lockgate-1", "application/cose", value)


def payload(source: str, destination: str, version: str, encoding: str, value: bytes) -> Payload:
    return Payload(source_port=source, destination_port=destination, version=version, encoding=encoding, value=value)


@pytest.mark.parametrize(
    "beside",
    [[note(b"x")[:4]], [["notes", "notes", "v", b"not text", b"x"]], b"x", [{"source": "notes"}]],
    ids=["short", "type", "no list", "map"],
)
def test_P2_a_payload_beside_of_another_shape_is_refused(beside: Any) -> None:
    w = world()
    sending = w.sender.sending(w.a.client, w.receiver, w.now_s + 600, b"sealed")
    assert "tx.bad_message" in w.a.ledger.transact(w.host_a, w.sender.advance({**sending, "beside": beside})).log


def test_P2_the_payload_to_the_endpoint_may_stand_anywhere() -> None:
    """Another implementation may put it last: its place is kept with the entry, and the reply goes there."""
    w = world()
    first = payload(PORT, PORT, "notes-1", "text/plain", b"one")
    packet = w.commit_anything((first, envelope_of(w, b"sealed")))
    expect(w.deliver(packet))
    entry = inbox.find(w.b.ledger.chain.view(), w.b.client, packet.sequence)
    assert entry is not None
    assert entry.index == 1
    acknowledgement = w.acknowledgement(expect(w.answer(packet)), packet)
    assert [element[32:] for element in acknowledgement.elements] == [b"kept", b"reply"]


def test_P2_a_foreign_lane_carries_one_payload() -> None:
    w = world()
    foreign = End(w.a.ledger, w.a.account)
    create_client(foreign, w.b.ledger)
    register(foreign, w.b.client)
    one, two = (payload(PORT, PORT, "notes-1", "text/plain", value) for value in (b"one", b"two"))
    for payloads, taken in (((one, two), False), ((one,), True)):
        request = ibc_wire.SendMessage(foreign.client, UnixSeconds(w.now_s + 60), payloads, w.a.account.id)
        result = w.a.ledger.transact(w.a.account, (urls.MSG_SEND_PACKET, ibc_wire.encode_send(request)))
        assert (result.code == 0) is taken
