"""What IBC core needs of others: light clients, applications, the ledger's gate, and lane terms.

Each reads a `View` and returns an `Outcome`, so that a sub-state can be dropped whole. A refusal of a
packet that should be acknowledged with the error sentinel is a value (`Rejected`); a raised error
fails the whole transaction and leaves the packet pending.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import ClassVar, Final, NamedTuple, Protocol

from lockgate.ibc.packet import FOREIGN_PAYLOADS, Packet, Payload
from lockgate.primitives.ids import ClientId, Hash32, Height
from lockgate.primitives.state import Block, Outcome, View
from lockgate.primitives.time import UnixNanos

ACTIVE: Final = "Active"
UNAUTHORIZED: Final = "Unauthorized"  # the client's type is not allowed on this ledger


class ClientUpdate(Protocol):
    """What a light client made of a header or of evidence."""

    @property
    def outcome(self) -> Outcome: ...

    @property
    def consensus_heights(self) -> tuple[Height, ...]:
        """Heights of the consensus states this update stored or found; empty after misbehaviour."""
        ...

    @property
    def misbehaviour(self) -> bool:
        """True when the message froze the client; the transaction must still commit."""
        ...


class Proofs(Protocol):
    """Verifies proofs at one height of one client, as long as nothing of the client changes."""

    def membership(self, proof: bytes, path: Sequence[bytes], value: bytes) -> None:
        """As `LightClient.verify_membership`."""
        ...


class LightClient(Protocol):
    """One type of light client. It keeps its state in the `ibc` store under `clients/{id}/`.

    Client and consensus states arrive as the bytes of the protobuf Any that carries them. Every
    method raises a typed error when it refuses. Source: ICS-02, ibc-go's LightClientModule.
    """

    def initialise(
        self,
        view: View,
        client_id: ClientId,
        client_state: bytes,
        consensus_state: bytes,
        now: UnixNanos,
        own_height: Height,
        /,
    ) -> Outcome: ...

    def status(self, view: View, client_id: ClientId, now: UnixNanos, /) -> str:
        """Return "Active", "Frozen", "Expired", or "Unknown" for a client that does not exist."""
        ...

    def latest_height(self, view: View, client_id: ClientId, /) -> Height:
        """Return the newest height, 0-0 for a client that does not exist."""
        ...

    def timestamp_at(self, view: View, client_id: ClientId, height: Height, /) -> UnixNanos:
        """Return the time of the consensus state at `height`; its absence is a refusal."""
        ...

    def update(
        self,
        view: View,
        client_id: ClientId,
        message: tuple[str, bytes],
        now: UnixNanos,
        own_height: Height,
        /,
    ) -> ClientUpdate:
        """Verify a header or misbehaviour, given as (type URL, value), and say what follows."""
        ...

    def proofs_at(self, view: View, client_id: ClientId, height: Height, /) -> Proofs:
        """Return what verifies the proofs of a batch; raises as `verify_membership` does before it reads a proof."""
        ...

    def verify_membership(
        self,
        view: View,
        client_id: ClientId,
        height: Height,
        proof: bytes,
        path: tuple[bytes, ...],
        value: bytes,
        /,
    ) -> None: ...

    def verify_non_membership(
        self, view: View, client_id: ClientId, height: Height, proof: bytes, path: tuple[bytes, ...], /
    ) -> None: ...

    def recover(
        self, view: View, subject: ClientId, substitute: ClientId, now: UnixNanos, own_height: Height, /
    ) -> Outcome: ...

    def upgrade(
        self,
        view: View,
        client_id: ClientId,
        client_state: bytes,
        consensus_state: bytes,
        proof_client: bytes,
        proof_consensus_state: bytes,
        now: UnixNanos,
        own_height: Height,
        /,
    ) -> Outcome: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientKind:
    """A light client module with the names it goes by."""

    client_type: str  # "07-tendermint"
    client_state_url: str  # type URL of its client state
    consensus_state_url: str
    module: LightClient


class Passage(NamedTuple):
    """A packet on its way through this ledger, as gates and applications see it."""

    packet: Packet
    commitment: Hash32
    account: str  # who signed: the sender on send, the relayer afterwards
    block: Block


class Call(NamedTuple):
    """One payload of a packet, handed to the application bound to its port."""

    passage: Passage
    index: int  # type: ignore[assignment]  # hides a method of tuples that nobody needs here

    @property
    def packet(self) -> Packet:
        return self.passage.packet

    @property
    def payload(self) -> Payload:
        return self.passage.packet.payloads[self.index]


@dataclass(frozen=True, slots=True)
class Accepted:
    """The payload was executed. `acknowledgement` is the application's own bytes, not empty."""

    acknowledgement: bytes
    outcome: Outcome = field(default_factory=Outcome)


@dataclass(frozen=True, slots=True)
class Rejected:
    """The packet is refused: the sentinel is written, and this reason goes beside it (P3)."""

    code: str
    detail: bytes = b""  # sealed for the sender, or empty


@dataclass(frozen=True, slots=True)
class Deferred:
    """The payload was taken and will be acknowledged later."""

    outcome: Outcome = field(default_factory=Outcome)


Reception = Accepted | Rejected | Deferred


class Application(Protocol):
    """What is bound to a port. Views it is given already show the packet's own state change (A15)."""

    def on_send(self, view: View, call: Call, /) -> Outcome:
        """Act on a packet being sent; raise to undo the send."""
        ...

    def on_receive(self, view: View, call: Call, /) -> Reception: ...

    def on_acknowledgement(self, view: View, call: Call, acknowledgement: bytes, /) -> Outcome:
        """Act on the payload's acknowledgement, or the sentinel; raise to leave the packet pending."""
        ...

    def on_timeout(self, view: View, call: Call, /) -> Outcome:
        """Act on the proven timeout; raise to leave the packet pending."""
        ...


@dataclass(frozen=True, slots=True)
class Passed:
    """The gate lets the packet through to its applications."""

    outcome: Outcome = field(default_factory=Outcome)


@dataclass(frozen=True, slots=True)
class Held:
    """The gate took the packet as a whole: no application runs before it is answered (P2)."""

    outcome: Outcome = field(default_factory=Outcome)


Admission = Passed | Held | Rejected


class Ending(Enum):
    """How a packet ended for its sender."""

    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    TIMED_OUT = "timed_out"


class Gate(Protocol):
    """The ledger's own rules in the packet path: lanes, grants, guards. Core has no way around it.

    What a gate writes on receive belongs to the packet's sub-state: a refusal by an application
    drops it. Raising fails the transaction.
    """

    def on_send(self, view: View, passage: Passage, /) -> Outcome: ...

    def on_receive(self, view: View, passage: Passage, /) -> Admission: ...

    def on_settled(self, view: View, passage: Passage, ending: Ending, /) -> Outcome: ...


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds on the lane over a client (P2, P4, I15)."""

    own: bool  # both ends are ours: acknowledgements start with the packet's commitment
    max_payloads: int
    forgotten_to: int = 0  # receipts of sequences up to this one were pruned; they count as received

    FOREIGN: ClassVar[Terms]


Terms.FOREIGN = Terms(own=False, max_payloads=FOREIGN_PAYLOADS)


class Lanes(Protocol):
    """Says what holds on the lane over a local client; `Terms.FOREIGN` where there is none."""

    def terms(self, view: View, client_id: ClientId, /) -> Terms: ...


class Authority(Protocol):
    """Says whether an account may act for the ledger's governance."""

    def is_authority(self, view: View, account: str, /) -> bool: ...
