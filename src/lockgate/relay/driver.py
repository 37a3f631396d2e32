"""Drives the courier's plan for one pair of ledgers: reads, plans, proves, submits, confirms.

Stateless in principle: every decision is derived from what the ledgers show, every submission is
proven to the other side, and any number of these may run at once. For each direction there is one
worker per lane and stage, each with a nonce lane of its own: a fresh packet waits neither for a backlog
nor for a packet that the other ledger is slow to take. Workers fail alone, wait, and go on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final

from lockgate.courier.batches import BATCH_MOST
from lockgate.courier.pace import Pace, Target
from lockgate.courier.plan import Lane
from lockgate.courier.ports import Submitted
from lockgate.ibc import events as ibc_events
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.ports import Rng
from lockgate.relay.care import Care
from lockgate.relay.direction import Direction
from lockgate.relay.endpoint import EndPoint, Slot
from lockgate.relay.guard import Guard, KeepEvidence
from lockgate.relay.jitter import Jitter
from lockgate.relay.messages import Stage
from lockgate.relay.mover import Counters, Mover, Report
from lockgate.relay.precedence import Precedence, Yielding, at_once
from lockgate.relay.quorum_guard import QuorumGuard
from lockgate.relay.rpc import STUMBLES
from lockgate.relay.status import added, direction_status, end_status
from lockgate.relay.updaters.grounds import OtherHistory

POLL_S: Final = 0.5  # between two questions where blocks are announced
SCAN_EVERY_S: Final = 30.0
READ_AT_ONCE: Final = 32  # blocks in one question
GAP_BLOCKS: Final = 2_000  # behind by more than this, a scan costs less than reading every block
IDLE_S: Final = 1.0  # a worker looks again after this, whatever it heard
BACKOFF_S: Final = 1.0
BACKOFF_MAX_S: Final = 60.0
CLEAR_DEADLINE_S: Final = 30.0  # without any progress
Step = Callable[[], Awaitable[None]]
RECEIVES: Final = (Stage.RECEIVE,)
SETTLES: Final = (Stage.ACKNOWLEDGE, Stage.TIME_OUT)  # an acknowledgement frees the sender's state: first


class Relayer:
    """Relays both directions of one pair of clients."""

    def __init__(
        self,
        one: EndPoint,
        other: EndPoint,
        report: Report,
        rng: Rng,
        keep_evidence: KeepEvidence | None = None,
        batch_most: int = BATCH_MOST,
        beside: Sequence[tuple[str, Step]] = (),
    ) -> None:
        """`batch_most` bounds the packets of one transaction, 1 to BATCH_MOST; `beside` are steps, each by a name, that
        are repeated while it relays.
        """
        self._beside = tuple(beside)
        self.ends = (one, other)
        self.directions = (Direction(one, other), Direction(other, one))
        self._report = report
        self._target = Target()
        self._batch_most = batch_most
        self._wakers: list[asyncio.Event] = []
        self._precedence = Precedence(self.ends, self.directions, _now)
        self._placed = asyncio.Event()  # it is known from where on blocks are read
        self.ready = asyncio.Event()  # both ledgers were scanned
        self._jitter = Jitter(rng)
        self._mover = Mover(report, self._took_in, _now, self._jitter)
        self.counters: Counters = self._mover.counters
        self._guard = Guard(self.ends, self.counters, report, keep_evidence)
        self._quorums = QuorumGuard(self.ends, self.counters, report, keep_evidence)
        self._care = Care(self.directions, self.counters, report, _now)

    async def run(self) -> None:
        """Relay until cancelled. A ledger that does not answer is waited for; nothing is lost."""
        self.ready.clear()
        async with asyncio.TaskGroup() as tasks:
            for task in self._tasks():
                tasks.create_task(task)

    async def clear(self) -> int:
        """Scan both ledgers, let go what was parked, move what can move; returns how many packets still wait."""
        self.ready.clear()
        for direction in self.directions:
            direction.quarantine.release()
        running = [asyncio.ensure_future(task) for task in self._tasks()]
        try:
            await self._until_idle(running)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        return sum(len(direction.watch.tracks) + len(direction.watch.unknown) for direction in self.directions)

    async def look(self) -> None:
        """Read both ledgers once, for `status`; moves nothing."""
        await self._scan()
        await self._date()

    def status(self) -> dict[str, Any]:
        """Packets in flight and why they wait, the clients' age, and what was done."""
        now = _now()
        return {
            "directions": {direction.name: direction_status(direction, now) for direction in self.directions},
            "clients": {end.chain.chain_id: end_status(end) for end in self.ends},
            "counters": {
                **{name: getattr(self.counters, name) for name in self.counters.__dataclass_fields__},
                "seen": sum(direction.watch.seen for direction in self.directions),
                "ended": sum(direction.watch.ended for direction in self.directions),
                **added(*(end.updater.counts() for end in self.ends)),
                "reconnects": sum(end.chain.reconnects for end in self.ends),
            },
        }

    def _tasks(self) -> list[Coroutine[Any, Any, None]]:  # each runs until it is cancelled
        tasks = [self._loop("scan", self._scan_again)]
        tasks += [self._loop(f"read {end.chain.chain_id}", self._reader(end)) for end in self.ends]
        for direction in self.directions:
            for lane in Lane:
                for stages in (RECEIVES, SETTLES):
                    name = f"{direction.name}, {stages[0].name.lower()} {lane.value}"
                    tasks.append(self._loop(name, self._worker(direction, lane, stages)))
        tasks.append(self._loop("care", self._caring))
        tasks.append(self._loop("guard", self._guard.work))
        tasks.append(self._loop("attestations", self._quorums.work))
        tasks.append(self._loop("conflicts", self._conflicting))
        tasks += [self._loop(name, step) for name, step in self._beside]
        return tasks

    async def _loop(self, name: str, step: Callable[[], Awaitable[None]]) -> None:
        """Repeat a step for ever; a failure of this one waits, alone, and is tried again."""
        backoff = BACKOFF_S
        while True:
            try:
                await step()
                backoff = BACKOFF_S
            except STUMBLES as error:
                code = error.code if isinstance(error, LockgateError) else "defect"
                detail = str(error) if isinstance(error, LockgateError) else repr(error)
                self._report("unavailable", {"what": name, "code": code, "detail": detail[:300]})
                if isinstance(error, OtherHistory):
                    with contextlib.suppress(*STUMBLES):  # it comes again with the next attempt
                        await self._guard.suspect(str(error.fields["chain"]))
                await asyncio.sleep(backoff * self._jitter.share())
                backoff = min(2 * backoff, BACKOFF_MAX_S)

    # Reading.

    async def _scan_again(self) -> None:
        await self._scan()
        self.ready.set()
        self._wake()
        await self._date()
        await asyncio.sleep(SCAN_EVERY_S)

    async def _scan(self) -> None:
        for end in self.ends:
            await end.see_tip()
            if not self._placed.is_set():
                end.next_height = end.height.height + 1
            await end.refresh()
        self._placed.set()
        for direction in self.directions:
            await direction.watch.scan()
            direction.quarantine.keep_only(direction.watch.tracks)
            self._care.found(direction)

    async def _date(self) -> None:
        """How old the oldest packets are, for people: nothing waits for it, and nothing depends on it."""
        for direction in self.directions:
            with contextlib.suppress(*STUMBLES):
                await direction.find_oldest()

    def _reader(self, end: EndPoint) -> Callable[[], Awaitable[None]]:
        async def step() -> None:
            await self._placed.wait()
            seen = end.chain.beat
            if await self._read(end):
                self._wake()
            elif end.height.height < end.next_height:
                end.read_beat = seen
                await end.chain.pause(seen, POLL_S)

        return step

    async def _read(self, end: EndPoint) -> bool:
        """Read the blocks that are new, each once. Tells whether there were any."""
        await end.see_tip()
        if end.chain.reorganisations != end.reorganisations:
            end.reorganisations = end.chain.reorganisations
            for direction in self.directions:
                direction.watch.forget()
            await self._scan()
            return True
        if end.height.height < end.next_height:
            return False
        if end.height.height - end.next_height > GAP_BLOCKS:
            end.next_height = end.height.height + 1
            await self._scan()
            return True
        updated = False
        first = end.next_height
        for block in await end.chain.blocks_events(range(first, min(end.height.height + 1, first + READ_AT_ONCE))):
            for direction in self.directions:
                self._ended(direction, direction.on_events(end, block.events, block.height, self._target.lived, _now()))
            for event in block.events:
                if event.type == ibc_events.UPDATE_CLIENT:
                    self._guard.saw(end, event, block.height)
                    self._quorums.saw(end, event, block.height)
                elif event.type == ibc_events.CLIENT_MISBEHAVIOUR:
                    self._guard.froze(end, block.height)
                if event.get("client_id") in end.clients or event.get("subject_client_id") in end.clients:
                    updated = True
            end.read(block)
        if updated:
            await end.refresh()
        return True

    def _took_in(self, end: EndPoint, done: Submitted) -> None:
        """Results of our own transactions are read at once, before their block is."""
        for direction in self.directions:
            self._ended(direction, direction.on_events(end, done.events, done.height, self._target.lived, _now()))
        self._wake()

    def _ended(self, direction: Direction, count: int) -> None:
        if direction.watch.live:
            self._precedence.saw_fresh()
        if count:
            self._care.ended(direction, count)

    # Working.

    def _worker(self, direction: Direction, lane: Lane, stages: tuple[Stage, ...]) -> Callable[[], Awaitable[None]]:
        end = direction.dest if stages is RECEIVES else direction.source
        submitter = end.submitters[_slot(lane, stages)]
        pace = Pace()
        woken = asyncio.Event()
        self._wakers.append(woken)

        async def step() -> None:
            await (self._placed if lane is Lane.LIVE else self.ready).wait()
            woken.clear()
            if lane is Lane.LIVE:
                moved = await go(self._batch_most, at_once)
            else:
                yielding = Yielding(self._precedence, self._target.patience_s)
                async with yielding.alone():
                    begun = _now() - yielding.waited_s
                    target_s = self._target.seconds(busy=self._precedence.busy)
                    moved = await go(min(self._batch_most, pace.size(target_s)), yielding.turn)
                if moved:
                    pace.took(moved, _now() - begun - yielding.waited_s)
            if not moved:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(IDLE_S):
                        await woken.wait()

        async def go(most: int, turn: Callable[[], Awaitable[None]]) -> int:
            """Move one batch a step further; returns how many packets it has."""
            taken = direction.take(stages, lane, _now(), most, await submitter.limits())
            if taken is None:
                return 0
            stage, batch = taken
            try:
                await self._mover.move(direction, stage, batch, submitter, turn)
            finally:
                direction.release(batch)
            return len(batch)

        return step

    def _wake(self) -> None:
        for waker in self._wakers:
            waker.set()

    async def _caring(self) -> None:
        await self.ready.wait()
        await self._care.work()
        await asyncio.sleep(self._care.every_s())

    async def _conflicting(self) -> None:
        await self._guard.conflicting()
        await self._guard.carry()
        await asyncio.sleep(IDLE_S)

    async def _until_idle(self, running: Sequence[asyncio.Future[None]]) -> None:
        """Wait until nothing moves that could: every queue is empty, nothing is on its way or due."""
        await _first(self.ready.wait(), running)
        last, since = -1, _now()
        while True:
            now = _now()
            plans = [direction.plan(None, now) for direction in self.directions]
            ready = sum(len(p.acknowledge) + len(p.time_out) + len(p.receive) + len(p.due) for p in plans)
            if not ready and not any(direction.busy for direction in self.directions):
                return
            progress = self.counters.transactions
            if progress != last:
                last, since = progress, now
            if now - since > CLEAR_DEADLINE_S:
                return
            await _first(asyncio.sleep(0.02), running)


def _slot(lane: Lane, stages: tuple[Stage, ...]) -> Slot:
    if stages is RECEIVES:
        return Slot.RECEIVE_LIVE if lane is Lane.LIVE else Slot.RECEIVE_BACKLOG
    return Slot.SETTLE_LIVE if lane is Lane.LIVE else Slot.SETTLE_BACKLOG


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _first(waiting: Any, running: Sequence[asyncio.Future[None]]) -> None:
    """Wait, unless a task ends first: only a bug ends one, and it is raised."""
    task = asyncio.ensure_future(waiting)
    try:
        await asyncio.wait({task, *running}, return_when=asyncio.FIRST_COMPLETED)
        for each in running:
            if each.done():
                each.result()
    finally:
        task.cancel()


__all__ = ("EndPoint", "Relayer", "Step")
