"""A backlog's batches are as large as their packets' own time allows, whatever a batch costs besides."""

from __future__ import annotations

import itertools
import statistics

from hypothesis import given
from hypothesis import strategies as st

from lockgate.courier.batches import BATCH_LEAST, BATCH_MOST
from lockgate.courier.pace import BUSY_LEAST_S, IDLE_TARGET_S, PATIENCE_LEAST_S, PATIENCE_MOST_S, STEP, Pace, Target

FIXED_S = st.floats(0.0, 5.0)
PACKET_S = st.floats(1e-5, 0.2)
TARGET_S = st.floats(BUSY_LEAST_S, IDLE_TARGET_S)


def sizes(fixed_s: float, packet_s: float, target_s: float, batches: int, pace: Pace | None = None) -> list[int]:
    """The sizes that come about on a ledger where a batch takes `fixed_s` and `packet_s` for each packet."""
    pace = pace or Pace()
    found = []
    for _ in range(batches):
        found.append(pace.size(target_s))
        pace.took(found[-1], fixed_s + packet_s * found[-1])
    return found


@given(FIXED_S, PACKET_S, TARGET_S)
def test_a_batch_takes_what_its_packets_may_and_not_less_for_its_own_price(
    fixed_s: float, packet_s: float, target_s: float
) -> None:
    settled = statistics.median(sizes(fixed_s, packet_s, target_s, 60)[20:])
    wanted = min(max(target_s / packet_s, BATCH_LEAST), BATCH_MOST)
    assert 0.6 * wanted - 1 <= settled <= 1.1 * wanted + 1


@given(FIXED_S, PACKET_S, TARGET_S)
def test_a_batch_is_never_much_larger_than_the_one_before(fixed_s: float, packet_s: float, target_s: float) -> None:
    found = sizes(fixed_s, packet_s, target_s, 40)
    assert found[0] == BATCH_LEAST, "nothing is known yet"
    assert all(BATCH_LEAST <= size <= BATCH_MOST for size in found)
    assert all(after <= max(BATCH_LEAST, STEP * before) for before, after in itertools.pairwise(found))


@given(FIXED_S, PACKET_S, PACKET_S, TARGET_S)
def test_a_ledger_that_becomes_slower_or_quicker_is_followed(
    fixed_s: float, before_s: float, after_s: float, target_s: float
) -> None:
    pace = Pace()
    sizes(fixed_s, before_s, target_s, 60, pace)
    settled = statistics.median(sizes(fixed_s, after_s, target_s, 120, pace)[60:])
    wanted = min(max(target_s / after_s, BATCH_LEAST), BATCH_MOST)
    assert 0.6 * wanted - 1 <= settled <= 1.1 * wanted + 1


@given(st.lists(st.tuples(st.integers(1, BATCH_MOST), st.floats(0.0, 60.0)), max_size=50), TARGET_S)
def test_any_times_at_all_give_a_size(batches: list[tuple[int, float]], target_s: float) -> None:
    pace = Pace()
    for packets, seconds in batches:
        pace.took(packets, seconds)
        assert BATCH_LEAST <= pace.size(target_s) <= BATCH_MOST


@given(st.lists(st.floats(0.001, 30.0), min_size=30, max_size=60))
def test_the_target_is_a_share_of_a_fresh_packets_life_while_there_are_any(lives: list[float]) -> None:
    target = Target()
    for life in lives:
        target.lived(life)
    assert BUSY_LEAST_S <= target.seconds(busy=True) <= max(BUSY_LEAST_S, max(lives) / 4 + 1e-3)
    assert target.seconds(busy=False) == IDLE_TARGET_S
    assert PATIENCE_LEAST_S <= target.patience_s <= PATIENCE_MOST_S
    assert target.patience_s >= min(2 * min(lives), PATIENCE_MOST_S), "a fresh packet that comes now ends within it"
