"""What every kind of client answers alike that keeps its states in a `ClientStore`.

A kind says where its store is, what its standing is beyond that of the store, and what verifies its proofs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, NamedTuple, Protocol, TypeVar

from lockgate.lightclients.standing import ACTIVE, FROZEN, UNKNOWN, Dated, SubstituteUnusable, standing
from lockgate.lightclients.store import ClientStore, Freezable
from lockgate.lightclients.subject import Triple
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.state import Outcome, View, fact
from lockgate.primitives.time import UnixNanos


class Rooted(Dated, Protocol):
    """A consensus state that names the root of a ledger's state."""

    @property
    def root(self) -> bytes: ...


class ProofsAtHeight(Protocol):
    """Verifies proofs at one height of one client."""

    def membership(self, proof: bytes, path: tuple[bytes, ...], value: bytes, /) -> None: ...

    def non_membership(self, proof: bytes, path: tuple[bytes, ...], /) -> None: ...


C = TypeVar("C", bound=Freezable)
S = TypeVar("S", bound=Rooted)
P = TypeVar("P", bound=ProofsAtHeight)


class Recovery(NamedTuple, Generic[C, S]):
    """A client that is not active, and the active one that is to stand in for it."""

    old: ClientStore[C, S]
    new: ClientStore[C, S]
    state: C
    other: C
    caught: bool  # it is frozen, not only expired

    def take_over(self) -> Outcome:
        """Give the client the other's newest states. Raises SubstituteUnusable unless those are newer.

        Whoever had its ledger say two things may have had it say more: of one that was caught nothing else is kept.
        """
        height = self.other.latest_height
        if height <= self.state.latest_height:
            raise SubstituteUnusable("not newer", subject=self.state.latest_height, substitute=height)
        outcome = Outcome()
        if self.caught:
            self.old.forget(outcome, self.state.latest_height)
        self.old.put_consensus_state(outcome, height, self.new.consensus_state(height), self.new.processed(height))
        self.old.put_client_state(outcome, self.other)
        return outcome


class StoredClient(ABC, Generic[C, S, P]):
    """Part of a client module; the rest of `machine.clients.MemberModule` is the kind's own."""

    __slots__ = ()

    @abstractmethod
    def _store(self, view: View, client_id: ClientId) -> ClientStore[C, S]: ...

    @abstractmethod
    def _proofs(self, view: View, client_id: ClientId, height: Height) -> P:
        """What verifies proofs at a height. Raises where none can be judged: frozen, ahead, not stored."""

    def _standing(self, view: View, store: ClientStore[C, S], state: C, now: UnixNanos, /) -> str:
        return standing(store, state, now)

    def status(self, view: View, client_id: ClientId, now: UnixNanos, /) -> str:
        """Return "Active", "Frozen", "Expired", or "Unknown" for a client that does not exist."""
        store = self._store(view, client_id)
        state = store.find_client_state()
        return UNKNOWN if state is None else self._standing(view, store, state, now)

    def latest_height(self, view: View, client_id: ClientId, /) -> Height:
        """Return the newest height, 0-0 for a client that does not exist."""
        state = self._store(view, client_id).find_client_state()
        return Height(0, 0) if state is None else state.latest_height

    def timestamp_at(self, view: View, client_id: ClientId, height: Height, /) -> UnixNanos:
        """Return the time of the consensus state at `height`. Raises `ConsensusStateMissing`."""
        return self._store(view, client_id).consensus_state(height).timestamp

    def proofs_at(self, view: View, client_id: ClientId, height: Height, /) -> P:
        """Return what verifies proofs at a height of an unfrozen client."""
        return fact(view, self._proofs, client_id, height)

    def verify_membership(
        self,
        view: View,
        client_id: ClientId,
        height: Height,
        proof: bytes,
        path: tuple[bytes, ...],
        value: bytes,
        /,
    ) -> None:
        """Require that the client's ledger held `value` under `path` at `height`."""
        self.proofs_at(view, client_id, height).membership(proof, path, value)

    def verify_non_membership(
        self, view: View, client_id: ClientId, height: Height, proof: bytes, path: tuple[bytes, ...], /
    ) -> None:
        """Require that the client's ledger held nothing under `path` at `height`."""
        self.proofs_at(view, client_id, height).non_membership(proof, path)

    def rests_on(self, view: View, client_id: ClientId, /) -> tuple[ClientId, ...]:
        """The clients that this one compares: a single kind has none (P21)."""
        return ()

    def triple_at(self, view: View, client_id: ClientId, height: Height, /) -> Triple | None:
        """What the client holds of a height, if anything (P21)."""
        found = self._store(view, client_id).find_consensus_state(height)
        return None if found is None else Triple(height, found.timestamp, found.root)

    def _recovery(self, view: View, subject: ClientId, substitute: ClientId, now: UnixNanos) -> Recovery[C, S]:
        """Raises SubstituteUnusable unless the one is not active and the other is."""
        old, new = self._store(view, subject), self._store(view, substitute)
        state = old.client_state()
        found = self._standing(view, old, state, now)
        if found == ACTIVE:
            raise SubstituteUnusable("the subject is active", subject=subject)
        other = new.client_state()
        if self._standing(view, new, other, now) != ACTIVE:
            raise SubstituteUnusable("the substitute is not active", substitute=substitute)
        return Recovery(old, new, state, other, found == FROZEN)


__all__ = ("ProofsAtHeight", "Recovery", "Rooted", "StoredClient")
