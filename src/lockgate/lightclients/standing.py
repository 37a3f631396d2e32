"""What every light client module refuses alike, and when a client is active, frozen or expired.

Modules add what is their own. Wire codes are those ibc-go v11 gives the same refusals.
Source: ICS-02; ibc-go 02-client errors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from lockgate.primitives.errors import PeerFault, Refused, Unavailable
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.state import Outcome
from lockgate.primitives.time import DurationNanos, UnixNanos

ACTIVE: Final = "Active"
FROZEN: Final = "Frozen"
EXPIRED: Final = "Expired"
UNKNOWN: Final = "Unknown"
CLIENT: Final = "client"
CORE: Final = "ibc"
Affords: TypeAlias = Callable[[int], bool]  # whether so many more signatures may be verified; asked right before


def whatever_it_takes(signatures: int) -> bool:
    """An `Affords` that sets no bound."""
    return True


class MalformedState(PeerFault):
    code = "lightclient.state_malformed"
    summary = "Bytes are not the client state, consensus state or message they claim to be."
    next_step = "Check the type URL and the encoding; do not retry these bytes."
    wire = (CLIENT, 10)


class ClientUnknown(Refused):
    code = "lightclient.client_unknown"
    summary = "There is no client of that id."
    next_step = "Check the client id."
    wire = (CLIENT, 4)


class ClientFrozen(Refused):
    code = "lightclient.client_frozen"
    summary = "The client is frozen: its ledger was caught with two histories."
    next_step = "See the evidence in the transaction that froze it; governance decides what follows."
    wire = (CLIENT, 29)


class ClientExpired(Refused):
    code = "lightclient.client_expired"
    summary = "The client's newest header is older than its trusting period."
    next_step = "Create a substitute client and recover this one by governance."
    wire = (CLIENT, 29)


class ConsensusStateMissing(Refused):
    code = "lightclient.consensus_state_missing"
    summary = "The client holds no consensus state at that height."
    next_step = "Update the client to exactly that height, or use one it holds."
    wire = (CLIENT, 7)


class HeightForgotten(Refused):
    code = "lightclient.height_forgotten"
    summary = "The client was frozen and recovered, and states of that height and below are still being deleted."
    next_step = "Update the client to a height above the one that it was frozen at."
    wire = (CLIENT, 7)


class ProofHeightAhead(Unavailable):
    code = "lightclient.proof_height_ahead"
    summary = "The proof is for a height above the client's newest header."
    next_step = "Update the client to the proof's height first."
    wire = (CORE, 9)


class RootUnset(Refused):
    code = "lightclient.root_unset"
    summary = "The state root is not 32 bytes, or is all zero: nothing can be proven against it."
    next_step = "Update the client to a later header and prove against that."
    wire = (CLIENT, 11)


class NotMisbehaviour(PeerFault):
    code = "lightclient.not_misbehaviour"
    summary = "The two headers do not contradict each other, or are not both valid."
    next_step = "Send two valid headers of one height that differ, or with times out of order."
    wire = (CLIENT, 13)


class SubstituteMismatch(Refused):
    code = "lightclient.substitute_mismatch"
    summary = "The substitute client differs from the subject in a parameter that must be equal."
    next_step = "Create a substitute that differs from the subject in chain id, heights and trusting period only."
    wire = (CLIENT, 27)


class SubstituteUnusable(Refused):
    code = "lightclient.substitute_unusable"
    summary = "Recovery needs a subject that is not active and an active, newer substitute."
    next_step = "Update the substitute, or leave an active subject as it is."
    wire = (CLIENT, 27)


@dataclass(frozen=True, slots=True)
class ClientUpdate:
    """What an update decided. After misbehaviour the outcome freezes the client and must be applied."""

    outcome: Outcome
    consensus_heights: tuple[Height, ...] = ()
    misbehaviour: bool = False


class Judged(Protocol):
    """What a client state of any kind says about its own standing."""

    @property
    def is_frozen(self) -> bool: ...

    @property
    def latest_height(self) -> Height: ...

    @property
    def trusting_period(self) -> DurationNanos: ...


class Dated(Protocol):
    """A consensus state of any kind."""

    @property
    def timestamp(self) -> UnixNanos: ...


class Dates(Protocol):
    """Where consensus states are found: a client's store."""

    @property
    def client_id(self) -> ClientId: ...

    def find_consensus_state(self, height: Height, /) -> Dated | None: ...


def is_past(time: UnixNanos, period: DurationNanos, now: UnixNanos) -> bool:
    """Tell whether `period` after `time` has come: at the very instant it has."""
    return time + period <= now


def standing(store: Dates, state: Judged, now: UnixNanos) -> str:
    """Return "Active", "Frozen" or "Expired": frozen comes first, and no newest state is an expired one."""
    if state.is_frozen:
        return FROZEN
    latest = store.find_consensus_state(state.latest_height)
    expired = latest is None or is_past(latest.timestamp, state.trusting_period, now)
    return EXPIRED if expired else ACTIVE


def require_active(store: Dates, state: Judged, now: UnixNanos) -> None:
    """Raise ClientFrozen or ClientExpired unless the client is active."""
    found = standing(store, state, now)
    if found == FROZEN:
        raise ClientFrozen(client_id=store.client_id)
    if found == EXPIRED:
        raise ClientExpired(client_id=store.client_id, latest_height=state.latest_height)


def require_readable(client_id: ClientId, state: Judged, height: Height) -> None:
    """Raise ClientFrozen or ProofHeightAhead where no proof can be judged."""
    if state.is_frozen:
        raise ClientFrozen(client_id=client_id)
    if state.latest_height < height:
        raise ProofHeightAhead(latest=state.latest_height, proof=height)


__all__ = (
    "ACTIVE",
    "CLIENT",
    "CORE",
    "EXPIRED",
    "FROZEN",
    "UNKNOWN",
    "Affords",
    "ClientExpired",
    "ClientFrozen",
    "ClientUnknown",
    "ClientUpdate",
    "ConsensusStateMissing",
    "Dated",
    "Dates",
    "HeightForgotten",
    "Judged",
    "MalformedState",
    "NotMisbehaviour",
    "ProofHeightAhead",
    "RootUnset",
    "SubstituteMismatch",
    "SubstituteUnusable",
    "is_past",
    "require_active",
    "require_readable",
    "standing",
    "whatever_it_takes",
)
