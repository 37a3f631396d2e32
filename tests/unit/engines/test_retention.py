"""What finished packets leave behind, and what a ledger keeps of its past (I15)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from lockgate.engines.embedded.retention import LEAST_BLOCKS, LEAST_VERSIONS, Retention, TooFewKept
from lockgate.engines.embedded.service import LedgerService
from lockgate.ibc import host
from lockgate.lab.ledgers import LabLedger
from lockgate.lab.paths import expect, update
from lockgate.machine import keys, lanes, pruning
from lockgate.machine.clients import LONGEST_PERIOD
from lockgate.machine.genesis import Parameters
from lockgate.machine.records import LaneKind
from lockgate.merkle.errors import NotAvailable
from lockgate.storage.memory import MemoryNodes
from tests.support.dead_lanes import DAY, PERIOD_DAYS, close_lane, freeze, pass_days, status, trust_for_a_century
from tests.support.lab import World
from tests.support.traffic import BATCH, finish, run_through, send_many

FEW = Retention(versions=LEAST_VERSIONS, blocks=LEAST_BLOCKS)
BYTES_PER_PACKET = 1_500
PACKETS = 2_000
CLIENT_UPDATES = PACKETS // BATCH
BYTES_PER_UPDATE = 1_500  # a consensus state and its place in three indices; they go when they expire


def node_bytes(ledger: LabLedger) -> int:
    """Bytes of every tree node that is stored, with 8 for its number."""
    nodes = ledger.chain.state._nodes
    assert isinstance(nodes, MemoryNodes)
    return sum(8 + len(data) for data in nodes._nodes.values())


def only_newest(ledger: LabLedger) -> int:
    ledger.chain.state.prune(ledger.height)
    return node_bytes(ledger)


def prune_message(world: World, last: int) -> tuple[str, dict[str, object]]:
    """`lane.prune` on the receiving ledger, with the proof that the sender's commitments are gone."""
    if world.b.trusted < world.a.ledger.height:
        update(world.b, world.a.ledger)
    key = host.packet_commitment(world.a.client, last)
    proof = world.a.ledger.prove("ibc", key, world.b.trusted).merkle_proof
    height = str(world.a.ledger.at(world.b.trusted))
    first = pruning.watermark(world.b.ledger.chain.view(), world.b.client) + 1
    return "lane.prune", {"client": world.b.client, "first": first, "last": last, "height": height, "proof": proof}


def test_I15_a_finished_packet_leaves_little_and_after_pruning_nothing() -> None:
    world = World.make()
    run_through(world, 50)
    before = [only_newest(end.ledger) for end in (world.a, world.b)]
    run_through(world, PACKETS)
    after = [only_newest(end.ledger) for end in (world.a, world.b)]
    per_packet = (sum(after) - sum(before)) / PACKETS
    assert per_packet <= BYTES_PER_PACKET
    assert after[0] - before[0] <= CLIENT_UPDATES * BYTES_PER_UPDATE, "the sender keeps nothing of a finished packet"
    assert not list(world.b.ledger.chain.view().scan(keys.INBOX, b"entry/", b"entry0"))
    world.a.ledger.block()  # its version is there to be proven in
    world.a.ledger.block()
    expect(world.b.ledger.transact(world.b.account, prune_message(world, PACKETS + 50)))
    pruned = only_newest(world.b.ledger)
    assert pruned - before[1] <= (CLIENT_UPDATES + 1) * BYTES_PER_UPDATE
    assert pruning.watermark(world.b.ledger.chain.view(), world.b.client) == PACKETS + 50


def test_I15_a_receipt_goes_only_by_proof() -> None:
    world = World.make()
    run_through(world, 3)
    open_one = send_many(world, 1)[0]
    assert "prune.still_open" in world.b.ledger.transact(world.b.account, prune_message(world, 4)).log
    expect(world.b.ledger.transact(world.b.account, prune_message(world, 3)))
    receipt = host.packet_receipt(world.b.client, 3)
    assert world.b.ledger.chain.view().get("ibc", receipt) is None
    finish(world, [open_one])
    assert "prune.still_open" in world.b.ledger.transact(world.b.account, prune_message(world, 3)).log


def test_I15_an_answered_packet_whose_sender_does_not_know_it_keeps_its_receipt() -> None:
    """Age and answer are no proof: the sender's commitment still stands, and could be received again."""
    world = World.make()
    run_through(world, 2)
    packet = send_many(world, 1)[0]
    expect(world.deliver(packet))
    expect(world.answer(packet))
    world.a.ledger.block()
    result = world.b.ledger.transact(world.b.account, prune_message(world, 3))
    assert result.code != 0
    assert "merkle" in result.log or "ics23" in result.log or "prune" in result.log
    receipt = host.packet_receipt(world.b.client, packet.sequence)
    assert world.b.ledger.chain.view().get("ibc", receipt) is not None


def long_lived(make: Callable[[], World], blocks: int) -> World:
    world = make()
    while world.b.ledger.height < blocks:
        world.b.ledger.block()
    return world


def small() -> World:
    return World.make(Parameters(header_memory=100))


def pruned_to(ledger: LabLedger) -> int:
    ledger.chain.prune(FEW)
    return ledger.chain.store.base_height()


