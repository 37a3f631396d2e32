"""Suspended, not lost (P14); two signed histories stop every client of that ledger (P20)."""

from __future__ import annotations

import hashlib

import pytest

from lockgate.codec import type_urls as urls
from lockgate.ibc import host
from lockgate.ibc import wire as ibc_wire
from lockgate.ibc.commitment import commit_packet
from lockgate.ibc.packet import Packet, Payload
from lockgate.lab.ledgers import LabLedger, lab_authority
from lockgate.lab.paths import (
    TRUSTING,
    End,
    acknowledge_message,
    create_client,
    expect,
    packets_of,
    receive_message,
    timeout_message,
    update,
)
from lockgate.machine import keys, lanes
from lockgate.machine.genesis import Parameters
from lockgate.machine.machine import TxResult
from lockgate.machine.records import Evidence, Lane, LanePhase, Settlement
from lockgate.primitives.time import DurationNanos, seconds
from tests.support.equivocation import client_message, fork_of, header_of, misbehaviour
from tests.support.lab import World, account
from tests.support.values import replace


def lane_on_a(world: World) -> Lane:
    lane = lanes.lane_of(world.a.ledger.chain.view(), world.a.client)
    assert lane is not None
    return lane


def status(end: End) -> str:
    ledger = end.ledger
    return ledger.chain.machine.packets.kinds.status(ledger.chain.view(), end.client, ledger.chain.time)


def sibling(world: World) -> End:
    """A second client of ledger B on ledger A, made by somebody else."""
    other = End(world.a.ledger, account("somebody else"))
    create_client(other, world.b.ledger)
    return other


def equivocate(world: World) -> tuple[LabLedger, int, int]:
    """Let B sign a second history; returns it, the height both are shown at, and one to trust them from."""
    trusted = world.a.trusted
    world.b.ledger.block()
    height = update(world.a, world.b.ledger)
    return fork_of(world, height), height, trusted


def show_header(world: World) -> tuple[LabLedger, int, int]:
    fork, height, trusted = equivocate(world)
    conflicting = client_message(world.a, urls.TENDERMINT_HEADER, header_of(fork, height, trusted))
    expect(world.a.ledger.transact(world.a.account, conflicting))
    return fork, height, trusted


def test_P20_a_conflicting_header_freezes_the_client_and_closes_its_lane() -> None:
    world = World.make()
    fork, height, trusted = equivocate(world)
    message = client_message(world.a, urls.TENDERMINT_HEADER, header_of(fork, height, trusted))
    expect(world.a.ledger.transact(world.a.account, message))
    assert status(world.a) == "Frozen"
    lane = lane_on_a(world)
    assert (lane.phase, lane.cause) == (LanePhase.CLOSED, "equivocation")
    record = world.a.ledger.chain.view().get(keys.LANE, keys.equivocation(world.a.client))
    assert record is not None
    shown = hashlib.sha256(urls.TENDERMINT_HEADER.encode() + header_of(fork, height, trusted)).digest()
    assert Evidence.from_bytes(record).message_hash == shown


def test_P20_misbehaviour_freezes_every_client_of_that_ledger_and_no_other() -> None:
    world = World.make()
    second = sibling(world)
    world.clock.advance(seconds(1))
    stranger = LabLedger("gamma-1", world.clock)
    third = End(world.a.ledger, account("third"))
    create_client(third, stranger)
    fork, height, _ = equivocate(world)
    # Shown to the sibling, which has no lane: the client that carries the lane freezes as well.
    message = client_message(second, urls.TENDERMINT_MISBEHAVIOUR, misbehaviour(world, fork, height, second.trusted))
    result = expect(world.a.ledger.transact(second.account, message))
    assert [e.get("client_id") for e in result.events if e.type == "client_misbehaviour"] == [
        second.client,
        world.a.client,
    ]
    assert (status(world.a), status(second), status(third)) == ("Frozen", "Frozen", "Active")
    assert lane_on_a(world).equivocated


def test_P20_who_freezes_a_client_of_his_own_making_stops_no_other() -> None:
    """A look-alike of B with keys of its own signs two histories; nobody else's client believes it."""
    world = World.make()
    forged = [
        LabLedger("beta-1", world.clock, authority=(lab_authority(name).key,), seed="thief") for name in ("x", "y")
    ]
    own = End(world.a.ledger, account("thief"))
    create_client(own, forged[0])
    trusted = own.trusted
    for ledger in forged:
        ledger.block()
        ledger.block(b"other bytes" if ledger is forged[1] else b"")
    height = forged[0].height
    update(own, forged[0], height)
    conflicting = client_message(own, urls.TENDERMINT_HEADER, header_of(forged[1], height, trusted))
    expect(world.a.ledger.transact(own.account, conflicting))
    assert (status(own), status(world.a)) == ("Frozen", "Active")
    assert lane_on_a(world).phase is LanePhase.OPEN


