"""The embedded engine's SQLite file: blocks, results, transaction index; one commit per block.

The Merkle nodes live in the same database, written through the same connection, so that a block and
its state become durable together or not at all. Who opens the file takes an exclusive lock on a
sibling, so two processes cannot run one ledger.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from lockgate.primitives.errors import Damaged, Unavailable

SCHEMA_VERSION: Final = 1
PAGE_CACHE_KIB: Final = 16_384
MAX_SEARCH_ROWS: Final = 10_000  # rows of one search; a longer answer is narrowed by heights
MAX_HEIGHT: Final = (1 << 63) - 1
RARE: Final = 100  # terms with fewer rows than this are told apart when a search chooses where to begin

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS block (
  height INTEGER PRIMARY KEY, hash BLOB NOT NULL, block BLOB NOT NULL, signed BLOB NOT NULL,
  results BLOB NOT NULL, app_hash BLOB NOT NULL, time INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS block_by_hash ON block (hash);
CREATE TABLE IF NOT EXISTS tx (hash BLOB PRIMARY KEY, height INTEGER NOT NULL, number INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS event (
  name TEXT NOT NULL, value TEXT NOT NULL, height INTEGER NOT NULL, number INTEGER NOT NULL,
  PRIMARY KEY (name, value, height, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS body (key BLOB PRIMARY KEY, data BLOB NOT NULL);
"""


class StoreInUse(Unavailable):
    code = "store.in_use"
    summary = "Another process has this data folder open."
    next_step = "Stop the other process, or use another data folder."


class StoreFull(Damaged):
    code = "store.full"
    summary = "The disk is full; the block was not committed."
    next_step = "Free some space; the ledger goes on from its last committed block."


class StoreBroken(Damaged):
    code = "store.broken"
    summary = "The database file is damaged, truncated, or not ours."
    next_step = "Run `lockgate verify --store`; restore from a good copy under a new revision (P12)."


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """One row: block and signed header as protobuf, results as CBOR, state root after the block."""

    height: int
    hash: bytes
    block: bytes
    signed: bytes
    results: bytes
    app_hash: bytes
    time: int


