"""Builds and starts the Go programs under `bench/peers`, which answer one line for each line they read."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

PEERS = Path(__file__).parent
TOOLS = Path(__file__).resolve().parents[2] / ".venv-tools"


class PeerAbsent(Exception):
    """The peer cannot be built here; the text says why."""


def build(name: str) -> Path:
    """Build `bench/peers/NAME`: seconds when Go's cache is warm, minutes when it is not. Raises PeerAbsent."""
    if not shutil.which("go"):
        raise PeerAbsent(f"{name} is not measured: there is no Go on this machine")
    binary = TOOLS / name
    binary.parent.mkdir(exist_ok=True)
    environment = {**os.environ, "GOFLAGS": f"{os.environ.get('GOFLAGS', '')} -buildvcs=false".strip()}
    command = ["go", "build", "-o", str(binary), "."]
    done = subprocess.run(command, cwd=PEERS / name, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PeerAbsent(f"{name} is not measured: it could not be built: {done.stderr.strip()[-500:]}")
    return binary


class GoProgram:
    """A running program; ends with its block, or when `close` is called."""

    def __init__(self, name: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [build(name), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, line: str) -> str:
        """Write one line, return the line it answers. Raises RuntimeError when it ended instead."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self._process.args!r} ended")
        return answer

    def close(self) -> None:
        """Tell it that no line follows, and wait for its end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
