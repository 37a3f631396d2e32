"""A beacon node in small: what it tells light clients of a chain, and the hand that makes an EVM node's blocks its own.

`BeaconNode` picks what a node would serve: headers that a later block's committee has signed, the best update of each
period, bootstraps of final blocks. `EvmSlots` and `FinalityTags` are what the engine API is between a beacon node and
an EVM's: each slot has one block of the EVM, dated by the slot, or none, and the EVM's node knows what is final. A
block that anything else has made is found by its parent.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from lockgate.lab.beacon import Beacon
from lockgate.lab.beacon_blocks import NotThisBlock, execution_header
from lockgate.lightclients.ethereum import Bootstrap, LightHeader, Network, Update
from lockgate.lightclients.ethereum.containers import NO_HEADER
from lockgate.relay.chains.evm.history import TAGS
from lockgate.relay.chains.evm.node import Call, EvmCalls, ask, ask_all

RAW: Final = "eth_getRawTransactionByHash"


@dataclass
class BeaconNode:
    """Meets `beacon_rest.Light`. `participants`: how many of each committee sign."""

    beacon: Beacon
    participants: int | None = None
    _signed: dict[tuple[int, int | None], Update] = field(default_factory=dict)

    @property
    def network(self) -> Network:
        return self.beacon.network

    @property
    def attested(self) -> list[int]:
        """Slots of blocks that a later one carries signatures of."""
        return sorted(self.beacon.blocks)[:-1]

    def bootstrap(self, root: bytes, /) -> Bootstrap | None:
        """Of a block that is final, by its root."""
        newest = self.finality_update()
        final = -1 if newest is None else newest.finalized_header.beacon.slot
        for slot, block in self.beacon.blocks.items():
            if slot <= final and block.header.beacon.root == root:
                return self.beacon.bootstrap(slot)
        return None

    def best_update(self, period: int, /) -> Update | None:
        """The first whose finalized header is of the period as well; else the first with finality, else the first."""
        network = self.network
        signed = self.beacon.blocks
        slots = [slot for slot in self.attested if network.period(slot) == network.period(self._signer(slot)) == period]
        final = [slot for slot in slots if signed[slot].finalized != NO_HEADER]
        within = [slot for slot in final if network.period(signed[slot].finalized.beacon.slot) == period]
        best = next(iter((*within, *final, *slots)), None)
        return None if best is None else self._update(best)

    def finality_update(self) -> Update | None:
        update = self.optimistic()
        return None if update is None or update.finalized_header == NO_HEADER else update

    def optimistic_update(self) -> Update | None:
        update = self.optimistic()
        return None if update is None else replace(update, finalized_header=NO_HEADER, finality_branch=())

    def optimistic(self) -> Update | None:
        """The newest header that was signed, with what it sees as final, and without committees."""
        attested = self.attested
        if not attested:
            return None
        update = self._update(attested[-1])
        return replace(update, next_sync_committee=None, next_sync_committee_branch=())

    def _signer(self, slot: int) -> int:
        """The slot of the block that carries the signatures of a slot's block."""
        slots = sorted(self.beacon.blocks)
        return slots[bisect_right(slots, slot)]

    def _update(self, slot: int) -> Update:
        key = slot, self.participants
        if key not in self._signed:
            made = self.beacon.update(slot, signature_slot=self._signer(slot), participants=self.participants)
            self._signed[key] = made
        return self._signed[key]


@dataclass
class EvmSlots:
    """Has an EVM node make the blocks of a beacon chain. The node must not make any by itself."""

    node: EvmCalls
    beacon: Beacon
    slot: int = 0  # the last one
    parent: bytes = b""  # hash of its block

    async def advance(self, *, empty: int = 0) -> LightHeader:
        """Let `empty` slots pass, and make the block of the next one. Raises NotThisBlock."""
        self.slot += 1 + empty
        time = self.time
        await ask_all(self.node, [("evm_setNextBlockTimestamp", [time]), ("evm_mine", [])])
        block = await ask(self.node, "eth_getBlockByNumber", "latest", True)
        hashes = [each["hash"] for each in block["transactions"]]
        raw = await ask_all(self.node, [(RAW, [each]) for each in hashes]) if hashes else []
        header = execution_header(block, [bytes.fromhex(each.removeprefix("0x")) for each in raw])
        if header.timestamp != time or self.parent not in (b"", header.parent_hash):
            raise NotThisBlock("the node made blocks of its own", number=header.block_number)
        self.parent = header.block_hash
        return self.beacon.propose(self.slot, header)

    @property
    def time(self) -> int:
        """Of the last slot, in seconds."""
        return self.beacon.network.genesis_time + self.slot * self.beacon.network.seconds_per_slot


class FinalityTags:
    """Meets `EvmCalls`: a node that has been told what the beacon chain made final, as the engine API tells it."""

    def __init__(self, node: EvmCalls, beacon: BeaconNode) -> None:
        self._node = node
        self._beacon = beacon

    async def many(self, calls: Sequence[Call], /) -> list[Any]:
        return await self._node.many([(method, [self._named(each) for each in params]) for method, params in calls])

    async def close(self) -> None:
        await self._node.close()

    def _named(self, parameter: Any) -> Any:
        if parameter not in TAGS:
            return parameter
        newest = self._beacon.finality_update()
        return hex(0 if newest is None else newest.finalized_header.execution.block_number)


__all__ = ("BeaconNode", "EvmSlots", "FinalityTags")
