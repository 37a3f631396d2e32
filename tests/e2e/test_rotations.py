"""Every kind of key is replaced while quotes are streamed, a suite goes and comes, an endpoint is revoked (S11, S13).

What is asserted at the end is read from both ledgers and both hosts: each quote sent before the revocation was executed
and answered once, and what the revocation ended was refused, for that reason and no other.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lockgate.codec import cbor
from lockgate.ibc import host as ibc_host
from lockgate.node import keys, rules, suites
from lockgate.node.config import load as load_config
from lockgate.node.folder import Folder
from lockgate.node.ledgers import Ledgers
from lockgate.node.outbox import outbox
from lockgate.node.quotes import computed_chain
from lockgate.node.socket import RemoteRefusal, call
from lockgate.runtime.wasm import shipped

pytestmark = pytest.mark.timeout(240)
START_S = 120.0
SETTLE_S = 90.0  # an answer is due within 60 s
MOST_OPEN = 96
BATCH = 8
SPEC = """
[[ledger]]
name = "alpha"
chain_id = "alpha-1"
heartbeat = 0.5

[[ledger]]
name = "beta"
chain_id = "beta-1"
heartbeat = 0.5
"""
# Party and key, in the order in which they are replaced while quotes go.
ROTATED = (
    ("host/sender", ""),
    ("host/solver", ""),
    ("relay/alpha-beta", "account"),
    ("ledger/alpha", "operator"),
    ("ledger/beta", "operator"),
    ("ledger/alpha", "authority"),
    ("ledger/beta", "authority"),
    ("ledger/alpha", "validator"),
    ("ledger/beta", "validator"),
)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    if not (shipped.build_folder() / "iv-solver.wasm").exists():
        pytest.skip("the shipped guests are not built; `make install` builds them")
    config, root, log = tmp_path / "deployment.toml", tmp_path / "data", tmp_path / "up.log"
    config.write_text(SPEC)
    command = [sys.executable, "-m", "lockgate.cli.main", "--data", str(root), "up", str(config)]
    with log.open("wb") as said:
        up = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True)
    timer = threading.Timer(START_S, up.kill)
    timer.start()
    try:
        assert up.stdout is not None
        assert any("Running" in line for line in up.stdout), log.read_text()[-2000:]
        timer.cancel()
        yield Folder(root)
    finally:
        timer.cancel()
        up.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            up.wait(30)
        up.kill()
        up.wait()


class Feed:
    """Streams quotes from the sender to the solver until it is stopped."""

    def __init__(self, folder: Folder) -> None:
        self.socket = folder.host("sender") / "host.sock"
        self.sent, self.over = 0, False
        self._quotes = [quote.encode() for quote in computed_chain()]

    async def send(self, count: int = BATCH) -> None:
        quotes = [self._quotes[(self.sent + place) % len(self._quotes)] for place in range(count)]
        command = {"send": {"to": "solver", "timeout": 600, "quotes": quotes}}
        await call(self.socket, "command", input=cbor.encode(command).hex())
        self.sent += count

    async def run(self) -> None:
        while not self.over:
            if self.sent - await self.ended() < MOST_OPEN:
                await self.send()
            await asyncio.sleep(0.05)

    async def ended(self) -> int:
        sent = (await call(self.socket, "status"))["sent"]
        return int(sent["acknowledged"] + sent["refused"] + sent["timed_out"])

    async def settle(self) -> None:
        async with asyncio.timeout(SETTLE_S):
            while await self.ended() < self.sent:
                await asyncio.sleep(0.1)


async def left(folder: Folder) -> tuple[int, set[int]]:
    """What the ledgers say: packets that are open on the sender's, and receipts on the solver's."""
    peer = load_config(folder.host("sender") / "endpoint.json").peers["solver"]
    async with Ledgers(folder) as ledgers:
        alpha, beta = ledgers.named("alpha").chain, ledgers.named("beta").chain
        prefix = ibc_host.packet_commitment(peer.local_client, 0)[:-8]
        open_ones = await alpha.keys("ibc", prefix, prefix + b"\xff" * 9)
        prefix = ibc_host.packet_receipt(peer.remote_client, 0)[:-8]
        receipts = await beta.keys("ibc", prefix, prefix + b"\xff" * 9)
    return len(list(open_ones)), {int.from_bytes(key[-8:], "big") for key in receipts}


async def closed(folder: Folder) -> set[int]:
    """Wait until no packet is open, and return the receipts. What hosts say to each other has no row in an outbox."""
    async with asyncio.timeout(SETTLE_S):
        while (found := await left(folder))[0]:
            await asyncio.sleep(0.2)
    return found[1]


async def rotations(folder: Folder) -> list[Any]:
    done = []
    for party, key in ROTATED:
        done.append(await keys.rotate(folder, party, key))
        await asyncio.sleep(0.3)
    return done


async def suite_in_use(folder: Folder) -> int:
    """Of the session that the sender seals in."""
    sessions = (await call(folder.host("sender") / "host.sock", "status"))["sessions"]
    return int([each["suite"] for each in sessions if each["sends"]][-1])


async def moved(folder: Folder) -> None:
    """The handshake suite in use is stopped on one ledger, and comes back: sessions go along (S61, S87)."""

    async def until(suite: int) -> None:
        async with asyncio.timeout(SETTLE_S):
            while await suite_in_use(folder) != suite:
                await asyncio.sleep(0.2)

    best, next_best = -24, -23
    name = suites.named(f"handshake:{best}")
    await until(best)
    await suites.by_authority(folder, "alpha", lambda by: suites.stop(by, name, "a drill"))
    await until(next_best)
    done = await suites.by_authority(folder, "alpha", lambda by: suites.change(by, suites.ACTIVATE, name, 0))
    for host in folder.names("hosts"):
        await rules.accept(folder, host, "alpha", (done.digest,))
    await until(best)


def test_every_kind_of_key_is_replaced_under_traffic_and_a_revoked_endpoint_is_refused(folder: Folder) -> None:
    """[S11][S13] `lost 0`, nothing twice, and the refusals are those of the revocation."""

    async def work() -> None:
        feed = Feed(folder)
        streaming = asyncio.create_task(feed.run())
        before = {(row["party"], row["key"]): row["key_id"] for row in keys.listed(folder)}
        await rotations(folder)
        await moved(folder)
        feed.over = True
        await streaming
        await feed.settle()
        after = {(row["party"], row["key"]): row["key_id"] for row in keys.listed(folder)}
        assert len(set(after.values()) - set(before.values())) >= len(ROTATED)
        rows = await outbox(feed.socket)
        assert len(rows) == feed.sent > 40
        assert {row["state"] for row in rows} == {"acknowledged"}, "lost 0, refused 0"
        await closed(folder)
        solved = (await call(folder.host("solver") / "host.sock", "inbox", limit=100_000))["messages"]
        assert len({row["sequence"] for row in solved}) == len(solved)
        await revoked(folder, feed)

    asyncio.run(work())


async def revoked(folder: Folder, feed: Feed) -> None:
    """The solver is revoked, by an authority that was rotated, while quotes go to it."""
    sent = feed.sent
    refused: set[str] = set()
    streaming = asyncio.create_task(until_refused(feed, refused))
    found = await keys.revoke(folder, "host/solver", lambda _: None)
    assert found["revoked_at"] > found["announced_at"]
    async with asyncio.timeout(SETTLE_S):
        await streaming
    await feed.settle()
    rows = (await outbox(feed.socket))[sent:]
    assert {row["state"] for row in rows} <= {"acknowledged", "refused"}
    codes = {row["code"] for row in rows if row["state"] == "refused"}
    # What waited in its inbox when it was revoked nobody can answer: the ledger does, when it is due.
    assert codes <= {"endpoint.revoked", "inbox.not_answered"}
    assert refused == {"endpoint.revoked"}, "by the sender's own host, once it has proven the revocation"
    receipts = await closed(folder)
    assert receipts >= {row["sequence"] for row in await outbox(feed.socket)}, "handshakes beside them"


async def until_refused(feed: Feed, refused: set[str]) -> None:
    while not refused:
        try:
            await feed.send(1)
        except RemoteRefusal as refusal:
            refused.add(str(refusal.fields.get("code", refusal.code)))
        await asyncio.sleep(0.1)
