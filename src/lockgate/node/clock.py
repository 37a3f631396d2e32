"""The operating system's clocks, meeting `primitives.ports.Clock`."""

from __future__ import annotations

import time

from lockgate.primitives.time import UnixNanos


class SystemClock:
    def now(self) -> UnixNanos:
        return UnixNanos(time.time_ns())

    def monotonic(self) -> int:
        # CLOCK_BOOTTIME counts while the machine sleeps: a closed lid is time that really passed.
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
