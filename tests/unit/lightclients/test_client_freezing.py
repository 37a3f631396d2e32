"""What an accepted header leads to: pruning of one expired state, or freezing on a contradiction."""

from __future__ import annotations

import pytest

from lockgate.codec.type_urls import TENDERMINT_HEADER
from lockgate.lightclients.cometbft.types import LightBlock
from lockgate.lightclients.tendermint.errors import ClientFrozen
from lockgate.lightclients.tendermint.states import decode_client_state
from lockgate.primitives.ids import Height
from lockgate.primitives.time import UnixNanos, seconds
from tests.support.chain import header_message, resigned
from tests.unit.lightclients.world import CLIENT, OWN, ClientWorld

# --- pruning


def aged(world: ClientWorld) -> LightBlock:
    """Let the first consensus state expire while the client stays active, and return a newer block."""
    middle = world.ledger.produce(world.store.app_hash, after=seconds(86_400 * 10))
    world.now = UnixNanos(middle.header.time + 1)
    world.update(middle)
    last = world.ledger.produce(world.store.app_hash, after=seconds(86_400 * 10))
    world.now = UnixNanos(last.header.time + 1)
    return last


def test_the_oldest_expired_state_is_pruned_and_only_that_one() -> None:
    world = ClientWorld()
    world.update(world.ledger.block(2))
    world.update(world.ledger.block(3))
    last = aged(world)
    world.update(last, world.ledger.block(11))
    heights = [key for key in world.entries() if key.startswith(b"consensusStates/") and key.count(b"/") == 1]
    assert heights == [
        b"consensusStates/1-11",
        b"consensusStates/1-12",
        b"consensusStates/1-2",
        b"consensusStates/1-3",
    ]
    assert not [key for key in world.entries() if b"1-1/" in key]
    assert len([key for key in world.entries() if key.startswith(b"iterate")]) == 4


def test_a_repeated_header_prunes_as_well() -> None:
    world = ClientWorld()
    last = aged(world)
    world.update(last, world.ledger.block(11))
    repeated = world.update(last, world.ledger.block(11))
    assert repeated.consensus_heights == (Height(1, 12),)
    assert b"consensusStates/1-1" not in world.entries()


# --- freezing


def test_another_header_of_a_stored_height_freezes() -> None:
    world = ClientWorld()
    block = world.ledger.block(10)
    world.update(block)
    update = world.update(resigned(block, app_hash=b"\x01" * 32))
    assert (update.misbehaviour, update.consensus_heights) == (True, ())
    assert world.status() == "Frozen"
    raw = world.view.get("ibc", b"clients/07-tendermint-0/clientState")
    assert raw is not None
    assert decode_client_state(raw).frozen_height == Height(0, 1)


@pytest.mark.parametrize("offset", [0, 1])
def test_a_time_not_after_the_lower_neighbour_freezes(offset: int) -> None:
    world = ClientWorld()
    world.update(world.ledger.block(5))
    early = resigned(world.ledger.block(8), time=world.ledger.block(5).header.time + offset)
    update = world.update(early)
    assert update.misbehaviour is (offset == 0)


@pytest.mark.parametrize("offset", [0, -1])
def test_a_time_not_before_the_upper_neighbour_freezes(offset: int) -> None:
    world = ClientWorld()
    world.update(world.ledger.block(8))
    late = resigned(world.ledger.block(5), time=world.ledger.block(8).header.time + offset)
    assert world.update(late).misbehaviour is (offset == 0)


def test_neighbours_are_found_among_many_heights() -> None:
    """The lower neighbour is looked for in doubling ranges: dense, sparse and distant ones alike."""
    world = ClientWorld()
    world.ledger.run(60)
    world.now = UnixNanos(world.ledger.latest.header.time + 1)
    for height in (70, 9, 10, 11, 40):
        world.update(world.ledger.block(height))
    for height in (12, 39, 41, 69):
        lower = max(h for h in (9, 10, 11, 40) if h < height)
        spoilt = resigned(world.ledger.block(height), time=world.ledger.block(lower).header.time)
        update = world.client.update(
            world.view, CLIENT, (TENDERMINT_HEADER, header_message(spoilt, world.first)), world.now, OWN
        )
        assert update.misbehaviour
        good = world.client.update(
            world.view,
            CLIENT,
            (TENDERMINT_HEADER, header_message(world.ledger.block(height), world.first)),
            world.now,
            OWN,
        )
        assert not good.misbehaviour


def test_an_update_above_the_latest_height_does_not_scan_the_stored_ones() -> None:
    world = ClientWorld()
    for height in range(2, 10):
        world.update(world.ledger.block(height))
    world.view.scanned = 0
    world.update(world.ledger.block(10))
    assert world.view.scanned <= 2  # the oldest only


def test_a_frozen_client_refuses_everything() -> None:
    world = ClientWorld()
    block = world.ledger.block(10)
    world.update(block)
    world.update(resigned(block, app_hash=b"\x01" * 32))
    before = world.view.snapshot()
    with pytest.raises(ClientFrozen):
        world.update(world.produce())
    proof = world.store.prove("ibc", b"seed", world.store.version).merkle_proof
    with pytest.raises(ClientFrozen):
        world.client.verify_membership(world.view, CLIENT, Height(1, 10), proof, (b"ibc", b"seed"), b"\x01")
    with pytest.raises(ClientFrozen):
        world.client.verify_non_membership(world.view, CLIENT, Height(1, 10), proof, (b"ibc", b"none"))
    assert world.view.snapshot() == before
