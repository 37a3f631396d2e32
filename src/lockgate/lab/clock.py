"""A simulated clock: it moves when it is told to, and nowhere else."""

from __future__ import annotations

from lockgate.primitives.ports import Clock
from lockgate.primitives.time import DurationNanos, UnixNanos


class SimulatedClock:
    """Meets `primitives.ports.Clock`. Wall clock and monotonic clock move together unless one is set back."""

    def __init__(self, start: UnixNanos) -> None:
        self._wall = int(start)
        self._monotonic = 0

    def now(self) -> UnixNanos:
        return UnixNanos(self._wall)

    def monotonic(self) -> int:
        return self._monotonic

    def advance(self, duration: DurationNanos) -> None:
        self._wall += duration
        self._monotonic += duration

    def step_wall(self, duration: int) -> None:
        """Move the wall clock alone, as a wrong NTP server or an operator does."""
        self._wall += duration


class SkewedClock:
    """Meets `primitives.ports.Clock`: a machine whose wall clock is off by `skew`, for good."""

    def __init__(self, true: Clock, skew: DurationNanos) -> None:
        self._true = true
        self.skew = skew

    def now(self) -> UnixNanos:
        return UnixNanos(self._true.now() + self.skew)

    def monotonic(self) -> int:
        return self._true.monotonic()
