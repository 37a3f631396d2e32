"""A deployment whose processes a test starts, kills and starts again, each by itself.

Set up once by `node.up`, then taken over: every party is the `lockgate` command in a process of its own,
so `kill -9` hits what a user runs and not a copy of it.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from lockgate.host.staging import GuestTree
from lockgate.node import check, up
from lockgate.node.folder import Folder, NotRunning
from lockgate.node.socket import RemoteRefusal, call
from lockgate.node.spec import HostSpec, Spec
from lockgate.storage.host import MESSAGE, HostStore, Sent
from lockgate.storage.nodes import SqliteNodes

COUNTER = Path(__file__).with_name("counter.wat")
SPEC = Spec(
    hosts=(
        HostSpec("sender", "alpha", "echo", ("counter",)),
        HostSpec("counter", "beta", str(COUNTER), ("sender",)),
    )
)
RELAY = "alpha-beta"
SENDERS = 4  # calls in flight
MOST_OPEN = 100  # below what one grant lets wait, so that a stopped receiver makes no inbox busy (P15)
END_S = 60.0  # for a process that is to end by itself; a host's start alone takes a few seconds


@dataclass
class Party:
    """One process of the deployment."""

    name: str
    arguments: tuple[str, ...]
    folder: Path
    program: str = "lockgate.cli.main"  # a module; a test's own one does the same and tells more
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    _log: IO[bytes] | None = field(default=None, repr=False)
    _said_before: int = 0

    def start(self) -> None:
        """Start it as an operator does, by the command; `kill` ends it."""
        self.log.parent.mkdir(exist_ok=True)
        self._log = self.log.open("ab")
        self._said_before = self._log.tell()
        command = [sys.executable, "-m", self.program, "--data", str(self.folder), *self.arguments]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, start_new_session=True
        )
        self.starts += 1

    @property
    def log(self) -> Path:
        return self.folder / "logs" / f"{self.name}.log"

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def tell(self, how: signal.Signals) -> None:
        """Stop it where it is, or let it go on."""
        assert self.process is not None
        os.kill(self.process.pid, how)

    def words(self) -> str:
        """What it has said since its last start."""
        return self.log.read_bytes()[self._said_before :].decode(errors="replace")

    async def said(self, words: str) -> None:
        """Wait until it has said this since its last start."""
        async with asyncio.timeout(END_S):
            while words not in self.words():
                await asyncio.sleep(0.05)

    async def ended(self) -> int:
        """Wait until it has ended by itself; returns its exit code."""
        assert self.process is not None
        return await asyncio.to_thread(self.process.wait, END_S)

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

    def __init__(self, root: Path, spec: Spec = SPEC) -> None:
        self.folder = Folder(root)
        self._spec = spec
        self.parties = [
            Party("ledger-alpha", ("ledger", "run", "alpha", "--heartbeat", "1"), root),
            Party("ledger-beta", ("ledger", "run", "beta", "--heartbeat", "1"), root),
            *(Party(f"host-{host.name}", ("host", "run", host.name), root) for host in spec.hosts),
            Party("relay", ("relay", "run", RELAY), root),
        ]

        self._moved: dict[str, Folder] = {}
        self._numbers = [0]  # no two messages of its life are the same

    def party(self, name: str) -> Party:
        return next(party for party in self.parties if party.name == name)

    def home(self, host: str) -> Path:
        """The folder of the copy of a host that goes on."""
        return self._moved.get(host, self.folder).host(host)

    def move(self, host: str, party: Party) -> None:
        """From here on this copy of a host is the one that is asked, read and kept running."""
        self.parties = [party if each.name == party.name else each for each in self.parties]
        self._moved[host] = Folder(party.folder)

    async def set_up(self) -> None:
        """Ledgers, clients, lane, endpoints, grants; then every process ends and is ours to start."""
        running = await up.start(self.folder, self._spec, lambda _: None, lambda *_: None)
        await running.stop()

    def start(self) -> None:
        for party in self.parties:
            party.start()

    def stop(self) -> None:
        for party in self.parties:
            party.kill(signal.SIGTERM)

    async def ask(self, host: str, verb: str, **arguments: Any) -> dict[str, Any]:
        return await call(self.home(host) / "host.sock", verb, **arguments)

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

    @asynccontextmanager
    async def load(self, most_open: int = MOST_OPEN) -> AsyncIterator[set[bytes]]:
        """Messages under way from here to the end of the block; yields the bodies whose sending was confirmed."""
        stop, known = asyncio.Event(), set[bytes]()
        sending = [asyncio.create_task(self._send_on(stop, known, most_open)) for _ in range(SENDERS)]
        try:
            yield known
        finally:
            stop.set()
            await asyncio.gather(*sending)

    async def _send_on(self, stop: asyncio.Event, known: set[bytes], most_open: int) -> None:
        while not stop.is_set():
            if await self.open() > most_open:
                await asyncio.sleep(0.1)
                continue
            body = b"message %d" % self._numbers[0]
            self._numbers[0] += 1
            if await self.send(body):
                known.add(body)
            else:
                await asyncio.sleep(0.1)

    async def acknowledged(self, more: int) -> None:
        """Wait until that many more messages of the sender have been acknowledged."""
        async with asyncio.timeout(END_S):
            before = (await self.ask("sender", "status"))["sent"]["acknowledged"]
            while (await self.ask("sender", "status"))["sent"]["acknowledged"] < before + more:
                await asyncio.sleep(0.1)

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
        store = HostStore.open(self.home("sender") / "host.sqlite")
        try:
            return [row for row in store.all_sent() if row.purpose == MESSAGE]
        finally:
            store.close()

    def counted(self) -> dict[bytes, int]:
        """How often each body acted on the counter's state, read from its stopped host's file."""
        connection = sqlite3.connect(self.home("counter") / "host.sqlite", isolation_level=None)
        try:
            return {key: value[0] for key, value in GuestTree(SqliteNodes(connection)).scan(b"", b"")}
        finally:
            connection.close()

    def acted_once(self, known: set[bytes]) -> None:
        """No message lost, none sent or acted twice: from the files of the stopped hosts that went on."""
        rows = self.sent()
        bodies = [row.body for row in rows]
        assert len(bodies) == len(set(bodies)), "a message was sent twice"
        assert known <= set(bodies), "a confirmed message is gone"
        assert {row.state for row in rows} == {"acknowledged"}, "with an hour to live, every message is answered"
        assert {row.reply for row in rows} == {b"\x01"}
        assert self.counted() == dict.fromkeys(bodies, 1)

    def verified(self, name: str) -> dict[str, Any]:
        """Walk a stopped ledger's store and run its blocks again: every root as it was signed."""
        return check.store(self.folder, name)


def copy(source: Path, target: Path, of: Party | None = None) -> None:
    """Copy a folder as a snapshot of the machine would: with the process that writes it stopped meanwhile."""
    if of is not None:
        of.tell(signal.SIGSTOP)
    try:
        shutil.copytree(source, target, ignore=lambda _, names: [name for name in names if name.endswith(".sock")])
    finally:
        if of is not None:
            of.tell(signal.SIGCONT)


def elsewhere(original: Folder, root: Path, host: str) -> Party:
    """Another machine for a copy of a host: the same passphrase, the same ledgers to reach. The copy is to come."""
    root.mkdir()
    shutil.copy(original.root / "passphrase", root)
    (root / "ledgers").symlink_to(original.root / "ledgers")
    return Party(f"host-{host}", ("host", "run", host), root)
