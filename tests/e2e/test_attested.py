"""Lanes that rest on attestors, as a person starts them: `client` in the deployment file, one attestor killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lockgate.cli.main import app

DEPLOYMENT = """
[[ledger]]
name = "alpha"
chain_id = "alpha-1"
heartbeat = 0.5
client = "composite"
attestors = 4
quorum = 3

[[ledger]]
name = "beta"
chain_id = "beta-1"
heartbeat = 0.5
client = "attested"
attestors = 4
quorum = 3

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
LIMIT_S = 150.0


class Up:
    def __init__(self, folder: Path) -> None:
        self.folder = folder / "data"
        (folder / "deployment.toml").write_text(DEPLOYMENT)
        self._out = folder / "out.txt"
        command = [sys.executable, "-m", "lockgate.cli.main", "--data", str(self.folder), "up"]
        with self._out.open("wb") as out:
            self.process = subprocess.Popen(
                [*command, str(folder / "deployment.toml")], stdout=out, stderr=out, start_new_session=True
            )

    def said(self) -> str:
        return self._out.read_text()

    def until(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + LIMIT_S
        while not true():
            assert time.monotonic() < deadline, self.said()
            assert self.process.poll() is None, self.said()
            time.sleep(0.1)

    def lockgate(self, *arguments: str) -> str:
        done = CliRunner().invoke(app, ["--data", str(self.folder), "--json", *arguments])
        assert done.exit_code == 0, done.output
        return done.output

    def pid(self, name: str) -> int:
        ready = (self.folder / "logs" / f"{name}.log").read_text().splitlines()
        return int(
            json.loads(next(line for line in reversed(ready) if line.startswith("ready ")).split(" ", 1)[1])["pid"]
        )


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    running = Up(tmp_path)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.send_signal(signal.SIGINT)
        running.process.wait(30)


def test_a_lane_over_a_rule_and_a_quorum_carries_messages_though_an_attestor_is_killed(up: Up) -> None:
    up.until(lambda: "Running." in up.said())
    assert json.loads(up.lockgate("send", "one", "other", "hello", "--wait"))["reply"]
    clients = {row["client"].rpartition("-")[0] for row in json.loads(up.lockgate("client", "list"))}
    assert {"composite", "attested"} <= clients
    pids = {name: up.pid(f"attestor-{name}") for name in ("alpha-2", "beta-1")}
    for pid in pids.values():
        os.kill(pid, signal.SIGKILL)
    assert json.loads(up.lockgate("send", "other", "one", "and back", "--wait"))["reply"]
    up.until(lambda: all(up.pid(f"attestor-{name}") != pid for name, pid in pids.items()))
    states = {row["attestor"]: row["state"] for row in json.loads(up.lockgate("attestor", "status"))}
    assert len(states) == 8
    status = json.loads(up.lockgate("relay", "status", "alpha-beta"))
    for chain in ("alpha-1", "beta-1"):
        shown = status["clients"][chain]
        assert shown["status"] == "Active"
        assert len(shown["attested_by"]["attested"]["attestors"]) == 4
