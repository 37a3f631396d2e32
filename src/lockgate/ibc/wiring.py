"""What the handlers are wired with: fixed when a ledger starts, the same on every node of it."""

from __future__ import annotations

from dataclasses import dataclass

from lockgate.ibc import host
from lockgate.ibc.modules import ClientModules
from lockgate.ibc.ports import Authority, Gate, Lanes
from lockgate.ibc.router import Router


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
