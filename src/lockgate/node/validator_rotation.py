"""A cluster's validators get their next keys, one after the other (S11).

For each the authority announces one change, the old key out and the new one in with its power. When the next block is
the new key's to sign, the process that runs the node ends it and starts it again with that key (`node.validator`): for
that moment one validator is away. A next key that waits in a node's folder is the memory of a round: one that stopped
on the way is finished by the next, and those that had followed are left alone.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from lockgate.machine import handover
from lockgate.machine.genesis import LedgerClass
from lockgate.machine.governance import VALIDATORS
from lockgate.node import cometbft, validator_keys
from lockgate.node.announced import carried_out, decided
from lockgate.node.cometbft import Node
from lockgate.node.folder import Folder
from lockgate.node.recover import Authority, operators
from lockgate.node.wallet import NotRotated, Rotated
from lockgate.primitives.errors import LockgateError, Unavailable
from lockgate.relay.rpc import Rpc, number

Say = Callable[[str], None]
SERVING_S: Final = 30.0  # for a node that starts anew
TAKES_S: Final = 120.0  # for one whose next key was decided: to its next block, and to its next start
POLL_S: Final = 0.2


class ValidatorAway(Unavailable):
    code = "cometbft.validator_away"
    summary = "A validator of the cluster does not answer, or has not caught up; another must not be away as well."
    untouched = "Nothing was announced for this validator and those after it; keys that had followed stay."
    next_step = "Start what is down (`lockgate net status` shows it), then give the same command again."


async def rotate(folder: Folder, name: str, say: Say) -> list[Rotated]:
    """Every validator of this folder follows itself. Raises NotTheAuthority, ValidatorAway, NotRotated, SetupFailed."""
    async with operators(folder, [name]) as accesses:
        by = await Authority.of(folder, accesses[name])
        powers = await _powers(by)
        nodes = cometbft.nodes_of(folder, name)
        voting = [node for node in nodes if powers.get(cometbft.public_key(node))]
        waiting = [node for node in nodes if validator_keys.following(node.home) is not None]
        if not waiting:
            waiting = voting
            for node in waiting:
                validator_keys.prepare(node.home)
        done = []
        for node in waiting:
            followed = await _follow(by, node, voting)
            if followed is not None:
                done.append(followed)
                say(f"validator {node.index} of {name} signs with its next key from block {followed.since}")
    return done


async def _follow(by: Authority, node: Node, voting: Sequence[Node]) -> Rotated | None:
    """One validator's turn; None where its node is no validator any more."""
    new = validator_keys.prepare(node.home)
    old, powers = cometbft.public_key(node), await _powers(by)
    if not powers.get(new.public_key):
        if old not in powers:
            validator_keys.drop(node.home)
            return None
        await asyncio.gather(*(_serves(each) for each in {*voting, node}))

        async def followed() -> bool:
            return bool((await _powers(by)).get(new.public_key))

        genesis = by.access.genesis
        if genesis.ledger_class is LedgerClass.BFT:
            changes = [[old, 0], [new.public_key, powers[old]]]
            await carried_out(by, VALIDATORS, {"changes": changes}, followed)
        else:
            signed = handover.possession_bytes(old, new.public_key, genesis.domain_id, genesis.revision)
            arguments = {"public_key": new.public_key, "possession": new.sign(signed)}
            await carried_out(by, handover.ROTATE, arguments, followed)
    since = (await decided(by.access.chain, by.access.genesis)).signs_from
    await _taken(node, new.public_key, since)
    return Rotated(by.access.name, node.index, since, since - 1)


async def _powers(by: Authority) -> Mapping[bytes, int]:
    return dict((await decided(by.access.chain, by.access.genesis)).members)


async def _serves(node: Node) -> None:
    """Wait until a node answers and plays no old blocks. Raises ValidatorAway."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SERVING_S), Rpc(node.address) as rpc:
            while True:
                with contextlib.suppress(LockgateError):
                    if not (await rpc.call("status"))["sync_info"]["catching_up"]:
                        return
                await asyncio.sleep(POLL_S)
    raise ValidatorAway(validator=node.index, waited_s=SERVING_S)


async def _taken(node: Node, key: bytes, since: int) -> None:
    """Wait until a node runs with its new key and has the first block which that key may sign. Raises NotRotated.

    However long the blocks up to there take, they are waited for as long as they come.
    """
    seen, clock = 0, asyncio.get_running_loop().time
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(TAKES_S) as wait, Rpc(node.address) as rpc:
            while True:
                with contextlib.suppress(LockgateError):
                    height = number((await rpc.call("status"))["sync_info"]["latest_block_height"])
                    if height >= since and cometbft.public_key(node) == key:
                        return
                    if seen < height <= since:
                        seen = height
                        wait.reschedule(clock() + TAKES_S)
                await asyncio.sleep(POLL_S)
    raise NotRotated("its node did not take the new key up", validator=node.index, signs_from=since, waited_s=TAKES_S)


__all__ = ("ValidatorAway", "rotate")
