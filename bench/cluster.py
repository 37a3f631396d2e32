"""A cluster of four validators on loopback under load, beside CometBFT's own kvstore, in turns.

    python -m bench cluster

CometBFT's method, scaled down: a grid of connections and rates, transactions of 128-byte messages sent without waiting,
and what stands in blocks afterwards. Ours are signed transactions that send one packet each; the kvstore's are unsigned
pairs of the same length of value, and its application lives inside the node. A third side are transactions of ours that
send several packets each, as a host does that has several to send.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from websockets.asyncio.client import connect

from bench.peers.cluster_load import MESSAGE, Packets, Pairs
from bench.report import full_or, keep, machine, shown, spread
from lockgate.crypto import ed25519
from lockgate.lab.clock import SimulatedClock
from lockgate.lab.ledgers import LabLedger
from lockgate.lab.paths import create_client_message
from lockgate.machine.genesis import Genesis
from lockgate.node import cometbft
from lockgate.node.clock import SystemClock
from lockgate.node.folder import Folder
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.ids import ClientId
from lockgate.relay import pairing
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.rpc import Rpc, RpcError, number
from lockgate.relay.submitter import AccountSubmitter

VALIDATORS: Final = 4
SECONDS: Final = 6
GRID: Final = (  # connections, transactions a second on each
    (1, 25), (1, 100), (4, 25), (1, 400), (4, 100), (4, 200), (4, 400), (4, 800),
)  # fmt: skip
BATCH: Final = 10  # packets in one transaction of the third side
BATCHED: Final = f"lockgate x {BATCH}"
SATURATED: Final = 0.7  # a side that keeps up with less of what is offered is not offered more
ROUNDS: Final = full_or(3, 1)  # of each cell, in turns
DRAIN_S: Final = 20.0  # what was sent and is not in a block by then was not accepted
EMPTY_S: Final = 120.0  # until nothing waits any more, before the next cell
START_S: Final = 120.0
MUST: Final = 0.5  # of the kvstore's saturation
TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass
class Side:
    """One running cluster."""

    name: str
    nodes: tuple[cometbft.Node, ...]
    processes: list[subprocess.Popen[bytes]]
    make: Callable[[int, int], list[bytes]]  # transactions of one connection: its number, how many
    each: int = 1  # messages in one transaction
    rpc: Rpc = field(init=False)

    def __post_init__(self) -> None:
        self.rpc = Rpc(self.nodes[0].address, timeout_s=30.0)

    def cpu(self) -> tuple[float, float]:
        """Seconds of processor time so far: of the applications where they are processes, and of the nodes."""
        node = application = 0.0
        for process, home in zip(self.processes, self.nodes, strict=True):
            inner = cometbft.processes_of(home).get("node", 0)
            if inner:
                application += _spent(process.pid)
                node += _spent(inner)
            else:
                node += _spent(process.pid)
        return application, node

    async def height(self) -> int:
        return number((await self.rpc.call("status"))["sync_info"]["latest_block_height"])

    async def empty(self) -> None:
        """Wait until no transaction waits in the first node, so that a cell does not pay for the one before."""
        async with asyncio.timeout(EMPTY_S):
            while number((await self.rpc.call("num_unconfirmed_txs"))["total"]):
                await asyncio.sleep(0.2)

    async def at(self, height: int, method: str) -> dict[str, Any]:
        """What a node says of a height that it has; results come a moment after their block."""
        async with asyncio.timeout(DRAIN_S):
            while True:
                with contextlib.suppress(RpcError):
                    return await self.rpc.call(method, height=str(height))
                await asyncio.sleep(0.05)


def _spent(pid: int) -> float:
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS
    return 0.0


async def cell(side: Side, connections: int, rate: int) -> dict[str, Any]:
    """Send for SECONDS at a rate on each connection, wait until it is in blocks, and count."""
    count = rate * SECONDS
    work = [side.make(number_, count) for number_ in range(connections)]
    before, first = side.cpu(), await side.height()
    sent: dict[bytes, float] = {}
    begun = time.monotonic()
    await asyncio.gather(*(_send(side, index, txs, rate, sent) for index, txs in enumerate(work)))
    included, latencies, last = await _collect(side, first, sent)
    await side.empty()
    accepted = included * side.each
    application, node = (after - once for after, once in zip(side.cpu(), before, strict=True))
    ordered = sorted(latencies)
    return {
        "sent": len(sent) * side.each,
        "accepted": accepted,
        "tx_bytes": len(work[0][0]),
        "accepted_per_s": accepted / max(last - begun, SECONDS),
        "latency_s": {p: _percentile(ordered, p) for p in (50, 95, 99)} if ordered else {},
        "cpu_s": application + node,
        "application_share": application / (application + node) if application else 0.0,
    }


def _percentile(ordered: list[float], percent: int) -> float:
    return ordered[min(len(ordered) * percent // 100, len(ordered) - 1)]


async def _send(side: Side, index: int, txs: list[bytes], rate: int, sent: dict[bytes, float]) -> None:
    """One connection: its transactions at an even pace, answers read and dropped."""
    node = side.nodes[index % len(side.nodes)]
    address = node.address.replace("http", "ws", 1) + "/websocket"
    async with connect(address, proxy=None, compression=None, max_size=None, ping_interval=None) as socket:

        async def drop() -> None:
            async for _ in socket:
                pass

        dropping = asyncio.create_task(drop())
        begun = time.monotonic()
        for number_, tx in enumerate(txs):
            late = begun + number_ / rate - time.monotonic()
            if late > 0:
                await asyncio.sleep(late)
            elif -late > SECONDS:
                break  # the node takes no more
            params = {"tx": base64.b64encode(tx).decode()}
            request = {"jsonrpc": "2.0", "id": number_, "method": "broadcast_tx_async", "params": params}
            sent[hashlib.sha256(tx).digest()] = time.time()
            await socket.send(json.dumps(request))
        await asyncio.sleep(0.2)
        dropping.cancel()


async def _collect(side: Side, first: int, sent: dict[bytes, float]) -> tuple[int, list[float], float]:
    """Transactions in blocks above `first`: how many, how long each took, and when the last one was there.

    A block's own time is that of the votes for the one before, so a transaction's is the next block's.
    """
    found: dict[bytes, int] = {}
    times: dict[int, float] = {}
    height, last = first, time.monotonic()
    ends = last + DRAIN_S
    while time.monotonic() < ends and len(found) < len(sent):
        newest = await side.height()
        while height < newest:
            height += 1
            block = (await side.at(height, "block"))["block"]
            times[height] = _instant(block["header"]["time"])
            results = (await side.at(height, "block_results"))["txs_results"] or []
            for text, result in zip(block["data"]["txs"] or (), results, strict=True):
                digest = hashlib.sha256(base64.b64decode(text)).digest()
                if digest in sent and not result["code"]:
                    found[digest] = height
                    last = time.monotonic()
        await asyncio.sleep(0.05)
    waits = [times[at + 1] - sent[digest] for digest, at in found.items() if at + 1 in times]
    return len(found), waits, last


def _instant(text: str) -> float:
    whole, _, rest = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{rest or 0}")


async def _client(genesis: Genesis, rpc: Rpc) -> ClientId:
    """A client on our cluster, with a counterparty: of a ledger that exists for its header alone."""
    chain = CometBftChain(rpc, genesis.chain_id)
    key = ed25519.SigningKey(b"operator".ljust(32, b"\0"))
    submitter = AccountSubmitter(chain, genesis.domain_id, key.public_key, key.sign, 0)
    far = LabLedger("far-1", SimulatedClock(SystemClock().now()))
    far.chain.produce([])
    client = pairing.created(await submitter.submit([create_client_message(far, submitter.signer)]))
    done = await submitter.submit([pairing.register_message(client, ClientId("07-tendermint-0"), submitter.signer)])
    if done.code:
        raise SystemExit(done.log)
    return client


@contextlib.contextmanager
def cluster(folder: Folder, name: str, commands: Callable[[cometbft.Node], list[str]]) -> Iterator[Any]:
    """Four running nodes: (nodes, processes, genesis)."""
    genesis = cometbft.create(folder, name, f"{name}-1", VALIDATORS)
    nodes = cometbft.nodes_of(folder, name)
    processes = []
    try:
        for node in nodes:
            with (node.home / "bench.log").open("ab") as log:
                processes.append(
                    subprocess.Popen(
                        commands(node), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                    )
                )
        yield nodes, processes, genesis
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


async def _answering(side: Side) -> None:
    async with asyncio.timeout(START_S):
        for node in side.nodes:
            async with Rpc(node.address) as rpc:
                while True:
                    with contextlib.suppress(LockgateError):
                        if number((await rpc.call("status"))["sync_info"]["latest_block_height"]) > 0:
                            break
                    await asyncio.sleep(0.2)


async def measure(sides: tuple[Side, ...]) -> list[dict[str, Any]]:
    """Every cell of the grid, ROUNDS times on each side in turns."""
    rows: list[dict[str, Any]] = []
    most = dict.fromkeys((side.name for side in sides), float("inf"))  # transactions a second a side is offered
    each = {side.name: side.each for side in sides}
    for connections, rate in GRID:
        offered = connections * rate
        if offered > max(most.values()):
            break
        rounds: dict[str, list[dict[str, Any]]] = {side.name: [] for side in sides if offered <= most[side.name]}
        for turn in range(ROUNDS):
            for side in sides:
                if side.name not in rounds:
                    continue
                found = await cell(side, connections, rate)
                rounds[side.name].append(found)
                print(
                    f"{side.name} c {connections} r {rate} round {turn + 1} of {ROUNDS}: "
                    f"{found['accepted']} of {found['sent']} accepted, {found['accepted_per_s']:.0f}/s",
                    flush=True,
                )
        summed = {name: _summary(each) for name, each in rounds.items()}
        rows.append({"connections": connections, "rate": rate, **summed})
        for name, found in summed.items():
            if found["accepted_per_s"]["median"] < SATURATED * offered * each[name]:
                most[name] = min(most[name], offered)
    return rows


def _summary(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "sent": statistics.median(each["sent"] for each in rounds),
        "tx_bytes": rounds[0]["tx_bytes"],
        "accepted": statistics.median(each["accepted"] for each in rounds),
        "accepted_per_s": spread([each["accepted_per_s"] for each in rounds]),
        "latency_s": {str(p): spread([each["latency_s"].get(p, DRAIN_S) for each in rounds]) for p in (50, 95, 99)},
        "cpu_ms_per_tx": spread([1e3 * each["cpu_s"] / max(each["accepted"], 1) for each in rounds]),
        "application_share": spread([each["application_share"] for each in rounds]),
    }


def life_cycle(root: Path) -> dict[str, Any]:
    """Packets a second from the send to the acknowledgement, over a cluster: what `lockgate demo` does."""
    command = [sys.executable, "-m", "lockgate.cli.main", "--json", "--data", str(root / "none"), "demo"]
    command += ["--engine", "cometbft", "--bundles", str(root / "bundles")]
    rates = []
    for turn in range(ROUNDS):
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=600)
        tally = json.loads(done.stdout.splitlines()[-1])
        if tally["lost"] or tally["acknowledged"] != tally["sent"]:
            raise SystemExit(f"packets are missing: {tally}")
        rates.append((tally["acknowledged"] - 1) / (tally["total_s"] - tally["first_acknowledged_s"]))
        print(f"life cycle round {turn + 1} of {ROUNDS}: {rates[-1]:.1f} packets/s", flush=True)
    return {"packets": tally["sent"], "packets_per_s": spread(rates)}


def cells(row: dict[str, Any]) -> list[str]:
    """A line of the table for each side that was offered this."""
    lines = []
    for name in ("lockgate", "kvstore", BATCHED):
        side = row.get(name)
        if side is None:
            continue
        latency = " / ".join(f"{side['latency_s'][p]['median']:.2f}" for p in ("50", "95", "99"))
        share = f"{100 * side['application_share']['median']:.0f} %" if side["application_share"]["most"] else "inside"
        values = (
            str(row["connections"]), str(row["rate"]), name, shown(side["accepted_per_s"], 0), latency,
            f"{side['cpu_ms_per_tx']['median']:.2f}", share, str(side["tx_bytes"]),
        )  # fmt: skip
        lines.append(f"| {' | '.join(values)} |")
    return lines


def run() -> dict[str, Any]:
    """Measure, print, keep."""
    report: dict[str, Any] = {"machine": machine(), "seconds": SECONDS, "rounds": ROUNDS, "message_bytes": MESSAGE}
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever ends it ends the nodes, too
    binary = str(cometbft.find_binary())
    with tempfile.TemporaryDirectory(prefix="lg-") as where:
        root = Path(where)
        folder = Folder(root)
        ours = cluster(
            folder, "ours", lambda node: [sys.executable, "-m", "bench.peers.validator", where, "ours", str(node.index)]
        )
        theirs = cluster(
            folder, "kvstore", lambda node: [binary, "start", "--home", str(node.home), "--proxy_app", "kvstore"]
        )
        with ours as (nodes, processes, genesis), theirs as (their_nodes, their_processes, _):
            report["rows"] = asyncio.run(_both(nodes, processes, genesis, their_nodes, their_processes))
        report["life_cycle"] = life_cycle(root)
    most = {
        side: max(row[side]["accepted_per_s"]["median"] for row in report["rows"] if side in row)
        for side in ("lockgate", "kvstore", BATCHED)
    }
    least = {
        side: min(row[side]["cpu_ms_per_tx"]["median"] for row in report["rows"] if side in row)
        for side in ("lockgate", "kvstore", BATCHED)
    }
    report["saturation"] = {**most, "ratio": most["lockgate"] / most["kvstore"], "must": MUST}
    report["least_cpu_ms"] = least
    keep("cluster", report, _table(report))
    return report


async def _both(nodes: Any, processes: Any, genesis: Genesis, their_nodes: Any, their_processes: Any) -> Any:
    kvstore = Side("kvstore", their_nodes, their_processes, Pairs().make)
    lockgate = Side("lockgate", nodes, processes, lambda *_: [])
    for side in (lockgate, kvstore):
        await _answering(side)
    client = await _client(genesis, lockgate.rpc)
    lockgate.make = Packets(genesis, client).make
    batched = Side(BATCHED, nodes, processes, Packets(genesis, client, BATCH).make, BATCH)
    try:
        return await measure((kvstore, lockgate, batched))
    finally:
        for side in (lockgate, kvstore, batched):
            await side.rpc.close()


def _table(report: dict[str, Any]) -> list[str]:
    most, least, life = report["saturation"], report["least_cpu_ms"], report["life_cycle"]
    return [
        "| connections | tx/s on each | side | messages accepted/s | latency p50 / p95 / p99, s "
        "| CPU ms per message, all nodes | application's share | bytes of a tx |",
        "|---|---|---|---|---|---|---|---|",
        *(line for row in report["rows"] for line in cells(row)),
        "",
        f"Saturation: {most['lockgate']:.0f} signed packets a second, one in each transaction, {most['kvstore']:.0f} "
        f"pairs: {most['ratio']:.2f} of the kvstore's (to reach: {MUST}). {BATCH} packets in each transaction: "
        f"{most[BATCHED]:.0f} packets a second. Least processor time for a message, all nodes: "
        f"{least['lockgate']:.2f} ms, {least['kvstore']:.2f} ms, {least[BATCHED]:.2f} ms. Through the full life cycle, "
        f"{life['packets']} packets as `lockgate demo` sends them: {shown(life['packets_per_s'], 1)} packets a second.",
    ]


if __name__ == "__main__":
    sys.exit(0 if run() else 1)
