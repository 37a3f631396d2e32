"""Packets that keep failing: set aside one by one, with the reason, never a queue as a whole.

A failure of one packet alone costs it a wait, from one second doubling to a minute. After several it
counts as parked: people are told, and it is tried again now and then, because what refused it may be
mended. Nothing here is lost work: the packet's state is on the ledgers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 60.0
PARK_AFTER: Final = 8  # failures: two minutes of waits
PARKED_WAIT_S: Final = 300.0
MAX_MARKS: Final = 65_536  # packets remembered as failing; beyond it the oldest mark is forgotten
MAX_REASON: Final = 300  # characters kept of a refusal


@dataclass(frozen=True, slots=True)
class Mark:
    """What is remembered of a packet that failed."""

    attempts: int
    reason: str
    ready_at: float  # seconds of the caller's monotonic clock

    @property
    def parked(self) -> bool:
        return self.attempts >= PARK_AFTER


class Quarantine:
    """Marks of one direction, by sequence."""

    def __init__(self) -> None:
        self._marks: dict[int, Mark] = {}

    def failed(self, sequence: int, reason: str, now: float, share: float = 1.0) -> Mark:
        """The packet was refused alone, or could not be proven.

        It waits `share` of the full time: another number for each relayer, so that they do not come back together.
        """
        before = self._marks.pop(sequence, None)
        attempts = (before.attempts if before else 0) + 1
        wait = min(FIRST_WAIT_S * 2.0 ** min(attempts - 1, 16), LONGEST_WAIT_S)
        wait = PARKED_WAIT_S if attempts >= PARK_AFTER else wait
        mark = Mark(attempts, reason[:MAX_REASON], now + share * wait)
        self._keep(sequence, mark)
        return mark

    def later(self, sequence: int, reason: str, now: float, share: float = 1.0) -> None:
        """The packet's turn has not come: it waits like one that failed for the first time, and has not failed."""
        before = self._marks.get(sequence)
        attempts = before.attempts if before else 0
        self._keep(sequence, Mark(attempts, reason[:MAX_REASON], now + share * FIRST_WAIT_S))

    def moved(self, sequence: int) -> None:
        """The packet went a step further: what failed before is over."""
        self._marks.pop(sequence, None)

    def held(self, now: float) -> set[int]:
        """Sequences that are not to be tried yet."""
        return {sequence for sequence, mark in self._marks.items() if mark.ready_at > now}

    def suspect(self, sequence: int) -> bool:
        """Has it failed before? Then it travels alone, so that it fails alone."""
        mark = self._marks.get(sequence)
        return mark is not None and mark.attempts > 0

    def _keep(self, sequence: int, mark: Mark) -> None:
        self._marks.pop(sequence, None)
        while len(self._marks) >= MAX_MARKS:
            del self._marks[next(iter(self._marks))]
        self._marks[sequence] = mark

    def next_ready(self) -> float | None:
        """When the first of them may be tried again."""
        return min((mark.ready_at for mark in self._marks.values()), default=None)

    def keep_only(self, sequences: Mapping[int, object]) -> None:
        """Forget packets that are no longer in flight."""
        for sequence in [s for s in self._marks if s not in sequences]:
            del self._marks[sequence]

    def release(self) -> None:
        """Let every packet be tried at once: a person has asked for it."""
        self._marks.clear()

    def parked(self) -> Iterator[tuple[int, Mark]]:
        return ((sequence, mark) for sequence, mark in self._marks.items() if mark.parked)
