"""Bisection asks for the right heights, in a bounded number, and gives one verified chain."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lockgate.lightclients.cometbft import bisection
from lockgate.lightclients.cometbft.bisection import BisectionPlan
from lockgate.lightclients.cometbft.errors import (
    BisectionExhausted,
    BisectionMisused,
    InsufficientPower,
    ValidatorSetMismatch,
)
from lockgate.lightclients.cometbft.types import LightBlock
from lockgate.lightclients.cometbft.verification import TrustOptions
from lockgate.primitives.time import UnixNanos, seconds
from tests.support.chain import TestLedger

OPTIONS = TrustOptions(trusting_period=seconds(3_600))


def rotating(count: int, every: int = 1) -> TestLedger:
    """Return a chain that replaces one of its four validators every `every` blocks."""
    chain = TestLedger()
    for number in range(1, count):
        chain.produce()
        if number % every == 0:
            chain.elect((10, 10, 10, 10), first=number // every)
    chain.produce()
    return chain


def walk(chain: TestLedger, target: int, start: int = 1) -> tuple[BisectionPlan, list[int]]:
    plan = BisectionPlan.to(target, chain.block(start), OPTIONS)
    asked = []
    while plan.wanted is not None:
        asked.append(plan.wanted)
        plan = plan.feed(chain.block(plan.wanted), UnixNanos(chain.latest.header.time + 1))
    return plan, asked


def heights(blocks: tuple[LightBlock, ...]) -> list[int]:
    return [block.height for block in blocks]


def test_a_constant_set_needs_the_target_only() -> None:
    plan, asked = walk(rotating(40, every=100), 40)
    assert plan.done
    assert asked == [40]
    assert heights(plan.verified) == [40]


def test_a_rotating_set_is_followed_in_steps_that_hold() -> None:
    plan, asked = walk(rotating(30), 30)
    assert plan.done
    assert plan.failure is None
    assert asked[:2] == [30, 15]
    assert heights(plan.verified) == sorted(set(asked))
    assert plan.trusted.height == 30
    assert len(asked) < 29  # it skips where it can


def test_a_complete_change_of_set_goes_through_both_sides() -> None:
    chain = TestLedger()
    chain.run(5)
    chain.elect((10, 10, 10, 10), first=20)
    chain.run(10)
    plan, _ = walk(chain, 15)
    assert plan.done
    assert 6 in heights(plan.verified)  # the one header both sets vouch for: signed by the old, names the new


def test_a_block_that_was_not_asked_for_is_a_mistake() -> None:
    chain = rotating(10)
    now = UnixNanos(chain.latest.header.time)
    plan = BisectionPlan.to(10, chain.block(1), OPTIONS)
    with pytest.raises(BisectionMisused):
        plan.feed(chain.block(9), now)
    done, _ = walk(chain, 10)
    with pytest.raises(BisectionMisused):
        done.feed(chain.block(10), now)
    with pytest.raises(BisectionMisused):
        BisectionPlan.to(1, chain.block(1), OPTIONS)


def test_an_invalid_block_ends_the_walk() -> None:
    chain = rotating(5)
    chain.produce(absent={0, 1})
    plan, _ = walk(chain, 6)
    assert not plan.done
    assert isinstance(plan.failure, InsufficientPower)


def test_next_validators_must_be_the_announced_ones() -> None:
    chain = rotating(10)
    block = replace(chain.block(10), next_validators=chain.block(1).validators)
    plan = BisectionPlan.to(10, chain.block(1), OPTIONS).feed(block, UnixNanos(block.header.time + 1))
    assert isinstance(plan.failure, ValidatorSetMismatch)
    assert plan.wanted is None


def test_a_walk_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bisection, "MAX_BISECTION_FETCHES", 4)
    plan, asked = walk(rotating(60), 60)
    assert isinstance(plan.failure, BisectionExhausted)
    assert len(asked) == 4
