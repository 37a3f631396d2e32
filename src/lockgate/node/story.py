"""A packet's life as values, and who must act next: pure, so that every case is a table row of a test.

What stands here was read from the ledgers' public data. It is for people and programs who want to know where a
packet is; whoever needs to believe it asks for a proof (`lockgate prove`).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from lockgate.lightclients.cometbft.rfc3339 import format_time
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos, floor_seconds, seconds

HALTED_AFTER: Final = seconds(60)  # a ledger of ours makes a header every few seconds, whatever happens
ACTIVE: Final = "Active"


class What(enum.StrEnum):
    """What can happen to a packet, in the order of its life."""

    SENT = "sent"
    RECEIVED = "received"
    HELD = "held"  # in the receiver's inbox, with a deadline for its answer
    ANSWERED = "answered"
    REFUSED = "refused"
    ACKNOWLEDGED = "acknowledged"  # the answer has come back
    TIMED_OUT = "timed_out"
    PRUNED = "pruned"  # forgotten by the receiver's ledger, by proof


class State(enum.StrEnum):
    """Where a packet is."""

    SENT = "sent"
    HELD = "held"
    ANSWERED = "answered"
    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    TIMED_OUT = "timed_out"


ENDED: Final = frozenset({State.ACKNOWLEDGED, State.REFUSED, State.TIMED_OUT})


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened. `header` is the hash of the header whose root covers it, the one after `height`."""

    what: What
    ledger: str
    height: int
    time: str
    header: str  # empty until that header is there
    signed: str  # in the words of P10; empty until then
    note: str


@dataclass(frozen=True, slots=True)
class LedgerFacts:
    """One ledger now: its newest block time, and the client on it that follows the other one."""

    name: str
    time: UnixNanos
    client: str
    client_status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What decides where a packet is. `destination` is None while that ledger does not answer."""

    now: UnixNanos
    source: LedgerFacts
    destination: LedgerFacts | None
    destination_name: str
    timeout: int
    receiver: str
    received: bool
    deadline: UnixNanos
    answered: bool
    ended: State | None


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a packet is, and what it waits for. `suspended` is a reason, empty while it ends by itself (P14)."""

    state: State
    who: str
    why: str
    suspended: str = ""

    @property
    def ended(self) -> bool:
        return self.state in ENDED


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a packet was refused (P3). `sealed` bytes of detail only the sender can read."""

    code: str
    meaning: str
    next_step: str
    sealed: int


@dataclass(frozen=True, slots=True)
class Sealing:
    """How a message is sealed, as anybody can read on its outside. Without a session: to a long-term key."""

    suite: str
    fence: int  # of the sender's process
    counter: int  # with the fence: the message id (I7)
    session: str = ""  # its public name
    epoch: int = 0
    place: int = 0  # of the message in the session's start

    @property
    def words(self) -> str:
        within = f"session {self.session[:16]}…, epoch {self.epoch}, place {self.place}"
        return f"{self.suite} · {within if self.session else 'no session'} · message {self.fence}/{self.counter}"


@dataclass(frozen=True, slots=True)
class Story:
    """A packet's whole life so far."""

    packet: str  # LEDGER/CLIENT/SEQUENCE, by which every verb takes it
    trace_id: str
    source: str
    destination: str
    source_client: str
    destination_client: str
    sequence: int
    sender: str
    receiver: str
    size: int  # bytes of the sealed payload
    sealing: Sealing | None  # None for what no endpoint sealed
    timeout: str
    commitment: str
    steps: tuple[Step, ...]
    standing: Standing
    refusal: Refusal | None


def standing(facts: Facts) -> Standing:
    """Say where a packet is and who must act."""
    source, there = facts.source, facts.destination
    if facts.ended is not None:
        return Standing(facts.ended, "nobody", "it has ended")
    if there is None:
        name = facts.destination_name
        return Standing(
            State.SENT, f"the operator of {name}", "where it is cannot be read", f"ledger {name} does not answer"
        )
    state = State.ANSWERED if facts.answered else State.HELD if facts.received else State.SENT
    if state is State.ANSWERED:
        return _on_its_way(state, source, facts.now, f"bring the answer back to {source.name}")
    if state is State.HELD:
        if stopped := _halted(there, facts.now):
            return Standing(state, f"the operator of {there.name}", "nothing moves there", stopped)
        if there.time >= facts.deadline:
            return Standing(state, "nobody", f"its deadline has passed: {there.name} refuses it in its next block")
        by = format_time(facts.deadline)
        return Standing(
            state, f"the host of endpoint {facts.receiver}", f"answer by {by}, else {there.name} refuses it"
        )
    if floor_seconds(there.time) >= facts.timeout:
        return _on_its_way(state, source, facts.now, f"prove to {source.name} that {there.name} never received it")
    until = format_time(UnixNanos(facts.timeout * NANOS_PER_SECOND))
    return _on_its_way(state, there, facts.now, f"deliver it to {there.name} by {until}, else it times out")


def _on_its_way(state: State, to: LedgerFacts, now: UnixNanos, task: str) -> Standing:
    """A courier must act on the ledger `to`; it can while that ledger makes blocks and its client is active."""
    if stopped := _halted(to, now):
        return Standing(state, f"the operator of {to.name}", task, stopped)
    if to.client_status != ACTIVE:
        reason = f"client {to.client} on {to.name} is {to.client_status.lower()}"
        return Standing(state, f"the authority of {to.name}", task, reason)
    return Standing(state, "a relayer", task)


def _halted(ledger: LedgerFacts, now: UnixNanos) -> str:
    if now - ledger.time <= HALTED_AFTER:
        return ""
    return f"ledger {ledger.name} has made no header since {format_time(ledger.time)}"


__all__ = (
    "Facts",
    "LedgerFacts",
    "Refusal",
    "Sealing",
    "Standing",
    "State",
    "Step",
    "Story",
    "What",
    "standing",
)
