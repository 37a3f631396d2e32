"""Simulated disks: SQLite in memory, outliving the processes that use it, and power that fails at a write.

A `Fuse` belongs to one start of a process. While it holds, the stores behave as the real ones. It
blows at a chosen write: before the transaction, inside it (SQLite rolls back), or after the commit
and before anybody learns of it. From then on nothing of that process reaches its disk or the network.
"""

from __future__ import annotations

import enum
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from lockgate.storage.host import HostStore
from lockgate.storage.ledger import LedgerStore
from lockgate.storage.signstate import WouldSignTwice

BOOK: Final = "sessions"


class PowerCut(BaseException):
    """The process is gone. Not a failure that a driver may handle: nothing of it runs any more."""


class Moment(enum.Enum):
    """Where in a write the power fails."""

    BEFORE = "before the transaction"
    INSIDE = "inside the transaction"
    AFTER = "after the commit"


class Fuse:
    """Whether a process still has power."""

    def __init__(self, on_blow: Callable[[], None]) -> None:
        self.blown = False
        self._on_blow = on_blow
        self._writes = 0
        self._moment: Moment | None = None

    def arm(self, writes: int, moment: Moment) -> None:
        """Blow at the `writes`-th write from now."""
        self._writes, self._moment = writes, moment

    def disarm(self) -> None:
        self._moment = None

    def blow(self) -> None:
        if not self.blown:
            self.blown = True
            self._on_blow()

    def at(self, moment: Moment) -> None:
        """A write has come to this moment. Raises PowerCut."""
        if moment is self._moment and not self.blown:
            self._writes -= 1
            if self._writes <= 0:
                self.blow()
        self.check()

    def check(self) -> None:
        if self.blown:
            raise PowerCut


class SimulatedLedgerStore(LedgerStore):
    """A ledger's store on a simulated disk, for one start of its process."""

    def __init__(self, connection: sqlite3.Connection, fuse: Fuse) -> None:
        super().__init__(connection, None)
        self._fuse = fuse

    @contextmanager
    def commit(self) -> Iterator[None]:
        self._fuse.at(Moment.BEFORE)
        with super().commit():
            yield
            self._fuse.at(Moment.INSIDE)
        self._fuse.at(Moment.AFTER)


class SimulatedHostStore(HostStore):
    """A host's store on a simulated disk, for one start of its process."""

    def __init__(self, connection: sqlite3.Connection, fuse: Fuse) -> None:
        super().__init__(connection, None)
        self._fuse = fuse

    @contextmanager
    def commit(self, *, durable: bool = False) -> Iterator[None]:
        self._fuse.at(Moment.BEFORE)
        with super().commit(durable=durable):
            yield
            self._fuse.at(Moment.INSIDE)
        self._fuse.at(Moment.AFTER)


class SimulatedVault:
    """Meets `hosting.sessions.Vault` over a cell that is in no backup of a disk, for one start of the process."""

    def __init__(self, cell: dict[str, bytes], fuse: Fuse) -> None:
        self._cell = cell
        self._fuse = fuse

    def load(self) -> bytes | None:
        return self._cell.get(BOOK)

    def save(self, book: bytes, /) -> None:
        self._fuse.at(Moment.BEFORE)
        self._cell[BOOK] = book
        self._fuse.at(Moment.AFTER)


class SignStateDisk:
    """What a validator's sign-state file holds; it is in no backup (P12)."""

    def __init__(self, height: int, sign_bytes: bytes) -> None:
        self.height = height
        self.sign_bytes = sign_bytes


class SimulatedSigningState:
    """Meets `engines.embedded.ports.SigningState` over a sign-state disk, for one start of the process."""

    def __init__(self, disk: SignStateDisk, fuse: Fuse) -> None:
        self._disk = disk
        self._fuse = fuse

    @property
    def height(self) -> int:
        return self._disk.height

    @property
    def sign_bytes(self) -> bytes:
        return self._disk.sign_bytes

    def permit(self, height: int, sign_bytes: bytes, /) -> None:
        disk = self._disk
        if height < disk.height or (height == disk.height and sign_bytes != disk.sign_bytes):
            raise WouldSignTwice("signed already", height=height, newest=disk.height)

    def record(self, height: int, sign_bytes: bytes, signature: bytes, /) -> None:
        self.permit(height, sign_bytes)
        self._fuse.at(Moment.BEFORE)
        self._disk.height, self._disk.sign_bytes = height, sign_bytes
        self._fuse.at(Moment.AFTER)


def image_of(connection: sqlite3.Connection) -> bytes:
    """A backup of a simulated disk. No transaction is open between two steps of the event loop."""
    return connection.serialize()


def disk_from(image: bytes) -> sqlite3.Connection:
    """A disk with the content of a backup."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    connection.deserialize(image)
    return connection


def unplugged(connection: sqlite3.Connection) -> sqlite3.Connection:
    """The disk as the next start finds it. A dead process cannot even roll back: its connection is closed."""
    if connection.in_transaction:
        connection.rollback()
    image = connection.serialize()
    connection.close()
    return disk_from(image)


__all__ = (
    "Fuse",
    "Moment",
    "PowerCut",
    "SignStateDisk",
    "SimulatedHostStore",
    "SimulatedLedgerStore",
    "SimulatedSigningState",
    "SimulatedVault",
    "disk_from",
    "image_of",
    "unplugged",
)
