"""Drives the ibc-go harness in `bench/peers/ibcgo`, one round at a time, so that rounds of two sides can alternate.

with IbcGo.start() as peer:
    peer.round("separate", batch=50, packets=500)   # once, not counted: the chains are made here
    print(peer.round("separate", batch=50, packets=500)["packets_per_s"])
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

HARNESS = Path(__file__).with_name("ibcgo")
BINARY = Path(__file__).resolve().parents[2] / ".venv-tools" / "ibcgo"
SCHEDULES = ("separate", "combined")


class PeerAbsent(Exception):
    """The peer cannot be built here; the text says why."""


def build() -> Path:
    """Build the harness, in seconds when Go's cache is warm and in about five minutes when it is not."""
    if not shutil.which("go"):
        raise PeerAbsent("ibc-go is not measured: there is no Go on this machine")
    BINARY.parent.mkdir(exist_ok=True)
    environment = {**os.environ, "GOFLAGS": f"{os.environ.get('GOFLAGS', '')} -buildvcs=false".strip()}
    done = subprocess.run(
        ["go", "build", "-o", str(BINARY), "."],
        cwd=HARNESS,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise PeerAbsent(f"ibc-go is not measured: its harness could not be built: {done.stderr.strip()[-500:]}")
    return BINARY


class IbcGo:
    """A running harness. Chains live as long as it does, one pair for each (schedule, batch)."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    @classmethod
    def start(cls) -> IbcGo:
        """Build and start it. Raises PeerAbsent."""
        return cls(subprocess.Popen([build(), "-serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))

    def round(self, schedule: str, *, batch: int, packets: int) -> dict[str, Any]:
        """Run one round and return its line: seconds, packets_per_s, blocks, signatures and the split per step."""
        if schedule not in SCHEDULES:
            raise ValueError(f"a schedule is one of {SCHEDULES}")
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{schedule} {batch} {packets}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line.startswith("{"):
            raise RuntimeError(f"the harness ended: {line}{self._process.stdout.read()}")
        result: dict[str, Any] = json.loads(line)
        return result

    def __enter__(self) -> IbcGo:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
