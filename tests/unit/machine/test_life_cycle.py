"""One message through two whole ledgers: sent, proven, held, answered, proven back."""

from __future__ import annotations

import dataclasses

import pytest

from lockgate.ibc import host
from lockgate.ibc.commitment import commit_packet
from lockgate.ibc.packet import SENTINEL
from lockgate.lab.endpoints import LabEndpoint
from lockgate.lab.paths import acknowledgements_of, expect
from lockgate.machine import inbox, keys
from lockgate.machine.identity import KeyRecord, SignedRecord, record_signing_bytes
from lockgate.machine.records import Reason
from lockgate.primitives.time import seconds
from tests.support.lab import World


@pytest.fixture
def world() -> World:
    return World.make()


def test_a_message_is_sent_held_answered_and_acknowledged(world: World) -> None:
    packet = world.send()
    commitment_key = host.packet_commitment(world.a.client, packet.sequence)
    assert world.a.ledger.chain.view().get("ibc", commitment_key) == commit_packet(packet)
    received = expect(world.deliver(packet))
    assert any(event.type == "inbox" for event in received.events)
    entry = inbox.find(world.b.ledger.chain.view(), world.b.client, packet.sequence)
    assert entry is not None
    assert entry.endpoint == world.receiver.id
    answered = expect(world.answer(packet))
    acknowledgement = world.acknowledgement(answered, packet)
    assert acknowledgement.elements == (bytes(commit_packet(packet)) + b"reply",)
    assert inbox.find(world.b.ledger.chain.view(), world.b.client, packet.sequence) is None
    ended = expect(world.acknowledge(packet, acknowledgement))
    assert [e.get("how") for e in ended.events if e.type == "message_ended"] == ["acknowledged"]
    assert world.a.ledger.chain.view().get("ibc", commitment_key) is None


def test_delivering_twice_changes_nothing(world: World) -> None:
    packet = world.send()
    expect(world.deliver(packet))
    before = world.b.ledger.chain.view().get("inbox", keys.entry(world.b.client, packet.sequence))
    again = expect(world.deliver(packet))
    assert not [event for event in again.events if event.type == "recv_packet"]
    assert world.b.ledger.chain.view().get("inbox", keys.entry(world.b.client, packet.sequence)) == before


def test_P1_a_second_answer_finds_no_entry(world: World) -> None:
    packet = world.send()
    expect(world.deliver(packet))
    expect(world.answer(packet))
    assert "inbox.no_entry" in world.answer(packet).log


def test_P1_an_answer_from_another_state_is_refused(world: World) -> None:
    packet = world.send()
    expect(world.deliver(packet))
    root = world.receiver.root
    world.receiver.root = b"\x55" * 32
    before = world.b.ledger.chain.state.get("endpoint", keys.endpoint_state(world.receiver.id))
    assert "endpoint.state_root" in world.answer(packet).log
    assert world.b.ledger.chain.state.get("endpoint", keys.endpoint_state(world.receiver.id)) == before
    world.receiver.root = root
    expect(world.answer(packet))


def test_P8_an_older_start_is_fenced_off(world: World) -> None:
    packet = world.send()
    expect(world.deliver(packet))
    expect(world.b.ledger.transact(world.host_b, world.receiver.take_fence()))
    world.receiver.fence -= 1
    assert "endpoint.fenced_off" in world.answer(packet).log
    assert inbox.find(world.b.ledger.chain.view(), world.b.client, packet.sequence) is not None


def test_P3_a_refusal_is_the_sentinel_with_a_provable_reason(world: World) -> None:
    packet = world.send()
    expect(world.deliver(packet))
    message = world.receiver.answer(world.b.client, packet.sequence, refusal=("guest.refused", b"sealed detail"))
    result = expect(world.b.ledger.transact(world.host_b, message))
    acknowledgement = world.acknowledgement(result, packet)
    assert acknowledgement.elements == (SENTINEL,)
    record = world.b.ledger.chain.view().get("reason", keys.reason(world.b.client, packet.sequence))
    assert record is not None
    assert Reason.from_bytes(record) == Reason(bytes(commit_packet(packet)), "guest.refused", b"sealed detail")
    ended = expect(world.acknowledge(packet, acknowledgement))
    assert [e.get("how") for e in ended.events if e.type == "message_ended"] == ["refused"]


def test_P1_the_deadline_and_an_answer_exclude_each_other(world: World) -> None:
    packet = world.send()
    expect(world.deliver(packet))
    world.clock.advance(seconds(61))
    block = world.b.ledger.block()
    assert acknowledgements_of(block.results.events)[packet.sequence].elements == (SENTINEL,)
    assert "inbox.no_entry" in world.answer(packet).log
    reason = world.b.ledger.chain.view().get("reason", keys.reason(world.b.client, packet.sequence))
    assert reason is not None
    assert Reason.from_bytes(reason).code_text == "inbox.not_answered"


def test_P15_without_a_grant_the_packet_is_refused_not_the_transaction(world: World) -> None:
    remove = {"endpoint": world.receiver.id, "lane": world.lane, "remote": world.sender.id}
    expect(world.b.ledger.transact(world.host_b, ("endpoint.ungrant", remove)))
    packet = world.send()
    result = expect(world.deliver(packet))
    assert world.acknowledgement(result, packet).elements == (SENTINEL,)
    assert [e.get("code") for e in result.events if e.type == "packet_refused"] == ["inbox.no_grant"]


def test_P17_an_open_message_id_is_not_sent_twice(world: World) -> None:
    world.send()
    world.sender.counter -= 1
    sending = world.sender.sending(world.a.client, world.receiver, world.now_s + 600, b"again")
    result = world.a.ledger.transact(world.host_a, world.sender.advance(sending))
    assert "send.duplicate_message" in result.log


def test_P5_a_rotation_opens_the_committed_keys(world: World) -> None:
    expect(world.b.ledger.transact(world.host_b, ("endpoint.rotate", {"record": world.receiver.rotated().to_bytes()})))
    assert world.receiver.record.index == 1


def test_P5_keys_that_were_not_committed_are_refused(world: World) -> None:
    """A thief of today's keys signs a record for keys of his own: the commitment stops him."""
    endpoint = world.receiver
    honest = KeyRecord.from_body(endpoint.rotated().body)
    thief = LabEndpoint(b"thief", endpoint.accounts)
    stolen = dataclasses.replace(honest, identity=thief.record.identity)
    body = stolen.body()
    own, old = thief.signer(0), endpoint.signer(0)
    signed = SignedRecord(
        body, own.sign(record_signing_bytes(own.key, body)), old.sign(record_signing_bytes(old.key, body))
    )
    result = world.b.ledger.transact(world.host_b, ("endpoint.rotate", {"record": signed.to_bytes()}))
    assert "endpoint.bad_record" in result.log
    assert "committed in advance" in result.log
