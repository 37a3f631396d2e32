"""A packet that keeps failing waits longer and longer, alone, and is never given up."""

from __future__ import annotations

from lockgate.courier import quarantine
from lockgate.courier.quarantine import PARK_AFTER, PARKED_WAIT_S, Quarantine


def test_waits_double_and_then_the_packet_is_parked() -> None:
    kept, now, waits = Quarantine(), 0.0, []
    for _ in range(PARK_AFTER + 1):
        mark = kept.failed(7, "refused", now)
        waits.append(mark.ready_at - now)
        now = mark.ready_at
    assert waits == [1, 2, 4, 8, 16, 32, 60, PARKED_WAIT_S, PARKED_WAIT_S]
    assert [(sequence, mark.reason) for sequence, mark in kept.parked()] == [(7, "refused")]


def test_a_share_of_every_wait_is_what_a_packet_waits() -> None:
    kept = Quarantine()
    assert kept.failed(7, "refused", 10.0, 0.5).ready_at == 10.5
    assert kept.failed(7, "refused", 20.0, 0.75).ready_at == 21.5
    for _ in range(PARK_AFTER - 2):
        mark = kept.failed(7, "refused", 0.0, 0.5)
    assert mark.ready_at == PARKED_WAIT_S / 2


def test_only_the_packet_itself_is_held_and_only_for_a_time() -> None:
    kept = Quarantine()
    kept.failed(7, "refused", 10.0)
    assert kept.held(10.5) == {7}
    assert kept.held(11.0) == set()
    assert (kept.suspect(7), kept.suspect(8)) == (True, False)
    assert kept.next_ready() == 11.0


def test_a_packet_that_moved_starts_afresh() -> None:
    kept = Quarantine()
    for _ in range(3):
        kept.failed(7, "refused", 0.0)
    kept.moved(7)
    assert kept.held(0.0) == set()
    assert kept.failed(7, "again", 0.0).attempts == 1


def test_people_may_let_all_of_them_go_and_ended_ones_are_forgotten() -> None:
    kept = Quarantine()
    for sequence in (1, 2, 3):
        kept.failed(sequence, "refused", 0.0)
    kept.keep_only({2: object()})
    assert kept.held(0.0) == {2}
    kept.release()
    assert kept.held(0.0) == set()


def test_marks_are_bounded(monkeypatch: object) -> None:
    before, quarantine.MAX_MARKS = quarantine.MAX_MARKS, 3  # type: ignore[misc]  # a smaller bound for the test
    try:
        kept = Quarantine()
        for sequence in range(10):
            kept.failed(sequence, "x" * 1_000, 0.0)
        assert kept.held(0.0) == {7, 8, 9}
    finally:
        quarantine.MAX_MARKS = before  # type: ignore[misc]  # restored
