"""The life cycle on a disk: one SQLite file a ledger, one commit a block, beside an fsync probe of the same minute.

    python -m bench.durable [FOLDER]        default: a temporary folder beside the results

Each turn probes the disk, runs a round in memory, one with `synchronous=NORMAL` and one with `FULL`. What must
hold: the FULL time is at most the time in memory plus blocks × 1.5 × the probe; NORMAL keeps 70 % of
the rate in memory. What validators have signed is kept in memory on all three sides: the row measures the
block store. A node syncs that file too, before a vote leaves it.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.cycle import Pair, Stores, measure
from bench.report import RESULTS, full_or, keep, machine, shown, spread
from lockgate.engines.embedded.ports import BlockStore
from lockgate.machine import keys
from lockgate.merkle.multistore import MultiStore
from lockgate.node import collector
from lockgate.storage.ledger import LedgerStore
from lockgate.storage.nodes import SqliteNodes

BATCHES = (1, 50)
TURNS = full_or(5, 2)
PROBES = 40
PROBE_BYTES = 4_096
MODES = ("in memory", "NORMAL", "FULL")


def on_disk(folder: Path, *, durable: bool) -> Stores:
    """Ledgers whose blocks and tree nodes share one file each."""

    def make(name: str) -> tuple[BlockStore, MultiStore]:
        store = LedgerStore.open(folder / f"{name}.sqlite", durable=durable)
        return store, MultiStore(keys.STORES, SqliteNodes(store.connection))

    return make


def probe(folder: Path) -> float:
    """Seconds of one append of a page and its fdatasync: the median of some."""
    path = folder / "probe"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    times = []
    for _ in range(PROBES):
        start = time.perf_counter()
        os.write(descriptor, bytes(PROBE_BYTES))
        os.fdatasync(descriptor)
        times.append(time.perf_counter() - start)
    os.close(descriptor)
    path.unlink()
    return statistics.median(times)


def measure_batch(folder: Path, batch: int) -> dict[str, Any]:
    """Rounds of the three modes in turn."""
    pairs = {"in memory": Pair.make()}
    for mode in MODES[1:]:
        place = folder / f"{mode}-{batch}"
        place.mkdir()
        pairs[mode] = Pair.make(on_disk(place, durable=mode == "FULL"))
    packets = max(60, 4 * batch)
    rates: dict[str, list[float]] = {mode: [] for mode in MODES}
    probes, normal, allowed = [], [], []
    for turn in range(TURNS + 1):
        sync = probe(folder)
        rounds = {mode: measure(pairs[mode], "separate", batch, packets) for mode in MODES}
        if not turn:
            continue
        probes.append(sync * 1e6)
        for mode, one in rounds.items():
            rates[mode].append(one["packets_per_s"])
        memory, full = rounds["in memory"], rounds["FULL"]
        normal.append(rates["NORMAL"][-1] / rates["in memory"][-1])
        allowed.append(full["seconds"] / (memory["seconds"] + full["blocks"] * 1.5 * sync))
    return {
        "batch": batch,
        "probe_us": spread(probes),
        **{mode: spread(values) for mode, values in rates.items()},
        "normal_of_memory": spread(normal),
        "full_of_allowed": spread(allowed),
    }


def run(folder: Path) -> None:
    report: dict[str, Any] = {"machine": machine(), "rows": [measure_batch(folder, batch) for batch in BATCHES]}
    table = [
        "| batch | fdatasync, µs | in memory, packets/s | NORMAL | FULL | NORMAL of in memory (≥ 0.70) "
        "| FULL's time of what is allowed (≤ 1) |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in report["rows"]:
        rates = " | ".join(shown(row[mode], 0) for mode in MODES)
        table.append(
            f"| {row['batch']} | {shown(row['probe_us'], 0)} | {rates} | {shown(row['normal_of_memory'])} "
            f"| {shown(row['full_of_allowed'])} |"
        )
    keep("durable", report, table)


def main() -> int:
    collector.settle()
    parent = Path(sys.argv[1]) if len(sys.argv) > 1 else RESULTS
    parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        run(Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
