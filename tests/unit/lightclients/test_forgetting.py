"""Finding a height among very many takes a bounded number of looks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lockgate.lightclients.attested import ConsensusState, update
from lockgate.lightclients.attested.states import AttestedForms
from lockgate.lightclients.store import ClientStore
from lockgate.primitives.ids import Height
from lockgate.primitives.state import Outcome
from lockgate.primitives.time import UnixNanos, seconds
from tests.support.attesters import CLIENT, DAY, START, AttestedWorld

SECOND = seconds(1)


def kept(w: AttestedWorld) -> update.AttestedStore:
    return ClientStore(w.view, CLIENT, AttestedForms())


def hold(w: AttestedWorld, heights: range) -> None:
    """Give the client these heights, as if each had been attested."""
    outcome, store = Outcome(), kept(w)
    for number in heights:
        state = ConsensusState(UnixNanos(START + (number - 1) * SECOND), w.root)
        store.put_consensus_state(outcome, Height(1, number), state, (bytes(8), b"3-77"))
    newest = Height(1, max(*heights, w.current().latest_height.height))
    store.put_client_state(outcome, replace(w.current(), latest_height=newest))
    w.view.apply(outcome)


@pytest.mark.parametrize("asked", [4_002, 6_000, 8_193, 1_000_000])
def test_the_height_before_a_gap_is_found_without_reading_what_is_below_it(asked: int) -> None:
    w = AttestedWorld()
    hold(w, range(2, 4_001))
    before = w.view.scanned
    assert kept(w).previous_height(Height(1, asked), Height(1, 1)) == Height(1, 4_000)
    assert w.view.scanned - before <= 64, "a step for each bit of a height"


def test_evidence_in_a_gap_is_judged_without_reading_all_heights() -> None:
    """A header in a gap above very many heights is shown to a client for a few hundred gas."""
    w = AttestedWorld()
    w.now = UnixNanos(START + DAY)
    hold(w, range(2, 2_001))
    hold(w, range(9_000, 9_001))
    before = w.view.scanned
    assert not update.contradicts(kept(w), w.current(), w.attest(5_000))
    assert w.view.scanned - before <= 64
