"""What the handlers are wired with: fixed when a ledger starts, the same on every node of it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import NamedTuple

from lockgate.ibc import host
from lockgate.ibc.counterparty import Counterparty, read_counterparty, read_relayers
from lockgate.ibc.errors import ClientHeightZero
from lockgate.ibc.modules import ClientModules
from lockgate.ibc.ports import ACTIVE, Authority, Gate, Lanes, LightClient
from lockgate.ibc.router import Router
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.ids import ClientId
from lockgate.primitives.state import View, fact
from lockgate.primitives.time import UnixNanos, UnixSeconds, floor_seconds


class Route(NamedTuple):
    """What every packet over one client asks, found once for a whole batch.

    A part that is None is missing or was refused: the handler then asks for it alone, at its own place in
    the order of checks, and gets the refusal.
    """

    counterparty: Counterparty | None
    allowed: tuple[str, ...]  # accounts that may relay; empty means anyone
    module: LightClient | None  # of a client that is active now


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """Light clients, applications and the ledger's own rules.

    `gate` has no default: a ledger that wants none says so by passing one that lets all through.
    `held_store` is where packets wait for their acknowledgement: ibc-go keeps them beside the proven
    keys; a ledger may name a store outside its tree, so that no body enters the tree (I4).
    """

    clients: ClientModules
    router: Router
    gate: Gate
    lanes: Lanes
    authority: Authority
    held_store: str = host.STORE

    def route(self, view: View, client: ClientId, now: UnixNanos) -> Route:
        """Return what holds over `client` at `now`. Raises nothing that a packet need not ask for."""
        return fact(view, self._route, client, now)

    def _route(self, view: View, client: ClientId, now: UnixNanos) -> Route:
        module = None
        with contextlib.suppress(LockgateError):  # whoever needs what is missing asks again and is told why
            kind = self.clients.kind(view, client)
            if kind.module.status(view, client, now) == ACTIVE:
                module = kind.module
        return Route(read_counterparty(view, client), read_relayers(view, client), module)

    def remote_time(self, view: View, client: ClientId, now: UnixNanos) -> UnixSeconds:
        """Return the other ledger's time as an active client knows it, rounded down.

        Raises ClientNotActive, ClientHeightZero.
        """
        return fact(view, self._remote_time, client, now)

    def _remote_time(self, view: View, client: ClientId, now: UnixNanos) -> UnixSeconds:
        self.clients.active(view, client, now)
        latest = self.clients.latest_height(view, client)
        if latest.is_zero:
            raise ClientHeightZero("no header yet", client=client)
        return floor_seconds(self.clients.timestamp_at(view, client, latest))