def test_P14_nothing_moves_over_a_lane_that_equivocation_closed() -> None:
    world = World.make()
    packet = world.send(timeout_s=60)
    world.clock.advance(seconds(61))
    held = send_back(world)
    update(world.a, world.b.ledger)
    received = expect(world.a.ledger.transact(world.a.account, receive_message(world.a, world.b, held)))
    assert any(event.type == "inbox" for event in received.events)
    late = send_back(world)
    show_header(world)
    root, fence = world.sender.root, world.sender.counter
    world.sender.counter += 1
    sending = world.sender.sending(world.a.client, world.receiver, world.now_s + 60, b"x")
    answer = world.sender.answer(world.a.client, held.sequence, ack=b"late")
    world.sender.root, world.sender.counter = root, fence
    for who, message in (
        (world.a.account, receive_message(world.a, world.b, late)),
        (world.a.account, timeout_message(world.a, world.b, packet)),
        (world.host_a, world.sender.advance(sending)),
        (world.host_a, answer),
    ):
        assert "lane.suspended" in world.a.ledger.transact(who, message).log
        world.sender.root, world.sender.counter = root, fence
    pending = host.packet_commitment(world.a.client, packet.sequence)
    assert world.a.ledger.chain.view().get("ibc", pending) == commit_packet(packet)


def send_back(world: World) -> Packet:
    """A message the other way: from the receiver to the sender."""
    sending = world.receiver.sending(world.b.client, world.sender, world.now_s + 600, b"back")
    result = expect(world.b.ledger.transact(world.host_b, world.receiver.advance(sending)))
    return packets_of(result)[0]


def test_P14_an_expired_client_suspends_and_its_recovery_continues_the_lane() -> None:
    world = World.make()
    packet = world.send()
    expect(world.deliver(packet))
    acknowledgement = world.acknowledgement(expect(world.answer(packet)), packet)
    update(world.a, world.b.ledger)
    world.clock.advance(DurationNanos(TRUSTING + seconds(1)))
    for end in (world.a, world.b):
        end.ledger.chain.confirm_clock()
        end.ledger.block()
    assert status(world.a) == "Expired"
    message = acknowledge_message(world.a, world.b, packet, acknowledgement)
    result = world.a.ledger.transact(world.a.account, message)
    assert "lane.suspended" in result.log
    assert "client.recover" in result.log
    assert lane_on_a(world).phase is LanePhase.OPEN
    substitute = sibling_after(world)
    arguments = {"subject": world.a.client, "substitute": substitute.client}
    act(world.a.ledger, world, {"action": "client.recover", "arguments": arguments})
    assert status(world.a) == "Active"
    told = world.a.ledger.chain.store.search([("recover_client.subject_client_id", str(world.a.client))])
    assert len(told) == 1, "relayers hear of it as on any ledger of IBC"
    world.a.trusted = substitute.trusted
    expect(world.acknowledge(packet, acknowledgement))
    pending = host.packet_commitment(world.a.client, packet.sequence)
    assert world.a.ledger.chain.view().get("ibc", pending) is None


def act(ledger: LabLedger, world: World, action: dict[str, object]) -> None:
    expect(ledger.govern(world.gov, "gov.announce", action))
    for _ in range(ledger.genesis.parameters.authority_delay_blocks):
        ledger.block()


def test_P14_recovery_after_equivocation_leaves_the_lane_closed() -> None:
    world = World.make()
    packet = world.send()
    show_header(world)
    substitute = sibling_after(world)
    action = {"action": "client.recover", "arguments": {"subject": world.a.client, "substitute": substitute.client}}
    act(world.a.ledger, world, action)
    assert status(world.a) == "Active"
    world.a.trusted = substitute.trusted
    resume = {"action": "lane.resume", "arguments": {"lane": world.lane}}
    act(world.a.ledger, world, resume)
    assert lane_on_a(world).equivocated
    world.clock.advance(seconds(590))
    for end in (world.a, world.b):
        end.ledger.block()
    world.clock.advance(seconds(20))
    for end in (world.a, world.b):
        end.ledger.block()
    update(world.a, world.b.ledger)
    assert "lane.suspended" in world.a.ledger.transact(world.a.account, timeout_message(world.a, world.b, packet)).log


def sibling_after(world: World) -> End:
    world.b.ledger.block()
    return sibling(world)


