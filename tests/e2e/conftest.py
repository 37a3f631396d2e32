"""One running deployment for all the tests that only use it: started once, as a person starts it, ended at the end."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from lockgate.cli.main import app
from lockgate.runtime.wasm import shipped
from tests.support import probe

START_S = 120.0
SPEC = f"""
[[ledger]]
name = "alpha"
chain_id = "alpha-1"

[[ledger]]
name = "beta"
chain_id = "beta-1"

[[host]]
name = "alice"
ledger = "alpha"
guest = "echo"
peers = ["bob", "probe"]

[[host]]
name = "bob"
ledger = "beta"
guest = "echo"
peers = ["alice"]

[[host]]
name = "probe"
ledger = "beta"
guest = "{probe.WAT}"
peers = ["alice"]
"""


@dataclass(frozen=True)
class Running:
    """`alice` on alpha; on beta `bob`, who answers in reverse, and `probe`, who does what the message says."""

    folder: Path

    def lockgate(self, *arguments: str, stdin: bytes = b"") -> Result:
        """Run the tool in this process; what it asks is another one."""
        return CliRunner().invoke(app, ["--data", str(self.folder), *arguments], input=stdin)


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    if not (shipped.build_folder() / "echo.wasm").exists():
        pytest.skip("the shipped guests are not built; `make install` builds them")
    root = tmp_path_factory.mktemp("deployment")
    (root / "spec.toml").write_text(SPEC)
    folder = root / "data"
    command = [sys.executable, "-m", "lockgate.cli.main", "--data", str(folder), "up", str(root / "spec.toml")]
    with (root / "up.log").open("wb") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
    timer = threading.Timer(START_S, process.kill)
    timer.start()
    try:
        assert process.stdout is not None
        seen = ""
        for line in process.stdout:  # ends with the process, which the timer ends at the latest
            seen += line
            if "Running" in line:
                break
        timer.cancel()
        assert "Running" in seen, (root / "up.log").read_text()[-2000:]
        yield Running(folder)
    finally:
        timer.cancel()
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        finally:
            process.kill()
            process.wait()
