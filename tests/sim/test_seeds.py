"""Eighty seeds: every promise holds in each, whatever breaks and whoever means harm.

[P1] effects stand exactly once. [P3] a refused message has none. [P8] a clone or an old backup never acts.
[P12] a ledger restored from a backup refuses to sign. [P14] nothing is lost. [S8] nothing is in the clear.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lockgate.lab.checkers import EVERY
from lockgate.lab.simulation import ORDERS, SILENT, Simulation

SEEDS = 80
TESTS = 40  # so that workers share them evenly
FAILED = Path(__file__).with_name("failed_seeds.txt")
SOAK_SEEDS = int(os.environ.get("LOCKGATE_SEEDS", "2000"))
SOAK_TESTS = 100


def failed_before() -> list[int]:
    lines = FAILED.read_text().splitlines()
    return [int(line.split()[0]) for line in lines if line.strip() and not line.startswith("#")]


def hold(seed: int) -> None:
    """Run a seed; whatever goes wrong says how to repeat it."""
    try:
        Simulation(seed).run().check(*EVERY)
    except Exception as error:
        error.add_note(f"repeat with: python -m lockgate.lab {seed}")
        raise


@pytest.mark.parametrize("start", range(TESTS))
def test_every_promise_holds(start: int) -> None:
    for seed in range(start, SEEDS, TESTS):
        hold(seed)


@pytest.mark.parametrize("last_digit", sorted(ORDERS))
def test_messages_are_handled_over_ordered_lanes(last_digit: int) -> None:
    """The other promises hold as well where nothing arrives, as in a run whose hosts crash before anything is sent."""
    outcomes = [Simulation(seed).run() for seed in range(last_digit, 30, 10)]
    assert {outcome.order for outcome in outcomes} == {ORDERS[last_digit]}
    assert [outcome for outcome in outcomes if outcome.journal.handled][1:]


def test_messages_time_out_where_no_relayer_runs_for_a_while() -> None:
    outcomes = [Simulation(seed).run() for seed in range(SILENT, 40, 10)]
    ended = [sum(len(record.timed_out) for record in outcome.history.records.values()) for outcome in outcomes]
    assert len([count for count in ended if count]) >= 3, ended


def test_seeds_that_failed_before_hold() -> None:
    """Those below SEEDS ran above."""
    failed = failed_before()
    assert failed, "the file names seeds"
    for seed in failed:
        if seed >= SEEDS:
            hold(seed)


@pytest.mark.soak
@pytest.mark.parametrize("start", range(SOAK_TESTS))
def test_every_promise_holds_for_thousands_of_seeds(start: int) -> None:
    for seed in range(SEEDS + start, SEEDS + SOAK_SEEDS, SOAK_TESTS):
        hold(seed)
