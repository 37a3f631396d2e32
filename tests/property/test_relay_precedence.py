"""Fresh packets and a backlog, in virtual time: neither starves the other, whatever comes when."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from lockgate.lab.clock import SimulatedClock
from lockgate.lab.loop import run
from lockgate.primitives.time import UnixNanos
from lockgate.relay.precedence import FRESH_FOR_S, LOOK_S, Precedence, Yielding

PATIENCE_S = 0.25
SPANS = st.lists(st.tuples(st.floats(0.0, 2.0), st.floats(0.0, 3.0)), max_size=6)  # quiet, then fresh packets, seconds
BATCHES = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12)  # how long each is on its way


@dataclass
class Lane:
    """Stands for a direction: has fresh packets to move at certain times."""

    spans: list[tuple[float, float]]

    def waits_for_a_step(self, now: float) -> bool:
        begin = 0.0
        for quiet, fresh in self.spans:
            begin += quiet
            if begin <= now < begin + fresh:
                return True
            begin += fresh
        return False


@dataclass
class World:
    """Workers that each move their batches of a backlog, one after the other."""

    spans: list[tuple[float, float]]
    workers: list[list[float]]
    waited: list[float] = field(default_factory=list)
    moved: list[tuple[float, float, bool, float]] = field(default_factory=list)  # from, to, fresh waited, waited before

    def go(self) -> float:
        return run(SimulatedClock(UnixNanos(0)), self._main)

    async def _main(self) -> float:
        now = asyncio.get_running_loop().time
        lane = Lane(self.spans)
        precedence = Precedence((), cast(Any, (lane,)), now)
        if lane.waits_for_a_step(0.0):
            precedence.saw_fresh()  # as its block is read

        async def work(batches: list[float]) -> None:
            for seconds in batches:
                yielding = Yielding(precedence, PATIENCE_S)
                async with yielding.alone():
                    fresh = lane.waits_for_a_step(now())
                    begun, before = now(), yielding.waited_s
                    await asyncio.sleep(seconds)
                    self.moved.append((begun, now(), fresh, before))
                    await yielding.turn()
                self.waited.append(yielding.waited_s)

        await asyncio.gather(*map(work, self.workers))
        return now()


@given(SPANS, st.lists(BATCHES, min_size=1, max_size=4))
def test_a_batch_waits_for_fresh_packets_and_for_others_a_bounded_time(
    spans: list[tuple[float, float]], workers: list[list[float]]
) -> None:
    w = World(spans, workers)
    ended = w.go()
    assert len(w.moved) == sum(map(len, workers)), "all of them have moved"
    assert max(w.waited) <= PATIENCE_S + 2 * LOOK_S
    assert ended <= max(sum(batches) + len(batches) * (PATIENCE_S + 2 * LOOK_S) for batches in workers) + 1e-6


@given(SPANS, st.lists(BATCHES, min_size=1, max_size=4))
def test_no_batch_starts_before_a_fresh_packet_that_has_not_had_its_time(
    spans: list[tuple[float, float]], workers: list[list[float]]
) -> None:
    w = World(spans, workers)
    w.go()
    assert all(before >= PATIENCE_S - 1e-6 for _, _, fresh, before in w.moved if fresh)


@given(st.lists(st.lists(st.floats(0.0, PATIENCE_S / 4), min_size=1, max_size=12), min_size=2, max_size=4))
def test_while_fresh_packets_are_about_short_batches_go_one_after_the_other(workers: list[list[float]]) -> None:
    w = World([(0.0, 0.001)], workers)  # a fresh packet at the beginning
    w.go()
    about = sorted((begun, ended) for begun, ended, _, _ in w.moved if ended < FRESH_FOR_S)
    assert all(after[0] >= before[1] - 1e-9 for before, after in itertools.pairwise(about))


def test_a_batch_that_a_ledger_does_not_take_holds_up_no_other_ledgers() -> None:
    w = World([(0.0, 0.001)], [[1_000.0], [0.01] * 20])
    w.go()
    assert max(ended for _, ended, _, _ in w.moved if ended < 900.0) < 20 * (0.01 + PATIENCE_S) + 1.0


def test_blocks_that_are_not_read_go_before_a_batch() -> None:
    class Chain:
        beat = 1

    class End:
        chain = Chain()
        read_beat = 0

    async def work() -> float:
        now = asyncio.get_running_loop().time
        end = End()
        precedence = Precedence(cast(Any, (end,)), (), now)
        asyncio.get_running_loop().call_later(0.1, setattr, end, "read_beat", 1)
        async with Yielding(precedence, PATIENCE_S).alone():
            return now()

    assert 0.1 <= run(SimulatedClock(UnixNanos(0)), work) <= 0.1 + 2 * LOOK_S
