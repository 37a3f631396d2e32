"""A deployment whose first ledger is a CometBFT cluster; each validator is a party of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from lockgate.machine import keys
from lockgate.machine.genesis import Parameters
from lockgate.merkle.errors import NotAvailable
from lockgate.merkle.multistore import MultiStore
from lockgate.node import cometbft, up
from lockgate.node.engine import Engine
from lockgate.node.folder import read_json, write_json
from lockgate.primitives.errors import LockgateError
from lockgate.relay.rpc import Rpc
from lockgate.storage.ledger import LedgerStore
from lockgate.storage.nodes import SqliteNodes
from tests.support import deployment
from tests.support.deployment import Deployment, Party

NAME = "alpha"
CATCH_UP_S = 90.0
SHIFT = -12_000  # of the ports of a fork: below those that clusters choose
NOT_RUNNING = 1_000  # messages that `open` counts of a host that does not answer


class Cluster(Deployment):
    """Ledger alpha is ordered by validators 0 to 3, ledger beta embedded; a sender, a counter, a relayer."""

    def __init__(self, root: Path, validators: int = 4) -> None:
        super().__init__(root)
        first, other = deployment.SPEC.ledgers
        self.spec = replace(
            deployment.SPEC, ledgers=(replace(first, engine=Engine.COMETBFT, validators=validators), other)
        )
        self.parties = [self.validator(number) for number in range(validators)] + self.parties[1:]

    def validator(self, number: int) -> Party:
        """The process of one validator; not among the parties when it is new."""
        name = f"validator-{number}"
        known = next((party for party in self.parties if party.name == name), None)
        return known or Party(name, ("ledger", "run", NAME, "--validator", str(number)), self.folder.root)

    async def set_up(self, parameters: Parameters | None = None) -> None:
        ledger = self.spec.ledgers[0]
        cometbft.create(self.folder, NAME, ledger.chain_id, ledger.validators, parameters)
        running = await up.start(self.folder, self.spec, lambda _: None, lambda *_: None)
        await running.stop()

    async def serving(self) -> None:
        """Wait until the sender's host answers: the ledgers do, by then."""
        async with asyncio.timeout(CATCH_UP_S):
            while await self.open() >= NOT_RUNNING:
                await asyncio.sleep(0.2)

    def command(self, *arguments: str, timeout_s: float = 120.0) -> Any:
        """Run the operator's command and return what it printed."""
        done = self._run(arguments, timeout_s)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def refused(self, *arguments: str, timeout_s: float = 120.0) -> Any:
        """Run the operator's command, which must fail; returns its error."""
        done = self._run(arguments, timeout_s)
        assert done.returncode, done.stdout
        return json.loads(done.stdout)["error"]

    def _run(self, arguments: tuple[str, ...], timeout_s: float) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "lockgate.cli.main", "--json", "--data", str(self.folder.root), *arguments]
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s, check=False
        )

    def key(self, number: int) -> bytes:
        """The public key that a validator signs with."""
        return cometbft.public_key(self.node(number))

    def node(self, number: int) -> cometbft.Node:
        return cometbft.nodes_of(self.folder, NAME)[number]

    async def rpc(self, number: int, method: str, **params: Any) -> Any:
        """Ask one node."""
        async with Rpc(self.node(number).address) as rpc:
            return await rpc.call(method, **params)

    async def height(self, number: int) -> int:
        """A node's newest height; 0 while it does not answer or plays blocks of others."""
        with contextlib.suppress(LockgateError):
            info = (await self.rpc(number, "status"))["sync_info"]
            return 0 if info["catching_up"] else int(info["latest_block_height"])
        return 0

    async def caught_up(self, number: int, height: int) -> None:
        """Wait until a node has a height and plays no old blocks any more."""
        async with asyncio.timeout(CATCH_UP_S):
            while await self.height(number) < height:
                await asyncio.sleep(0.2)

    def roots(self, number: int) -> dict[int, bytes]:
        """The state root after each height that a stopped validator's application has kept."""
        store = LedgerStore.open(self.node(number).home / "application.sqlite")
        try:
            state = MultiStore(keys.STORES, SqliteNodes(store.connection))
            found = {}
            for height in range(state.oldest, state.version + 1):
                with contextlib.suppress(NotAvailable):
                    found[height] = state.hash_at(height)
            return found
        finally:
            store.close()

    def agree(self, numbers: range) -> int:
        """No two stopped validators have unlike roots at a height; returns how many heights were compared."""
        kept = [self.roots(number) for number in numbers]
        heights = set().union(*kept)
        for height in heights:
            assert len({found[height] for found in kept if height in found}) == 1, height
        return len(heights)


def forked(cluster: Cluster, root: Path) -> Cluster:
    """A copy of a stopped cluster with all its keys, at ports of its own: it signs another history from here on."""
    copied = Cluster(root, cluster.spec.ledgers[0].validators)
    shutil.copytree(cluster.folder.ledger(NAME), copied.folder.ledger(NAME))
    shutil.copy(cluster.folder.root / "passphrase", root)
    record = read_json(copied.folder.ledger(NAME) / "cluster.json")
    ports = {str(port): str(port + SHIFT) for row in record["nodes"] for port in row.values()}
    for row in record["nodes"]:
        row.update({name: port + SHIFT for name, port in row.items()})
    write_json(copied.folder.ledger(NAME) / "cluster.json", record)
    for node in cometbft.nodes_of(copied.folder, NAME):
        path = node.home / "config" / "config.toml"
        path.write_text(re.sub(r"(?<=127\.0\.0\.1:)\d+", lambda found: ports.get(found[0], found[0]), path.read_text()))
        (node.home / "config" / "addrbook.json").unlink(missing_ok=True)
    return copied


__all__ = ("NAME", "Cluster", "forked")
