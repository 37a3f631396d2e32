"""A lane whose ledger is attested, beside lanes whose ledgers are followed by headers: how long, how much, how large.

    python -m bench attested

Two ledgers in memory, one relayer, one packet after the other, all in one process. What a client update costs the
ledger that takes it is measured alone, each height once. Of what the relayer brought the bytes are counted.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.support.attested_lab import attestation, client_message
from tests.support.attestors import Company, attested_relayer, closing, follow_by_attestors, state_of
from tests.support.relays import Pair, relaying

from bench.report import full_or, keep, machine, shown, spread
from lockgate.codec import type_urls as urls
from lockgate.codec.wire import tendermint_pb2
from lockgate.crypto import ed25519
from lockgate.ibc import wire
from lockgate.lab.ledgers import LabAccount
from lockgate.lab.paths import expect, update_message
from lockgate.lightclients.attested import messages
from lockgate.lightclients.attested.messages import ATTESTATION
from lockgate.machine.transaction import Message, decode_and_verify
from lockgate.primitives.time import seconds

ATTESTORS: Final = 5
QUORUM: Final = 3
ROWS: Final = full_or(((1, 0), (4, 0), (150, 0), (4, QUORUM), (150, QUORUM)), ((4, 0), (4, QUORUM)))
PACKETS: Final = full_or(30, 4)
UPDATES: Final = full_or(30, 4)
ROUNDS: Final = full_or(3, 1)
HEARTBEAT_S: Final = 0.1
DEADLINE_S: Final = 60.0


@dataclass
class Lane:
    """A lane from alpha to beta. `quorum` of the attestors are believed on beta, or, where it is 0, headers are."""

    pair: Pair
    company: Company | None

    @classmethod
    def make(cls, validators: int, quorum: int, folder: Path) -> Lane:
        pair = Pair.make(validators=validators, heartbeat_s=HEARTBEAT_S)
        if not quorum:
            return cls(pair, None)
        company = Company.make(pair, pair.a, folder, ATTESTORS, quorum)
        follow_by_attestors(pair, company)
        return cls(pair, company)

    def update(self, height: int) -> Message:
        """What brings beta's client of alpha to a height."""
        a, b = self.pair.a, self.pair.b
        if self.company is None:
            return update_message(b, a.ledger, height)
        word = attestation(a.ledger, state_of(a.ledger, self.company.signers), height)
        return client_message(b, ATTESTATION, messages.encode_attestation(word))

    def updates(self) -> list[float]:
        """Milliseconds of processor time for each of some updates, with the transaction around it."""
        a, b = self.pair.a, self.pair.b
        asker = LabAccount(ed25519.SigningKey(b"asker".ljust(32, b"\0")))
        spent = []
        b.account, before = asker, b.account
        for _ in range(UPDATES):
            self.pair.clock.advance(seconds(1))
            a.ledger.chain.produce([])
            b.ledger.chain.produce([])
            made = b.ledger.signed(asker, [self.update(a.ledger.height)])
            begun = time.process_time()
            expect(b.ledger.chain.simulate(made))
            spent.append(1e3 * (time.process_time() - begun))
        b.account = before
        return spent

    async def packets(self) -> list[float]:
        """Seconds from a packet's sending to its receipt, one after the other."""
        pair, found = self.pair, []
        relayer = attested_relayer(pair, self.company) if self.company is not None else pair.relayer()
        async with pair.running(), relaying(relayer):
            await asyncio.wait_for(relayer.ready.wait(), DEADLINE_S)
            for number in range(1, PACKETS + 1):
                begun = time.perf_counter()
                pair.send()
                async with asyncio.timeout(DEADLINE_S):
                    while number not in pair.received():
                        await asyncio.sleep(0.002)
                found.append(time.perf_counter() - begun)
                await pair.ended(number, deadline_s=DEADLINE_S)
        return found

    def brought(self) -> dict[str, float]:
        """Bytes of what beta was brought: of a client update, of a packet's message, and of the proof in it."""
        ledger = self.pair.b.ledger
        sizes: dict[str, list[int]] = {"update": [], "receive": [], "proof": []}
        for height in range(1, ledger.height + 1):
            stored = ledger.chain.store.block(height)
            assert stored is not None, "it keeps all of them"
            for data in tendermint_pb2.Block.FromString(stored.block).data.txs:
                read = decode_and_verify(data, ledger.revision, max_bytes=len(data), max_messages=1_000).transaction
                names = [name for name, _ in read.messages]
                if urls.MSG_RECV_PACKET not in names:
                    continue
                for name, content in read.messages:
                    if name == urls.MSG_UPDATE_CLIENT:
                        sizes["update"].append(len(content))
                    elif name == urls.MSG_RECV_PACKET:
                        sizes["receive"].append(len(content))
                        sizes["proof"].append(len(wire.read_receive(content).proof))
        return {name: statistics.median(found) for name, found in sizes.items()}


def measured(validators: int, quorum: int) -> dict[str, Any]:
    """One round of one row."""
    with tempfile.TemporaryDirectory(prefix="lg-") as folder:
        lane = Lane.make(validators, quorum, Path(folder))
        with closing(lane.company) if lane.company is not None else nullcontext():
            updates = lane.updates()
            latencies = sorted(asyncio.run(lane.packets()))
            return {
                "update_ms": statistics.median(updates),
                "latency_s": {"50": statistics.median(latencies), "95": latencies[len(latencies) * 95 // 100]},
                "bytes": lane.brought(),
            }


def row(validators: int, quorum: int) -> dict[str, Any]:
    rounds = [measured(validators, quorum) for _ in range(ROUNDS)]
    return {
        "validators": validators,
        "quorum": quorum,
        "update_ms": spread([one["update_ms"] for one in rounds]),
        "latency_s": {p: spread([one["latency_s"][p] for one in rounds]) for p in ("50", "95")},
        "bytes": rounds[-1]["bytes"],
    }


def run() -> dict[str, Any]:
    """Measure, print, keep."""
    report: dict[str, Any] = {"machine": machine(), "attestors": ATTESTORS, "packets": PACKETS, "rounds": ROUNDS}
    report["rows"] = [row(*one) for one in ROWS]
    keep("attested", report, _table(report))
    return report


def _table(report: dict[str, Any]) -> list[str]:
    lines = [
        "| the sending ledger | its client | a client update, ms | of it, bytes | a packet's message, bytes "
        "| its proof, bytes | from sending to receipt p50 / p95, s |",
        "|---|---|---|---|---|---|---|",
    ]
    for each in report["rows"]:
        client = f"{each['quorum']} of {ATTESTORS} attestors" if each["quorum"] else "headers"
        latency = " / ".join(f"{each['latency_s'][p]['median']:.3f}" for p in ("50", "95"))
        size, signers = each["bytes"], "validator" if each["validators"] == 1 else "validators"
        values = (
            f"{each['validators']} {signers}", client, shown(each["update_ms"]), f"{size['update']:.0f}",
            f"{size['receive']:.0f}", f"{size['proof']:.0f}", latency,
        )  # fmt: skip
        lines.append(f"| {' | '.join(values)} |")
    return lines


if __name__ == "__main__":
    sys.exit(0 if run() else 1)
