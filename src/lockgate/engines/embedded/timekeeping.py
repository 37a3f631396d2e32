"""Header time of a ledger that makes blocks on demand (P13, I5).

Header time = max(clock, previous + 1 ms). A clock that is behind therefore costs nothing. A clock
that jumps ahead would expire every packet and client at once, so a block whose time lies more than
MAX_JUMP past both what the monotonic clock says and what the newest client header says is refused
until the operator confirms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from lockgate.primitives.errors import Refused
from lockgate.primitives.ports import Clock
from lockgate.primitives.time import NANOS_PER_MILLI, DurationNanos, UnixNanos, seconds

MAX_JUMP: Final = seconds(600)  # a sleeping laptop is confirmed by its owner; NTP steps are far smaller
CLIENT_DRIFT: Final = seconds(40)  # the drift our clients grant other ledgers' headers


class ClockJumped(Refused):
    code = "ledger.clock_jumped"
    summary = "The clock is far ahead of the ledger's last header and of every ledger it follows."
    untouched = "No block was made or signed."
    next_step = "Correct the clock; after a real pause, confirm with `--accept-clock` of `up` or `ledger run`."


@dataclass(slots=True)
class BlockTime:
    """Chooses header times for one process. `anchor` pairs the last header with the monotonic clock."""

    clock: Clock
    last: UnixNanos
    anchor: int
    accept_jump: bool = False

    @classmethod
    def starting(cls, clock: Clock, last: UnixNanos, *, accept_jump: bool) -> BlockTime:
        return cls(clock, last, clock.monotonic(), accept_jump)

    def next(self, newest_client_header: Callable[[], UnixNanos | None]) -> UnixNanos:
        """The next header time; raises ClockJumped, after which nothing has changed.

        The newest header of the ledgers this one follows is asked for only when the first bound does
        not hold. It counts up to the drift past our own last header: whoever makes a client whose
        headers come from the future widens the bound by no more.
        """
        now = self.clock.now()
        time = UnixNanos(max(now, self.last + NANOS_PER_MILLI))
        elapsed = self.clock.monotonic() - self.anchor
        expected = self.last + elapsed
        if time > expected + MAX_JUMP and not self.accept_jump:
            newest = newest_client_header()
            if newest is not None:
                expected = max(expected, min(newest, self.last + CLIENT_DRIFT) + CLIENT_DRIFT)
        if time > expected + MAX_JUMP and not self.accept_jump:
            raise ClockJumped("the clock jumped ahead", clock=now, last_header=self.last, ahead_ns=time - expected)
        return time

    def made(self, time: UnixNanos) -> None:
        """A block with this time was committed; later times are measured from it."""
        self.last = time
        self.anchor = self.clock.monotonic()
        self.accept_jump = False

    def since_last(self) -> DurationNanos:
        return DurationNanos(self.clock.monotonic() - self.anchor)
