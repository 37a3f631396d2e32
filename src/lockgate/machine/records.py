"""The machine's own state records: frozen values, each one CBOR array with its format number first.

They are written and read by this code only, under the ledger's root, so a record that does not
decode is a defect or a damaged store, never a peer's doing: `StateDamaged` stops the ledger.
"""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

from lockgate.codec import cbor
from lockgate.codec.errors import Malformed
from lockgate.primitives.errors import Damaged
from lockgate.primitives.ids import ClientId, DomainId, EndpointId, Hash32, LaneId
from lockgate.primitives.time import DurationNanos, UnixNanos

LANE_LABEL: Final = "lockgate/lane/1"


class StateDamaged(Damaged):
    code = "machine.state_damaged"
    summary = "A record of the ledger's own state does not decode."
    untouched = "The block was not committed."
    next_step = "Run `lockgate verify --store`; restore the data folder from a good copy under a new revision."


class Record:
    """Base of state records: positional CBOR, `FORMAT` first."""

    __slots__ = ()
    FORMAT: ClassVar[int] = 1
    __dataclass_fields__: ClassVar[dict[str, Any]]

    def to_bytes(self) -> bytes:
        values: list[Any] = [self.FORMAT]
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if isinstance(value, enum.IntEnum):
                value = int(value)
            elif isinstance(value, LaneCaps):
                value = [value.packets, value.payload_bytes, value.value]
            values.append(value)
        return cbor.encode(values)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        try:
            decoded: Any = cbor.decode(data)
            form, *values = decoded
            if form != cls.FORMAT:
                raise StateDamaged("unknown record format", record=cls.__name__, format=form)
            return cls(*cls._convert(values))
        except (LookupError, TypeError, ValueError, Malformed) as error:
            raise StateDamaged("a state record does not decode", record=cls.__name__) from error

    @classmethod
    def _convert(cls, values: list[Any]) -> list[Any]:
        return values


@dataclass(frozen=True, slots=True)
class Account(Record):
    """Signature suite, public key, balance in the ledger's fee unit."""

    suite: int
    public_key: bytes
    balance: int


@dataclass(frozen=True, slots=True)
class AccountKeys(Record):
    """The keys of an account that has replaced its first one, in heights: `public_key` signs from `since` on,
    `previous_key` up to and including `previous_until`. `next_key` commits to the key after this one."""

    index: int  # rotations so far
    suite: int
    public_key: bytes
    next_key: bytes
    since: int
    previous_key: bytes
    previous_until: int


@dataclass(frozen=True, slots=True)
class EndpointState(Record):
    """What a ledger knows of an endpoint beside its key records.

    `record_index` and `record_hash` name the current key record; `fence` is the newest start of its
    host (0: none yet); `root` is the guest state the next Answer must start from (P1, P8).
    """

    record_index: int
    record_hash: bytes
    fence: int
    root: bytes
    revoked_at: int  # height, 0 while not revoked
    accounts: tuple[str, ...]

    @classmethod
    def _convert(cls, values: list[Any]) -> list[Any]:
        values[5] = tuple(values[5])
        return values


class LaneKind(enum.IntEnum):
    OWN = 1
    FOREIGN = 2


class LanePhase(enum.IntEnum):
    OPEN = 1
    STOPPED = 2
    CLOSED = 3


class LaneOrder(enum.IntEnum):
    """In what order the packets of one sender are received."""

    UNORDERED = 0
    ORDERED = 1  # what comes after a packet that timed out waits until nothing before it is open
    GAPS = 2  # ordered; a packet that timed out lets its successors pass


LANE_MOVES: Final = {
    (LanePhase.OPEN, "stop"): LanePhase.STOPPED,
    (LanePhase.STOPPED, "resume"): LanePhase.OPEN,
    (LanePhase.OPEN, "deviation"): LanePhase.STOPPED,
    (LanePhase.OPEN, "close"): LanePhase.CLOSED,
    (LanePhase.STOPPED, "close"): LanePhase.CLOSED,
    (LanePhase.OPEN, "equivocation"): LanePhase.CLOSED,
    (LanePhase.STOPPED, "equivocation"): LanePhase.CLOSED,
}
EQUIVOCATION: Final = "equivocation"  # the cause of a lane that two signed histories closed (P14)
DEVIATION: Final = "deviation"  # the cause of a lane that its other ledger's own doing froze (S72)
AUTHORITY: Final = "authority"  # the cause of a lane that the ledger's authority stopped or closed


