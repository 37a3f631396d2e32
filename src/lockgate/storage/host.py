"""A host's own file: staged steps, what it sent, what it saw; the guest's state lives in the same file.

Nothing here is secret but the salts and start secrets, and no key is kept here. Every change of state
goes through one SQLite transaction, so a kill at any moment leaves either the step staged or not.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from lockgate.storage.ledger import named_failures, take_lock

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS step (
  version INTEGER PRIMARY KEY, root BLOB NOT NULL, salt BLOB NOT NULL, message BLOB NOT NULL,
  promoted INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS outbox (
  ref BLOB PRIMARY KEY, client TEXT, sequence INTEGER, fence INTEGER NOT NULL, counter INTEGER NOT NULL,
  peer TEXT NOT NULL, state TEXT NOT NULL, body BLOB NOT NULL, reply BLOB, code TEXT,
  record BLOB NOT NULL) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS outbox_by_packet ON outbox (client, sequence) WHERE sequence IS NOT NULL;
CREATE TABLE IF NOT EXISTS inbox (
  client TEXT NOT NULL, sequence INTEGER NOT NULL, peer TEXT NOT NULL, state TEXT NOT NULL, body BLOB NOT NULL,
  reply BLOB, code TEXT, detail TEXT, PRIMARY KEY (client, sequence)) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Step:
    """A staged or promoted change of guest state: version, salted root, and the ledger message."""

    version: int
    root: bytes
    salt: bytes
    message: bytes
    promoted: bool


@dataclass(frozen=True, slots=True)
class Sent:
    """A message of this endpoint: where it is, and its answer once there is one."""

    ref: bytes
    client: str | None
    sequence: int | None
    fence: int
    counter: int
    peer: str
    state: str  # staged, sent, acknowledged, refused, timed_out
    body: bytes
    reply: bytes | None
    code: str | None
    record: bytes


@dataclass(frozen=True, slots=True)
class Seen:
    """A message this endpoint received."""

    client: str
    sequence: int
    peer: str
    state: str  # answered, refused, deferred
    body: bytes
    reply: bytes | None
    code: str | None
    detail: str | None


class HostStore:
    """One open host file, locked against a second process."""

    def __init__(self, connection: sqlite3.Connection, lock: int | None) -> None:
        self.connection = connection
        self._lock = lock

    @classmethod
    def open(cls, path: Path) -> Self:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = take_lock(path.with_suffix(".lock"))
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            with named_failures():
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=FULL")
                connection.executescript(_SCHEMA)
        except BaseException:
            connection.close()
            os.close(lock)
            raise
        os.chmod(path, 0o600)
        return cls(connection, lock)

    @classmethod
    def in_memory(cls) -> Self:
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
        row = self.connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else bytes(row[0])

    def set_meta(self, name: str, value: bytes) -> None:
        self.connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    def add_step(self, step: Step) -> None:
        self.connection.execute(
            "INSERT INTO step VALUES (?, ?, ?, ?, ?)",
            (step.version, step.root, step.salt, step.message, int(step.promoted)),
        )

    def steps(self, *, promoted: bool) -> list[Step]:
        rows = self.connection.execute("SELECT * FROM step WHERE promoted = ? ORDER BY version", (int(promoted),))
        return [Step(v, r, s, m, bool(p)) for v, r, s, m, p in rows]

    def promote(self, version: int) -> None:
        """Everything up to `version` is on the ledger; older promoted steps are forgotten."""
        self.connection.execute("UPDATE step SET promoted = 1, message = x'' WHERE version <= ?", (version,))
        self.connection.execute("DELETE FROM step WHERE version < ?", (version,))

    def drop_staged(self) -> None:
        self.connection.execute("DELETE FROM step WHERE promoted = 0")
        self.connection.execute("DELETE FROM outbox WHERE state = 'staged'")

    def add_sent(self, sent: Sent) -> None:
        self.connection.execute(
            "INSERT INTO outbox VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                sent.ref, sent.client, sent.sequence, sent.fence, sent.counter, sent.peer, sent.state,
                sent.body, sent.reply, sent.code, sent.record,
            ),
        )  # fmt: skip

    def keep_sent(self) -> None:
        """The step that staged these messages stands; their packets are named by the ledger's events."""
        self.connection.execute("UPDATE outbox SET state = 'sent' WHERE state = 'staged'")

    def sent_as(self, fence: int, counter: int, client: str, sequence: int) -> None:
        self.connection.execute(
            "UPDATE outbox SET state = 'sent', client = ?, sequence = ? "
            "WHERE fence = ? AND counter = ? AND sequence IS NULL",
            (client, sequence, fence, counter),
        )

    def sent_by_packet(self, client: str, sequence: int) -> Sent | None:
        row = self.connection.execute(
            "SELECT * FROM outbox WHERE client = ? AND sequence = ?", (client, sequence)
        ).fetchone()
        return None if row is None else Sent(*row)

    def sent(self, ref: bytes) -> Sent | None:
        row = self.connection.execute("SELECT * FROM outbox WHERE ref = ?", (ref,)).fetchone()
        return None if row is None else Sent(*row)

    def all_sent(self, state: str | None = None) -> list[Sent]:
        rows = self.connection.execute(
            "SELECT * FROM outbox WHERE ?1 IS NULL OR state = ?1 ORDER BY fence, counter", (state,)
        )
        return [Sent(*row) for row in rows]

    def end_sent(self, ref: bytes, state: str, reply: bytes | None, code: str | None) -> None:
        self.connection.execute(
            "UPDATE outbox SET state = ?, reply = ?, code = ? WHERE ref = ?", (state, reply, code, ref)
        )

    def add_seen(self, seen: Seen) -> None:
        self.connection.execute(
            "INSERT OR REPLACE INTO inbox VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (seen.client, seen.sequence, seen.peer, seen.state, seen.body, seen.reply, seen.code, seen.detail),
        )

    def seen(self, client: str, sequence: int) -> Seen | None:
        row = self.connection.execute(
            "SELECT * FROM inbox WHERE client = ? AND sequence = ?", (client, sequence)
        ).fetchone()
        return None if row is None else Seen(*row)

    def all_seen(self, limit: int) -> list[Seen]:
        rows = self.connection.execute("SELECT * FROM inbox ORDER BY client, sequence DESC LIMIT ?", (limit,))
        return [Seen(*row) for row in rows]
