"""A relayer that starts before a backlog: how fast it clears it, and what fresh packets notice of that.

Two ledgers in memory with one validator each, an application that answers at once, and one relayer, all in
one process and one thread: the hardest case for a fresh packet, which competes with the backlog for the
same core at every step. Times are of the event loop; every header and proof is checked on both sides.

A fresh packet's life is measured twice: by the clock, and by the processor time that this process spent meanwhile,
which is the same on a machine that does other work.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from tests.support.relays import Pair, relaying
from tests.support.sources import relayer_through

from bench.report import RESULTS, full_or, machine
from lockgate.node import collector
from lockgate.relay.driver import Relayer

SIZES = full_or((1_000, 5_000), (200, 1_000))
NODES = 3  # of each ledger, two of which must agree
ROUNDS = full_or(3, 1)
FRESH_EVERY_S = 0.2
IDLE_PACKETS = 40
MUST_LATENCY = 2.0  # p95 of fresh packets while a backlog is cleared, against an idle lane
MUST_LINEAR = 1.25  # time per packet of the large backlog against the small one
TOO_LONG_S = 300.0


@dataclass
class Fresh:
    """Sends a packet now and then and notes how long each one takes to be acknowledged on its ledger."""

    pair: Pair
    sent: dict[int, tuple[float, float]] = field(default_factory=dict)  # clock, processor
    lives: list[tuple[float, float]] = field(default_factory=list)
    next_sequence: int = 1

    def send(self) -> None:
        self.sent[self.next_sequence] = time.perf_counter(), time.process_time()
        self.next_sequence += 1
        self.pair.send(timeout_s=7_200)

    async def watch(self) -> None:
        async for block in self.pair.services[0].blocks():
            for result in block.results.transactions:
                for event in result.events:
                    if event.type == "acknowledge_packet":
                        begun = self.sent.pop(int(event.get("packet_sequence") or 0), None)
                        if begun is not None:
                            self.lives.append((time.perf_counter() - begun[0], time.process_time() - begun[1]))


async def clearing(size: int, *, fresh_too: bool, nodes: int = 1) -> dict[str, Any]:
    """Clear one backlog; with fresh packets before and during it if asked, and through several nodes of each ledger."""
    pair = Pair.make(heartbeat_s=1.0)

    def made() -> Relayer:
        return pair.relayer() if nodes == 1 else relayer_through(pair, nodes)

    async with pair.running():
        fresh = Fresh(pair)
        watching = asyncio.create_task(fresh.watch())
        await asyncio.sleep(0)
        found: dict[str, Any] = {}
        if fresh_too:
            async with relaying(made()) as (relayer,):
                await relayer.ready.wait()
                for _ in range(IDLE_PACKETS + 5):
                    fresh.send()
                    await asyncio.sleep(FRESH_EVERY_S)
                await pair.until(lambda: not fresh.sent)
            found["idle"] = fresh.lives[5:]  # the first ones find cold caches
            fresh.lives.clear()
        pair.send(size, per_tx=100)
        await pair.until(lambda: len(pair.services[0].pending()) == 0, TOO_LONG_S)
        fresh.next_sequence += size
        served = len(pair.served)
        relayer = made()
        begun = time.perf_counter()
        async with relaying(relayer):
            await relayer.ready.wait()
            sending = asyncio.create_task(_keep_sending(fresh)) if fresh_too else None
            await pair.until(
                lambda: relayer.counters.acknowledged + len(fresh.sent) >= size + len(fresh.lives), TOO_LONG_S
            )
            found["seconds"] = time.perf_counter() - begun
            if sending is not None:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
                found["busy"] = list(fresh.lives)
            await pair.until(lambda: not pair.open_packets(), TOO_LONG_S)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        found["transactions"] = relayer.counters.transactions
        found["calls"] = sum(sum(rpc.served.values()) for rpc in pair.served[served:])
        assert relayer.counters.failures == 0, pair.reports[:3]
        return found


async def _keep_sending(fresh: Fresh) -> None:
    while True:
        fresh.send()
        await asyncio.sleep(FRESH_EVERY_S)


def run() -> dict[str, Any]:
    """Measure, print, and write bench/results/backlog.json."""
    collector.settle()  # as a ledger's process does
    report: dict[str, Any] = {
        "machine": machine(),
        "setting": "two ledgers of one validator, application and relayer in one process; ledgers in memory",
        "rows": [],
    }
    per_packet = {}
    for size in SIZES:
        rounds = [asyncio.run(clearing(size, fresh_too=False)) for _ in range(ROUNDS)]
        times = [each["seconds"] for each in rounds]
        per_packet[size] = statistics.median(times) / size
        row = {
            "backlog": size,
            "seconds": statistics.median(times),
            "seconds_range": [min(times), max(times)],
            "packets_per_s": size / statistics.median(times),
            "transactions": statistics.median(each["transactions"] for each in rounds),
            "calls_per_packet": statistics.median(each["calls"] for each in rounds) / size,
        }
        report["rows"].append(row)
        print(
            f"backlog {size:>5}  {row['seconds']:6.2f} s ({min(times):.2f}–{max(times):.2f})  "
            f"{row['packets_per_s']:6.0f} packets/s  {row['calls_per_packet']:.2f} calls a packet",
            flush=True,
        )
    report["time_per_packet_large_to_small"] = per_packet[SIZES[-1]] / per_packet[SIZES[0]]
    report["must_linear"] = MUST_LINEAR
    report["fresh"] = _fresh(1)
    report["through_nodes"] = {"nodes": NODES, "must_agree": 2, **_fresh(NODES, 1)}
    print(
        f"time per packet, {SIZES[-1]} against {SIZES[0]}: {report['time_per_packet_large_to_small']:.2f},"
        f" must {MUST_LINEAR}"
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "backlog.json").write_text(json.dumps(report, indent=1) + "\n")
    return report


def _fresh(nodes: int, count: int = ROUNDS) -> dict[str, Any]:
    """Fresh packets while the large backlog is cleared."""
    rounds = [asyncio.run(clearing(SIZES[-1], fresh_too=True, nodes=nodes)) for _ in range(count)]
    found: dict[str, Any] = {"every_s": FRESH_EVERY_S}
    for number, of in enumerate(("", "processor_")):
        idle, busy = ([_p95([life[number] for life in each[lane]]) for each in rounds] for lane in ("idle", "busy"))
        ratios = [after / before for before, after in zip(idle, busy, strict=True)]
        found |= {
            f"{of}idle_p95_ms": [round(1e3 * value, 2) for value in idle],
            f"{of}busy_p95_ms": [round(1e3 * value, 2) for value in busy],
            f"{of}ratio": statistics.median(ratios),
            f"{of}ratio_range": [min(ratios), max(ratios)],
        }
    found |= {
        "packets": [len(each["busy"]) for each in rounds],
        "seconds": [round(each["seconds"], 2) for each in rounds],
        "calls_per_packet": statistics.median(each["calls"] for each in rounds) / SIZES[-1],
        "must": MUST_LATENCY,
    }
    low, high = found["ratio_range"]
    print(
        f"fresh packets through {nodes} node{'s' * (nodes > 1)}, p95 while clearing against idle: {found['ratio']:.2f} "
        f"({low:.2f}–{high:.2f}), must {MUST_LATENCY}, in processor time {found['processor_ratio']:.2f}; "
        f"idle {found['idle_p95_ms']} ms, busy {found['busy_p95_ms']} ms, cleared in {found['seconds']} s",
        flush=True,
    )
    return found


def _p95(values: list[float]) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]


if __name__ == "__main__":
    sys.exit(0 if run() else 1)
