"""The processes of a deployment, started and stopped together.

Children are this same program under another verb, each in its own process. They end when their parent
does: a pipe that the parent holds open closes with it, and a child that reads its end stops.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lockgate.primitives.errors import Unavailable

START_S: Final = 120.0  # a guest that is not in the code cache is compiled first
STOP_S: Final = 5.0


class ProcessEnded(Unavailable):
    code = "node.process_ended"
    summary = "A process of the deployment ended before it was ready."
    next_step = "Read its log in the data folder, under `logs`."


@dataclass(slots=True)
class Child:
    """One running process: what it is, and its last report."""

    name: str
    process: asyncio.subprocess.Process
    log: Path
    ready: asyncio.Event


class Deployment:
    """Starts children and keeps them until `stop`."""

    def __init__(self, root: Path, on_report: Callable[[str, str, dict[str, Any]], None]) -> None:
        self.root = root
        self._on_report = on_report
        self.children: dict[str, Child] = {}
        self._readers: list[asyncio.Task[None]] = []

    async def start(self, name: str, *arguments: str) -> Child:
        """Start a child and wait until it says that it is ready. Raises ProcessEnded."""
        log = self.root / "logs" / f"{name.replace(' ', '-')}.log"
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with log.open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "lockgate.cli.main",
                "--data",
                str(self.root),
                *arguments,
                "--reports",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        child = Child(name, process, log, asyncio.Event())
        self.children[name] = child
        reader = asyncio.create_task(self._read(child))
        self._readers.append(reader)
        ready = asyncio.create_task(child.ready.wait())
        await asyncio.wait({ready, reader}, timeout=START_S, return_when=asyncio.FIRST_COMPLETED)
        if not child.ready.is_set():
            ready.cancel()
            raise ProcessEnded("not ready", process=name, log=str(log), last=_tail(log))
        return child

    async def _read(self, child: Child) -> None:
        assert child.process.stdout is not None
        while line := await child.process.stdout.readline():
            try:
                report = json.loads(line)
            except ValueError:
                continue
            kind = str(report.pop("report", ""))
            with child.log.open("a") as log:
                log.write(f"{kind} {json.dumps(report)}\n")
            if kind == "ready":
                child.ready.set()
            self._on_report(child.name, kind, report)

    async def stop(self) -> None:
        """End every child: politely first, then for good."""
        for child in self.children.values():
            if child.process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    child.process.send_signal(signal.SIGTERM)
        for child in self.children.values():
            try:
                async with asyncio.timeout(STOP_S):
                    await child.process.wait()
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    child.process.kill()
                await child.process.wait()
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)


def _tail(log: Path, size: int = 400) -> str:
    with contextlib.suppress(OSError):
        return log.read_text(errors="replace")[-size:]
    return ""
