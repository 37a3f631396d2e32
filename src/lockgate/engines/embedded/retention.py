"""What a ledger keeps of its past, and the pruning of the rest (I15).

Two things grow with age: versions of the trees, which answer queries and proofs of past heights, and
blocks with their results and index. Neither is needed to make the next block. Tree versions go by
number alone: whatever stands in the newest state is proven in the newest state. A block goes only when
nothing that is still open was written in it (`openness`). Blocks are pruned in order, so one packet that stays
open keeps every block after its own. Headers that a lane opening may be compared with stay as well
(`header_memory`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from lockgate.codec.wire import tendermint_pb2 as wire
from lockgate.engines.embedded.ports import BlockRow, BlockStore
from lockgate.engines.embedded.results import BlockResults
from lockgate.engines.shared.openness import open_since
from lockgate.lightclients.cometbft import decoding
from lockgate.machine.clients import Clients
from lockgate.machine.genesis import Parameters
from lockgate.merkle.multistore import MultiStore
from lockgate.primitives.errors import Refused
from lockgate.primitives.state import Block

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


def prune(store: BlockStore, state: MultiStore, clients: Clients, newest: Block, keep: Retention) -> Pruned:
    """Take away what `keep` and the state after the newest block leave unneeded, in one commit of its own."""
    height = newest.height.height
    with store.commit():
        nodes = state.prune(height - keep.versions + 1)
        blocks = 0
        if keep.blocks:
            first = store.base_height()
            bound = min(height - keep.blocks + 1, first + MAX_PRUNED)
            if bound > first:
                for written in open_since(state.view(height), clients, newest.time):
                    bound = min(bound, written)
                    if bound <= first:
                        break
            for at in range(first, bound):
                row = store.block(at)
                if row is None:
                    break
                _remove(store, row)
                blocks += 1
    return Pruned(nodes, blocks)


def _remove(store: BlockStore, row: BlockRow) -> None:
    hashes = [hashlib.sha256(tx).digest() for tx in decoding.parse(wire.Block, row.block).data.txs]
    store.remove_block(row.height, hashes, BlockResults.from_bytes(row.results).stored(row.height)[1])


__all__ = ("EVERY", "KEEP", "Pruned", "Retention", "TooFewKept", "prune")
