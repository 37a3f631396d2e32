"""Where a 07-tendermint client keeps what: the keys and values of ibc-go v11, read through a `View`.

`clients/{id}/clientState`                              Any(ClientState)
`clients/{id}/consensusStates/{rev}-{height}`           Any(ConsensusState)
`…/processedTime`, `…/processedHeight`                  host time (u64be ns) and height (`rev-height`)
`clients/{id}/iterateConsensusStates` ‖ u64be ‖ u64be   the consensus state's key within the client

The last index has heights in number order, which the decimal keys are not. Source: digest §11.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from lockgate.lightclients.tendermint.errors import ClientUnknown, ConsensusStateMissing
from lockgate.lightclients.tendermint.memo import ClientMemo
from lockgate.lightclients.tendermint.states import (
    FROZEN_HEIGHT,
    ClientState,
    ConsensusState,
    encode_client_state,
    encode_consensus_state,
)
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.state import Outcome, View
from lockgate.primitives.time import UnixNanos

IBC_STORE: Final = "ibc"
CLIENT_STATE: Final = b"clientState"
ITERATE: Final = b"iterateConsensusStates"
_PROCESSED_TIME: Final = b"/processedTime"
_PROCESSED_HEIGHT: Final = b"/processedHeight"


class ClientStore:
    """One client's part of the `ibc` store. Reads from the view, writes into outcomes."""

    __slots__ = ("_memo", "_prefix", "_view", "client_id")

    def __init__(self, view: View, client_id: ClientId, memo: ClientMemo) -> None:
        self.client_id: Final = client_id
        self._view: Final = view
        self._memo: Final = memo
        self._prefix: Final = b"clients/" + client_id.encode() + b"/"

    def find_client_state(self) -> ClientState | None:
        raw = self._view.get(IBC_STORE, self._prefix + CLIENT_STATE)
        return None if raw is None else self._memo.client_state(raw)

    def client_state(self) -> ClientState:
        """Raises `ClientUnknown`."""
        state = self.find_client_state()
        if state is None:
            raise ClientUnknown(client_id=self.client_id)
        return state

    def find_consensus_state(self, height: Height) -> ConsensusState | None:
        raw = self._view.get(IBC_STORE, self._prefix + _consensus_key(height))
        return None if raw is None else self._memo.consensus_state(raw)

    def consensus_state(self, height: Height) -> ConsensusState:
        """Raises `ConsensusStateMissing`."""
        state = self.find_consensus_state(height)
        if state is None:
            raise ConsensusStateMissing(client_id=self.client_id, height=height)
        return state

    def oldest_height(self) -> Height | None:
        """Return the lowest height that has a consensus state."""
        start = self._prefix + ITERATE
        return self._first_height(start, start + b"\xff" * 17)

    def next_height(self, height: Height) -> Height | None:
        """Return the lowest stored height above `height`."""
        start = self._prefix + _iteration_key(height) + b"\x00"
        return self._first_height(start, self._prefix + ITERATE + b"\xff" * 17)

    def previous_height(self, height: Height, floor: Height) -> Height | None:
        """Return the highest stored height below `height` and not below `floor`, same revision.

        A view scans upwards only, and a client may hold very many heights. So the ranges looked
        through double in length going down; `floor`, a height known to be stored, ends the search.
        """
        high, reach = height.height, 1
        while high > floor.height:
            low = max(floor.height, high - reach)
            start = self._prefix + _iteration_key(Height(height.revision, low))
            end = self._prefix + _iteration_key(Height(height.revision, high))
            last = None
            for key, _ in self._view.scan(IBC_STORE, start, end):
                last = key
            if last is not None:
                return self._height_of(last)
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

    def put_client_state(self, outcome: Outcome, state: ClientState) -> None:
        outcome.set(IBC_STORE, self._prefix + CLIENT_STATE, encode_client_state(state))

    def put_consensus_state(
        self, outcome: Outcome, height: Height, state: ConsensusState, processed: tuple[bytes, bytes]
    ) -> None:
        """Store a consensus state with its metadata and its place in the index."""
        key = _consensus_key(height)
        outcome.set(IBC_STORE, self._prefix + key, encode_consensus_state(state))
        outcome.set(IBC_STORE, self._prefix + key + _PROCESSED_TIME, processed[0])
        outcome.set(IBC_STORE, self._prefix + key + _PROCESSED_HEIGHT, processed[1])
        outcome.set(IBC_STORE, self._prefix + _iteration_key(height), key)

    def delete_consensus_state(self, outcome: Outcome, height: Height) -> None:
        key = self._prefix + _consensus_key(height)
        outcome.delete(IBC_STORE, key)
        outcome.delete(IBC_STORE, key + _PROCESSED_TIME)
        outcome.delete(IBC_STORE, key + _PROCESSED_HEIGHT)
        outcome.delete(IBC_STORE, self._prefix + _iteration_key(height))

    def freeze(self, state: ClientState) -> Outcome:
        """Return what stops the client for good, until governance recovers it."""
        outcome = Outcome()
        self.put_client_state(outcome, replace(state, frozen_height=FROZEN_HEIGHT))
        return outcome

    def _first_height(self, start: bytes, end: bytes) -> Height | None:
        for key, _ in self._view.scan(IBC_STORE, start, end):
            return self._height_of(key)
        return None

    def _height_of(self, iteration_key: bytes) -> Height:
        return Height(int.from_bytes(iteration_key[-16:-8], "big"), int.from_bytes(iteration_key[-8:], "big"))


def processed_now(now: UnixNanos, own_height: Height) -> tuple[bytes, bytes]:
    """Return the metadata of a consensus state stored at this block of the host's ledger."""
    return now.to_bytes(8, "big"), str(own_height).encode()


def _consensus_key(height: Height) -> bytes:
    return b"consensusStates/%d-%d" % (height.revision, height.height)


def _iteration_key(height: Height) -> bytes:
    return ITERATE + height.revision.to_bytes(8, "big") + height.height.to_bytes(8, "big")


__all__ = ("CLIENT_STATE", "IBC_STORE", "ITERATE", "ClientStore", "processed_now")
