"""Fresh packets go before a backlog, at every step of a batch and for a bounded time.

A batch is many small steps on one event loop, and on a ledger one transaction. Where its worker looks up only once, at
the start, a fresh packet that comes later shares every step with it, and with the batch of each other worker. So
a backlog's worker looks up before it takes a batch and before it submits one, and lets fresh packets go first, and
unread blocks, which may hold some; and while fresh packets are about, batches of a backlog go one after the other. All
waits of one batch together end when its patience does: neither a lane that always has fresh packets nor a ledger
that is slow to take a batch keeps another from going on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from lockgate.relay.direction import Direction
from lockgate.relay.endpoint import EndPoint

LOOK_S: Final = 0.005  # between two looks
HOPS: Final = 4  # turns of the event loop from a block that is made to a worker that moves its packets
FRESH_FOR_S: Final = 2.0  # after a fresh packet, batches of a backlog stay short, and go alone


@dataclass(slots=True)
class Precedence:
    """Shared by all workers of one relayer."""

    ends: Sequence[EndPoint]
    directions: Sequence[Direction]
    clock: Callable[[], float]  # monotonic seconds
    under_way: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)  # held by a batch of a backlog
    _last_fresh: float = field(default=float("-inf"), init=False)

    def saw_fresh(self) -> None:
        """A fresh packet is in flight."""
        self._last_fresh = self.clock()

    @property
    def busy(self) -> bool:
        """Are fresh packets about?"""
        return self.clock() - self._last_fresh < FRESH_FOR_S

    def fresh_first(self) -> bool:
        """Is there something fresh to move, or a block to read that may hold some?"""
        now = self.clock()
        if any(direction.waits_for_a_step(now) for direction in self.directions):
            self._last_fresh = now
            return True
        return any(end.read_beat != end.chain.beat for end in self.ends)


@dataclass(slots=True)
class Yielding:
    """One batch of a backlog: how long it waits for others, and has."""

    precedence: Precedence
    patience_s: float
    waited_s: float = 0.0

    @contextlib.asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """While fresh packets are about, no other batch of a backlog is under way inside, or it takes long."""
        lock = self.precedence.under_way
        async with contextlib.AsyncExitStack() as held:
            if self.precedence.busy:
                with self._waiting(), contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self.patience_s - self.waited_s):
                        await held.enter_async_context(lock)
            await self.turn()
            yield

    async def turn(self) -> None:
        """Wait until nothing fresh is to be done, or this batch has waited long enough."""
        with self._waiting():
            deadline = self.precedence.clock() + self.patience_s - self.waited_s
            for _ in range(HOPS):
                await asyncio.sleep(0)
            while self.precedence.clock() < deadline and self.precedence.fresh_first():
                await asyncio.sleep(LOOK_S)

    @contextlib.contextmanager
    def _waiting(self) -> Iterator[None]:
        begun = self.precedence.clock()
        try:
            yield
        finally:
            self.waited_s += self.precedence.clock() - begun


async def at_once() -> None:
    """The turn of a fresh packet: it waits for nobody."""


__all__ = ("FRESH_FOR_S", "Precedence", "Yielding", "at_once")
