"""Pieces of a host's work: what waits, what is planned, what is staged for the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from lockgate.crypto.ports import Encapsulator
from lockgate.host import ports as guest_ports
from lockgate.host.keyring import KeyRing
from lockgate.host.staging import GuestTree
from lockgate.hosting.config import HostConfig
from lockgate.hosting.sessions import Sessions
from lockgate.ibc.packet import Payload
from lockgate.primitives.errors import Refused
from lockgate.primitives.ports import Clock, Rng
from lockgate.storage.host import HostStore, Note, Sent

Report = Callable[[str, dict[str, object]], None]
Writes = list[tuple[bytes, bytes | None]]

FIRST_WAIT_NS: Final = 1_000_000_000
LONGEST_WAIT_NS: Final = 60_000_000_000  # an entry's answer deadline is of this order (I6)
PATIENCE: Final = 3  # looks for what may be there a moment later: some seven seconds


class StepRefused(Refused):
    code = "host.step_refused"
    summary = "The ledger refused the step that this call asked for."
    untouched = "The endpoint's state is what it was; nothing was sent."
    next_step = "Look up the ledger's own words, which the error has, with `lockgate explain CODE`."


@dataclass(slots=True)
class Parts:
    """What every part of a host works with."""

    config: HostConfig
    store: HostStore
    tree: GuestTree
    guest: guest_ports.Guest
    keys: KeyRing
    encapsulator: Encapsulator
    clock: Clock
    rng: Rng
    report: Report
    sessions: Sessions

    @property
    def endpoint(self) -> bytes:
        return bytes.fromhex(self.config.endpoint)


@dataclass(slots=True)
class Patience:
    """How often an item still waits for a header that only its author has seen (P20)."""

    left: int = PATIENCE


@dataclass(slots=True)
class Item:
    """One piece of work. `done` is there when somebody waits for it.

    `due` is when it may be tried again, in monotonic nanoseconds, and `attempts` how often it was held
    back; `declined` are the ledger's words where it would not take the guest's own answer, or a handshake
    that the item waits for. `sender` is who sent an inbox entry, as the node says: it decides whose turn it
    is, and nothing else.
    """

    kind: str  # inbox, ended, command, send, rotate, session
    client: str = ""
    sequence: int = 0
    height: int = 0
    sender: str = ""
    input: bytes = b""
    to: str = ""
    schema: str = ""
    timeout_s: int = 0
    beside: tuple[Payload, ...] = ()
    done: asyncio.Future[dict[str, Any]] | None = None
    attempts: int = 0
    due: int = 0
    declined: str = ""
    body: bytes = b""  # commitment of an entry whose body is fetched, or was
    suite: int = 0  # of the sealing key that a rotation makes; 0: the one there is
    signing: int = 0  # of the identity that it commits to; 0 likewise
    patience: Patience = field(default_factory=Patience)
    failed: Callable[[BaseException], None] | None = None  # told when nothing comes of it

    @property
    def name(self) -> tuple[str, str, int]:
        return self.kind, self.client, self.sequence

    @property
    def from_ledger(self) -> bool:
        """Is it found again on the ledger, so that a restart need not lose it?"""
        return self.kind in {"inbox", "ended"}

    def hold(self, now: int) -> None:
        """Wait before the next attempt: twice as long each time, up to a minute."""
        self.due = now + min(FIRST_WAIT_NS << min(self.attempts, 16), LONGEST_WAIT_NS)
        self.attempts += 1

    def finish(self, result: dict[str, Any]) -> None:
        if self.done is not None and not self.done.done():
            self.done.set_result(result)

    def fail(self, error: BaseException) -> None:
        if self.failed is not None:
            self.failed(error)
        if self.done is not None and not self.done.done():
            self.done.set_exception(error)


@dataclass(frozen=True, slots=True)
class Sending:
    """One sealed message: how it stands in the ledger's message, and the row that remembers it."""

    message: dict[str, Any]
    row: Sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One step as decided, before anything is written: one Answer or Advance, and what it does here."""

    name: str = "endpoint.advance"
    content: dict[str, Any] = field(default_factory=dict)  # of an Answer: client, sequence, ack or refusal
    guest: Iterable[tuple[bytes, bytes | None]] = ()
    host: Iterable[tuple[bytes, bytes | None]] = ()
    sends: tuple[Sending, ...] = ()
    records: tuple[Note, ...] = ()
    shared: bool = False  # its packet has payloads of applications too, and each may refuse it whole (P2)


@dataclass(frozen=True, slots=True)
class Decision:
    """What an item leads to: steps that stand or fall together, what to note without any, what to answer."""

    plans: tuple[Plan, ...] = ()
    records: tuple[Note, ...] = ()  # noted at once when there are no steps
    settles: tuple[bytes, ...] = ()  # packets that have ended, or whose answer this is
    result: dict[str, Any] = field(default_factory=dict)

    @property
    def shared(self) -> bool:
        """May the ledger take the transaction and not the step? Then it travels alone."""
        return any(plan.shared for plan in self.plans)


@dataclass(frozen=True, slots=True)
class Made:
    """One step as staged: its plan, and the version and root that it started from."""

    plan: Plan
    version: int  # 0 for the first of an item
    root: bytes


@dataclass(slots=True)
class Staged:
    """An item whose steps wait for the ledger."""

    item: Item
    version: int
    root: bytes
    messages: list[tuple[str, dict[str, Any]]]
    sends: list[Sent]
    result: dict[str, Any]
    settles: tuple[bytes, ...] = ()
    made: list[Made] = field(default_factory=list)
