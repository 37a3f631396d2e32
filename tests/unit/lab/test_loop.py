"""The loop in virtual time: sleeping costs nothing, a run that cannot go on or never waits has a name."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from lockgate.lab.clock import SimulatedClock
from lockgate.lab.loop import Deadlock, Livelock, TaskOwner, run, spawn
from lockgate.primitives.time import UnixNanos, seconds

HOUR = 3_600


def clock() -> SimulatedClock:
    return SimulatedClock(UnixNanos(0))


def test_an_hour_passes_at_once() -> None:
    time = clock()

    async def main() -> None:
        await asyncio.sleep(HOUR)

    run(time, main)
    assert seconds(HOUR) <= time.monotonic() < seconds(HOUR) + 1_000


def test_timers_run_in_the_order_of_their_times() -> None:
    happened: list[str] = []

    async def later(name: str, after: float) -> None:
        await asyncio.sleep(after)
        happened.append(name)

    async def main() -> None:
        await asyncio.gather(later("c", 0.003), later("a", 0.001), later("b", 0.002), later("b too", 0.002))

    run(clock(), main)
    assert happened == ["a", "b", "b too", "c"]


def test_a_wait_that_nothing_ends_is_named() -> None:
    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Deadlock):
        run(clock(), main)


def test_a_task_that_never_waits_is_named() -> None:
    async def main() -> None:
        while True:
            await asyncio.sleep(0)

    with pytest.raises(Livelock):
        run(clock(), main)


def test_a_crash_ends_the_tasks_of_its_owner_and_theirs_and_no_others() -> None:
    ended: list[str] = []

    async def work(name: str) -> None:
        try:
            await asyncio.sleep(HOUR)
        finally:
            ended.append(name)

    async def process() -> None:
        inner = asyncio.create_task(work("inner"))
        await work("outer")
        await inner

    async def main() -> None:
        owner = TaskOwner()
        other = spawn(None, work("other"))
        life = spawn(owner, process())
        await asyncio.sleep(1)
        owner.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await life
        assert not other.done()

    run(clock(), main)
    assert ended[:2] == ["outer", "inner"]