@dataclass(frozen=True, slots=True)
class LaneCaps:
    """What may be open over a lane at once (P10): packets sent, bytes of their payloads, and value.

    `value` counts in the ledger's unit of value; 0 lets none cross. Packets and bytes are enforced when
    a packet is sent; no application moves value yet, so the value cap is recorded and proven only.
    """

    packets: int
    payload_bytes: int
    value: int


@dataclass(frozen=True, slots=True)
class Lane(Record):
    """An explicit record over two domains and their two clients (P9), with its caps (P10)."""

    FORMAT = 3  # 1 had no cause and no caps, 2 no order
    lane_id: LaneId
    kind: LaneKind
    phase: LanePhase
    local_domain: DomainId
    remote_domain: DomainId
    local_client: ClientId
    remote_client: ClientId
    remote_class: str
    grace: DurationNanos
    opened_at: int  # height on this ledger
    cause: str  # what stopped or closed it: AUTHORITY, DEVIATION or EQUIVOCATION; empty while open
    note: str  # who stopped it and why, in words; empty while open
    first_sequence: int  # of the packets sent over it; earlier ones of its client count against no cap
    caps: LaneCaps
    order: LaneOrder

    @property
    def own(self) -> bool:
        """Between two of our ledgers: endpoints use it, packets carry several payloads and are pruned (P2, P9, I15)."""
        return self.kind is LaneKind.OWN

    @property
    def equivocated(self) -> bool:
        """Closed for good because the other ledger signed two histories (P14, P20)."""
        return self.cause == EQUIVOCATION

    @classmethod
    def _convert(cls, values: list[Any]) -> list[Any]:
        values[1], values[2] = LaneKind(values[1]), LanePhase(values[2])
        values[-2], values[-1] = LaneCaps(*values[-2]), LaneOrder(values[-1])
        return values


def lane_id(one: tuple[bytes, str], other: tuple[bytes, str]) -> LaneId:
    """Name the lane over two (domain id, client id) pairs; the same name on both ledgers."""
    sides = sorted([[one[0], one[1]], [other[0], other[1]]])
    return LaneId(Hash32(hashlib.sha256(cbor.encode([LANE_LABEL, *sides])).digest()))


@dataclass(frozen=True, slots=True)
class OpenSends(Record):
    """What is open over a lane on its sending side: packets, and bytes of their payloads (P10)."""

    packets: int
    payload_bytes: int


@dataclass(frozen=True, slots=True)
class Evidence(Record):
    """Why a client froze for good: the client message that proved two histories, by its hash (P20)."""

    message_hash: bytes  # SHA-256 over the message's type URL and bytes, as the transaction carries it
    frozen_at: int  # height on this ledger


@dataclass(frozen=True, slots=True)
class Settlement(Record):
    """How governance ended a packet that an equivocation left open (P14)."""

    commitment: bytes
    ending: str
    evidence: bytes  # SHA-256 of the Misbehaviour message
    first_header: bytes  # hashes of the two signed headers it cites
    second_header: bytes
    announced_at: int
    settled_at: int


@dataclass(frozen=True, slots=True)
class Grant(Record):
    """Permission for one remote endpoint to use an endpoint's inbox over one lane (P15)."""

    most_open: int


@dataclass(frozen=True, slots=True)
class Entry(Record):
    """An open inbox entry. The packet's bytes are in the block; here are its hash and deadline."""

    FORMAT = 2  # 1 had no index
    endpoint: EndpointId
    lane_id: LaneId
    sender: EndpointId
    commitment: bytes
    deadline: UnixNanos
    received_height: int
    index: int  # which payload of the packet addresses the endpoint (P2)


@dataclass(frozen=True, slots=True)
class Reason(Record):
    """Why a packet was refused (P3): bound to the packet by its commitment."""

    commitment: bytes
    code_text: str
    detail: bytes  # sealed to the sender, or empty


@dataclass(frozen=True, slots=True)
class OpenMessage(Record):
    """The packet an open message id travels in (P17)."""

    client: str
    sequence: int


@dataclass(frozen=True, slots=True)
class MessageId(Record):
    """The message id an open packet of ours carries."""

    endpoint: bytes
    fence: int
    counter: int


@dataclass(frozen=True, slots=True)
class Scheduled(Record):
    """An announced governance action waiting for its height (P16)."""

    action: str
    arguments: bytes  # CBOR map
    announced_at: int
    announced_by: str