def test_I15_old_versions_and_blocks_go_and_the_ledger_goes_on() -> None:
    world = small()
    run_through(world, 2)
    expect(world.b.ledger.transact(world.b.account, prune_message(world, 2)))
    while world.b.ledger.height < LEAST_BLOCKS + 200:
        world.b.ledger.block()
    ledger, store = world.b.ledger, world.b.ledger.chain.store
    gone = store.block(5)
    assert gone is not None
    root = ledger.chain.app_hash
    taken = ledger.chain.prune(FEW)
    assert taken.blocks == 200
    assert store.base_height() == 201
    assert store.block(5) is None
    assert store.height_of_hash(gone.hash) is None
    assert store.search([("recv_packet.packet_sequence", "1")]) == []
    with pytest.raises(NotAvailable):
        ledger.chain.state.prove("ibc", b"any", ledger.height - LEAST_VERSIONS)
    ledger.chain.state.prove("ibc", b"any", ledger.height - LEAST_VERSIONS + 1)
    assert ledger.chain.app_hash == root
    run_through(world, 1)


@pytest.mark.parametrize("stage", ["sent", "received", "answered"])
def test_I15_a_block_that_an_open_packet_needs_stays(stage: str) -> None:
    """The packet's own bytes, and its acknowledgement's, are read from the block's events."""
    world = small()
    packet = send_many(world, 1)[0]
    ledger = world.a.ledger
    if stage != "sent":
        ledger = world.b.ledger
        expect(world.deliver(packet))
    if stage == "answered":
        expect(world.answer(packet))
    written = {"sent": "send_packet", "received": "recv_packet", "answered": "write_acknowledgement"}[stage]
    while ledger.height < LEAST_BLOCKS + 200:
        ledger.block()
    ((height, _),) = ledger.chain.store.search([(f"{written}.packet_sequence", "1")])
    first = height
    if stage == "answered":
        # The receipt's block goes: the packet does not wait there any more.
        ((received, _),) = ledger.chain.store.search([("recv_packet.packet_sequence", "1")])
        assert received < height
    assert pruned_to(ledger) == first


def test_I15_without_a_bound_no_block_goes() -> None:
    world = long_lived(small, LEAST_BLOCKS + 50)
    assert world.b.ledger.chain.prune(Retention(versions=LEAST_VERSIONS)).blocks == 0
    assert world.b.ledger.chain.store.base_height() == 1


@pytest.mark.parametrize(
    ("keep", "fits"),
    [
        (Retention(versions=LEAST_VERSIONS - 1), False),
        (Retention(blocks=LEAST_BLOCKS - 1), False),
        (Retention(blocks=99_999), False),
        (Retention(blocks=100_000), True),
        (Retention(versions=LEAST_VERSIONS), True),
    ],
)
def test_I15_what_a_ledger_needs_cannot_be_pruned_away_by_configuration(keep: Retention, fits: bool) -> None:
    chain = World.make().a.ledger.chain
    assert Parameters().header_memory == 100_000
    if fits:
        LedgerService(chain, keep=keep)
    else:
        with pytest.raises(TooFewKept):
            LedgerService(chain, keep=keep)


@pytest.mark.parametrize("end", ["client expired", "client frozen", "lane closed"])
def test_I15_a_packet_that_nobody_can_end_does_not_keep_every_block_for_ever(end: str) -> None:
    world = small()
    send_many(world, 1)
    ledger = world.a.ledger
    while ledger.height < LEAST_BLOCKS + 200:
        ledger.block()
    ((sent, _),) = ledger.chain.store.search([("send_packet.packet_sequence", "1")])
    if end != "lane closed":
        if end == "client frozen":
            freeze(world.a)
        pass_days(world, 2 * PERIOD_DAYS - 1)
        assert status(world.a) == end.split()[1].title()
        assert pruned_to(ledger) == sent, "its client may still be recovered"
        pass_days(world, 2)
    else:
        assert pruned_to(ledger) == sent
        close_lane(world, world.a)
    assert pruned_to(ledger) > sent


def test_I15_a_client_that_trusts_a_header_for_a_century_keeps_no_block_as_long() -> None:
    """Its maker chooses the period: with nothing to do any more he would keep every block on every node."""
    world = small()
    send_many(world, 1)
    ledger = world.a.ledger
    while ledger.height < LEAST_BLOCKS + 200:
        ledger.block()
    ((sent, _),) = ledger.chain.store.search([("send_packet.packet_sequence", "1")])
    trust_for_a_century(world.a)
    pass_days(world, 2 * LONGEST_PERIOD // DAY - 1)
    assert status(world.a) == "Active"
    assert pruned_to(ledger) == sent, "its relayer may be late"
    pass_days(world, 2)
    assert status(world.a) == "Active"
    assert pruned_to(ledger) > sent


def test_I15_an_answer_over_a_foreign_lane_keeps_no_block() -> None:
    """Nobody proves that it arrived: it would keep every block after it for ever."""
    world = small()
    packet = send_many(world, 1)[0]
    expect(world.deliver(packet))
    expect(world.answer(packet))
    ledger = world.b.ledger
    while ledger.height < LEAST_BLOCKS + 200:
        ledger.block()
    lane = lanes.lane_of(ledger.chain.view(), world.b.client)
    assert lane is not None
    ((answered, _),) = ledger.chain.store.search([("write_acknowledgement.packet_sequence", "1")])
    assert pruned_to(ledger) == answered
    foreign = replace(lane, kind=LaneKind.FOREIGN)
    ledger.chain.state.apply({(keys.LANE, keys.lane(lane.lane_id)): foreign.to_bytes()})
    for _ in range(2):
        ledger.block()
    assert pruned_to(ledger) > answered
