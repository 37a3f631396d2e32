"""A follower believes its fingerprint and what follows from it, and nothing else (P11, P20)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lockgate.lightclients.cometbft.errors import (
    CommitMismatch,
    HeaderFromFuture,
    InsufficientPower,
    ValidatorSetMismatch,
)
from lockgate.lightclients.cometbft.hashing import header_hash
from lockgate.lightclients.cometbft.types import LightBlock
from lockgate.lightclients.cometbft.verification import Invalid, NotEnoughTrust, TrustOptions
from lockgate.lightclients.follower import (
    Accepted,
    Anchor,
    AnchorMismatch,
    BelowTrusted,
    ConflictUnproven,
    Equivocation,
    Expired,
    Fed,
    Follower,
    NotAnchored,
)
from lockgate.lightclients.tendermint import TendermintClient, encode_misbehaviour
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.ids import ChainId, ClientId, DomainId, Hash32, Height
from lockgate.primitives.time import UnixNanos, seconds
from tests.support.chain import TestLedger, client_states_of, header_message, resigned, sign
from tests.support.memory_view import MemoryView

OPTIONS = TrustOptions(trusting_period=seconds(3_600), clock_drift=seconds(10))


class World:
    """A ledger of twenty blocks and a follower pinned to one of them."""

    def __init__(self, height: int = 5, kept: int = 1_024, fed: bool = True) -> None:
        self.ledger = TestLedger()
        self.ledger.run(20)
        self.now = UnixNanos(self.ledger.latest.header.time + 1)
        pinned = self.ledger.block(height)
        anchor = Anchor(
            domain=DomainId(Hash32(bytes(32))),
            chain_id=ChainId("ledger-1"),
            height=height,
            header_hash=Hash32(header_hash(pinned.header)),
        )
        self.follower = Follower(anchor, OPTIONS, kept)
        if fed:
            assert self.feed(pinned) == Accepted(height, anchor.header_hash)

    def feed(self, block: LightBlock) -> Fed:
        return self.follower.feed(block, self.now)

    def block(self, height: int) -> LightBlock:
        return self.ledger.block(height)


def failure(result: Fed) -> type[LockgateError] | None:
    return type(result.failure) if isinstance(result, Invalid) else None


def test_headers_after_the_anchor_are_accepted_once() -> None:
    world = World()
    block = world.block(20)
    digest = header_hash(block.header)
    assert world.feed(block) == Accepted(20, digest)
    assert world.feed(block) == Accepted(20, digest, fresh=False)
    assert world.follower.latest == block
    assert world.follower.header_hash(20) == digest
    assert world.follower.root(20) == block.header.app_hash
    assert world.follower.trusted(12) is None
    assert world.follower.header_hash(12) is world.follower.root(12) is None


def test_gaps_are_filled_from_the_nearest_header_below() -> None:
    world = World()
    world.feed(world.block(20))
    assert isinstance(world.feed(world.block(12)), Accepted)
    assert world.follower.latest == world.block(20)


@pytest.mark.parametrize("height", [4, 6])
def test_nothing_but_the_anchor_s_block_starts_it(height: int) -> None:
    world = World(fed=False)
    assert failure(world.feed(world.block(height))) is AnchorMismatch
    assert world.follower.latest is None


def test_another_header_of_the_anchor_s_height_does_not_start_it() -> None:
    world = World(fed=False)
    assert failure(world.feed(resigned(world.block(5), app_hash=b"\x01" * 32))) is AnchorMismatch
    other = TestLedger("ledger-2")
    other.run(5)
    assert failure(world.feed(other.block(5))) is AnchorMismatch
    undecided = sign(world.block(5).header, world.block(5).validators, absent={0, 1})
    assert failure(world.feed(replace(world.block(5), signed_header=undecided))) is InsufficientPower
    assert world.follower.latest is None
    assert isinstance(world.feed(world.block(5)), Accepted)


def test_unsound_and_untimely_blocks_are_invalid() -> None:
    world = World()
    block = world.block(9)
    altered = replace(block.signed_header, header=replace(block.header, app_hash=bytes(32)))
    assert failure(world.feed(replace(block, signed_header=altered))) is CommitMismatch
    stale = replace(block, next_validators=TestLedger(powers=(1,)).produce().validators)
    assert failure(world.feed(stale)) is ValidatorSetMismatch
    assert failure(world.feed(world.block(4))) is BelowTrusted
    world.now = UnixNanos(block.header.time - OPTIONS.clock_drift)
    assert failure(world.feed(block)) is HeaderFromFuture
    assert world.follower.latest == world.block(5)


def test_expiry_stops_it_and_says_what_to_do() -> None:
    world = World()
    end = world.block(5).header.time + OPTIONS.trusting_period
    world.now = UnixNanos(end - 1)
    assert world.follower.expired(world.now) is None
    world.now = UnixNanos(end)
    result = world.feed(world.block(20))
    assert isinstance(result, Expired)
    assert (result.height, result.expired_at) == (5, end)
    assert "fingerprint" in result.failure.next_step
    assert "expired_at" in str(result.failure)


def test_an_expired_anchor_says_so_at_once() -> None:
    world = World(fed=False)
    world.now = UnixNanos(world.block(5).header.time + OPTIONS.trusting_period)
    assert isinstance(world.feed(world.block(5)), Expired)


def test_too_little_trust_asks_for_a_plan() -> None:
    world = World()
    world.ledger.elect((10, 10, 10, 10), first=10)
    world.ledger.run(9)
    world.now = UnixNanos(world.ledger.latest.header.time + 1)
    target = world.ledger.latest
    assert isinstance(world.feed(target), NotEnoughTrust)
    plan = world.follower.plan(target.height)
    with pytest.raises(NotAnchored):
        world.follower.adopt(plan, world.now)
    while plan.wanted is not None:
        plan = plan.feed(world.block(plan.wanted), world.now)
    assert isinstance(world.follower.adopt(plan, world.now), Accepted)
    assert world.follower.latest == target
    assert all(world.follower.trusted(block.height) for block in plan.verified)


def test_a_plan_over_a_second_history_ends_at_the_evidence() -> None:
    """What was planned before may meet what was learnt since: adopting stops at the contradiction."""
    world = World()
    second = TestLedger(start=world.ledger.block(1).header.time)
    for height in range(1, 21):
        second.produce(app_hash=b"\x07" * 32 if height > 5 else b"")
        if height == 6:
            second.elect((10, 10, 10, 10), first=10)
    plan = world.follower.plan(20)
    while plan.wanted is not None:
        plan = plan.feed(second.block(plan.wanted), world.now)
    inner = plan.verified[0]
    assert (plan.done, len(plan.verified) > 1) == (True, True)
    assert isinstance(world.feed(world.block(inner.height)), Accepted)
    result = world.follower.adopt(plan, world.now)
    assert result == Equivocation(world.block(5), inner, world.block(inner.height))
    assert world.follower.trusted(20) is None


def test_a_plan_needs_a_trusted_block_below() -> None:
    with pytest.raises(NotAnchored):
        World(fed=False).follower.plan(9)
    with pytest.raises(BelowTrusted):
        World().follower.plan(5)


def test_a_second_header_of_a_height_is_evidence() -> None:
    world = World()
    world.feed(world.block(12))
    world.feed(world.block(20))
    other = resigned(world.block(20), app_hash=b"\x01" * 32)
    assert world.feed(other) == Equivocation(world.block(12), other, world.block(20))
    assert world.follower.latest == world.block(20)


@pytest.mark.parametrize("later", [0, 1])
def test_a_second_header_of_the_anchor_s_height_is_evidence(later: int) -> None:
    world = World()
    time = world.block(5).header.time + later
    other = resigned(world.block(5), app_hash=b"\x01" * 32, time=time)
    assert world.feed(other) == Equivocation(world.block(5), other, world.block(5))


def test_a_second_header_nobody_signed_is_not() -> None:
    world = World()
    world.feed(world.block(20))
    usurpers = TestLedger(powers=(10, 10, 10), start=world.ledger.block(1).header.time)
    usurpers.elect((10, 10, 10), first=30)
    usurpers.run(20)
    assert isinstance(world.feed(usurpers.block(20)), NotEnoughTrust)
    assert failure(world.feed(usurpers.block(5))) is ConflictUnproven
    weak = sign(resigned(world.block(5), app_hash=b"\x01" * 32).header, world.block(5).validators, absent={0, 1})
    assert failure(world.feed(replace(world.block(5), signed_header=weak))) is InsufficientPower


@pytest.mark.parametrize("offset", [0, -1])
def test_time_running_backwards_is_evidence(offset: int) -> None:
    world = World()
    world.feed(world.block(10))
    high = resigned(world.block(12), time=world.block(10).header.time + offset)
    assert world.feed(high) == Equivocation(world.block(5), high, world.block(10))
    low = resigned(world.block(9), time=world.block(10).header.time - offset)
    assert world.feed(low) == Equivocation(world.block(5), world.block(10), low)


def test_a_later_height_before_the_anchor_in_time_is_evidence_if_its_validators_signed() -> None:
    world = World()
    early = resigned(world.block(8), time=world.block(5).header.time)
    assert world.feed(early) == Equivocation(world.block(5), early, world.block(5))
    others = TestLedger(powers=(10, 10, 10, 1), start=world.ledger.block(1).header.time)
    others.run(8)
    early = resigned(others.block(8), time=world.block(5).header.time)
    assert failure(world.feed(early)) is ConflictUnproven


def test_the_evidence_freezes_a_client() -> None:
    world = World()
    world.feed(world.block(20))
    other = resigned(world.block(20), app_hash=b"\x01" * 32)
    evidence = world.feed(other)
    assert isinstance(evidence, Equivocation)
    module, view, client = TendermintClient(), MemoryView(), ClientId("07-tendermint-0")
    states = client_states_of(evidence.trusted)
    view.apply(module.initialise(view, client, *states, world.now, Height(0, 1)))
    pair = [header_message(block, evidence.trusted) for block in (evidence.first, evidence.second)]
    message = ("/ibc.lightclients.tendermint.v1.Misbehaviour", encode_misbehaviour(client, *pair))
    assert module.update(view, client, message, world.now, Height(0, 1)).misbehaviour


def test_what_is_held_is_bounded_and_shared() -> None:
    world = World(kept=3)
    for height in range(6, 21):
        world.feed(world.block(height))
    held = [height for height in range(1, 21) if world.follower.trusted(height)]
    assert held == [18, 19, 20]
    sets = {id(world.follower.trusted(height).validators) for height in held}  # type: ignore[union-attr]
    assert len(sets) == 1
