"""What a host needs of a sandbox: the port `Guest` and the values that cross it.

A guest is run on a read-only view of its key-value state, with everything it may learn about the
world handed in. It comes back with a result and with what *would* change; nothing is written by the
sandbox, so a host can stage the outcome, post an Answer, and drop it all when the ledger says no
(P1). What hostile or broken code does to itself is a value too, `GuestTrap`: a sandbox raises only
for a bug of its caller (`Misuse`) and for what the state view itself raises.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Final, NewType, Protocol

from lockgate.primitives.errors import MAX_CODE_BYTES, Misuse
from lockgate.primitives.ids import Hash32
from lockgate.primitives.time import UnixNanos

GuestId = NewType("GuestId", Hash32)  # SHA-256 of the published component (I11)
MessageRef = NewType("MessageRef", bytes)  # 32 bytes naming one message between host and guest
PublicSeed = NewType("PublicSeed", bytes)  # 32 bytes from the ledger: whoever orders blocks can grind it (P8)
SecretSeed = NewType("SecretSeed", bytes)  # 32 bytes, KDF(per-start host secret, guest, input hash) (P8)

REF_BYTES: Final = 32
SEED_BYTES: Final = 32
MAX_REFUSAL_DETAIL: Final = 1024  # UTF-8 bytes; sealed with its code it fits the ledger's 4,096-byte reason
RESERVED: Final = "session/"  # ids of schemas that hosts speak among themselves: no guest and no operator sends them
MAX_ALIAS: Final = 128  # ASCII characters of a peer's alias; an endpoint id in hex is 64
MAX_TIMEOUT_S: Final = 86_400  # P13: a packet times out at most 24 h ahead


class BadGuestCall(Misuse):
    code = "guest.bad_call"
    summary = "A host called a guest with values that the port does not allow."
    next_step = "Report this as a bug of the host."


# --- what is asked of a guest -------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message that was proven, opened and allowed, as its guest sees it."""

    id: MessageRef
    sender: str  # the peer's alias, else its endpoint id in hex
    schema: str  # schema id and version of the body
    body: bytes
    deadline: UnixNanos  # ledger time at which the machine answers in the guest's place (I6)


@dataclass(frozen=True, slots=True)
class Handle:
    """React to a message: `Reply`, `Refusal` or `Deferred`."""

    message: Message


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A message this guest sent was answered, and the answer is proven."""

    sent: MessageRef
    reply: bytes


@dataclass(frozen=True, slots=True)
class TimedOut:
    """A message this guest sent ended by its timeout; it acted nowhere, and that is proven."""

    sent: MessageRef


@dataclass(frozen=True, slots=True)
class RefusedByPeer:
    """A message this guest sent was refused, with the typed reason beside the sentinel (P3)."""

    sent: MessageRef
    code: str


@dataclass(frozen=True, slots=True)
class Command:
    """A message from the endpoint's own operator, over the host's socket; it crosses no ledger."""

    input: bytes


Invocation = Handle | Acknowledged | TimedOut | RefusedByPeer | Command


# --- what comes back ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reply:
    """The guest accepted; `body` becomes the success acknowledgement, or the command's output."""

    body: bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """The guest said no. `code` is the guest's own word; code and detail travel sealed (P3)."""

    code: str  # 1..64 printable ASCII characters
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Deferred:
    """The guest answers this message in a later call, before its deadline."""


@dataclass(frozen=True, slots=True)
class Done:
    """A notification (acknowledged, timed out, refused) was taken; there is nothing to answer."""


class TrapKind(enum.Enum):
    """Why a guest was stopped. Every kind ends the call, drops what it did, and harms nobody else."""

    FUEL = "fuel"
    EPOCH = "epoch"
    MEMORY = "memory"
    TABLE = "table"
    STACK = "stack"
    UNREACHABLE = "unreachable"
    ARITHMETIC = "arithmetic"
    BAD_RESULT = "bad_result"
    BAD_CALL = "bad_call"
    OUTPUT_TOO_LARGE = "output_too_large"
    TOO_MANY_SENDS = "too_many_sends"
    TOO_MANY_ANSWERS = "too_many_answers"
    STATE_TOO_LARGE = "state_too_large"
    OTHER = "other"


