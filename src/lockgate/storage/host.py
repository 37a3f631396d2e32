"""A host's own file: staged steps, what it sent, what it saw; the guest's state lives in the same file.

No key is kept here. Bodies are sealed under keys that are erased in time (`storage.archive`), where the host's
configuration does not say otherwise; salts and the guest's state are as they are. Every change of state
goes through one SQLite transaction, so a kill at any moment leaves either the step staged or not.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final, Self

from lockgate.codec import cbor
from lockgate.primitives.time import UnixNanos
from lockgate.storage.archive import Archive
from lockgate.storage.ledger import named_failures, take_lock
from lockgate.storage.rows import (
    MESSAGE,
    RESEALED,
    Ended,
    Note,
    Resealed,
    Seen,
    Sent,
    Step,
    again,
    carry,
    reform,
    seen_row,
    seen_values,
    sent_row,
    sent_values,
    step_row,
    step_values,
)

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS step (
  version INTEGER PRIMARY KEY, root BLOB NOT NULL, salt BLOB NOT NULL, records BLOB NOT NULL,
  promoted INTEGER NOT NULL, slice INTEGER, outline BLOB);
CREATE TABLE IF NOT EXISTS outbox (
  ref BLOB PRIMARY KEY, client TEXT, sequence INTEGER, fence INTEGER NOT NULL, counter INTEGER NOT NULL,
  peer TEXT NOT NULL, state TEXT NOT NULL, body BLOB NOT NULL, reply BLOB, code TEXT, detail TEXT, reason TEXT,
  commitment BLOB NOT NULL UNIQUE, timeout INTEGER NOT NULL, record BLOB NOT NULL,
  purpose TEXT NOT NULL DEFAULT 'message', schema TEXT NOT NULL DEFAULT '', slice INTEGER) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS outbox_by_packet ON outbox (client, sequence) WHERE sequence IS NOT NULL;
CREATE INDEX IF NOT EXISTS outbox_by_state ON outbox (state);
CREATE INDEX IF NOT EXISTS outbox_by_place ON outbox (fence, counter);
CREATE TABLE IF NOT EXISTS inbox (
  domain BLOB NOT NULL, client TEXT NOT NULL, sequence INTEGER NOT NULL, commitment BLOB NOT NULL,
  peer TEXT NOT NULL, state TEXT NOT NULL, body BLOB NOT NULL, reply BLOB, code TEXT, detail TEXT,
  slice INTEGER, PRIMARY KEY (domain, client, sequence, commitment)) WITHOUT ROWID;
"""

_FORM: Final = "archive"  # in which form bodies are here


