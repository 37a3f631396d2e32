"""The real `cometbft light` follows an embedded ledger over its RPC and verifies its headers (I10).

It is CometBFT's own verifier: what it accepts, any reader of that world accepts. It asks for commits and
validators, checks every header against a trusted one, and re-computes block, results and parameter hashes.
"""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

REPO = Path(__file__).resolve().parents[2]
LOCKGATE = Path(sys.executable).with_name("lockgate")
CHAIN_ID = "alpha-1"
HEARTBEAT_S = 0.5  # an idle ledger makes two blocks a second, so heights to ask for come by themselves
PATIENCE_S = 60.0  # for a process to answer on a busy machine

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def cometbft() -> str:
    installed = REPO / ".venv-tools" / "cometbft"
    found = str(installed) if installed.exists() else shutil.which("cometbft")
    if not found:
        pytest.skip("CometBFT is not installed: `make interop` builds it where there is Go")
    return found


@dataclass(frozen=True)
class Ledger:
    """A running embedded ledger, seen through its RPC."""

    address: str

    def ask(self, method: str, **params: Any) -> Any:
        return ask(self.address, method, **params)

    def hash_at(self, height: int) -> str:
        return str(self.ask("commit", height=height)["signed_header"]["commit"]["block_id"]["hash"])

    def tip(self) -> int:
        return int(self.ask("status")["sync_info"]["latest_block_height"])

    def wait_for(self, height: int) -> None:
        wait_until(lambda: self.tip() >= height)


def ask(address: str, method: str, **params: Any) -> Any:
    answer = httpx.get(f"{address}/{method}", params=params, timeout=30).json()
    assert "error" not in answer, answer
    return answer["result"]


def wait_until(holds: Callable[[], bool], process: subprocess.Popen[bytes] | None = None) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert process is None or process.poll() is None, "the process ended"
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.05)


def ended(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def running_ledger(folder: Path) -> Iterator[Ledger]:
    command = [LOCKGATE, "--data", folder, "ledger"]
    subprocess.run([*command, "create", "alpha", CHAIN_ID], check=True, stdout=subprocess.DEVNULL)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "run", "alpha", "--heartbeat", str(HEARTBEAT_S)],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
        )
    try:
        record = folder / "ledgers" / "alpha" / "address.json"
        wait_until(record.exists, process)
        ledger = Ledger(json.loads(record.read_text())["rpc"])
        ledger.wait_for(6)
        yield ledger
    finally:
        ended(process)


@pytest.fixture(scope="module")
def ledger(cometbft: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    yield from running_ledger(tmp_path_factory.mktemp("ledger"))


@pytest.fixture(scope="module")
def namesake(cometbft: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """Another ledger that carries the same chain id and has another validator."""
    yield from running_ledger(tmp_path_factory.mktemp("namesake"))


def light_command(cometbft: str, folder: Path, primary: Ledger, witness: Ledger, height: int, digest: str) -> list[str]:
    # Two folders of its own: it keeps a database in one and writes a configuration into the other.
    return [
        cometbft, "light", CHAIN_ID, "--home", str(folder / "config"), "--home-dir", str(folder / "database"),
        "--primary", primary.address, "--witnesses", witness.address,
        "--height", str(height), "--hash", digest, "--laddr", f"tcp://127.0.0.1:{free_port()}",
    ]  # fmt: skip


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
def light(cometbft: str, ledger: Ledger, tmp_path: Path) -> Iterator[str]:
    """The address of a light client that trusts the ledger's third header."""
    command = light_command(cometbft, tmp_path, ledger, ledger, 3, ledger.hash_at(3))
    log = tmp_path / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, stdin=subprocess.DEVNULL)
    try:
        wait_until(lambda: b"Starting RPC HTTP server" in log.read_bytes(), process)
        yield command[-1].replace("tcp", "http")
    finally:
        ended(process)


def test_it_verifies_newer_and_older_headers(light: str, ledger: Ledger) -> None:
    newer = ledger.tip() + 2
    ledger.wait_for(newer)
    for height in (newer, newer - 1, 2, 1):
        verified = ask(light, "commit", height=height)["signed_header"]
        assert verified == ledger.ask("commit", height=height)["signed_header"]


def test_it_recomputes_what_headers_commit_to(light: str, ledger: Ledger) -> None:
    verified, ours = ask(light, "block", height=5), ledger.ask("block", height=5)
    assert verified["block_id"] == ours["block_id"]  # it writes empty lists as null, so blocks compare by hash
    assert verified["block"]["last_commit"] == ours["block"]["last_commit"]
    assert ask(light, "validators", height=5)["validators"] == ledger.ask("validators", height=5)["validators"]
    assert ask(light, "block_results", height=4)["height"] == "4"  # against the next header's results hash
    assert ask(light, "consensus_params", height=5)["block_height"] == "5"  # against the consensus hash
    assert ask(light, "status")["node_info"]["network"] == CHAIN_ID


def refusal(command: list[str]) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 1
    return done.stdout + done.stderr


def test_it_refuses_another_fingerprint(cometbft: str, ledger: Ledger, tmp_path: Path) -> None:
    digest = bytearray.fromhex(ledger.hash_at(3))
    digest[0] ^= 1
    words = refusal(light_command(cometbft, tmp_path, ledger, ledger, 3, digest.hex()))
    assert "expected header's hash" in words


def test_it_refuses_a_witness_with_another_history(
    cometbft: str, ledger: Ledger, namesake: Ledger, tmp_path: Path
) -> None:
    words = refusal(light_command(cometbft, tmp_path, ledger, namesake, 3, ledger.hash_at(3)))
    assert "conflicting header" in words
