"""Which light client module answers for a client, and whether it may be used now.

Nothing is verified through a client that is not active: a frozen or expired one blocks receiving,
acknowledging and timing out alike. Source: ICS-02, ibc-go v11 02-client keeper.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from lockgate.ibc import host
from lockgate.ibc.errors import BadClientType, BadHostIdentifier, ClientNotActive
from lockgate.ibc.ports import ACTIVE, UNAUTHORIZED, ClientKind
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.state import View, fact
from lockgate.primitives.time import UnixNanos

ALL_CLIENTS: Final = ("*",)  # what a ledger allows: every type it has a module for


class ClientModules:
    """The light client modules a ledger runs, by client type. Immutable once built."""

    __slots__ = ("_by_type", "_by_url")

    def __init__(self, kinds: Iterable[ClientKind]) -> None:
        self._by_type = {kind.client_type: kind for kind in kinds}
        self._by_url = {kind.client_state_url: kind for kind in self._by_type.values()}

    def kind(self, view: View, client: str) -> ClientKind:
        """Return the kind of `client`. Raises BadHostIdentifier or BadClientType."""
        return self._of_type(host.client_type(client))

    def kind_of_states(self, view: View, client_state_url: str, consensus_state_url: str) -> ClientKind:
        """Return the kind whose states these are. Raises BadClientType when they are of no one kind."""
        kind = self._by_url.get(client_state_url)
        if kind is None or kind.consensus_state_url != consensus_state_url:
            raise BadClientType("no kind has these states", client=client_state_url, consensus=consensus_state_url)
        return kind

    def status(self, view: View, client: str, now: UnixNanos) -> str:
        """Return the client's status, "Unauthorized" when no module may answer for it."""
        try:
            kind = self.kind(view, client)
        except (BadHostIdentifier, BadClientType):
            return UNAUTHORIZED
        return kind.module.status(view, ClientId(client), now)

    def active(self, view: View, client: str, now: UnixNanos) -> ClientKind:
        """Return the kind of `client` if the client is active. Raises ClientNotActive."""
        return fact(view, self._active, client, now)

    def latest_height(self, view: View, client: str) -> Height:
        return fact(view, self._latest_height, client)

    def timestamp_at(self, view: View, client: str, height: Height) -> UnixNanos:
        """Return the time of a consensus state; unlike proofs, this needs no active client."""
        return fact(view, self._timestamp_at, client, height)

    def _active(self, view: View, client: str, now: UnixNanos) -> ClientKind:
        kind = self.kind(view, client)
        status = kind.module.status(view, ClientId(client), now)
        if status != ACTIVE:
            raise ClientNotActive("not active", client=client, status=status)
        return kind

    def _latest_height(self, view: View, client: str) -> Height:
        return self.kind(view, client).module.latest_height(view, ClientId(client))

    def _timestamp_at(self, view: View, client: str, height: Height) -> UnixNanos:
        return self.kind(view, client).module.timestamp_at(view, ClientId(client), height)

    def _of_type(self, client_type: str) -> ClientKind:
        kind = self._by_type.get(client_type)
        if kind is None:
            raise BadClientType("not on this ledger", client_type=client_type)
        return kind
