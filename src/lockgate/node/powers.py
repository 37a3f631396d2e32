"""Whose votes decide a cluster's next block: the power of each of its nodes, as a node tells it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from typing import Any

from lockgate.lightclients.cometbft.types import address_of
from lockgate.machine.genesis import Genesis
from lockgate.node.cometbft import Node, public_key
from lockgate.node.validator_keys import BadValidatorKey
from lockgate.primitives.errors import LockgateError
from lockgate.relay.rpc import Calls, number


async def powers_of(nodes: Sequence[Node], genesis: Genesis, ask: Iterable[Calls]) -> tuple[dict[int, int], int]:
    """Power by a node's number (0: it follows and does not vote), and the power of all validators, others' among them.

    The first of `ask` that answers is believed, since people alone are shown it; where none does, the genesis.
    """
    power = {address_of(each.public_key): each.power for each in genesis.validators}
    for rpc in ask:
        with contextlib.suppress(LockgateError, TimeoutError, LookupError, TypeError, ValueError):
            rows: list[dict[str, Any]] = (await rpc.call("validators", per_page="100"))["validators"]
            power = {bytes.fromhex(row["address"]): number(row["voting_power"]) for row in rows}
            break
    own: dict[int, int] = {}
    for node in nodes:
        own[node.index] = 0
        with contextlib.suppress(BadValidatorKey):
            own[node.index] = power.get(address_of(public_key(node)), 0)
    return own, sum(power.values())


__all__ = ("powers_of",)
