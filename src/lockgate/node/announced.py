"""What an authority announces, carried through to the block in which it comes due (P16)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from lockgate.machine import keys as stores
from lockgate.machine.genesis import Genesis
from lockgate.machine.validators import FIRST, ValidatorsRecord
from lockgate.node.patience import BLOCK_S
from lockgate.node.provision import SetupFailed
from lockgate.node.recover import Authority, due_of
from lockgate.node.wallet import NotRotated
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.rpc import b64


async def carried_out(
    by: Authority, action: str, arguments: dict[str, Any], followed: Callable[[], Awaitable[bool]]
) -> int:
    """Announce, and wait for what `followed` looks for at each block; returns the height.

    However long the announcement takes, it is waited for as long as blocks come. Where an attempt before had announced
    the same, that one comes due first, and this one is refused or dropped. Raises SetupFailed, NotRotated, NotYet.
    """
    chain = by.access.chain
    try:
        done = await by.announce(action, arguments)
    except SetupFailed:
        if not await followed():
            raise
        return (await chain.tip()).height.height
    due = due_of(done)
    at = done.height.height
    while not await followed():
        if at > due:
            raise NotRotated("the announced rotation was dropped when it came due", ledger=by.access.name, due=due)
        at = (await chain.header_at_least(at + 1, BLOCK_S)).height.height
    return min(at, due)


async def decided(chain: CometBftChain, genesis: Genesis) -> ValidatorsRecord:
    """The set of validators that was decided last, as the ledger's node says."""
    pointer = b64((await chain.query(f"/store/{stores.GOVERNANCE}/key", stores.NEWEST_VALIDATORS)).get("value"))
    if not pointer:
        return ValidatorsRecord(FIRST, tuple((each.public_key, each.power) for each in genesis.validators))
    answer = await chain.query(f"/store/{stores.GOVERNANCE}/key", stores.VALIDATORS_PREFIX + pointer)
    return ValidatorsRecord.from_bytes(b64(answer.get("value")))


__all__ = ("carried_out", "decided")
