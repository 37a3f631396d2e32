"""Seconds and nanoseconds are two types, converted in one function that floors (P13).

IBC v2 timeouts are whole Unix seconds; headers carry nanoseconds. Receive and timeout exclude each
other only because both sides round the same way, so no other module divides by 10**9.
"""

from __future__ import annotations

from typing import Final, NewType

UnixSeconds = NewType("UnixSeconds", int)
UnixNanos = NewType("UnixNanos", int)
DurationNanos = NewType("DurationNanos", int)

NANOS_PER_SECOND: Final = 1_000_000_000
NANOS_PER_MILLI: Final = 1_000_000


def floor_seconds(instant: UnixNanos) -> UnixSeconds:
    """Return the whole seconds of `instant`, rounded down (ICS-04 v2, timeout comparison)."""
    return UnixSeconds(instant // NANOS_PER_SECOND)


def seconds_to_nanos(instant: UnixSeconds) -> UnixNanos:
    """Return the first nanosecond of `instant`."""
    return UnixNanos(instant * NANOS_PER_SECOND)


def seconds(count: float) -> DurationNanos:
    """Return a duration of `count` seconds."""
    return DurationNanos(round(count * NANOS_PER_SECOND))


__all__ = (
    "NANOS_PER_MILLI",
    "NANOS_PER_SECOND",
    "DurationNanos",
    "UnixNanos",
    "UnixSeconds",
    "floor_seconds",
    "seconds",
    "seconds_to_nanos",
)
