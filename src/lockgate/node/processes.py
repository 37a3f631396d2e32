"""The processes of a deployment: started, watched, started again when they die, stopped together.

Each child is this same program under another verb, in a process of its own (`spawner`). It ends when its
parent does: a pipe that the parent holds open closes with it, and a child that reads its end stops. A
child that dies alone leaves the rest running. It is started again, a bounded number of times, unless its
own last word was a refusal: a host that was fenced off, or a ledger whose store was altered, must not be.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

from lockgate.keystore.stretch import roots_to_bytes
from lockgate.node.folder import Folder, writing
from lockgate.node.spawner import Spawner
from lockgate.primitives.errors import LockgateError, Unavailable

START_S: Final = 120.0  # a guest that is not in the code cache is compiled first
STOP_S: Final = 5.0
HOLD_S: Final = 15.0  # a validator waits up to 10 s for its node
RESTARTS: Final = 5  # of one child within RESTARTS_WITHIN_S; more would only fill the log
RESTARTS_WITHIN_S: Final = 60.0
FIRST_RESTART_S: Final = 0.1  # doubling with each restart in the window
REFUSALS: Final = frozenset({3, 4, 70})  # exit codes that another start would not change
POLL_S: Final = 0.05  # for a child's end when the spawner, which is told of it, is gone
MAX_LINE: Final = 1 << 20  # of a child's report
OnReport = Callable[[str, str, dict[str, Any]], None]


class ProcessEnded(Unavailable):
    code = "node.process_ended"
    summary = "A process of the deployment ended before it was ready."
    next_step = "Read its log in the data folder, under `logs`; `lockgate explain` knows the cause by its code."


@dataclass(slots=True)
class Run:
    """One life of a child."""

    stdin: int
    pid: asyncio.Future[int]
    ended: asyncio.Future[int]  # exit code; negative: the signal that ended it
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    reading: asyncio.Task[None] | None = None
    failure: dict[str, Any] = field(default_factory=dict)  # its own last word: code and detail

    async def over(self) -> int:
        """Wait for the end, and for all that it said before."""
        status = await asyncio.shield(self.ended)
        if self.reading is not None:
            await asyncio.wait({self.reading})  # however that ends: the process is over
        return status

    def hang_up(self) -> None:
        """Close the pipe it lives by: it ends when it reads that."""
        if self.stdin >= 0:
            os.close(self.stdin)
            self.stdin = -1

    def why(self, status: int) -> str:
        """How it ended, in words."""
        if self.failure:
            said = " ".join(f"{name}={value}" for name, value in dict(self.failure.get("fields") or {}).items())
            return f"{self.failure.get('code')}: {self.failure.get('detail')}" + (f" ({said})" if said else "")
        if status < 0:
            with contextlib.suppress(ValueError):
                return f"killed by {signal.Signals(-status).name}"
            return f"killed by signal {-status}"
        return f"exit code {status}"


@dataclass(slots=True)
class Child:
    """A process that is to run: what it is, and its present life."""

    name: str
    arguments: tuple[str, ...]
    log: Path
    run: Run
    restarts: deque[float] = field(default_factory=deque)
    held: bool = False  # it is to stay down until `resume`

    @property
    def pid(self) -> int:
        """Its process id; 0 while it is being started."""
        return self.run.pid.result() if self.run.pid.done() and not self.run.pid.exception() else 0


class Deployment:
    """Starts children and keeps them running until `stop`."""

    def __init__(self, folder: Folder, on_report: OnReport, spawner: Spawner | None = None) -> None:
        self._folder = folder
        self._on_report = on_report
        self._spawner = spawner or Spawner.start()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._spawner.socket, self._answered)
        self._numbers = itertools.count(1)
        self._runs: dict[int, Run] = {}  # by number of the request
        self._keeping: list[asyncio.Task[None]] = []
        self._stopping = False
        self.children: dict[str, Child] = {}

    async def start(self, name: str, *arguments: str, once: tuple[str, ...] = ()) -> Child:
        """Start a child and wait until it says that it is ready. Raises ProcessEnded, DiskFull, NotWritable.

        What is in `once` is said to its first life only.
        """
        log = self._folder.root / "logs" / f"{name.replace(' ', '-')}.log"
        with writing(log):
            log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        child = Child(name, arguments, log, self._launch(name, arguments + once, log))
        self.children[name] = child
        await self._ready(child, START_S)
        return child

    async def hold(self, name: str, end: Callable[[Child], None] | None = None) -> None:
        """End a child, and leave it down until `resume`. `end` ends it otherwise than by hanging up.

        Returns when it is gone. One that runs on after `HOLD_S` is killed.
        """
        child = self.children[name]
        child.held = True
        if child.run.ended.done():
            return
        (end or (lambda ending: ending.run.hang_up()))(child)
        try:
            async with asyncio.timeout(HOLD_S):
                await child.run.over()
        except TimeoutError:
            _kill(child.run)
            await child.run.over()

    async def resume(self, name: str, *, once: tuple[str, ...] = (), within_s: float | None = None) -> None:
        """Start a held child, or one that was given up, and wait until it is ready. Raises ProcessEnded.

        What is in `once` is said to its next life only, for which it has `within_s` to be ready, where that is given.
        """
        child = self.children[name]
        child.held = False
        child.restarts.clear()
        child.run.hang_up()
        child.run = self._launch(child.name, child.arguments + once, child.log)
        await self._ready(child, within_s or START_S)

    async def _ready(self, child: Child, within_s: float) -> None:
        run, name, log = child.run, child.name, child.log
        ready, over = asyncio.create_task(run.ready.wait()), asyncio.create_task(run.over())
        try:
            done, _ = await asyncio.wait({ready, over}, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (ready, over):
                task.cancel()
        if ready not in done:
            why = run.why(over.result()) if over in done else f"not ready within {within_s:.0f} s"
            run.hang_up()  # nobody would start it again: it ends, too
            raise ProcessEnded(why, process=name, log=str(log))
        await run.pid  # its own word may come before the spawner's
        self._keeping = [task for task in self._keeping if not task.done()]
        self._keeping.append(asyncio.create_task(self._keep(child)))

    def _launch(self, name: str, arguments: tuple[str, ...], log: Path) -> Run:
        opens = roots_to_bytes(self._folder.passphrase()).hex().encode() + b"\n"
        number = next(self._numbers)
        command = ["--json", "--opened", "--data", str(self._folder.root), *arguments, "--reports"]
        stdin, ours = os.pipe()
        theirs, stdout = os.pipe()
        try:
            # What opens the key files goes through the pipe that only this child reads: no other process learns it.
            os.write(ours, opens)
            with _errors_to(log) as errors:
                self._spawner.ask(number, command, (stdin, stdout, errors.fileno()))
        except OSError as error:
            os.close(ours)
            os.close(theirs)
            raise ProcessEnded("the process that starts others is gone", process=name) from error
        finally:
            os.close(stdin)
            os.close(stdout)
        run = self._runs[number] = Run(ours, self._loop.create_future(), self._loop.create_future())
        run.reading = asyncio.create_task(self._read(name, log, run, theirs))
        return run

    async def _read(self, name: str, log: Path, run: Run, stream: int) -> None:
        """Take a child's reports until its standard output ends."""
        reader = asyncio.StreamReader(limit=MAX_LINE)
        transport, _ = await self._loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(stream, "rb")
        )
        with contextlib.closing(transport):
            while line := await reader.readline():
                try:
                    report = dict(json.loads(line))
                except (ValueError, TypeError):
                    continue
                if "error" in report:
                    run.failure = dict(report["error"])
                    continue
                kind = str(report.pop("report", ""))
                with contextlib.suppress(OSError), log.open("a") as file:  # on a full disk it says it to people only
                    file.write(f"{kind} {json.dumps(report)}\n")
                if kind == "ready":
                    run.ready.set()
                self._tell(name, kind, report)

    def _tell(self, name: str, kind: str, fields: dict[str, Any]) -> None:
        """Report; whoever hears it may have nowhere to write it, and processes are watched all the same."""
        with contextlib.suppress(OSError):
            self._on_report(name, kind, fields)

    async def _keep(self, child: Child) -> None:
        """Start a child again when it dies, and say so in words."""
        while not self._stopping:
            run = child.run
            status = await run.over()
            if self._stopping or child.held:
                return
            why = run.why(status)
            run.hang_up()
            now = self._loop.time()
            while child.restarts and now - child.restarts[0] > RESTARTS_WITHIN_S:
                child.restarts.popleft()
            if status in REFUSALS or len(child.restarts) >= RESTARTS:
                self._tell(child.name, "given_up", {"why": why, "log": str(child.log)})
                return
            self._tell(child.name, "ended", {"why": why})
            await asyncio.sleep(FIRST_RESTART_S * 2 ** len(child.restarts))
            if child.held or child.run is not run:
                return
            child.restarts.append(now)
            try:
                child.run = self._launch(child.name, child.arguments, child.log)
            except (LockgateError, OSError) as error:  # a passphrase that does not read, no descriptor left
                self._tell(child.name, "given_up", {"why": str(error), "log": str(child.log)})
                return

    def _answered(self) -> None:
        answers = self._spawner.answers()
        if answers is None:
            self._loop.remove_reader(self._spawner.socket)
            for run in self._runs.values():
                self._orphaned(run)
            return
        for answer in answers:
            if "number" in answer:
                self._runs[answer["number"]].pid.set_result(answer["pid"])
                continue
            for number, run in list(self._runs.items()):
                if run.pid.done() and run.pid.result() == answer["pid"]:
                    del self._runs[number]
                    run.ended.set_result(answer["status"])

    def _orphaned(self, run: Run) -> None:
        """The spawner is gone: nobody reports this child's end, so look for it."""
        if not run.pid.done():
            run.pid.set_result(0)
            run.ended.set_result(1)
        elif not run.ended.done():
            self._keeping.append(asyncio.create_task(_until_gone(run)))

    async def stop(self) -> None:
        """End every child: politely first, then for good."""
        self._stopping = True
        for child in self.children.values():
            child.run.hang_up()
        runs = [child.run for child in self.children.values() if not child.run.ended.done()]
        try:
            async with asyncio.timeout(STOP_S):
                await asyncio.gather(*(run.over() for run in runs), return_exceptions=True)
        except TimeoutError:
            for run in runs:
                _kill(run)
            await asyncio.gather(*(run.over() for run in runs), return_exceptions=True)
        for task in self._keeping:
            task.cancel()
        await asyncio.gather(*self._keeping, return_exceptions=True)
        self._loop.remove_reader(self._spawner.socket)
        self._spawner.stop()


def _errors_to(log: Path) -> BinaryIO:
    """Where a child's standard error goes: into its log, where that can be written."""
    try:
        return log.open("ab")
    except OSError:
        return Path(os.devnull).open("ab")


def _kill(run: Run) -> None:
    if run.pid.done() and not run.ended.done():
        with contextlib.suppress(ProcessLookupError):
            os.kill(run.pid.result(), signal.SIGKILL)


async def _until_gone(run: Run) -> None:
    with contextlib.suppress(ProcessLookupError):
        while True:
            os.kill(run.pid.result(), 0)
            await asyncio.sleep(POLL_S)
    run.ended.set_result(1)


__all__ = ("Child", "Deployment", "OnReport", "ProcessEnded")
