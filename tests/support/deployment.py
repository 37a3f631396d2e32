"""A deployment whose processes a test starts, kills and starts again, each by itself.

Set up once by `node.up`, then taken over: every party is the `lockgate` command in a process of its own,
so `kill -9` hits what a user runs and not a copy of it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from lockgate.host.staging import GuestTree
from lockgate.node import check, up
from lockgate.node.folder import Folder, NotRunning
from lockgate.node.socket import RemoteRefusal, call
from lockgate.storage.host import HostStore, Sent
from lockgate.storage.nodes import SqliteNodes

COUNTER = Path(__file__).with_name("counter.wat")
SPEC = up.Spec(
    hosts=(
        up.HostSpec("sender", "alpha", "echo", ("counter",)),
        up.HostSpec("counter", "beta", str(COUNTER), ("sender",)),
    )
)
RELAY = "alpha-beta"


@dataclass
class Party:
    """One process of the deployment."""

    name: str
    arguments: tuple[str, ...]
    folder: Path
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    _log: IO[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start it as an operator does, by the command; `kill` ends it."""
        log = self.folder / "logs" / f"{self.name}.log"
        log.parent.mkdir(exist_ok=True)
        self._log = log.open("ab")
        command = [sys.executable, "-m", "lockgate.cli.main", "--data", str(self.folder), *self.arguments]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, start_new_session=True
        )
        self.starts += 1

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            os.kill(self.process.pid, how)
        self.process.wait(30)
        if self._log is not None:
            self._log.close()
        self.process = None


class Deployment:
    """Two ledgers, two hosts, one relayer."""

    def __init__(self, root: Path) -> None:
        self.folder = Folder(root)
        self.parties = [
            Party("ledger-alpha", ("ledger", "run", "alpha", "--heartbeat", "1"), root),
            Party("ledger-beta", ("ledger", "run", "beta", "--heartbeat", "1"), root),
            Party("host-sender", ("host", "run", "sender"), root),
            Party("host-counter", ("host", "run", "counter"), root),
            Party("relay", ("relay", "run", RELAY), root),
        ]

    def party(self, name: str) -> Party:
        return next(party for party in self.parties if party.name == name)

    async def set_up(self) -> None:
        """Ledgers, clients, lane, endpoints, grants; then every process ends and is ours to start."""
        running = await up.start(self.folder, SPEC, lambda _: None, lambda *_: None)
        await running.stop()

    def start(self) -> None:
        for party in self.parties:
            party.start()

    def stop(self) -> None:
        for party in self.parties:
            party.kill(signal.SIGTERM)

    async def ask(self, host: str, verb: str, **arguments: Any) -> dict[str, Any]:
        return await call(self.folder.host(host) / "host.sock", verb, **arguments)

    async def send(self, body: bytes, timeout_s: int = 3_600) -> bool:
        """Ask the sender for one message to the counter; False when its fate is unknown to the asker."""
        try:
            async with asyncio.timeout(60):
                await self.ask("sender", "send", to="counter", schema="bytes@1.0", body=body.hex(), timeout_s=timeout_s)
        except (NotRunning, RemoteRefusal, TimeoutError, json.JSONDecodeError):
            return False
        return True

    async def open(self) -> int:
        """How many messages of the sender are on their way; many, when it does not answer."""
        try:
            status = await self.ask("sender", "status")
        except (NotRunning, RemoteRefusal, json.JSONDecodeError):
            return 1_000
        return int(status["waiting"]) + int(status["sent"]["sent"])

    async def settled(self, within_s: float) -> None:
        """Wait until no message of the sender is open. A party that ended by itself is started again."""
        try:
            async with asyncio.timeout(within_s):
                while await self.open():
                    for party in self.parties:
                        if not party.alive:
                            party.kill()
                            party.start()
                    await asyncio.sleep(0.25)
        except TimeoutError:
            raise AssertionError(f"{await self.open()} messages are open after {within_s} s") from None

    def sent(self) -> list[Sent]:
        """Every message of the sender, read from its stopped host's file."""
        store = HostStore.open(self.folder.host("sender") / "host.sqlite")
        try:
            return store.all_sent()
        finally:
            store.close()

    def counted(self) -> dict[bytes, int]:
        """How often each body acted on the counter's state, read from its stopped host's file."""
        connection = sqlite3.connect(self.folder.host("counter") / "host.sqlite", isolation_level=None)
        try:
            return {key: value[0] for key, value in GuestTree(SqliteNodes(connection)).scan(b"", b"")}
        finally:
            connection.close()

    def verified(self, name: str) -> dict[str, Any]:
        """Walk a stopped ledger's store and run its blocks again: every root as it was signed."""
        return check.store(self.folder, name)
