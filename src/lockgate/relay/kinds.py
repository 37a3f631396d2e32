"""Kinds of light clients that a relayer brings forward: one entry each.

An entry says how a client's states are read and who brings it to a new height of the ledger it follows. An
updater that needs more than that ledger, such as attestors, is given to the `EndPoint` by whoever assembles it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from lockgate.courier.ports import Chain, Ground, TrackedClient, Updater
from lockgate.lightclients.attested import states as attested
from lockgate.lightclients.composite import states as composite
from lockgate.lightclients.ethereum import states as ethereum
from lockgate.lightclients.tendermint import CLIENT_TYPE
from lockgate.lightclients.tendermint import states as tendermint
from lockgate.primitives.errors import Refused
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.time import UnixNanos
from lockgate.relay.updaters.attested import AttestedUpdater
from lockgate.relay.updaters.composite import CompositeUpdater
from lockgate.relay.updaters.ethereum import EthereumUpdater
from lockgate.relay.updaters.tendermint import TendermintUpdater


class OtherKind(Refused):
    code = "relay.client_kind"
    summary = "The client is not of a kind that this relayer brings forward."
    next_step = "Bring what it asks for with MsgUpdateClient; `lockgate client explain` says what that is."


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of client, as ledgers of ours and Cosmos chains keep it: states in an Any each."""

    client_type: str
    client_state: Callable[[bytes], Any]  # has chain_id, latest_height and trusting_period
    consensus_state: Callable[[bytes], Any]  # has timestamp
    updater: Callable[[Chain, Updater], Updater]  # of a chain, and of its clients of other kinds
    members: Callable[[Any], Sequence[ClientId]] = lambda _: ()  # clients that one in this state rests on
    place: Callable[[Any, Any], Height] = lambda state, _: state.latest_height  # on the chain, as its `Chain` counts

    def tracked(
        self, client_id: ClientId, status: str, state: Any, consensus: bytes, members: Sequence[TrackedClient] = ()
    ) -> TrackedClient:
        """A client as the planner and its updater see it; `state` is what `client_state` read."""
        read = self.consensus_state(consensus)
        return TrackedClient(
            client_id=client_id,
            kind=self.client_type,
            status=status,
            chain_id=state.chain_id,
            latest=self.place(state, read),
            latest_time=read.timestamp,
            trusting_period=state.trusting_period,
            state=state,
            consensus=read,
            members=tuple(members),
        )


def members_of(state: composite.ClientState) -> list[ClientId]:
    """The clients that a composite's rule joins."""
    return [member.client for member in state.rule.members()]


KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        kind.client_type: kind
        for kind in (
            Kind(
                CLIENT_TYPE,
                tendermint.decode_client_state,
                tendermint.decode_consensus_state,
                TendermintUpdater.of,
            ),
            Kind(
                attested.CLIENT_TYPE, attested.decode_client_state, attested.decode_consensus_state, AttestedUpdater.of
            ),
            Kind(
                composite.CLIENT_TYPE,
                composite.decode_client_state,
                composite.decode_consensus_state,
                CompositeUpdater,
                members_of,
            ),
            Kind(
                ethereum.CLIENT_TYPE,
                ethereum.decode_client_state,
                ethereum.decode_consensus_state,
                EthereumUpdater.of,
                place=lambda state, known: Height(state.latest_height.revision, known.number),
            ),
        )
    }
)


class Updaters:
    """The updaters of all kinds of clients that follow one ledger, each made when it is first needed.

    Meets `courier.ports.Updater` for any of them. `given` are those that need more than the ledger.
    """

    def __init__(self, chain: Chain, given: Mapping[str, Updater] = MappingProxyType({})) -> None:
        self._chain = chain
        self._by_kind = dict(given)

    async def reach(self, tracked: TrackedClient, target: Height, now: UnixNanos, /) -> Ground:
        """As `Updater.reach`. Raises OtherKind."""
        return await self._of(tracked).reach(tracked, target, now)

    def counts(self) -> dict[str, int]:
        return {name: count for each in self._by_kind.values() for name, count in each.counts().items()}

    def given(self, kind: str) -> Updater | None:
        """The updater of a kind, where it is there already."""
        return self._by_kind.get(kind)

    def health(self) -> dict[str, object] | None:
        found: dict[str, object] = {
            kind: health for kind, each in self._by_kind.items() if (health := each.health()) is not None
        }
        return found or None

    def _of(self, tracked: TrackedClient) -> Updater:
        known = self._by_kind.get(tracked.kind)
        if known is None:
            kind = KINDS.get(tracked.kind)
            if kind is None:
                raise OtherKind(client=tracked.client_id, kind=tracked.kind)
            known = self._by_kind[tracked.kind] = kind.updater(self._chain, self)
        return known


def follows_headers(client: str) -> bool:
    """Whether a client's id says that it is updated by signed headers."""
    return client.rpartition("-")[0] == CLIENT_TYPE


def kind_of(client: str) -> Kind:
    """The kind that a client's id names. Raises OtherKind."""
    kind = KINDS.get(client.rpartition("-")[0])
    if kind is None:
        raise OtherKind(client=client)
    return kind


__all__ = ("KINDS", "Kind", "OtherKind", "Updaters", "follows_headers", "kind_of")
