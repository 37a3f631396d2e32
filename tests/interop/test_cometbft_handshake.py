"""A validator killed at every point of a block goes on from there with its node, and no block counts twice (I14).

The application is behind by one, or its node is; the handshake plays again what is missing (CometBFT v0.38, replay).
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from lockgate.engines.cometbft.checking import check
from lockgate.machine import keys
from lockgate.machine.genesis import Parameters
from lockgate.merkle.multistore import MultiStore
from lockgate.node import cometbft as node
from lockgate.node.folder import Folder
from lockgate.storage.ledger import LedgerStore
from lockgate.storage.nodes import SqliteNodes
from tests.interop.test_cometbft_light import cometbft  # noqa: F401  # a fixture
from tests.support.mortal_validator import POINTS

pytestmark = pytest.mark.interop

NAME = "solo"
DIES_AT = 4
LIMIT_S = 90.0


@pytest.fixture
def short() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="lg-") as root:
        yield Path(root)


def started(folder: Folder, point: str, at: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.support.mortal_validator", str(folder.root), NAME, point, str(at)]
    with (folder.root / "log").open("ab") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)


def height(folder: Folder) -> int:
    address = node.nodes_of(folder, NAME)[0].address
    try:
        status = httpx.get(f"{address}/status", timeout=5).json()["result"]
    except (httpx.HTTPError, KeyError, ValueError):
        return 0
    return int(status["sync_info"]["latest_block_height"])


@pytest.mark.parametrize("point", POINTS)
def test_I14_a_validator_killed_at_any_point_of_a_block_goes_on(
    cometbft: str,  # noqa: F811
    short: Path,
    monkeypatch: pytest.MonkeyPatch,
    point: str,
) -> None:
    monkeypatch.setenv("PATH", str(Path(cometbft).parent), prepend=":")
    monkeypatch.setattr(node, "HEARTBEAT_S", 0.5)
    folder = Folder(short)
    genesis = node.create(folder, NAME, "solo-1", 1, Parameters())
    process = started(folder, point, DIES_AT)
    assert process.wait(LIMIT_S) == -signal.SIGKILL
    process = started(folder, point, 0)  # this one lives, and waits for what is left of the one before
    try:
        deadline = time.monotonic() + LIMIT_S
        while height(folder) < DIES_AT + 3:
            assert process.poll() is None, (short / "log").read_text()[-2000:]
            assert time.monotonic() < deadline
            time.sleep(0.1)
        address = node.nodes_of(folder, NAME)[0].address
        shown = {
            at: httpx.get(f"{address}/commit", params={"height": at}, timeout=10).json()["result"]["signed_header"]
            for at in range(2, DIES_AT + 3)
        }
    finally:
        process.terminate()
        process.wait(30)
    store = LedgerStore.open(node.nodes_of(folder, NAME)[0].home / "application.sqlite")
    try:
        roots = check(genesis, store, MultiStore(keys.STORES, SqliteNodes(store.connection)))
    finally:
        store.close()
    assert {at: signed["header"]["app_hash"] for at, signed in shown.items()} == {
        at: roots[at - 1].hex().upper() for at in shown
    }
    assert json.loads((node.nodes_of(folder, NAME)[0].home / "data" / "priv_validator_state.json").read_text())
