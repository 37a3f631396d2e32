"""The packet life cycle in process, beside ibc-go's `testing` package on the same schedule, in turns.

    python -m bench.lifecycle

Everything in memory. Twelve turns for each row, the first not counted; the figure is the median of the
ratios of one turn each, and its range.
"""

from __future__ import annotations

import statistics
import sys
from typing import Any

from bench.cycle import Pair, measure
from bench.peers.go_program import PeerAbsent
from bench.peers.ibcgo_rounds import IbcGo
from bench.report import full_or, keep, machine, shown, spread
from lockgate.node import collector

ROWS = (
    *(("separate", batch) for batch in (1, 25, 50, 250)),
    *(("combined", batch) for batch in (1, 25, 50, 250)),
)
TURNS = full_or(11, 2)  # the machine has phases: with seven the median of one row moved by a tenth from run to run
MUST = {1: 4.0, 25: 4.0, 50: 4.0, 250: 3.5}
# Packets of a round: a second or two of the other side's; neither runs cold.
ROUND = full_or({1: 80, 25: 1_000, 50: 1_500, 250: 3_000}, {1: 10, 25: 100, 50: 100, 250: 500})


def turns(peer: IbcGo | None, schedule: str, batch: int) -> dict[str, Any]:
    """One row: rounds of both sides in turn."""
    pair, packets = Pair.make(), ROUND[batch]
    ours, theirs = [], []
    for turn in range(TURNS + 1):
        other = peer.round(schedule, batch=batch, packets=packets) if peer else None
        own = measure(pair, schedule, batch, packets)
        if not turn:
            continue  # the first round makes the other side's chains and warms both up
        ours.append(own)
        if other:
            theirs.append(other)
    row: dict[str, Any] = {"schedule": schedule, "batch": batch, "ours": summary(ours)}
    if theirs:
        ratios = [own["packets_per_s"] / other["packets_per_s"] for own, other in zip(ours, theirs, strict=True)]
        row |= {"ibcgo": summary(theirs), "ratio": spread(ratios)}
        if schedule == "separate":
            row["must"] = MUST[batch]
    return row


def summary(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Median rate with its range, median time of each step, and the counts of one life cycle of a batch."""
    last = rounds[-1]
    steps = last["split_us_per_packet"]
    return {
        "packets_per_s": spread([one["packets_per_s"] for one in rounds]),
        "split_us_per_packet": {
            step: statistics.median(one["split_us_per_packet"][step] for one in rounds) for step in steps
        },
        **{
            name: last[name] / last["packets"]
            for name in ("blocks", "transactions", "signatures_made", "signatures_checked")
        },
    }


def cells(row: dict[str, Any]) -> str:
    """One line of the table; counts are those of one life cycle of the batch."""
    ours, batch = row["ours"], row["batch"]

    def counts(side: dict[str, Any]) -> str:
        return " / ".join(f"{side[name] * batch:.0f}" for name in ("blocks", "signatures_made", "signatures_checked"))

    rate, ratio, peer_counts = "not measured", "", ""
    if "ratio" in row:
        rate, ratio = f"{row['ibcgo']['packets_per_s']['median']:.0f}", shown(row["ratio"])
        peer_counts = counts(row["ibcgo"])
    steps = " · ".join(f"{name} {spent:.0f}" for name, spent in ours["split_us_per_packet"].items())
    return (
        f"| {row['schedule']} | {batch} | {shown(ours['packets_per_s'], 0)} | {rate} | {ratio} | {row.get('must', '')} "
        f"| {counts(ours)} | {peer_counts} | {steps} |"
    )


def run() -> dict[str, Any]:
    """Measure, print, keep."""
    report: dict[str, Any] = {"machine": machine(), "rows": []}
    try:
        peer: IbcGo | None = IbcGo()
    except PeerAbsent as absent:
        report["peer"] = str(absent)
        print(absent)
        peer = None
    collector.settle()
    for schedule, batch in ROWS:
        row = turns(peer, schedule, batch)
        report["rows"].append(row)
        print(cells(row), flush=True)
    if peer:
        peer.close()
    head = (
        "| schedule | batch | packets/s | ibc-go | ratio | must | blocks / signatures made / checked | ibc-go's "
        "| µs per packet and step |",
        "|---|---|---|---|---|---|---|---|---|",
    )
    keep("lifecycle", report, (*head, *map(cells, report["rows"])))
    return report


if __name__ == "__main__":
    sys.exit(0 if run() else 1)
