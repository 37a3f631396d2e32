"""What a ledger keeps of its past, and the pruning of the rest (I15).

Two things grow with age: versions of the trees, which answer queries and proofs of past heights, and
blocks with their results and index. Neither is needed to make the next block. Tree versions go by
number alone: whatever stands in the newest state is proven in the newest state. A block goes only when
nothing that is still open was written in it:

- a packet sent in it whose commitment stands: a relayer reads the packet there;
- a packet received in it that still waits for its answer: its host reads it there;
- an acknowledgement of an own lane that is not proven to have arrived (`lane.prune`).

Blocks are pruned in order, so one packet that stays open keeps every block after its own. Headers that
a lane opening may be compared with stay as well (`header_memory`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from lockgate.codec.wire import tendermint_pb2 as wire
from lockgate.engines.embedded.ports import BlockRow, BlockStore
from lockgate.engines.embedded.results import BlockResults
from lockgate.ibc import events, host
from lockgate.lightclients.cometbft import decoding
from lockgate.machine import inbox, lanes, pruning
from lockgate.machine.genesis import Parameters
from lockgate.merkle.multistore import MultiStore
from lockgate.primitives.errors import Refused
from lockgate.primitives.state import Event, View

LEAST_VERSIONS: Final = 100  # a relayer proves at the newest header but one; readers lag by a few blocks
LEAST_BLOCKS: Final = 1_000  # what a start verifies (I14)
EVERY: Final = 100  # blocks between two prunings
MAX_PRUNED: Final = 1_000  # blocks one pruning takes away: keeps it below a second


class TooFewKept(Refused):
    code = "ledger.retention"
    summary = "The ledger was told to keep less than it needs of its past."
    untouched = "The ledger did not start."
    next_step = "Keep at least 100 versions, and 0 (all) or at least header_memory, and 1,000, blocks."


@dataclass(frozen=True, slots=True)
class Retention:
    """How many versions of the trees and how many blocks stay. 0 blocks: all of them."""

    versions: int = 10_000  # half a day of heartbeats
    blocks: int = 0

    def check(self, parameters: Parameters) -> None:
        """Raise TooFewKept for a number below what the ledger itself needs."""
        if self.versions < LEAST_VERSIONS:
            raise TooFewKept("too few versions", keep=self.versions, least=LEAST_VERSIONS)
        least = max(parameters.header_memory, LEAST_BLOCKS)
        if self.blocks and self.blocks < least:
            raise TooFewKept("too few blocks", keep=self.blocks, least=least)


KEEP: Final = Retention()


@dataclass(frozen=True, slots=True)
class Pruned:
    """What one pruning took away: tree nodes, and blocks."""

    nodes: int
    blocks: int


def prune(store: BlockStore, state: MultiStore, view: View, height: int, keep: Retention) -> Pruned:
    """Take away what `keep` and the newest state leave unneeded, in one commit of its own."""
    with store.commit():
        nodes = state.prune(height - keep.versions + 1)
        blocks = 0
        if keep.blocks:
            first = store.base_height()
            for at in range(first, min(height - keep.blocks + 1, first + MAX_PRUNED)):
                row = store.block(at)
                if row is None or _needed(view, row):
                    break
                _remove(store, row)
                blocks += 1
    return Pruned(nodes, blocks)


def _remove(store: BlockStore, row: BlockRow) -> None:
    hashes = [hashlib.sha256(tx).digest() for tx in decoding.parse(wire.Block, row.block).data.txs]
    store.remove_block(row.height, hashes, BlockResults.from_bytes(row.results).stored(row.height)[1])


def _needed(view: View, row: BlockRow) -> bool:
    results = BlockResults.from_bytes(row.results)
    written = [*results.events, *(event for tx in results.transactions for event in tx.events)]
    return any(_open(view, event) for event in written)


def _open(view: View, event: Event) -> bool:
    """Is what this event tells still needed, by the newest state?"""
    if event.type not in {events.SEND_PACKET, events.RECV_PACKET, events.WRITE_ACKNOWLEDGEMENT}:
        return False
    sequence = int(event.get(events.SEQUENCE) or 0)
    source, destination = event.get(events.SOURCE_CLIENT) or "", event.get(events.DESTINATION_CLIENT) or ""
    if event.type == events.SEND_PACKET:
        return view.get(host.STORE, host.packet_commitment(source, sequence)) is not None
    if event.type == events.RECV_PACKET:
        return inbox.find(view, destination, sequence) is not None
    return lanes.lane_of(view, destination) is not None and sequence > pruning.watermark(view, destination)


__all__ = ("EVERY", "KEEP", "Pruned", "Retention", "TooFewKept", "prune")
