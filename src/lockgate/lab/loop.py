"""An event loop in virtual time: nothing sleeps, no thread and no socket exists, a run replays.

`asyncio` asks its selector to wait until the next timer. This one moves the simulated clock there
instead and returns at once, so an hour of timeouts costs what its events cost. Callbacks run in the
order asyncio has always run them: ready ones first in, first out, timers by their time, then by
their age. A loop with nothing ready and no timer can never go on: that is a failure with a name.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from lockgate.lab.clock import SimulatedClock
from lockgate.primitives.errors import Misuse
from lockgate.primitives.time import NANOS_PER_SECOND, DurationNanos

T = TypeVar("T")
MOST_ROUNDS: Final = 100_000  # of the ready queue without a timer: the longest seen is below a hundred
OWNER: Final[contextvars.ContextVar[TaskOwner | None]] = contextvars.ContextVar("lab_task_owner", default=None)


class Deadlock(Misuse):
    code = "lab.deadlock"
    summary = "Every task of a simulated run waits for something that nothing can bring about."
    untouched = "The run stopped where it was; its event log ends there."
    next_step = "Repeat the seed and look which task waits: a wake-up was lost in a driver."


class Livelock(Misuse):
    code = "lab.livelock"
    summary = "The tasks of a simulated run keep each other busy while no time passes."
    untouched = "The run stopped where it was; its event log ends there."
    next_step = "Repeat the seed and look which task never waits: on a real machine it would spin."


class TaskOwner:
    """The tasks of one simulated process: a crash ends all of them, in the order they were made."""

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[Any], None] = {}

    def adopt(self, task: asyncio.Task[Any]) -> None:
        self._tasks[task] = None
        task.add_done_callback(self._forget)

    def cancel(self) -> None:
        for task in list(self._tasks):
            task.cancel()

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)


class _Leap:
    """Stands where the selector stands: waits by moving the clock."""

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        self._rounds = 0  # since time last passed

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise Deadlock("nothing is ready and no timer runs")
        self._rounds += 1
        if timeout > 0:
            self._rounds = 0
            self._clock.advance(DurationNanos(-int(-timeout * NANOS_PER_SECOND // 1)))
        elif self._rounds > MOST_ROUNDS:
            raise Livelock("no time passes", rounds=self._rounds)
        return []

    def close(self) -> None:
        """Nothing is held open."""


class SimulatedLoop(asyncio.BaseEventLoop):
    """`time()` is the simulated clock's monotonic time in seconds."""

    def __init__(self, clock: SimulatedClock) -> None:
        super().__init__()
        self._clock = clock
        self._selector = _Leap(clock)
        self._clock_resolution = 1e-9  # the clock counts nanoseconds
        self.set_task_factory(_owned_task)  # type: ignore[arg-type]  # typeshed cannot say what a factory is
        self.set_exception_handler(lambda _loop, _context: None)  # parties report for themselves

    def time(self) -> float:
        return self._clock.monotonic() / NANOS_PER_SECOND

    def drain(self) -> None:
        """Cancel what still runs until nothing is left. The run is over: its log takes no more lines."""
        while left := asyncio.all_tasks(self):
            for task in left:
                task.cancel()
            self.call_soon(self.stop)
            self.run_forever()

    def _process_events(self, event_list: list[Any]) -> None:
        assert not event_list, "there is no socket that could be ready"

    def _write_to_self(self) -> None:
        """There is no other thread to wake the loop from."""


def _owned_task(loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, T], **options: Any) -> asyncio.Task[T]:
    task = asyncio.Task(coro, loop=loop, **options)
    owner = OWNER.get()
    if owner is not None:
        owner.adopt(task)
    return task


def run(clock: SimulatedClock, main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end in virtual time, then end whatever it left running. Raises Deadlock."""
    loop = SimulatedLoop(clock)
    try:
        return loop.run_until_complete(main())
    finally:
        loop.drain()
        loop.close()


def spawn(owner: TaskOwner | None, coro: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Start a task that belongs to `owner` (None: to the world), whoever calls; so do the tasks it starts."""
    context = contextvars.copy_context()
    context.run(OWNER.set, owner)
    return context.run(asyncio.get_running_loop().create_task, coro)


__all__ = ("Deadlock", "Livelock", "SimulatedLoop", "TaskOwner", "run", "spawn")
