"""`lockgate up` as a person runs it: in a terminal of its own, killed in every way."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lockgate.node.socket import call

DEPLOYMENT = """
[[ledger]]
name = "alpha"
chain_id = "alpha-1"
heartbeat = 0.5

[[ledger]]
name = "beta"
chain_id = "beta-1"
heartbeat = 0.5
{port}

[[host]]
name = "one"
ledger = "alpha"
guest = "echo"
peers = ["other"]

[[host]]
name = "other"
ledger = "beta"
guest = "echo"
peers = ["one"]
"""
LIMIT_S = 90.0
CHILDREN = 5


class Up:
    """A running `lockgate up`, and what it has printed."""

    def __init__(self, folder: Path, port: str = "") -> None:
        self.folder = folder / "data"
        self._config = folder / "deployment.toml"
        self._config.write_text(DEPLOYMENT.format(port=port))
        self._out = folder / "out.txt"
        with self._out.open("wb") as out:
            self.process = subprocess.Popen(self.command(), stdout=out, stderr=out, start_new_session=True)

    def command(self) -> list[str]:
        run = [sys.executable, "-m", "lockgate.cli.main", "--data", str(self.folder)]
        return [*run, "up", str(self._config)]

    def said(self) -> str:
        return self._out.read_text()

    def until(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + LIMIT_S
        while not true():
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.05)

    def running(self) -> None:
        self.until(lambda: "Running." in self.said() or self.process.poll() is not None)
        assert self.process.poll() is None, self.said()

    def pids(self) -> dict[str, int]:
        """Every process of the deployment by its name, as each said it is ready; the newest says last."""
        found = {}
        for log in (self.folder / "logs").glob("*.log"):
            for line in log.read_text().splitlines():
                kind, _, fields = line.partition(" ")
                if kind == "ready":
                    found[log.stem] = int(json.loads(fields).get("pid", 0))
        for name in ("alpha", "beta"):
            record = self.folder / "ledgers" / name / "address.json"
            # A ledger that starts again takes the record of its last life away first.
            with contextlib.suppress(FileNotFoundError):
                found[f"ledger-{name}"] = json.loads(record.read_text())["pid"]
        return found

    def send(self, body: bytes) -> str:
        """Send one message and wait for its end."""
        path = self.folder / "hosts" / "one" / "host.sock"

        async def work() -> str:
            sent = await call(path, "send", to="other", schema="bytes@1.0", body=body.hex(), timeout_s=600)
            packet = sent["packets"][0]
            while True:
                row = (await call(path, "message", client=packet["client"], sequence=packet["sequence"]))["message"]
                if row is not None and row["state"] != "sent":
                    return str(row["state"])
                await asyncio.sleep(0.02)

        return asyncio.run(asyncio.wait_for(work(), LIMIT_S))


def gone(pids: list[int]) -> bool:
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state != "Z":
            return False
    return True


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    started = Up(tmp_path)
    try:
        started.running()
        yield started
    finally:
        started.process.kill()
        started.process.wait()


def test_S64_dead_processes_come_back_and_a_second_up_is_told_where_the_first_runs(up: Up) -> None:
    before = up.pids()
    assert len(before) == CHILDREN
    assert up.send(b"before") == "acknowledged"

    second = subprocess.run(up.command(), capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert second.returncode == 3
    address = json.loads((up.folder / "ledgers" / "alpha" / "address.json").read_text())["rpc"]
    for word in ("node.already_running", f"pid={up.process.pid}", f"alpha={address}", "Next:"):
        assert word in second.stderr
    assert "Traceback" not in second.stderr

    for name in ("host-other", "ledger-beta", "relay-alpha-beta"):
        os.kill(before[name], signal.SIGKILL)
        up.until(lambda name=name: f"{name.replace('-', ' ', 1)} ended: killed by SIGKILL" in up.said())
        up.until(lambda name=name: up.pids().get(name) not in {before[name], 0, None})
    assert up.send(b"after") == "acknowledged"
    now = up.pids()
    assert {name for name in before if now[name] == before[name]} == {"ledger-alpha", "host-one"}

    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(LIMIT_S) == 0
    assert gone(list(now.values()))
    assert not (up.folder / "up.json").exists()
    assert "Traceback" not in up.said()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_its_parent(up: Up, number: signal.Signals) -> None:
    pids = list(up.pids().values())
    up.process.send_signal(number)
    assert up.process.wait(LIMIT_S) == (0 if number is signal.SIGTERM else -signal.SIGKILL)
    up.until(lambda: gone(pids))


def test_a_busy_port_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        up = Up(tmp_path, f"port = {port}")
        assert up.process.wait(LIMIT_S) == 5
    assert "node.port_busy" in up.said()
    assert str(port) in up.said()
    assert "Traceback" not in up.said()
    assert "ledger beta" in up.said()
