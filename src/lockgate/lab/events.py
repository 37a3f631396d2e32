"""The event log of a run: canonical lines and their hash. Two runs of a seed have the same one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from lockgate.lab.clock import SimulatedClock
from lockgate.primitives.time import NANOS_PER_MILLI


class EventLog:
    """Lines `milliseconds who what key=value …`, in the order in which things happened."""

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        self.lines: list[str] = []
        self._closed = False

    def add(self, who: str, what: str, fields: Mapping[str, object] | None = None) -> None:
        if self._closed:
            return
        parts = [f"{self._clock.monotonic() // NANOS_PER_MILLI:>8}", who, what]
        parts += [f"{name}={_shown(value)}" for name, value in (fields or {}).items()]
        self.lines.append(" ".join(parts))

    def close(self) -> None:
        """The run is over: what its pieces say while they are taken apart is no part of it."""
        self._closed = True

    @property
    def hash(self) -> str:
        """SHA-256 of the lines, in hex."""
        return hashlib.sha256("\n".join(self.lines).encode()).hexdigest()


def _shown(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value).replace("\n", " ")


__all__ = ("EventLog",)
