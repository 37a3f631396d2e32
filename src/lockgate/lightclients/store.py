"""One client's part of the `ibc` store, laid out as ibc-go does, whatever the client's kind.

    clients/{id}/clientState                              -> Any
    clients/{id}/consensusStates/{height}                 -> Any
    clients/{id}/consensusStates/{height}/processedTime   -> u64 ns     height, time of the host's block
    clients/{id}/consensusStates/{height}/processedHeight -> "r-h"      that stored the state
    clients/{id}/iterateConsensusStates ‖ u64be ‖ u64be -> its key    heights in number order, which keys are not
    clients/{id}/forgotten -> u64be ‖ u64be    height up to which nothing counts; there while some of it is still stored

A kind brings its own forms of the two states (`Forms`). Source: ibc-go 07-tendermint store.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final, Generic, Protocol, Self, TypeVar

from lockgate.lightclients.standing import ClientUnknown, ConsensusStateMissing, Dated, Judged
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.state import Outcome, View
from lockgate.primitives.time import UnixNanos


class Freezable(Judged, Protocol):
    """A client state that can say of itself that its ledger was caught."""

    def frozen(self) -> Self: ...


C = TypeVar("C", bound=Freezable)
S = TypeVar("S", bound=Dated)


class Forms(Protocol[C, S]):
    """The stored bytes of one kind's states: each the Any that carries it."""

    def client_state(self, raw: bytes, /) -> C: ...

    def consensus_state(self, raw: bytes, /) -> S: ...

    def encode_client_state(self, state: C, /) -> bytes: ...

    def encode_consensus_state(self, state: S, /) -> bytes: ...


IBC_STORE: Final = "ibc"
CLIENT_STATE: Final = b"clientState"
ITERATE: Final = b"iterateConsensusStates"
FORGOTTEN: Final = b"forgotten"
FORGET_AT_ONCE: Final = 1_024  # heights that a recovery deletes: four keys each, a third of a run of pruned packets
FORGET_WITH_UPDATE: Final = 8  # heights that an update deletes beside its own: a small part of what it pays for
_PROCESSED_TIME: Final = b"/processedTime"
_PROCESSED_HEIGHT: Final = b"/processedHeight"


