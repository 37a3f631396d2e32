"""A 07-tendermint client's part of the `ibc` store."""

from __future__ import annotations

from typing import TypeAlias

from lockgate.lightclients import store
from lockgate.lightclients.store import CLIENT_STATE, IBC_STORE, ITERATE, processed_now
from lockgate.lightclients.tendermint.states import ClientState, ConsensusState

ClientStore: TypeAlias = store.ClientStore[ClientState, ConsensusState]

__all__ = ("CLIENT_STATE", "IBC_STORE", "ITERATE", "ClientStore", "processed_now")