def settle_action(world: World, packet: Packet, evidence: bytes, ending: str = "returned") -> dict[str, object]:
    arguments = {
        "client": world.a.client,
        "packet": ibc_wire.encode_packet(packet),
        "ending": ending,
        "evidence": evidence,
    }
    return {"action": "packet.settle", "arguments": arguments}


def events_of_delay(world: World) -> list[str]:
    blocks = [world.a.ledger.block() for _ in range(world.a.ledger.genesis.parameters.authority_delay_blocks)]
    events = [event for block in blocks for event in block.results.events]
    return [f"{e.type}:{e.get('how') or e.get('code') or e.get('ending') or ''}" for e in events]


def announce(world: World, action: dict[str, object]) -> TxResult:
    return world.a.ledger.govern(world.gov, "gov.announce", action)


@pytest.mark.parametrize(("ending", "how"), [("returned", "timed_out"), ("written_off", "written_off")])
def test_P14_an_open_packet_is_settled_by_governance_that_cites_both_headers(ending: str, how: str) -> None:
    world = World.make()
    packet = world.send()
    fork, height, trusted = show_header(world)
    evidence = misbehaviour(world, fork, height, trusted)
    expect(announce(world, settle_action(world, packet, evidence, ending)))
    happened = events_of_delay(world)
    assert f"message_ended:{how}" in happened
    view = world.a.ledger.chain.view()
    assert view.get("ibc", host.packet_commitment(world.a.client, packet.sequence)) is None
    data = view.get(keys.LANE, keys.settlement(world.a.client, packet.sequence))
    assert data is not None
    record = Settlement.from_bytes(data)
    assert (record.commitment, record.ending) == (bytes(commit_packet(packet)), ending)
    assert record.evidence == hashlib.sha256(evidence).digest()
    heads = {ledger.light_block(height).signed_header.commit.block_id.hash for ledger in (world.b.ledger, fork)}
    assert {record.first_header, record.second_header} == heads
    assert lanes.open_sends(view, world.a.client).packets == 0
    assert "gov.not_settleable" in announce(world, settle_action(world, packet, evidence)).log


def test_P14_a_settlement_needs_a_real_equivocation_and_a_closed_lane() -> None:
    world = World.make()
    packet = world.send()
    fork, height, trusted = equivocate(world)
    evidence = misbehaviour(world, fork, height, trusted)
    assert "gov.not_settleable" in announce(world, settle_action(world, packet, evidence)).log
    show = client_message(world.a, urls.TENDERMINT_HEADER, header_of(fork, height, trusted))
    expect(world.a.ledger.transact(world.a.account, show))
    twice = misbehaviour(world, world.b.ledger, height, trusted)
    thief = LabLedger("beta-1", world.clock, authority=(world.gov.key,), seed="thief")
    while thief.height < height:
        thief.block()
    forged = misbehaviour(world, thief, height, trusted)
    altered = bytearray(evidence)
    altered[-40] ^= 1
    for bad in (twice, forged, bytes(altered), b"", b"\x00"):
        assert "gov.no_equivocation" in announce(world, settle_action(world, packet, bad)).log
    other = replace(packet, timeout=packet.timeout + 1)
    assert "gov.not_settleable" in announce(world, settle_action(world, other, evidence)).log
    assert "gov.not_settleable" in announce(world, settle_action(world, packet, evidence, "delivered")).log
    assert (
        "gov.not_authority"
        in world.a.ledger.govern(lab_authority("nobody"), "gov.announce", settle_action(world, packet, evidence)).log
    )
    pending = host.packet_commitment(world.a.client, packet.sequence)
    assert world.a.ledger.chain.view().get("ibc", pending) == commit_packet(packet)


def test_P14_settlements_stay_within_the_lanes_caps() -> None:
    """Whatever stands in the state, over a lane's whole life no more is settled than may be open at once."""
    world = World.make(Parameters(lane_max_packets=2))
    packets = [world.commit_anything((envelope(world, b"x"),), sequence=number) for number in (1, 2, 3)]
    fork, height, trusted = show_header(world)
    evidence = misbehaviour(world, fork, height, trusted)
    for packet in packets[:2]:
        expect(announce(world, settle_action(world, packet, evidence, "written_off")))
    assert events_of_delay(world).count("packet_settled:written_off") == 2
    assert "the lane's caps are used up" in announce(world, settle_action(world, packets[2], evidence)).log
    pending = host.packet_commitment(world.a.client, 3)
    assert world.a.ledger.chain.view().get("ibc", pending) == commit_packet(packets[2])


def envelope(world: World, value: bytes) -> Payload:
    return Payload(
        source_port=world.sender.port,
        destination_port=world.receiver.port,
        version="lockgate-1",
        encoding="application/cose",
        value=value,
    )
