"""One side of the pair a relayer serves: how it is read, how it is written to, and its client of the other."""

from __future__ import annotations

import enum
from bisect import bisect_left
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol, Self

from lockgate.courier.plan import Side
from lockgate.courier.ports import BlockEvents, Chain, Submitter, TrackedClient, Updater
from lockgate.machine.records import LaneOrder
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.time import UnixNanos, UnixSeconds, floor_seconds
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.kinds import Updaters

HEADERS_KEPT: Final = 4_096  # times of headers read, to find the first one past a timeout


class Slot(enum.IntEnum):
    """Transactions of one relayer on one ledger that do not wait for each other: a nonce lane each."""

    RECEIVE_LIVE = 0
    SETTLE_LIVE = 1
    RECEIVE_BACKLOG = 2
    SETTLE_BACKLOG = 3
    CARE = 4  # refreshing, evidence, pruning


class NonceLanes(Submitter, Protocol):
    """A submitter that has siblings on other nonce lanes."""

    @property
    def nonce_lane(self) -> int: ...

    def sibling(self, nonce_lane: int, /) -> Self: ...


@dataclass(slots=True)
class EndPoint:
    """One ledger. `client` follows the other side; `witnesses` are other nodes of this ledger."""

    chain: Chain
    submitter: NonceLanes  # of the first slot; the others take the nonce lanes after it
    client: ClientId
    witnesses: tuple[CometBftChain, ...] = ()
    own_lane: bool = True  # finished packets of own lanes are pruned (I15)
    order: LaneOrder = LaneOrder.UNORDERED  # in which packets are received here
    next_height: int = 1
    read_beat: int = 0  # the announcement up to which blocks were read
    reorganisations: int = 0  # of its chain, when the ledgers were scanned last
    tracked: TrackedClient | None = None
    time: UnixNanos = UnixNanos(0)
    height: Height = Height(0, 0)
    submitters: dict[Slot, Submitter] = field(init=False)
    updaters: Mapping[str, Updater] = field(default_factory=dict)  # of this ledger's clients, of kinds that need more
    updater: Updaters = field(init=False)  # of the other ledger's client of this one
    headers: deque[tuple[UnixNanos, int]] = field(default_factory=lambda: deque(maxlen=HEADERS_KEPT))

    def __post_init__(self) -> None:
        first = self.submitter.nonce_lane
        self.submitters = {
            slot: self.submitter if slot is Slot(0) else self.submitter.sibling(first + slot) for slot in Slot
        }
        self.updater = Updaters(self.chain, self.updaters)

    @property
    def clients(self) -> frozenset[ClientId]:
        """The client on this ledger, and those that it rests on."""
        members = self.tracked.members if self.tracked is not None else ()
        return frozenset((self.client, *(member.client_id for member in members)))

    async def refresh(self) -> None:
        """Read the client on this ledger again."""
        self.tracked = await self.chain.client(self.client)

    async def see_tip(self) -> None:
        tip = await self.chain.tip()
        if tip.height >= self.height:  # behind a balancer, another node may be behind: time does not run back
            self.height, self.time = tip.height, tip.time

    def read(self, block: BlockEvents) -> None:
        """Note that a block was read."""
        self.headers.append((block.time, block.height.height))
        self.next_height = block.height.height + 1

    def time_of(self, height: int) -> UnixNanos | None:
        """When a block was made, if its header was read."""
        return next((time for time, number in self.headers if number == height), None)

    async def first_at(self, timeout: UnixSeconds) -> Height:
        """The first header its node still has with floor(time) >= timeout; the newest has it, as the caller knows.

        Headers that were read narrow the range; where it is not one then, the node is asked, halving it.
        """
        kept = self.headers
        low, high = await self.chain.earliest(), self.height.height
        place = bisect_left([floor_seconds(time) for time, _ in kept], timeout)
        if place:
            low = max(low, kept[place - 1][1] + 1)
        if place < len(kept):
            high = min(high, max(low, kept[place][1]))
        while low < high:
            middle = (low + high) // 2
            time = await self.chain.time_of(middle)
            low, high = (low, middle) if floor_seconds(time) >= timeout else (middle + 1, high)
        return Height(self.height.revision, high)

    def side(self) -> Side:
        """What the planner looks at."""
        tracked = self.tracked
        assert tracked is not None, "the client was read before anything was planned"
        status = tracked.status
        if status == "Active" and tracked.latest_time + tracked.trusting_period <= self.time:
            status = "Expired"  # it has, since it was read
        return Side(
            height=self.height,
            time=self.time,
            client=self.client,
            client_status=status,
            client_height=tracked.latest,
            client_time=tracked.latest_time,
            trusting_period=tracked.trusting_period,
        )


__all__ = ("EndPoint", "NonceLanes", "Slot")
