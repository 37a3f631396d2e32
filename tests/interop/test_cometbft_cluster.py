"""The machine on four real CometBFT validators: killed one by one under load, and nothing is lost or repeated.

Quotes travel from a ledger on the cluster to an embedded one and back, in processes, as `lockgate demo` runs them.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lockgate.machine import keys
from lockgate.merkle.errors import NotAvailable
from lockgate.merkle.multistore import MultiStore
from lockgate.node.findings import verify
from lockgate.node.quotes import computed_chain
from lockgate.runtime.wasm import shipped
from lockgate.storage.ledger import LedgerStore
from lockgate.storage.nodes import SqliteNodes
from tests.interop.test_cometbft_light import cometbft  # noqa: F401  # a fixture

pytestmark = pytest.mark.interop

VALIDATORS = 4
END_S = 280
BETWEEN_S = 1.0  # after a validator is back, before the next one goes


def processes(home: Path) -> dict[str, int]:
    """Process ids of a validator's two halves; empty while it is down."""
    try:
        found: dict[str, int] = json.loads((home / "process.json").read_text())
    except (OSError, ValueError):
        return {}
    return found


def killed_in_turn(validators: Path, demo: subprocess.Popen[str]) -> list[str]:
    """Kill nodes and applications of one validator after the other until the demo ends; returns what was killed."""
    killed: list[str] = []
    deadline = time.monotonic() + END_S
    while demo.poll() is None:
        assert time.monotonic() < deadline, "the demo did not end"
        number = len(killed) % VALIDATORS
        half = ("node", "application")[len(killed) // VALIDATORS % 2]
        home = validators / str(number)
        before = processes(home)
        if half not in before:
            time.sleep(0.1)
            continue
        with contextlib.suppress(ProcessLookupError):
            os.kill(before[half], signal.SIGKILL)
        killed.append(f"{half} {number}")
        while demo.poll() is None and (processes(home) == before or not processes(home)):
            time.sleep(0.1)
        time.sleep(BETWEEN_S)
    return killed


def roots(home: Path) -> dict[int, bytes]:
    """The state root after each height that a validator's application has kept."""
    store = LedgerStore.open(home / "application.sqlite")
    try:
        state = MultiStore(keys.STORES, SqliteNodes(store.connection))
        found = {}
        for height in range(state.oldest, state.version + 1):
            with contextlib.suppress(NotAvailable):
                found[height] = state.hash_at(height)
        return found
    finally:
        store.close()


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder of its own with a short path: the deployment's sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="lg-") as root:
        yield Path(root)


def test_validators_killed_one_by_one_lose_and_repeat_nothing(cometbft: str, short: Path) -> None:  # noqa: F811
    if not (shipped.build_folder() / "iv-solver.wasm").exists():
        pytest.skip("the shipped guests are not built; `make install` builds them")
    environment = {**os.environ, "TMPDIR": str(short), "PATH": f"{Path(cometbft).parent}:{os.environ['PATH']}"}
    bundles = short / "bundles"
    command = [sys.executable, "-m", "lockgate.cli.main", "--json", "demo", "--engine", "cometbft", "--keep"]
    demo = subprocess.Popen(
        [*command, "--bundles", str(bundles)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        folder = _folder(short, demo)
        killed = killed_in_turn(folder / "ledgers" / "alpha" / "validators", demo)
        out = demo.communicate(timeout=30)[0]
    finally:
        demo.terminate()
    assert demo.returncode == 0, out[-2000:]
    tally: dict[str, Any] = json.loads(out.splitlines()[-1])
    count = len(computed_chain())
    assert (tally["sent"], tally["delivered"], tally["acknowledged"]) == (count, count, count)
    assert (tally["refused"], tally["lost"]) == (0, 0)
    assert len(killed) >= 2, killed
    kept = [roots(folder / "ledgers" / "alpha" / "validators" / str(number)) for number in range(VALIDATORS)]
    assert max(map(len, kept)) > 10
    for height in set().union(*kept):
        assert len({found[height] for found in kept if height in found}) == 1, height
    assert verify(sorted(bundles.glob("*.bundle"))[0].read_bytes()).accepted


def _folder(root: Path, demo: subprocess.Popen[str]) -> Path:
    """The demo's data folder, when all validators run."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and demo.poll() is None:
        for folder in root.glob("lockgate-demo-*"):
            homes = folder / "ledgers" / "alpha" / "validators"
            hosts = folder / "hosts" / "sender" / "host.sock"
            if hosts.exists() and all(processes(homes / str(number)) for number in range(VALIDATORS)):
                return folder
        time.sleep(0.1)
    pytest.fail(f"the cluster did not start: {demo.communicate()[0][-2000:] if demo.poll() is not None else ''}")