TRAP_WORDS: Final[Mapping[TrapKind, str]] = {
    TrapKind.FUEL: "it computed longer than its fuel allows",
    TrapKind.EPOCH: "it ran longer than its wall-clock limit",
    TrapKind.MEMORY: "it reached outside its memory, or asked for more than it may have",
    TrapKind.TABLE: "it reached outside its tables, or asked for more than it may have",
    TrapKind.STACK: "its calls nested too deeply",
    TrapKind.UNREACHABLE: "it aborted: an uncaught exception or a failed assertion of its own",
    TrapKind.ARITHMETIC: "it divided by zero or overflowed a conversion",
    TrapKind.BAD_RESULT: "what it returned is not a value of the world lockgate:guest",
    TrapKind.BAD_CALL: "it called its host with values that the world does not allow",
    TrapKind.OUTPUT_TOO_LARGE: "it returned or handed over more bytes than allowed",
    TrapKind.TOO_MANY_SENDS: "it sent more messages in one call than allowed",
    TrapKind.TOO_MANY_ANSWERS: "it answered more deferred messages in one call than allowed",
    TrapKind.STATE_TOO_LARGE: "its state grew beyond its quota",
    TrapKind.OTHER: "the sandbox stopped it",
}


@dataclass(frozen=True, slots=True)
class GuestTrap:
    """The guest was stopped. `detail` comes from the sandbox, printable and short; it is for logs."""

    kind: TrapKind
    detail: str = ""


Result = Reply | Refusal | Deferred | Done | GuestTrap


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """A message the guest wants sent. It leaves only inside the Answer that takes this call (P1)."""

    ref: MessageRef  # returned to the guest; the host keeps which packet it became
    to: str
    schema: str  # id@major.minor, and not a reserved id
    body: bytes
    timeout_s: int  # after the ledger time of the call, 1..the longest of the call


@dataclass(frozen=True, slots=True)
class LateAnswer:
    """The answer to a message that an earlier call deferred."""

    id: MessageRef
    result: Reply | Refusal


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the guest's log: level 0 (debug) to 3 (error), printable text."""

    level: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestOutcome:
    """One call's result and the overlay it leaves.

    After a `Refusal` or a `GuestTrap`, `writes`, `sends` and `answers` are empty: a guest that says
    no has changed nothing (P2, P3). Logs and fuel are kept, they are how an author finds out why.
    """

    result: Result
    writes: tuple[tuple[bytes, bytes | None], ...] = ()  # ascending by key; None deletes
    sends: tuple[Send, ...] = ()
    answers: tuple[LateAnswer, ...] = ()
    logs: tuple[LogLine, ...] = ()
    logs_dropped: int = 0  # lines past the log limits
    fuel_used: int = 0
    state_bytes: int = 0  # keys and values after the call, to be handed in at the next one


# --- what a guest may learn, and how far it may go ------------------------------------------------


