"""Eighty seeds: every promise holds in each, whatever breaks and whoever means harm.

[P1] effects stand exactly once. [P3] a refused message has none. [P8] a clone or an old backup never acts.
[P12] a ledger restored from a backup refuses to sign. [P14] nothing is lost. [S8] nothing is in the clear.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lockgate.lab.checkers import EVERY
from lockgate.lab.outcome import Outcome
from lockgate.lab.simulation import ORDERS, SILENT, Simulation

SEEDS = 80
TESTS = 40  # so that workers share them evenly
ORDERED = {digit: range(digit, 30, 10) for digit in ORDERS}
SILENCED = range(SILENT, 40, 10)
ASKED_MORE = {*SILENCED, *(seed for seeds in ORDERED.values() for seed in seeds)}  # below SEEDS, in tests of their own
FAILED = Path(__file__).with_name("failed_seeds.txt")
SOAK_SEEDS = int(os.environ.get("LOCKGATE_SEEDS", "2000"))
SOAK_TESTS = 100


def failed_before() -> list[int]:
    lines = FAILED.read_text().splitlines()
    return [int(line.split()[0]) for line in lines if line.strip() and not line.startswith("#")]


def hold(seed: int) -> Outcome:
    """Run a seed and check every promise; whatever goes wrong says how to repeat it."""
    try:
        outcome = Simulation(seed).run()
        outcome.check(*EVERY)
    except Exception as error:
        error.add_note(f"repeat with: python -m lockgate.lab {seed}")
        raise
    return outcome


@pytest.mark.parametrize("start", range(TESTS))
def test_every_promise_holds(start: int) -> None:
    for seed in range(start, SEEDS, TESTS):
        if seed not in ASKED_MORE:
            hold(seed)


@pytest.mark.parametrize("last_digit", sorted(ORDERED))
def test_messages_are_handled_over_ordered_lanes(last_digit: int) -> None:
    """The other promises hold as well where nothing arrives, as in a run whose hosts crash before anything is sent."""
    outcomes = [hold(seed) for seed in ORDERED[last_digit]]
    assert {outcome.order for outcome in outcomes} == {ORDERS[last_digit]}
    assert [outcome for outcome in outcomes if outcome.journal.handled][1:]


def test_messages_time_out_where_no_relayer_runs_for_a_while() -> None:
    outcomes = [hold(seed) for seed in SILENCED]
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
