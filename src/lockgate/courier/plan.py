"""What a courier should do next, from what both ledgers show. Pure: no clock, no I/O, no memory.

One direction is packets from a source to a destination: receives go to the destination,
acknowledgements and timeouts to the source. Every decision is derived from ledger state, so a courier
that lost everything plans the same work again, and two couriers do no harm to each other.
Source: ICS-18; the decision table of docs/spec/courier.md.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from lockgate.primitives.ids import ClientId, Height, Sequence
from lockgate.primitives.time import DurationNanos, UnixNanos, UnixSeconds, floor_seconds, seconds

DELIVERY_MARGIN: Final = seconds(2)  # a receive this close to the timeout is left to time out
REFRESH_FRACTION: Final = 3  # a client is refreshed at a third of its trusting period


class Phase(enum.Enum):
    """Where a packet is, as both ledgers show it."""

    SENT = "sent"
    RECEIVED = "received"  # receipt present, no acknowledgement yet
    ANSWERED = "answered"  # acknowledgement present on the destination


class Lane(enum.Enum):
    """Fresh packets and an old backlog travel apart: other batches, workers and nonce lanes."""

    LIVE = "live"
    BACKLOG = "backlog"


class Actor(enum.Enum):
    """Who must act before a packet can go on."""

    HOST = "the receiving host"
    AUTHORITY = "the ledger's authority"
    OPERATOR = "the operator"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One packet in flight. `packet` is its protobuf; `acknowledgement` too, once seen."""

    sequence: Sequence
    timeout: UnixSeconds
    packet: bytes
    sent_height: Height
    phase: Phase = Phase.SENT
    acknowledgement: bytes | None = None
    answered_height: Height | None = None
    lane: Lane = Lane.LIVE
    late: bool = False  # the destination has refused it as too late: it can only time out


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

    @property
    def client_age(self) -> float:
        """Age of the client's newest header as a share of its trusting period; at 1 it expires."""
        return (self.time - self.client_time) / self.trusting_period


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing can be done for these packets now; `who` must act, and `why` says so in words."""

    packets: tuple[Track, ...]
    who: Actor
    why: str


@dataclass(frozen=True, slots=True)
class Suspended:
    """A client that proves nothing now, the packets that need it, and who can change that (P14)."""

    client: ClientId
    status: str  # Frozen, Expired, Unknown
    who: Actor
    packets: tuple[Track, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Every packet given is in exactly one place: a queue, `due`, a wait, a suspension, or held back."""

    refresh_source: bool  # the source's client of the destination is due
    refresh_destination: bool
    acknowledge: tuple[Track, ...]  # each queue: the earliest timeout first
    time_out: tuple[Track, ...]
    receive: tuple[Track, ...]
    due: tuple[Track, ...]  # provable with the next header, which follows at once
    waits: tuple[Wait, ...]
    suspended: tuple[Suspended, ...]


def plan(source: Side, destination: Side, tracks: Iterable[Track], held: Collection[int] = ()) -> Plan:
    """Sort the packets of one direction by what can be done for them.

    `held` are sequences in quarantine or on their way: they are not planned, and block no other.
    """
    ordered = sorted((t for t in tracks if t.sequence not in held), key=lambda t: (t.timeout, t.sequence))
    now = floor_seconds(destination.time)
    horizon = floor_seconds(UnixNanos(destination.time + DELIVERY_MARGIN))
    answered: list[Track] = []
    expired: list[Track] = []
    deliverable: list[Track] = []
    due: list[Track] = []
    waiting: list[Track] = []
    closing: list[Track] = []
    for track in ordered:
        if track.phase is Phase.ANSWERED:
            assert track.answered_height is not None, "an answer has a height"
            (answered if destination.height > track.answered_height else due).append(track)
        elif track.phase is Phase.RECEIVED:
            waiting.append(track)
        elif now >= track.timeout:
            expired.append(track)
        elif track.late or track.timeout <= horizon:
            closing.append(track)
        else:
            (deliverable if source.height > track.sent_height else due).append(track)
    suspended = []
    if source.client_status != "Active":
        suspended.append(_suspended(source, (*answered, *expired)))
        answered, expired = [], []
    if destination.client_status != "Active":
        suspended.append(_suspended(destination, tuple(deliverable)))
        deliverable = []
    waits = []
    if waiting:
        waits.append(Wait(tuple(waiting), Actor.HOST, "received; the host has not answered yet"))
    if closing:
        waits.append(Wait(tuple(closing), Actor.NOBODY, "too close to its timeout to deliver; it will time out"))
    return Plan(
        refresh_source=due_for_refresh(source, destination),
        refresh_destination=due_for_refresh(destination, source),
        acknowledge=tuple(answered),
        time_out=tuple(expired),
        receive=tuple(deliverable),
        due=tuple(due),
        waits=tuple(waits),
        suspended=tuple(suspended),
    )


def proof_height(event_height: Height) -> Height:
    """The first header that proves what happened in a block: the app hash lags by one."""
    return Height(event_height.revision, event_height.height + 1)


def due_for_refresh(side: Side, tracked: Side) -> bool:
    """Old enough, still alive, and the tracked ledger has a newer header to give."""
    old = side.time - side.client_time > side.trusting_period // REFRESH_FRACTION
    return old and side.client_status == "Active" and tracked.height > side.client_height


def _suspended(side: Side, packets: tuple[Track, ...]) -> Suspended:
    who = Actor.AUTHORITY if side.client_status in {"Frozen", "Expired"} else Actor.OPERATOR
    return Suspended(side.client, side.client_status, who, packets)
