"""Stories: a ledger that deviates and floods (S72); a lane that moves from suite to suite and back (S61, S87)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from lockgate.lab.checkers import EVERY
from lockgate.lab.deviating import DeviatingPeer
from lockgate.lab.lane_checkers import Degraded, Undisturbed, latencies
from lockgate.lab.migrating import MigratingLane, Moved
from lockgate.lab.outcome import Checker, Outcome, PromiseBroken
from lockgate.machine import deviations
from lockgate.primitives.time import UnixNanos, seconds

SEEDS = (1, 3)
YEAR = seconds(365 * 24 * 3600)


@cache
def quiet(seed: int) -> Outcome:
    return DeviatingPeer(seed, quiet=True).run()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_deviating_ledger_costs_its_own_lane_and_no_other(seed: int) -> None:
    outcome = DeviatingPeer(seed).run()
    outcome.check(*EVERY, Degraded(), Undisturbed(quiet(seed)))


def test_a_quiet_run_shows_no_degradation() -> None:
    assert [len(times) > 20 for times in latencies(quiet(1)).values()] == [True, True], "one lane, from both sides"
    assert Degraded().complaints(quiet(1)) == []


def no_quarantine(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(deviations, "check", lambda *_: None)


def no_slowing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(deviations, "room", lambda view, context, client, bound: bound)


def one_record_for_all_lanes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("lockgate.machine.keys.deviations", lambda client: b"deviations/all")


def never_back(patch: pytest.MonkeyPatch) -> None:
    true = deviations._next

    def stern(*parts: Any) -> deviations.Deviations:
        held = true(*parts)
        if held.level is not deviations.Level.QUARANTINED:
            return held
        ends = UnixNanos(held.last + YEAR)
        return deviations.Deviations(
            held.level, ends, held.count, ends, held.quarantines, held.last, held.sequence, held.commitment
        )

    patch.setattr(deviations, "_next", stern)


def everybody_counts(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(deviations, "impossible", lambda packet: True)


@pytest.mark.parametrize(
    ("spoil", "checker", "words"),
    [
        (no_quarantine, Degraded(), "was received in quarantine"),
        (no_slowing, Degraded(), "wait over a slowed lane"),
        (never_back, Degraded(), "nothing came over"),
        (one_record_for_all_lanes, None, "was not acknowledged|p95"),
        (everybody_counts, Degraded(), "the rules say"),
    ],
)
def test_a_rule_that_is_broken_is_found(
    spoil: Callable[[pytest.MonkeyPatch], None], checker: Checker | None, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    checker = checker or Undisturbed(quiet(1))
    spoil(monkeypatch)
    with pytest.raises(PromiseBroken, match=rf"(?s){words}.*--story deviating"):
        DeviatingPeer(1).run().check(checker)


def test_S87_a_lane_moves_to_a_better_suite_and_back_while_everybody_talks() -> None:
    MigratingLane(1).run().check(*EVERY, Moved())
