"""A deployment as a person runs it: a file, a data folder, commands and the processes they start."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from lockgate.cli.main import app

LIMIT_S = 120.0


class Commanded:
    """A folder with a deployment file and an account's key, and what commands have said."""

    def __init__(self, folder: Path, text: str, scalar: str) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.process: subprocess.Popen[bytes] | None = None
        (folder / "deployment.toml").write_text(text)
        self.key_file.write_text(scalar + "\n")
        self.key_file.chmod(0o600)

    @property
    def key_file(self) -> Path:
        return self.folder / "account.key"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def file(self) -> str:
        return str(self.folder / "deployment.toml")

    def lockgate(self, *arguments: str, code: int = 0) -> Any:
        """What a command prints as JSON."""
        done = CliRunner().invoke(app, ["--data", str(self.data), "--json", *arguments])
        self.said.append(done.output)
        assert done.exit_code == code, (done.output, done.exception)
        return json.loads(done.stdout.strip().splitlines()[-1])

    def start(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "lockgate.cli.main", "--data", str(self.data), *arguments]
        self.said.append("")
        with (self.folder / "out.txt").open("wb") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)

    @contextmanager
    def running(self, *arguments: str) -> Iterator[None]:
        """Another process beside it."""
        command = [sys.executable, "-m", "lockgate.cli.main", "--data", str(self.data), *arguments]
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            yield
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)

    def stop(self) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.process.wait(30)
        self.said.append((self.folder / "out.txt").read_text())
        self.process = None

    def until(self, true: Callable[[], Any], limit_s: float = LIMIT_S) -> Any:
        deadline = time.monotonic() + limit_s
        while not (found := true()):
            out = (self.folder / "out.txt").read_text()
            assert time.monotonic() < deadline, (out, self.logs())
            assert self.process is not None
            assert self.process.poll() is None, out
            time.sleep(0.2)
        return found

    def up(self) -> None:
        self.start("up", self.file)
        self.until(lambda: "Running." in (self.folder / "out.txt").read_text())

    def logs(self) -> str:
        return "".join(path.read_text() for path in sorted((self.data / "logs").glob("*.log")))

    def pid(self, name: str) -> int:
        lines = (self.data / "logs" / f"{name}.log").read_text().splitlines()
        ready = next(line for line in reversed(lines) if line.startswith("ready "))
        return int(json.loads(ready.split(" ", 1)[1])["pid"])


__all__ = ("Commanded",)