class HostStore:
    """One open host file, locked against a second process."""

    def __init__(self, connection: sqlite3.Connection, lock: int | None, archive: Archive | None = None) -> None:
        self.connection = connection
        self._lock = lock
        self._archive = archive or Archive(-1, None, None)
        self._settled = False

    @classmethod
    def open(cls, path: Path, archive: Archive | None = None) -> Self:
        """Bodies are kept as `archive` says; without one they are plain, and those that it sealed are read."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = take_lock(path.with_suffix(".lock"))
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            with named_failures():
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=FULL")
                connection.executescript(_SCHEMA)
                _upgrade(connection)
        except BaseException:
            connection.close()
            os.close(lock)
            raise
        os.chmod(path, 0o600)
        return cls(connection, lock, archive or Archive.reading(path.parent))

    @classmethod
    def reading(cls, path: Path) -> Self:
        """Open a host's file to look at it, whether its host runs or not; nothing can be written."""
        with named_failures():
            connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
        return cls(connection, None, Archive.reading(path.parent))

    @classmethod
    def in_memory(cls) -> Self:
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        connection.executescript(_SCHEMA)
        return cls(connection, None)

    def close(self) -> None:
        self.connection.close()
        self._archive.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @contextmanager
    def commit(self, *, durable: bool = False) -> Iterator[None]:
        """One transaction. A durable one, and all before it, outlasts a power cut: needed before posting."""
        with named_failures():
            self.connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
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
        self.connection.execute("INSERT INTO step VALUES (?, ?, ?, ?, ?, ?, ?)", step_values(self._archive, step))

    def steps(self, *, promoted: bool) -> list[Step]:
        rows = self.connection.execute("SELECT * FROM step WHERE promoted = ? ORDER BY version", (int(promoted),))
        return [step_row(self._archive, row) for row in rows]

    def promote(self, version: int) -> None:
        """Everything up to `version` is on the ledger: note what its steps did, forget older ones."""
        for step in self.steps(promoted=False):
            if step.version <= version:
                for record in step.records:
                    self.note(record)
        self.connection.execute(
            "UPDATE step SET promoted = 1, records = ?, slice = NULL, outline = NULL WHERE version <= ?",
            (cbor.encode([]), version),
        )
        self.connection.execute("DELETE FROM step WHERE version < ?", (version,))
        self.connection.execute("UPDATE outbox SET state = 'sent' WHERE state = 'staged'")

    def renew(self, version: int, root: bytes, salt: bytes) -> None:
        """The state that stands has another root: the same tree under another salt."""
        self.connection.execute(
            "INSERT OR REPLACE INTO step VALUES (?, ?, ?, ?, 1, NULL, NULL)", (version, root, salt, cbor.encode([]))
        )

    def drop_staged(self) -> None:
        self.connection.execute("DELETE FROM step WHERE promoted = 0")
        self.connection.execute("DELETE FROM outbox WHERE state = 'staged'")

    def note(self, record: Note) -> None:
        """Record what a proven step received, how a message ended, or in what packet it goes on."""
        match record:
            case Seen():
                self._put("inbox", seen_values(self._archive, record))
            case Ended():
                # A node may have named this packet for another message; the proof stands above its word.
                self.connection.execute(
                    "UPDATE outbox SET client = NULL, sequence = NULL "
                    "WHERE client = :client AND sequence = :sequence AND ref <> :ref",
                    {"client": record.client, "sequence": record.sequence, "ref": record.ref},
                )
                row = self.sent(record.ref)
                if row is not None:
                    # Of a row whose body is gone the answer is kept.
                    again(self.connection, self._archive, replace(row, erased=False, **asdict(record)))
            case Resealed():
                self._go_on(record)

    def _go_on(self, record: Resealed) -> None:
        """The message's row takes the new packet, and the row of that one keeps the packet that ended."""
        old, new = self.sent(record.ref), self.sent(record.under)
        assert old is not None, "of a message of ours"
        assert new is not None, "staged together with this record"
        self.connection.execute("DELETE FROM outbox WHERE ref IN (?, ?)", (old.ref, new.ref))
        self.add_sent(replace(new, ref=old.ref, purpose=old.purpose))
        ended = replace(old, ref=new.ref, purpose=RESEALED, body=b"", state="refused")
        self.add_sent(
            replace(ended, client=record.client, sequence=record.sequence, code=record.code, reason=record.reason)
        )

    def add_sent(self, sent: Sent) -> None:
        self._put("outbox", sent_values(self._archive, sent), "INSERT")

    def sent_as(self, fence: int, counter: int, client: str, sequence: int) -> None:
        """A ledger's events name the packet of a message. A node's word: the end of the message proves it."""
        self.connection.execute(
            "UPDATE OR IGNORE outbox SET client = ?, sequence = ? WHERE fence = ? AND counter = ? AND sequence IS NULL",
            (client, sequence, fence, counter),
        )

    def sent_by_packet(self, client: str, sequence: int) -> Sent | None:
        return self._sent("SELECT * FROM outbox WHERE client = ? AND sequence = ?", client, sequence)

    def sent_by_commitment(self, commitment: bytes) -> Sent | None:
        return self._sent("SELECT * FROM outbox WHERE commitment = ?", commitment)

    def sent(self, ref: bytes) -> Sent | None:
        return self._sent("SELECT * FROM outbox WHERE ref = ?", ref)

    def all_sent(self, state: str | None = None) -> list[Sent]:
        rows = self.connection.execute(
            "SELECT * FROM outbox WHERE ?1 IS NULL OR state = ?1 ORDER BY fence, counter", (state,)
        )
        return [sent_row(self._archive, row) for row in rows]

    def sent_page(self, limit: int, state: str | None = None, before: bytes | None = None) -> list[Sent]:
        """The newest messages, at most `limit`, oldest first; with `before`, of those older than that ref's."""
        rows = self.connection.execute(
            "SELECT * FROM outbox WHERE purpose = 'message' AND (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR "
            "(fence, counter) < (SELECT fence, counter FROM outbox WHERE ref = ?2)) "
            "ORDER BY fence DESC, counter DESC LIMIT ?3",
            (state, before, limit),
        )
        return [sent_row(self._archive, row) for row in rows][::-1]

    def count_sent(self, state: str) -> int:
        """How many messages of guests and operators are in a state."""
        query = "SELECT count(*) FROM outbox WHERE state = ? AND purpose = 'message'"
        row = self.connection.execute(query, (state,)).fetchone()
        return int(row[0])

    def any_staged(self) -> bool:
        """Is anything sealed whose step is not proven?"""
        return self.connection.execute("SELECT 1 FROM outbox WHERE state = 'staged' LIMIT 1").fetchone() is not None

    def oldest_timeout(self) -> int | None:
        """The earliest timeout, in seconds, of the messages that are sent and have not ended; None without any."""
        (found,) = self.connection.execute("SELECT min(timeout) FROM outbox WHERE state = 'sent'").fetchone()
        return None if found is None else int(found)

    def seen(self, client: str, sequence: int) -> Seen | None:
        row = self.connection.execute(
            "SELECT * FROM inbox WHERE client = ? AND sequence = ?", (client, sequence)
        ).fetchone()
        return None if row is None else seen_row(self._archive, row)

    def answered(self, commitments: Iterable[bytes]) -> list[bytes]:
        """Which of these packets are answered or refused here."""
        query = "SELECT 1 FROM inbox WHERE commitment = ? AND state <> 'deferred'"
        return [one for one in commitments if self.connection.execute(query, (one,)).fetchone() is not None]

    def named(self, commitments: Iterable[bytes]) -> set[bytes]:
        """Which of these packets are in the inbox with their bodies not erased, or in a step that may stand yet."""
        staged = [record for step in self.steps(promoted=False) for record in step.records]
        found = {record.commitment for record in staged if isinstance(record, Seen)}
        query = "SELECT * FROM inbox WHERE commitment = ?"
        for one in commitments:
            rows = self.connection.execute(query, (one,))
            if not all(seen_row(self._archive, row).erased for row in rows):
                found.add(one)
        return found.intersection(commitments)

    def all_seen(self, limit: int) -> list[Seen]:
        rows = self.connection.execute("SELECT * FROM inbox ORDER BY client, sequence DESC LIMIT ?", (limit,))
        return [seen_row(self._archive, row) for row in rows]

    # What is kept of bodies, and for how long.

    def overdue(self, now: UnixNanos) -> bool:
        """May bodies have to go by now? The ledger's proven time decides (`age`)."""
        return self._archive.sealing and self._archive.overdue(now)

    def age(self, now: UnixNanos, waiting: Callable[[], Collection[bytes]]) -> list[bytes]:
        """Erase what has been kept long enough by the own ledger's proven time; commitments of what was received.

        `waiting` are the received messages that may still be answered: those are kept, as those sent that have not
        ended are. At first also brings what an earlier setting left to the form of this one. Raises StoreFull.
        """
        archive = self._archive
        if not self._settled:
            self._settle()
            self._settled = True
        over = archive.over(now) if archive.sealing else []
        if not over:
            return []
        with self.commit(durable=True):
            gone = carry(self.connection, archive, over, waiting())
        archive.erase(over)
        return gone

    def _settle(self) -> None:
        """Bring rows of before to the form of this setting, and leave no page behind that had them otherwise."""
        want = b"sealed" if self._archive.sealing else b"plain"
        if (self.meta(_FORM) or b"plain") == want:
            return
        with named_failures():
            self.connection.execute("PRAGMA secure_delete=ON")
            with self.commit(durable=True):
                reform(self.connection, self._archive)
            self.connection.execute("VACUUM")
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self.connection.execute("PRAGMA secure_delete=OFF")
        with self.commit():
            self.set_meta(_FORM, want)

    def _put(self, table: str, values: tuple[Any, ...], verb: str = "INSERT OR REPLACE") -> None:
        self.connection.execute(f"{verb} INTO {table} VALUES ({', '.join('?' * len(values))})", values)

    def _sent(self, query: str, *values: object) -> Sent | None:
        row = self.connection.execute(query, values).fetchone()
        return None if row is None else sent_row(self._archive, row)


def _upgrade(connection: sqlite3.Connection) -> None:
    """Bring a file of an earlier version to the columns of this one."""
    columns = [row[1] for row in connection.execute("PRAGMA table_info(outbox)")]
    for name, default in (("purpose", MESSAGE), ("schema", "")):
        if name not in columns:
            connection.execute(f"ALTER TABLE outbox ADD COLUMN {name} TEXT NOT NULL DEFAULT '{default}'")
    if "slice" not in columns:
        for table in ("step", "outbox", "inbox"):
            connection.execute(f"ALTER TABLE {table} ADD COLUMN slice INTEGER")
    if "outline" not in [row[1] for row in connection.execute("PRAGMA table_info(step)")]:
        connection.execute("ALTER TABLE step ADD COLUMN outline BLOB")


__all__ = ("MESSAGE", "RESEALED", "Ended", "HostStore", "Note", "Resealed", "Seen", "Sent", "Step")
