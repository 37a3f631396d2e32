"""Growing a client by one verified height, and seeing that two histories were signed. Source: ibc-go update.go.

Whoever calls has verified what is to be stored; here only what is stored already is asked.
"""

from __future__ import annotations

from typing import Protocol, Self, TypeVar

from lockgate.lightclients.forms import is_root
from lockgate.lightclients.standing import ClientUpdate, Dated, HeightForgotten, RootUnset, is_past
from lockgate.lightclients.store import ClientStore, Freezable, processed_now
from lockgate.primitives.ids import Height
from lockgate.primitives.state import Outcome
from lockgate.primitives.time import UnixNanos


class Growing(Freezable, Protocol):
    """A client state that moves on to a newer height."""

    def moved_to(self, height: Height, /) -> Self: ...


class Rooted(Dated, Protocol):
    """A consensus state that proofs are made against."""

    @property
    def root(self) -> bytes: ...


C = TypeVar("C", bound=Growing)
S = TypeVar("S", bound=Rooted)


def contradicts(store: ClientStore[C, S], state: C, height: Height, fresh: S, floor: Height | None) -> bool:
    """Tell whether a verified consensus state proves two histories, given what the client has stored.

    Another consensus state at its height, or a time that is not strictly between its neighbours'.
    `floor` is a stored height below this one, if there is any.
    """
    stored = store.find_consensus_state(height)
    if stored is not None:
        return stored != fresh
    before: Height | None = state.latest_height
    after: Height | None = None
    if height < state.latest_height:  # the rare case: a gap is filled, and its edges must be found
        before = None if floor is None else store.previous_height(height, floor)
        after = store.next_height(height)
    previous = None if before is None else store.find_consensus_state(before)
    following = None if after is None else store.find_consensus_state(after)
    return (previous is not None and previous.timestamp >= fresh.timestamp) or (
        following is not None and following.timestamp <= fresh.timestamp
    )


def advance(
    store: ClientStore[C, S], state: C, height: Height, fresh: S, now: UnixNanos, own_height: Height
) -> ClientUpdate:
    """Store a verified consensus state, and drop the oldest one if it has expired. Raises RootUnset, HeightForgotten.

    A height that is stored already changes nothing. Heights below the latest are filled in: of two
    relayers that race, the slower one needs its header too.
    """
    outcome = Outcome()
    if store.has_forgotten(height):
        raise HeightForgotten(client_id=store.client_id, height=height)
    store.forget_on(outcome)
    oldest = store.oldest_height()
    if oldest is not None and _has_expired(store, state, oldest, now):
        store.delete_consensus_state(outcome, oldest)
    if store.find_consensus_state(height) is not None:
        return ClientUpdate(outcome, (height,))
    if not is_root(fresh.root):
        raise RootUnset(height=height, root=fresh.root)
    if height > state.latest_height:
        store.put_client_state(outcome, state.moved_to(height))
    store.put_consensus_state(outcome, height, fresh, processed_now(now, own_height))
    return ClientUpdate(outcome, (height,))


def _has_expired(store: ClientStore[C, S], state: C, height: Height, now: UnixNanos) -> bool:
    stored = store.find_consensus_state(height)
    return stored is None or is_past(stored.timestamp, state.trusting_period, now)


__all__ = ("Growing", "Rooted", "advance", "contradicts")
