"""A deployment whose first ledger is a cluster on CometBFT, run by `lockgate net up` as a person runs it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from lockgate.machine import keys
from lockgate.merkle.errors import NotAvailable
from lockgate.merkle.multistore import MultiStore
from lockgate.node import net, up
from lockgate.node.engine import Engine
from lockgate.node.outbox import outbox
from lockgate.storage.nodes import SqliteNodes
from tests.support import deployment
from tests.support.deployment import Deployment

VALIDATORS: Final = 4
ALPHA, BETA = deployment.SPEC.ledgers
SPEC = replace(deployment.SPEC, ledgers=(replace(ALPHA, engine=Engine.COMETBFT, validators=VALIDATORS), BETA))
COMMAND_S: Final = 240.0
PACE_S: Final = 0.1


def lockgate(folder: Path, *arguments: str, within_s: float = COMMAND_S) -> dict[str, Any]:
    """Run a command in a process of its own, as a person does; its answer as JSON."""
    command = [sys.executable, "-m", "lockgate.cli.main", "--json", "--data", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=within_s, check=False)
    assert done.returncode == 0, f"{arguments}: {done.stdout[-1500:]} {done.stderr[-1500:]}"
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def roots(home: Path) -> dict[int, bytes]:
    """The state root after each height that a validator's application has kept; it may run meanwhile."""
    connection = sqlite3.connect(f"file:{home / 'application.sqlite'}?mode=ro", uri=True, isolation_level=None)
    try:
        connection.execute("BEGIN")
        state = MultiStore(keys.STORES, SqliteNodes(connection))
        found = {}
        for height in range(state.oldest, state.version + 1):
            with contextlib.suppress(NotAvailable):
                found[height] = state.hash_at(height)
        return found
    finally:
        connection.close()


def same_roots(ledger: Path) -> int:
    """Every validator has the same root at every height that two of them have; returns how many were compared."""
    kept = [roots(ledger / "validators" / str(number)) for number in range(VALIDATORS)]
    compared = 0
    for height in set().union(*kept):
        found = [each[height] for each in kept if height in each]
        assert len(set(found)) == 1, f"the roots differ at height {height}"
        compared += len(found) > 1
    return compared


class Clustered(Deployment):
    """The sender's ledger on four validators; the counter's embedded. Each fault is asked for by `net`."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.parties = self.parties[1:]  # the ledger is the cluster's
        self._known: set[bytes] = set()

    async def set_up(self) -> None:
        running = await up.start(self.folder, SPEC, lambda _: None, lambda *_: None)
        await running.stop()

    async def ready(self) -> None:
        """Wait until hosts and relayer say that they are."""
        for party in self.parties[1:]:
            await party.said("ready")

    async def net(self, verb: str, **arguments: Any) -> dict[str, Any]:
        return await net.ask(await net.find(self.folder), verb, **arguments)

    async def heights(self) -> list[int]:
        return [row["height"] for row in (await self.net("status"))["nodes"]]

    async def level(self, within_s: float = 90.0) -> None:
        """Wait until every validator is up and has the newest block but one."""
        async with asyncio.timeout(within_s):
            while True:
                rows = (await self.net("status"))["nodes"]
                newest = max(row["height"] for row in rows)
                if all(row["state"] == "up" and row["height"] >= newest - 1 for row in rows):
                    return
                await asyncio.sleep(PACE_S)

    async def whole(self) -> int:
        """Nothing lost, nothing repeated, and one root at every height; returns how many messages that says of."""
        await self.settled(120)
        rows = await outbox(self.home("sender") / "host.sock")
        assert {row["state"] for row in rows} == {"acknowledged"}, "with an hour to live, every message is answered"
        counted = self.counted()
        assert set(counted.values()) == {1}, "a message acted twice"
        assert len(counted) == len(rows), "a message was lost, or sent twice"
        assert self._known <= set(counted), "a confirmed message is gone"
        await self.level()
        assert (await self.net("status"))["agree"]
        assert same_roots(self.folder.ledger("alpha")) > 5
        return len(rows)

    def remember(self, known: set[bytes]) -> None:
        self._known |= known


__all__ = ("Clustered", "lockgate", "roots", "same_roots")
