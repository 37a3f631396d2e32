"""Packets of one direction, queued by lane and stage; each packet is with one worker at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from lockgate.courier.batches import Limits, fitting
from lockgate.courier.plan import Lane, Phase, Plan, Track, plan
from lockgate.courier.quarantine import Quarantine
from lockgate.machine.ordering import RECEIVE
from lockgate.machine.records import LaneOrder
from lockgate.primitives.ids import Height
from lockgate.primitives.state import Event
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos
from lockgate.relay.endpoint import EndPoint
from lockgate.relay.messages import Path, Stage
from lockgate.relay.watch import Watch

RENEW_S: Final = 0.5  # a backlog's plan is made again after this, or when its queues are empty
LIVE_FOR_S: Final = 30.0  # a packet that has not ended by then waits with the backlog


@dataclass(slots=True)
class _Queues:
    """A plan being worked off."""

    made_at: float
    by_stage: dict[Stage, deque[Track]]


@dataclass(slots=True)
class Direction:
    """Packets from `source` to `dest`."""

    source: EndPoint
    dest: EndPoint
    watch: Watch = field(init=False)
    path: Path = field(init=False)
    quarantine: Quarantine = field(default_factory=Quarantine)
    busy: set[int] = field(default_factory=set)
    oldest: tuple[int, UnixNanos] | None = None  # height and time of the oldest send that a scan found
    first_seen: dict[int, float] = field(default_factory=dict)
    _backlog: _Queues | None = None

    def __post_init__(self) -> None:
        source, dest = self.source, self.dest
        self.watch = Watch(source.chain, dest.chain, source.client, dest.client)
        self.path = Path(source.client, dest.client)

    @property
    def name(self) -> str:
        return f"{self.source.chain.chain_id} to {self.dest.chain.chain_id}"

    @property
    def ordered(self) -> bool:
        """Are packets received in the order of their senders?"""
        return self.dest.order is not LaneOrder.UNORDERED

    def plan(self, lane: Lane | None, now: float) -> Plan:
        """The plan for one lane's packets, or for all of them."""
        tracks = self.watch.tracks
        if lane is Lane.LIVE:
            chosen: Iterable[Track] = [tracks[s] for s in self.watch.live if s in tracks]
        else:
            chosen = [t for t in tracks.values() if lane is None or t.lane is lane]
        return plan(self.source.side(), self.dest.side(), chosen, self.busy | self.quarantine.held(now))

    def take(
        self, stages: Sequence[Stage], lane: Lane, now: float, most: int, limits: Limits
    ) -> tuple[Stage, tuple[Track, ...]] | None:
        """The next batch of a lane: earlier stages first, the earliest timeout first. Marks it busy."""
        held = self.quarantine.held(now)
        for renew in (True,) if lane is Lane.LIVE else (False, True):
            queues = self._queues(lane, now, renew=renew)
            for stage in stages:
                batch = self._cut(queues[stage], stage, most, limits, held)
                if batch:
                    self.busy |= {t.sequence for t in batch}
                    return stage, batch
        return None

    def release(self, batch: Iterable[Track]) -> None:
        self.busy -= {t.sequence for t in batch}

    def oldest_age_s(self) -> float | None:
        """How long the oldest packet has been on its way, in the source's time; None when there is none."""
        heights = [track.sent_height.height for track in self.watch.tracks.values()]
        if not heights:
            return None
        first = min(heights)
        since = self.oldest[1] if self.oldest and self.oldest[0] == first else self.source.time_of(first)
        return 0.0 if since is None else max(0.0, (self.source.time - since) / NANOS_PER_SECOND)

    async def find_oldest(self) -> None:
        """Read the header of the oldest send: it may be from before this relayer.

        Where its block is gone, the first one that its node still has: so old it is at least.
        """
        heights = [track.sent_height.height for track in self.watch.tracks.values()]
        first = min(heights, default=0)
        if first and (self.oldest is None or self.oldest[0] != first):
            chain = self.source.chain
            self.oldest = (first, await chain.time_of(max(first, await chain.earliest())))

    def waits_for_a_step(self, now: float) -> bool:
        """Is a fresh packet on its way that a courier can move now?"""
        held = self.quarantine.held(now)
        for sequence in self.watch.live:
            track = self.watch.tracks.get(sequence)
            if track is not None and sequence not in held:
                if track.phase is Phase.ANSWERED or (track.phase is Phase.SENT and not track.late):
                    return True
        return False

    def saw(self, now: float) -> None:
        """Note when live packets were first seen, and let those go that are live for too long."""
        for sequence in [s for s in self.watch.live if s not in self.first_seen]:
            self.first_seen[sequence] = now
        for sequence in [s for s in self.first_seen if s not in self.watch.live]:
            del self.first_seen[sequence]
        for sequence in [s for s, since in self.first_seen.items() if now - since > LIVE_FOR_S]:
            self.watch.demote(sequence)
            del self.first_seen[sequence]

    def on_events(
        self, end: EndPoint, events: Sequence[Event], height: Height, lived: Callable[[float], None], now: float
    ) -> int:
        """Take in what happened on one of the two ledgers; returns how many packets ended."""
        if end is self.dest:
            self.watch.on_destination(events, height)
            return 0
        gone = self.watch.on_source(events, height)
        for sequence in gone:
            self.quarantine.moved(sequence)
            since = self.first_seen.pop(sequence, None)
            if since is not None:
                lived(now - since)
        self.saw(now)
        return len(gone)

    def _queues(self, lane: Lane, now: float, *, renew: bool) -> dict[Stage, deque[Track]]:
        kept = self._backlog
        if lane is Lane.BACKLOG and not renew and kept is not None and now - kept.made_at < RENEW_S:
            return kept.by_stage
        made = self.plan(lane, now)
        by_stage = {
            Stage.ACKNOWLEDGE: deque(made.acknowledge),
            Stage.TIME_OUT: deque(made.time_out),
            Stage.RECEIVE: deque(self._in_order(made.receive)),
        }
        if lane is Lane.BACKLOG:
            self._backlog = _Queues(now, by_stage)
        return by_stage

    def _in_order(self, receives: Sequence[Track]) -> Sequence[Track]:
        return sorted(receives, key=lambda track: track.sequence) if self.ordered else receives

    def _cut(self, queue: deque[Track], stage: Stage, most: int, limits: Limits, held: set[int]) -> tuple[Track, ...]:
        """Up to `most` packets that are still as they were planned. One that failed before goes alone."""
        found: list[Track] = []
        out = self.busy | held
        while queue and len(found) < most:
            track = queue[0]
            if self.watch.tracks.get(track.sequence) is not track or track.sequence in out:
                queue.popleft()
                continue
            if self.quarantine.suspect(track.sequence):
                if not found:
                    found.append(queue.popleft())
                break
            found.append(queue.popleft())
        name = RECEIVE if stage is Stage.RECEIVE and self.ordered else stage.value
        batch = fitting(found, name, limits, most) if found else ()
        queue.extendleft(reversed(found[len(batch) :]))
        return batch


__all__ = ("Direction",)