class LedgerStore:
    """One open database. Reads at any time; writes only inside `commit()`."""

    def __init__(self, connection: sqlite3.Connection, lock: int | None) -> None:
        self.connection = connection
        self._lock = lock

    @classmethod
    def open(cls, path: Path, *, durable: bool = False) -> Self:
        """Open or create the file. `durable` makes SQLite sync at every commit.

        Without it a power loss (not a crash) can lose the newest blocks; the signing state, which is
        always synced, then refuses to go on silently (P12). Raises StoreInUse, StoreBroken.
        """
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = take_lock(path.with_suffix(".lock"))
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            with named_failures():
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
                connection.execute(f"PRAGMA cache_size=-{PAGE_CACHE_KIB}")
                connection.executescript(_SCHEMA)
            store = cls(connection, lock)
            version = store.meta("schema")
            if version is None:
                with store.commit():
                    store.set_meta("schema", str(SCHEMA_VERSION).encode())
            elif version != str(SCHEMA_VERSION).encode():
                raise StoreBroken("unknown schema version", version=version)
        except BaseException:
            connection.close()
            os.close(lock)
            raise
        os.chmod(path, 0o600)
        return store

    @classmethod
    def in_memory(cls) -> Self:
        """A store without a file, for the lab and for measurements."""
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        connection.executescript(_SCHEMA)
        return cls(connection, None)

    def close(self) -> None:
        self.connection.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @contextmanager
    def commit(self) -> Iterator[None]:
        """One atomic transaction: everything written inside becomes durable together, or nothing."""
        with named_failures():
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise

    def meta(self, name: str) -> bytes | None:
        with named_failures():
            row = self.connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else bytes(row[0])

    def set_meta(self, name: str, value: bytes) -> None:
        self.connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    def remove_meta(self, name: str) -> None:
        self.connection.execute("DELETE FROM meta WHERE name = ?", (name,))

    def bodies(self) -> Iterator[tuple[bytes, bytes]]:
        """Every packet that waits, ascending by key. Raises StoreBroken when a row holds no bytes."""
        for key in self.body_keys():
            data = self.body(key)
            if data is not None:
                yield key, data

    def body_keys(self) -> list[bytes]:
        """Of every packet that waits, ascending."""
        with named_failures():
            return [bytes(row[0]) for row in self.connection.execute("SELECT key FROM body ORDER BY key")]

    def add_block(
        self,
        *,
        height: int,
        hash: bytes,  # the field's own name in every CometBFT structure
        block: bytes,
        signed: bytes,
        results: bytes,
        app_hash: bytes,
        time: int,
    ) -> None:
        self.connection.execute(
            "INSERT INTO block VALUES (?, ?, ?, ?, ?, ?, ?)",
            (height, hash, block, signed, results, app_hash, time),
        )

    def add_transactions(self, height: int, hashes: list[bytes]) -> None:
        # The same bytes can stand in two blocks (the second one refused): the first keeps the index.
        rows = [(digest, height, number) for number, digest in enumerate(hashes)]
        self.connection.executemany("INSERT OR IGNORE INTO tx VALUES (?, ?, ?)", rows)

    def add_events(self, rows: list[tuple[str, str, int, int]]) -> None:
        """Index (name `type.attribute`, value, height, transaction number; -1 for the block's own)."""
        self.connection.executemany("INSERT OR IGNORE INTO event VALUES (?, ?, ?, ?)", rows)

    def remove_block(self, height: int, hashes: list[bytes], rows: list[tuple[str, str, int, int]]) -> None:
        """Take a block out, with the index of its transactions and events, row by row: a scan would cost all."""
        execute = self.connection.executemany
        execute("DELETE FROM block WHERE height = ?", [(height,)])
        execute("DELETE FROM tx WHERE hash = ? AND height = ?", [(digest, height) for digest in hashes])
        execute("DELETE FROM event WHERE name = ? AND value = ? AND height = ? AND number = ?", rows)

    def add_bodies(self, bodies: Mapping[bytes, bytes | None]) -> None:
        """Put packets that wait into their table; None takes one out."""
        for key, data in bodies.items():
            if data is None:
                self.connection.execute("DELETE FROM body WHERE key = ?", (key,))
            else:
                self.connection.execute("INSERT OR REPLACE INTO body VALUES (?, ?)", (key, data))

    def body(self, key: bytes) -> bytes | None:
        """A packet that waits, as the row has it. Raises StoreBroken when the row holds no bytes."""
        with named_failures():
            row = self.connection.execute("SELECT data FROM body WHERE key = ?", (key,)).fetchone()
        if row is not None and not isinstance(row[0], bytes):
            raise StoreBroken("a row holds no bytes", table="body")
        return None if row is None else row[0]

    def block(self, height: int) -> StoredBlock | None:
        with named_failures():
            row = self.connection.execute("SELECT * FROM block WHERE height = ?", (height,)).fetchone()
        return None if row is None else _stored(row)

    def height_of_hash(self, digest: bytes) -> int | None:
        row = self.connection.execute("SELECT height FROM block WHERE hash = ?", (digest,)).fetchone()
        return None if row is None else int(row[0])

    def tip(self) -> StoredBlock | None:
        with named_failures():
            row = self.connection.execute("SELECT * FROM block ORDER BY height DESC LIMIT 1").fetchone()
        return None if row is None else _stored(row)

    def base_height(self) -> int:
        with named_failures():
            row = self.connection.execute("SELECT min(height) FROM block").fetchone()
        return int(row[0] or 0)

    def transaction(self, digest: bytes) -> tuple[int, int] | None:
        row = self.connection.execute("SELECT height, number FROM tx WHERE hash = ?", (digest,)).fetchone()
        return None if row is None else (int(row[0]), int(row[1]))

    def search(self, terms: Sequence[tuple[str, str]], low: int = 0, high: int = MAX_HEIGHT) -> list[tuple[int, int]]:
        """(height, transaction number) pairs within the heights whose events have all these values, ascending.

        The rarest term leads, so that a search for one packet costs the same in a ledger of millions.
        """
        first, *others = sorted(terms, key=self._count) if len(terms) > 1 else terms
        join = "".join(
            f" CROSS JOIN event e{n} ON e{n}.name = ? AND e{n}.value = ?"
            f" AND e{n}.height = e0.height AND e{n}.number = e0.number"
            for n in range(1, len(terms))
        )
        rows = self.connection.execute(
            f"SELECT e0.height, e0.number FROM event e0{join} WHERE e0.name = ? AND e0.value = ?"  # noqa: S608  # no input in it
            " AND e0.height BETWEEN ? AND ? ORDER BY e0.height, e0.number LIMIT ?",
            (*(part for term in others for part in term), *first, low, high, MAX_SEARCH_ROWS),
        )
        return [(int(h), int(n)) for h, n in rows]

    def _count(self, term: tuple[str, str]) -> int:
        query = "SELECT count(*) FROM (SELECT 1 FROM event WHERE name = ? AND value = ? LIMIT ?)"
        return int(self.connection.execute(query, (*term, RARE)).fetchone()[0])


def _stored(row: tuple[object, ...]) -> StoredBlock:
    # SQLite columns hold any type: an altered row can have text or nothing where bytes belong.
    kinds = [type(value) for value in row]
    if kinds != [int, bytes, bytes, bytes, bytes, bytes, int]:
        raise StoreBroken("a block's row has another shape", height=row[0])
    return StoredBlock(*row)  # type: ignore[arg-type]  # checked just above


def take_lock(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise StoreInUse("the data folder is in use", folder=str(path.parent)) from error
    return descriptor


@contextmanager
def named_failures() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if "full" in str(error):
            raise StoreFull("no space for the block") from error
        raise StoreBroken(str(error)) from error
    except sqlite3.DatabaseError as error:
        raise StoreBroken(str(error)) from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise StoreFull("no space for the block") from error
        raise