class GuestState(Protocol):
    """The guest's key-value state as its ledger root commits to it. Keys and values are non-empty."""

    def get(self, key: bytes, /) -> bytes | None: ...

    def scan(self, start: bytes, end: bytes, /) -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, value) with start <= key < end, ascending by key."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestLimits:
    """How far one call may go. The defaults fit the shipped guests many times over."""

    fuel: int = 2_000_000_000  # about 3 s of one core; a Python guest spends 10^5 on a small message
    wall_ms: int = 10_000  # backstop against slow host calls; a sixth of the default answer deadline (I6)
    memory_bytes: int = 64 << 20  # of each linear memory, at most four; a Python guest starts with 12.4 MiB
    table_elements: int = 16_384  # of each table; a Python guest has 5,682
    reply_bytes: int = 128 << 10  # I8: larger bodies travel as chunks
    sends: int = 64  # the ledger's own bound on one Answer
    send_bytes: int = 128 << 10  # of one body (I8)
    answers: int = 64  # late answers of one call; each is one more step on the ledger
    logs: int = 256
    log_bytes: int = 64 << 10
    key_bytes: int = 256
    value_bytes: int = 64 << 10
    writes: int = 4_096  # distinct keys in one call: what one Answer's state change may touch
    state_bytes: int = 16 << 20  # keys and values together, after the call
    scan_items: int = 1_024
    scan_bytes: int = 256 << 10  # a scan may return fewer items than asked for
    random_bytes: int = 64 << 10  # of one request

    def __post_init__(self) -> None:
        for limit in fields(self):
            value = getattr(self, limit.name)
            if type(value) is not int or not 0 < value < 1 << 62:
                raise BadGuestCall("a limit is a positive integer", limit=limit.name, value=value)


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestEnv:
    """All that a guest may learn of the world in one call. The same values give the same outcome."""

    call_id: bytes  # 32 bytes, unique to this call: packet or command, and guest; refs derive from it
    ledger_time: UnixNanos
    public_seed: PublicSeed
    secret_seed: SecretSeed = field(repr=False)
    peers: frozenset[str] = frozenset()  # aliases this guest may send to
    deferred: frozenset[MessageRef] = frozenset()  # messages it deferred that are still open
    state_bytes: int = 0  # keys and values of the view
    longest_timeout_s: int = MAX_TIMEOUT_S  # of a message it sends
    limits: GuestLimits = field(default_factory=GuestLimits)

    def __post_init__(self) -> None:
        for name in ("call_id", "public_seed", "secret_seed"):
            if len(getattr(self, name)) != SEED_BYTES:
                raise BadGuestCall("32 bytes are needed", field=name, length=len(getattr(self, name)))
        if not 0 <= self.ledger_time < 1 << 63:
            raise BadGuestCall("ledger time is out of range", ledger_time=self.ledger_time)


class Guest(Protocol):
    """One sandboxed program. Calls are independent: only key-value state lasts between them (I11)."""

    @property
    def identity(self) -> GuestId: ...

    def call(self, invocation: Invocation, state: GuestState, env: GuestEnv, /) -> GuestOutcome:
        """Run one invocation on a fresh instance and return what it decided.

        Raises Misuse for values the port does not allow, and whatever `state` raises; nothing else.
        """
        ...


def printable_ascii(text: str, longest: int) -> bool:
    """Tell whether `text` is 1..`longest` printable ASCII characters without spaces."""
    return 0 < len(text) <= longest and text.isascii() and text.isprintable() and " " not in text


def is_refusal_code(text: str) -> bool:
    """Tell whether `text` may be a refusal code: what a ledger record can carry."""
    return printable_ascii(text, MAX_CODE_BYTES)


__all__ = (
    "MAX_ALIAS",
    "MAX_REFUSAL_DETAIL",
    "MAX_TIMEOUT_S",
    "REF_BYTES",
    "RESERVED",
    "SEED_BYTES",
    "TRAP_WORDS",
    "Acknowledged",
    "BadGuestCall",
    "Command",
    "Deferred",
    "Done",
    "Guest",
    "GuestEnv",
    "GuestId",
    "GuestLimits",
    "GuestOutcome",
    "GuestState",
    "GuestTrap",
    "Handle",
    "Invocation",
    "LateAnswer",
    "LogLine",
    "Message",
    "MessageRef",
    "PublicSeed",
    "Refusal",
    "RefusedByPeer",
    "Reply",
    "Result",
    "SecretSeed",
    "Send",
    "TimedOut",
    "TrapKind",
    "is_refusal_code",
    "printable_ascii",
)