class ClientStore(Generic[C, S]):
    """One client's part of the `ibc` store. Reads from the view, writes into outcomes."""

    __slots__ = ("_forms", "_prefix", "_view", "client_id")

    def __init__(self, view: View, client_id: ClientId, forms: Forms[C, S]) -> None:
        self.client_id: Final = client_id
        self._view: Final = view
        self._forms: Final = forms
        self._prefix: Final = b"clients/" + client_id.encode() + b"/"

    def find_client_state(self) -> C | None:
        raw = self._view.get(IBC_STORE, self._prefix + CLIENT_STATE)
        return None if raw is None else self._forms.client_state(raw)

    def client_state(self) -> C:
        """Raises `ClientUnknown`."""
        state = self.find_client_state()
        if state is None:
            raise ClientUnknown(client_id=self.client_id)
        return state

    def find_consensus_state(self, height: Height) -> S | None:
        if self.has_forgotten(height):
            return None
        raw = self._view.get(IBC_STORE, self._prefix + _consensus_key(height))
        return None if raw is None else self._forms.consensus_state(raw)

    def consensus_state(self, height: Height) -> S:
        """Raises `ConsensusStateMissing`."""
        state = self.find_consensus_state(height)
        if state is None:
            raise ConsensusStateMissing(client_id=self.client_id, height=height)
        return state

    def oldest_height(self) -> Height | None:
        """Return the lowest height that has a consensus state."""
        bound = self._forgotten()
        start = self._prefix + (ITERATE if bound is None else _iteration_key(bound) + b"\x00")
        return self._first_height(start, self._prefix + ITERATE + b"\xff" * 17)

    def next_height(self, height: Height) -> Height | None:
        """Return the lowest stored height above `height`."""
        bound = self._forgotten()
        above = height if bound is None else max(height, bound)
        start = self._prefix + _iteration_key(above) + b"\x00"
        return self._first_height(start, self._prefix + ITERATE + b"\xff" * 17)

    def previous_height(self, height: Height, floor: Height) -> Height | None:
        """Return the highest stored height below `height` and not below `floor`, same revision.

        A view scans upwards only, and a client may hold very many heights; so a range is only ever asked for its
        first. The ranges looked at double in length going down; the one that holds any is halved until its last is
        found. `floor`, a height known to be stored, ends the search.
        """
        high, reach = height.height, 1
        while high > floor.height:
            low = max(floor.height, high - reach)
            found = self._first_between(height.revision, low, high)
            if found is not None:
                return self._last_below(found, high)
            high, reach = low, reach * 2
        return None

    def processed(self, height: Height) -> tuple[bytes, bytes]:
        """Return the stored processedTime and processedHeight values. Raises `ConsensusStateMissing`."""
        key = self._prefix + _consensus_key(height)
        time = self._view.get(IBC_STORE, key + _PROCESSED_TIME)
        at_height = self._view.get(IBC_STORE, key + _PROCESSED_HEIGHT)
        if time is None or at_height is None:
            raise ConsensusStateMissing("no metadata", client_id=self.client_id, height=height)
        return time, at_height

    def put_client_state(self, outcome: Outcome, state: C) -> None:
        outcome.set(IBC_STORE, self._prefix + CLIENT_STATE, self._forms.encode_client_state(state))

    def put_consensus_state(self, outcome: Outcome, height: Height, state: S, processed: tuple[bytes, bytes]) -> None:
        """Store a consensus state with its metadata and its place in the index."""
        key = _consensus_key(height)
        outcome.set(IBC_STORE, self._prefix + key, self._forms.encode_consensus_state(state))
        outcome.set(IBC_STORE, self._prefix + key + _PROCESSED_TIME, processed[0])
        outcome.set(IBC_STORE, self._prefix + key + _PROCESSED_HEIGHT, processed[1])
        outcome.set(IBC_STORE, self._prefix + _iteration_key(height), key)

    def delete_consensus_state(self, outcome: Outcome, height: Height) -> None:
        key = self._prefix + _consensus_key(height)
        outcome.delete(IBC_STORE, key)
        outcome.delete(IBC_STORE, key + _PROCESSED_TIME)
        outcome.delete(IBC_STORE, key + _PROCESSED_HEIGHT)
        outcome.delete(IBC_STORE, self._prefix + _iteration_key(height))

    def forget(self, outcome: Outcome, newest: Height) -> None:
        """Drop every height up to the newest: of a ledger that was caught, nothing stored before is known to be true.

        A client holds the heights of one trusting period, which may be hundreds of thousands, and all validators
        would delete them in one block. So a bounded number goes at once, and a record makes the rest unreachable from
        now on; updates delete it little by little.
        """
        self._drop(outcome, newest, FORGET_AT_ONCE)

    def forget_on(self, outcome: Outcome) -> None:
        """Delete some more of what a recovery left."""
        bound = self._forgotten()
        if bound is not None:
            self._drop(outcome, bound, FORGET_WITH_UPDATE)

    def has_forgotten(self, height: Height) -> bool:
        """Whether a height counts no more, whatever is still stored of it."""
        bound = self._forgotten()
        return bound is not None and height <= bound

    def record(self, name: bytes) -> bytes | None:
        """Return what a kind keeps of its own under the client, by a name that is none of the above."""
        return self._view.get(IBC_STORE, self._prefix + name)

    def records(self, beginning: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield (name, value) of every record whose name begins so, ascending."""
        start = self._prefix + beginning
        for key, value in self._view.scan(IBC_STORE, start, start + b"\xff" * 9):
            yield key[len(self._prefix) :], value

    def put_record(self, outcome: Outcome, name: bytes, value: bytes) -> None:
        outcome.set(IBC_STORE, self._prefix + name, value)

    def delete_record(self, outcome: Outcome, name: bytes) -> None:
        outcome.delete(IBC_STORE, self._prefix + name)

    def freeze(self, state: C) -> Outcome:
        """Return what stops the client for good, until governance recovers it."""
        outcome = Outcome()
        self.put_client_state(outcome, state.frozen())
        return outcome

    def _forgotten(self) -> Height | None:
        raw = self._view.get(IBC_STORE, self._prefix + FORGOTTEN)
        return None if raw is None else _height_in(raw)

    def _drop(self, outcome: Outcome, bound: Height, most: int) -> None:
        """Delete up to so many heights, the oldest first, none above the bound, and note it while any is left."""
        start, end = self._prefix + ITERATE, self._prefix + _iteration_key(bound) + b"\x00"
        found = [_height_in(key) for key, _ in islice(self._view.scan(IBC_STORE, start, end), most + 1)]
        for height in found[:most]:
            self.delete_consensus_state(outcome, height)
        noted = self._forgotten()
        if len(found) > most and noted != bound:
            outcome.set(IBC_STORE, self._prefix + FORGOTTEN, _sortable(bound))
        elif len(found) <= most and noted is not None:
            outcome.delete(IBC_STORE, self._prefix + FORGOTTEN)

    def _last_below(self, found: Height, high: int) -> Height:
        """The highest stored height below `high`, of the revision of `found`, which is a stored one."""
        while found.height + 1 < high:
            middle = (found.height + 1 + high) // 2
            above = self._first_between(found.revision, middle, high)
            if above is None:
                high = middle
            else:
                found = above
        return found

    def _first_between(self, revision: int, low: int, high: int) -> Height | None:
        start = self._prefix + _iteration_key(Height(revision, low))
        return self._first_height(start, self._prefix + _iteration_key(Height(revision, high)))

    def _first_height(self, start: bytes, end: bytes) -> Height | None:
        for key, _ in self._view.scan(IBC_STORE, start, end):
            return _height_in(key)
        return None


def processed_now(now: UnixNanos, own_height: Height) -> tuple[bytes, bytes]:
    """Return the metadata of a consensus state stored at this block of the host's ledger."""
    return now.to_bytes(8, "big"), str(own_height).encode()


def _consensus_key(height: Height) -> bytes:
    return b"consensusStates/%d-%d" % (height.revision, height.height)


def _iteration_key(height: Height) -> bytes:
    return ITERATE + _sortable(height)


def _sortable(height: Height) -> bytes:
    return height.revision.to_bytes(8, "big") + height.height.to_bytes(8, "big")


def _height_in(raw: bytes) -> Height:
    """The height that a key of the index, or a record, ends with."""
    return Height(int.from_bytes(raw[-16:-8], "big"), int.from_bytes(raw[-8:], "big"))


__all__ = (
    "CLIENT_STATE",
    "FORGET_AT_ONCE",
    "FORGET_WITH_UPDATE",
    "FORGOTTEN",
    "IBC_STORE",
    "ITERATE",
    "ClientStore",
    "Forms",
    "Freezable",
    "processed_now",
)
