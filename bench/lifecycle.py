"""The packet life cycle in process, beside ibc-go's `testing` package on the same schedule, in turns.

Send B packets · client update · receive B · client update · acknowledge B: seven blocks, two updates, five
transactions, four validators on each side, every signature and proof checked. Everything in memory.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.peers.ibcgo_rounds import IbcGo, PeerAbsent
from lockgate.codec.type_urls import MSG_SEND_PACKET
from lockgate.crypto import ed25519
from lockgate.ibc import wire
from lockgate.ibc.packet import Payload
from lockgate.ibc.ports import Accepted, Call, Reception
from lockgate.lab.clock import SimulatedClock
from lockgate.lab.ledgers import LabAccount, LabLedger
from lockgate.lab.paths import (
    End,
    acknowledge_message,
    acknowledgements_of,
    connect,
    expect,
    packets_of,
    receive_message,
    update_message,
)
from lockgate.machine.genesis import Parameters
from lockgate.primitives.state import Outcome, View
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos, UnixSeconds, seconds

BATCHES = (1, 25, 50, 250)
ROUNDS = 5
RESULTS = Path(__file__).parent / "results"
MUST = {1: 4.0, 25: 4.0, 50: 4.0, 250: 3.5}


class Mock:
    """An application that accepts everything, as ibc-go's mock does."""

    def on_send(self, view: View, call: Call, /) -> Outcome:
        return Outcome()

    def on_receive(self, view: View, call: Call, /) -> Reception:
        return Accepted(b'{"result":"bW9jayBhY2tub3dsZWRnZW1lbnQ="}')

    def on_acknowledgement(self, view: View, call: Call, acknowledgement: bytes, /) -> Outcome:
        return Outcome()

    def on_timeout(self, view: View, call: Call, /) -> Outcome:
        return Outcome()


@dataclass
class Pair:
    """Two ledgers of four validators with clients and counterparties."""

    clock: SimulatedClock
    a: End
    b: End

    @classmethod
    def make(cls) -> Pair:
        clock = SimulatedClock(UnixNanos(1_750_000_000 * NANOS_PER_SECOND))
        limits = Parameters(max_tx_gas=1 << 40, max_tx_bytes=8 << 20)
        app = {"mock": Mock()}
        ledgers = [
            LabLedger(name, clock, validators=4, parameters=limits, applications=app) for name in ("alpha-1", "beta-1")
        ]
        ends = [End(ledger, _account(f"relayer {i}")) for i, ledger in enumerate(ledgers)]
        connect(*ends, lane=False)
        return cls(clock, *ends)

    def cycle(self, batch: int, split: dict[str, float]) -> None:
        """One life cycle of `batch` packets."""
        a, b = self.a, self.b
        self.clock.advance(seconds(5))
        start = time.perf_counter()

        def lap(name: str) -> None:
            nonlocal start
            now = time.perf_counter()
            split[name] = split.get(name, 0.0) + now - start
            start = now

        timeout = UnixSeconds(self.clock.now() // NANOS_PER_SECOND + 3_600)
        payload = Payload(
            source_port="mock",
            destination_port="mock",
            version="mock-version",
            encoding="application/x-protobuf",
            value=b"mock packet data",
        )
        message = wire.encode_send(wire.SendMessage(a.client, timeout, (payload,), a.account.id))
        packets = packets_of(expect(a.ledger.transact(a.account, *[(MSG_SEND_PACKET, message)] * batch)))
        lap("send")
        self._update(b, a)
        lap("updates")
        received = [receive_message(b, a, packet) for packet in packets]
        lap("prove")
        result = expect(b.ledger.transact(b.account, *received))
        lap("receive")
        self._update(a, b)
        lap("updates")
        acknowledgements = acknowledgements_of(result.events)
        messages = [acknowledge_message(a, b, packet, acknowledgements[packet.sequence]) for packet in packets]
        lap("prove")
        expect(a.ledger.block(a.ledger.signed(a.account, messages)).results.transactions[0])
        lap("acknowledge")
        assert not _open(a), "every packet has ended"

    @staticmethod
    def _update(on: End, of: End) -> None:
        height = of.ledger.height
        expect_block = on.ledger.block(on.ledger.signed(on.account, [update_message(on, of.ledger, height)]))
        expect(expect_block.results.transactions[0])
        on.trusted = height


def _open(end: End) -> bool:
    prefix = str(end.client).encode() + b"\x01"
    return any(True for _ in end.ledger.chain.view().scan("ibc", prefix, prefix + b"\xff" * 9))


def _account(name: str) -> LabAccount:
    return LabAccount(ed25519.SigningKey(name.encode().ljust(32, b"\0")))


def measure(pair: Pair, batch: int, packets: int) -> dict[str, Any]:
    split: dict[str, float] = {}
    cycles = max(packets // batch, 1)
    before = time.perf_counter()
    for _ in range(cycles):
        pair.cycle(batch, split)
    taken = time.perf_counter() - before
    count = cycles * batch
    return {
        "packets_per_s": count / taken,
        "split_us_per_packet": {k: v / count * 1e6 for k, v in split.items()},
    }


def run() -> dict[str, Any]:
    """Take turns with ibc-go; return medians of same-minute ratios with their range."""
    report: dict[str, Any] = {
        "machine": {"python": platform.python_version(), "cpu": processor(), "cores": os.cpu_count()},
        "schedule": "separate: 7 blocks, 2 updates, 5 transactions, 4 validators a side, in memory",
        "rows": [],
    }
    try:
        peer: IbcGo | None = IbcGo.start()
    except PeerAbsent as absent:
        report["peer"] = str(absent)
        print(absent)
        peer = None
    gc.freeze()
    for batch in BATCHES:
        pair = Pair.make()
        packets = max(100, 4 * batch)
        ours, theirs, ratios, split = [], [], [], {}
        for turn in range(ROUNDS + 1):
            other = peer.round("separate", batch=batch, packets=packets) if peer else None
            own = measure(pair, batch, packets)
            if not turn:
                continue
            ours.append(own["packets_per_s"])
            split = own["split_us_per_packet"]
            if other:
                theirs.append(other["packets_per_s"])
                ratios.append(ours[-1] / theirs[-1])
        row = {"batch": batch, "ours": statistics.median(ours), "ours_range": [min(ours), max(ours)], "split": split}
        if theirs:
            row |= {
                "ibcgo": statistics.median(theirs),
                "ratio": statistics.median(ratios),
                "ratio_range": [min(ratios), max(ratios)],
                "must": MUST[batch],
            }
        report["rows"].append(row)
        print(_line(row), flush=True)
    if peer:
        peer.__exit__(None, None, None)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "lifecycle.json").write_text(json.dumps(report, indent=1) + "\n")
    return report


def _line(row: dict[str, Any]) -> str:
    steps = "  ".join(f"{name} {value:.0f}" for name, value in row["split"].items())
    text = f"batch {row['batch']:>3}  ours {row['ours']:>7.0f}/s"
    if "ratio" in row:
        low, high = row["ratio_range"]
        text += f"  ibc-go {row['ibcgo']:>6.0f}/s  ratio {row['ratio']:.2f} ({low:.2f}–{high:.2f}), must {row['must']}"
    return f"{text}  µs/packet: {steps}"


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")


if __name__ == "__main__":
    sys.exit(0 if run() else 1)
