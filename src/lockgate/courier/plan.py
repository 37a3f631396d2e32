"""What a courier should do next, from what both ledgers show. Pure: no clock, no I/O, no memory.

One `Direction` is packets from a source to a destination: receives and client updates go to the
destination, acknowledgements and timeouts to the source. Every decision is derived from ledger state,
so a courier that lost everything plans the same work again, and two couriers do no harm to each other.
Source: ICS-18; the decision table of docs/spec/courier.md.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from lockgate.primitives.ids import ClientId, Height, Sequence
from lockgate.primitives.time import DurationNanos, UnixNanos, UnixSeconds, floor_seconds, seconds

BATCH: Final = 50  # packets per transaction: beyond it the cost per packet hardly falls
DELIVERY_MARGIN: Final = seconds(2)  # a receive this close to the timeout is left to time out
REFRESH_FRACTION: Final = 3  # a client is refreshed at a third of its trusting period


class Phase(enum.Enum):
    """Where a packet is, as both ledgers show it."""

    SENT = "sent"
    RECEIVED = "received"  # receipt present, no acknowledgement yet
    ANSWERED = "answered"  # acknowledgement present on the destination
    ENDED = "ended"  # commitment gone from the source


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One packet in flight. `packet` is its protobuf; `acknowledgement` too, once seen."""

    sequence: Sequence
    timeout: UnixSeconds
    packet: bytes
    sent_height: Height
    phase: Phase
    acknowledgement: bytes | None = None
    answered_height: Height | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One ledger as the planner sees it: its newest block and the client on it that follows the other."""

    height: Height
    time: UnixNanos
    client: ClientId
    client_status: str
    client_height: Height
    client_time: UnixNanos
    trusting_period: DurationNanos


@dataclass(frozen=True, slots=True)
class Receive:
    """Deliver these packets to the destination, proven at a source header of at least `height`."""

    packets: tuple[Track, ...]
    height: Height


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """Bring these acknowledgements to the source, proven at a destination header of at least `height`."""

    packets: tuple[Track, ...]
    height: Height


@dataclass(frozen=True, slots=True)
class TimeOut:
    """Prove to the source that the destination never received these packets before their timeout."""

    packets: tuple[Track, ...]


@dataclass(frozen=True, slots=True)
class Refresh:
    """Update the client on one side before it expires. `on_source` names the side."""

    on_source: bool


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing can be done for these packets now; `who` must act, and `why` says so in words."""

    packets: tuple[Track, ...]
    who: str
    why: str


Step = Receive | Acknowledge | TimeOut | Refresh | Wait


def plan(
    source: Side, destination: Side, tracks: Iterable[Track], parked: Mapping[int, str], batch: int = BATCH
) -> tuple[Step, ...]:
    """Return the steps for one direction, most urgent first.

    Acknowledgements come before fresh receives (they free the sender's state), the earliest timeout
    first. `parked` holds quarantined sequences: they are never planned, and never block another.
    """
    steps: list[Step] = []
    for on_source, side in ((True, source), (False, destination)):
        if side.client_status == "Active" and _due_for_refresh(side):
            steps.append(Refresh(on_source))
    live = sorted((t for t in tracks if t.sequence not in parked), key=lambda t: (t.timeout, t.sequence))
    answered = [t for t in live if t.phase is Phase.ANSWERED]
    held = [t for t in live if t.phase is Phase.RECEIVED]
    sent = [t for t in live if t.phase is Phase.SENT]
    expired = [t for t in sent if floor_seconds(destination.time) >= t.timeout]
    horizon = floor_seconds(UnixNanos(destination.time + DELIVERY_MARGIN))
    deliverable = [t for t in sent if t.timeout > horizon]
    closing = [t for t in sent if floor_seconds(destination.time) < t.timeout <= horizon]
    if source.client_status == "Active":
        steps += [Acknowledge(chunk, _newest_answer(chunk)) for chunk in _chunks(answered, batch)]
        steps += [TimeOut(chunk) for chunk in _chunks(expired, batch)]
    elif answered or expired:
        steps.append(_suspended(source, (*answered, *expired)))
    if destination.client_status == "Active":
        steps += [Receive(chunk, _newest_send(chunk)) for chunk in _chunks(deliverable, batch)]
    elif deliverable:
        steps.append(_suspended(destination, tuple(deliverable)))
    if held:
        steps.append(Wait(tuple(held), "the receiving host", "received; the host has not answered yet"))
    if closing:
        steps.append(Wait(tuple(closing), "nobody", "too close to its timeout to deliver; it will time out"))
    return tuple(steps)


def proof_height(event_height: Height) -> Height:
    """The first header that proves what happened in a block: the app hash lags by one."""
    return Height(event_height.revision, event_height.height + 1)


def _due_for_refresh(side: Side) -> bool:
    return side.time - side.client_time > side.trusting_period // REFRESH_FRACTION


def _suspended(side: Side, packets: tuple[Track, ...]) -> Wait:
    who = "the ledger's authority" if side.client_status in {"Frozen", "Expired"} else "the operator"
    return Wait(packets, who, f"client {side.client} is {side.client_status.lower()}; packets are suspended")


def _newest_send(chunk: tuple[Track, ...]) -> Height:
    return proof_height(max(t.sent_height for t in chunk))


def _newest_answer(chunk: tuple[Track, ...]) -> Height:
    return proof_height(max(t.answered_height for t in chunk if t.answered_height is not None))


def _chunks(tracks: list[Track], size: int) -> list[tuple[Track, ...]]:
    return [tuple(tracks[i : i + size]) for i in range(0, len(tracks), size)]
