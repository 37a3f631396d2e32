"""A seed is a run: twice the same event log, in this process and in another one (I13)."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest

from lockgate.lab.adversaries import KINDS
from lockgate.lab.faults import Fault
from lockgate.lab.origin import CLASSIC, HYBRID
from lockgate.lab.simulation import SKEWED, Simulation
from lockgate.primitives.time import seconds
from tests.sim.test_seeds import SEEDS

TICKS = 8


def log_hash(seed: int) -> str:
    return Simulation(seed).run(TICKS).hash


@pytest.mark.parametrize("seed", [0, 4, 5, 9, 12])
def test_i13_two_runs_of_a_seed_have_one_event_log(seed: int) -> None:
    assert log_hash(seed) == log_hash(seed)


def test_i13_another_process_has_the_same_event_log() -> None:
    """Nothing hangs on the order of a set, on an address in memory, or on the time of day."""
    command = [sys.executable, "-m", "lockgate.lab", "3", "--ticks", str(TICKS), "--quiet"]
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    there = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=True)
    assert there.stdout.strip() == f"seed 3 hash {log_hash(3)}"


def test_a_run_whose_story_never_ends_is_a_failure_and_no_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    async def for_ever(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Simulation, "_traffic", for_ever)
    with pytest.raises(TimeoutError):
        Simulation(0).run(1)


def test_a_tenth_of_the_seeds_have_a_ledger_whose_clock_is_off() -> None:
    """By as much as hosts and clients bear, and its headers show it."""
    skews = {seed: skew_ns(Simulation(seed)) for seed in range(200)}
    off = {seed for seed, skew in skews.items() if skew}
    assert off <= set(range(SKEWED, 200, 10))
    assert len(off) > 15
    assert -seconds(30) <= min(skews.values()) < -seconds(20) < seconds(20) < max(skews.values()) <= seconds(30)


def skew_ns(run: Simulation) -> int:
    return sum(party.clock.now() - run.clock.now() for party in run.cast.ledgers)


def test_seeds_differ() -> None:
    assert len({log_hash(seed) for seed in range(3)}) == 3


def test_i13_a_tenth_of_the_seeds_use_the_hybrid_suite() -> None:
    suites = [Simulation(seed).suite for seed in range(20)]
    assert suites.count(HYBRID) == 2
    assert suites.count(CLASSIC) == 18


def test_the_seeds_of_a_test_run_meet_every_fault_and_every_adversary() -> None:
    plans = [Simulation(seed) for seed in range(SEEDS) if seed % 10 != 9]
    assert {kind for plan in plans for kind in plan.faults.kinds} == set(Fault)
    assert {type(plan.adversary) for plan in plans} == set(KINDS)
