"""What a life cycle costs on a ledger that has been in use, and what finished packets leave behind.

    python -m bench.growth [--keys N ...] [--packets N]

Cost: microseconds of processor time per packet at batch 50, on two ledgers whose packet store already holds N
keys, receipts and acknowledgements of another client; the sizes are measured in turns, so that a slow phase
of the machine meets them all (reach: the largest within 1.25 of the smallest).

Left behind: after 100,000 packets, the tree nodes of the newest state on both ledgers, per packet and before any
pruning of packets (I15: at most 1.5 KB), beside what the blocks themselves take.
"""

from __future__ import annotations

import argparse
import sys
import time
from itertools import chain
from typing import Any

from bench.cycle import Pair, Split
from bench.report import full_or, keep, machine, shown, spread
from lockgate.engines.embedded.ports import BlockStore
from lockgate.ibc import host
from lockgate.machine import keys
from lockgate.merkle.multistore import MultiStore
from lockgate.node import collector
from lockgate.primitives.state import Writes
from lockgate.storage.blocks import MemoryBlocks
from lockgate.storage.memory import MemoryNodes

BATCH = 50
TURNS = full_or(9, 2)
SIZES = full_or((1_000, 10_000, 100_000, 1_000_000), (1_000, 10_000))
PACKETS = full_or(100_000, 5_000)
LEFT_BATCH = 250
KEPT_CLIENT = "07-tendermint-77"  # its packets ended long ago
ROW_BYTES = 8  # the number of a node, its key in a node store


def filled(size: int) -> Pair:
    """Two ledgers with `size` more keys in the packet store."""
    pair = Pair.make()
    writes: Writes = {}
    for sequence in range(1, size // 2 + 1):
        value = sequence.to_bytes(32, "big")
        writes[host.STORE, host.packet_receipt(KEPT_CLIENT, sequence)] = b"\x02"
        writes[host.STORE, host.packet_acknowledgement(KEPT_CLIENT, sequence)] = value
    for end in (pair.a, pair.b):
        end.ledger.chain.state.apply(writes)  # becomes part of the block that follows
        end.ledger.chain.produce([])
    return pair


def processor_us(pair: Pair) -> float:
    """Microseconds of processor time per packet of two life cycles."""
    start = time.process_time()
    for _ in range(2):
        pair.separate(BATCH, Split())
    taken = time.process_time() - start
    pair.prune()
    return taken / (2 * BATCH) * 1e6


def cost(sizes: list[int]) -> list[dict[str, Any]]:
    pairs = {size: filled(size) for size in sizes}
    collector.settle()
    times: dict[int, list[float]] = {size: [] for size in sizes}
    for turn in range(TURNS + 1):
        for size, pair in pairs.items():
            value = processor_us(pair)
            if turn:
                times[size].append(value)
    least = times[sizes[0]]
    return [
        {
            "keys": size,
            "us_per_packet": spread(values),
            "of_smallest": spread([value / small for value, small in zip(values, least, strict=True)]),
        }
        for size, values in times.items()
    ]


class KeptNodes(MemoryNodes):
    """A node store that can say how much it holds."""

    def held(self) -> tuple[int, int]:
        """Nodes, and bytes of them with their numbers."""
        return len(self._nodes), sum(map(len, self._nodes.values())) + ROW_BYTES * len(self._nodes)


def left_behind(packets: int) -> dict[str, Any]:
    nodes: list[KeptNodes] = []

    def stores(name: str) -> tuple[BlockStore, MultiStore]:
        nodes.append(KeptNodes())
        return MemoryBlocks(), MultiStore(keys.STORES, nodes[-1])

    pair = Pair.make(stores)
    ledgers = (pair.a.ledger, pair.b.ledger)
    heights = [ledger.height for ledger in ledgers]
    before = [node.held()[1] for node in nodes]
    for _ in range(packets // LEFT_BATCH):
        pair.separate(LEFT_BATCH, Split())
        pair.prune()
    for ledger in ledgers:
        ledger.chain.state.prune(ledger.height)
    history = 0
    for ledger, first in zip(ledgers, heights, strict=True):
        rows = (ledger.chain.store.block(height) for height in range(first + 1, ledger.height + 1))
        history += sum(len(row.block) + len(row.signed) + len(row.results) for row in rows if row is not None)
    after = [node.held()[1] for node in nodes]
    grown = [later - earlier for later, earlier in zip(after, before, strict=True)]
    return {
        "packets": packets,
        "state_bytes_per_packet": sum(grown) / packets,
        "state_bytes_per_packet_by_ledger": [one / packets for one in grown],
        "block_bytes_per_packet": history / packets,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--keys", type=int, nargs="+", default=SIZES)
    parser.add_argument("--packets", type=int, default=PACKETS)
    options = parser.parse_args()
    report: dict[str, Any] = {"machine": machine()}
    report["left"] = left = left_behind(options.packets)
    report["cost"] = cost(sorted(options.keys))
    rows = (
        f"| {row['keys']:,} | {shown(row['us_per_packet'], 0)} | {shown(row['of_smallest'])} |"
        for row in report["cost"]
    )
    table = chain(
        ("| keys on each ledger | µs of processor time per packet | of the smallest (≤ 1.25) |", "|---|---|---|"),
        rows,
        (
            "",
            f"{left['packets']:,} finished packets leave {left['state_bytes_per_packet']:.0f} bytes of state each "
            f"(≤ 1,500) on both ledgers together, before pruning, and {left['block_bytes_per_packet']:.0f} bytes of "
            "blocks, commits and results.",
        ),
    )
    keep("growth", report, list(table))
    return 0


if __name__ == "__main__":
    sys.exit(main())
