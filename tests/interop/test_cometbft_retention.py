"""Old blocks of a real cluster go, and nothing breaks: whoever follows, and whoever comes new, still can (I15)."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from lockgate.crypto import ed25519
from lockgate.engines.cometbft import retention
from lockgate.engines.cometbft.checking import check
from lockgate.lab.endpoints import LabEndpoint
from lockgate.machine import keys
from lockgate.machine.accounts import account_id
from lockgate.machine.genesis import Genesis, Parameters
from lockgate.machine.transaction import SUITE_ED25519, Transaction, sign
from lockgate.merkle.multistore import MultiStore
from lockgate.node import cometbft as node
from lockgate.node.folder import Folder, read_json, write_json
from lockgate.node.kept import keep
from lockgate.primitives.time import UnixSeconds
from lockgate.storage.ledger import LedgerStore
from lockgate.storage.nodes import SqliteNodes
from tests.interop.test_cometbft_light import cometbft  # noqa: F401  # a fixture

pytestmark = pytest.mark.interop

NAME = "net"
VALIDATORS = 4
EMPTIED = 3
MEMORY = 12  # own headers, and blocks that each node keeps
EVERY = 10  # blocks between snapshots
LIMIT_S = 150.0


class Running:
    """Four validators that forget soon."""

    def __init__(self, root: Path) -> None:
        self.folder = Folder(root)
        self.genesis: Genesis = node.create(
            self.folder, NAME, "net-1", VALIDATORS, Parameters(header_memory=MEMORY, header_trail=True)
        )
        record = self.folder.ledger(NAME) / "cluster.json"
        write_json(record, {**read_json(record), "snapshot_every": EVERY})
        keep(self.folder, NAME, blocks=MEMORY)
        self.nodes = node.nodes_of(self.folder, NAME)
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        self.holders = 0

    def start(self, index: int, *options: str) -> None:
        command = [sys.executable, "-m", "tests.support.forgetful_validator", str(self.folder.root), NAME, str(index)]
        with (self.folder.root / f"log-{index}").open("ab") as log:
            self.processes[index] = subprocess.Popen(
                [*command, *options], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def stop(self, index: int) -> None:
        process = self.processes.pop(index)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def ask(self, index: int, method: str, **params: Any) -> Any:
        answer = httpx.get(f"{self.nodes[index].address}/{method}", params=params, timeout=10).json()
        return answer.get("result") or {"error": answer["error"]}

    def sync_info(self, index: int) -> dict[str, Any]:
        try:
            return dict(self.ask(index, "status")["sync_info"])
        except (httpx.HTTPError, KeyError, ValueError):
            return {"earliest_block_height": "0", "latest_block_height": "0", "catching_up": True}

    def earliest(self, index: int) -> int:
        return int(self.sync_info(index)["earliest_block_height"])

    def change(self, index: int = 0) -> None:
        """Somebody new registers an endpoint."""
        self.holders += 1
        key = ed25519.SigningKey(b"holder %025d" % self.holders)
        endpoint = LabEndpoint(b"endpoint %d" % self.holders, (account_id(SUITE_ED25519, key.public_key),))
        transaction = Transaction(
            domain=self.genesis.domain_id,
            chain_id=self.genesis.chain_id,
            public_key=key.public_key,
            nonce_lane=0,
            sequence=0,
            valid_until=UnixSeconds(int(time.time()) + 600),
            gas_limit=1_000_000,
            fee=0,
            messages=(endpoint.register(),),
        )
        data = sign(transaction, self.genesis.revision, key.sign)
        said = self.ask(index, "broadcast_tx_sync", tx="0x" + data.hex())
        assert said.get("code") == 0, said

    def until(self, what: Callable[[], bool]) -> None:
        """Go on with changes until something holds."""
        ends = time.monotonic() + LIMIT_S
        while not what():
            assert time.monotonic() < ends, [self.sync_info(index) for index in self.processes]
            self.change()
            time.sleep(0.3)

    def application(self, index: int) -> tuple[LedgerStore, MultiStore]:
        store = LedgerStore.open(self.nodes[index].home / "application.sqlite")
        return store, MultiStore(keys.STORES, SqliteNodes(store.connection))


@pytest.fixture
def running(
    cometbft: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Running]:
    monkeypatch.setenv("PATH", str(Path(cometbft).parent), prepend=":")
    monkeypatch.setattr(retention, "EVIDENCE_BLOCKS", 10)
    with tempfile.TemporaryDirectory(prefix="lg-") as root:
        made = Running(Path(root))
        try:
            yield made
        finally:
            for index in list(made.processes):
                made.stop(index)


def test_I15_old_blocks_go_and_a_node_with_nothing_still_comes_back(running: Running) -> None:
    for index in range(VALIDATORS):
        running.start(index)
    ends = time.monotonic() + LIMIT_S
    while any(int(running.sync_info(index)["latest_block_height"]) < 2 for index in running.processes):
        assert time.monotonic() < ends
        time.sleep(0.3)
    running.until(lambda: all(running.earliest(index) > EVERY for index in range(VALIDATORS)))
    first = running.earliest(0)
    assert "error" in running.ask(0, "block", height=str(first - 1))
    assert running.ask(0, "commit", height=str(first))["signed_header"]["header"]["height"] == str(first)
    assert running.ask(0, "validators", height=str(first))["validators"]
    snapshots = sorted(
        int(path.name) for path in (running.nodes[0].home / "snapshots").glob("[0-9]*") if path.name.isdecimal()
    )
    assert first <= snapshots[-1]

    running.stop(EMPTIED)
    home = running.nodes[EMPTIED].home
    voted = (home / "data" / "priv_validator_state.json").read_bytes()
    shutil.rmtree(home / "data")
    shutil.rmtree(home / "snapshots")
    for path in home.glob("application.sqlite*"):
        path.unlink()
    (home / "data").mkdir(mode=0o700)
    (home / "data" / "priv_validator_state.json").write_bytes(voted)
    running.until(lambda: True)
    running.start(EMPTIED, "--state-sync")
    running.until(
        lambda: (
            not running.sync_info(EMPTIED)["catching_up"]
            and int(running.sync_info(EMPTIED)["latest_block_height"])
            >= int(running.sync_info(0)["latest_block_height"])
        )
    )
    assert running.earliest(EMPTIED) > 1
    for index in range(VALIDATORS):
        running.stop(index)
    roots: dict[int, set[bytes]] = {}
    for index in range(VALIDATORS):
        store, state = running.application(index)
        try:
            for height, root in check(running.genesis, store, state).items():
                roots.setdefault(height, set()).add(root)
        finally:
            store.close()
    assert max(map(len, roots.values())) == 1
