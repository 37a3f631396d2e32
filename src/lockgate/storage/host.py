"""A host's own file: staged steps, what it sent, what it saw; the guest's state lives in the same file.

Nothing here is secret but the salts and start secrets, and no key is kept here. Every change of state
goes through one SQLite transaction, so a kill at any moment leaves either the step staged or not.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final, Self

from lockgate.codec import cbor
from lockgate.storage.ledger import named_failures, take_lock

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS step (
  version INTEGER PRIMARY KEY, root BLOB NOT NULL, salt BLOB NOT NULL, records BLOB NOT NULL,
  promoted INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS outbox (
  ref BLOB PRIMARY KEY, client TEXT, sequence INTEGER, fence INTEGER NOT NULL, counter INTEGER NOT NULL,
  peer TEXT NOT NULL, state TEXT NOT NULL, body BLOB NOT NULL, reply BLOB, code TEXT, detail TEXT, reason TEXT,
  commitment BLOB NOT NULL UNIQUE, timeout INTEGER NOT NULL, record BLOB NOT NULL,
  purpose TEXT NOT NULL DEFAULT 'message', schema TEXT NOT NULL DEFAULT '') WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS outbox_by_packet ON outbox (client, sequence) WHERE sequence IS NOT NULL;
CREATE INDEX IF NOT EXISTS outbox_by_state ON outbox (state);
CREATE INDEX IF NOT EXISTS outbox_by_place ON outbox (fence, counter);
CREATE TABLE IF NOT EXISTS inbox (
  domain BLOB NOT NULL, client TEXT NOT NULL, sequence INTEGER NOT NULL, commitment BLOB NOT NULL,
  peer TEXT NOT NULL, state TEXT NOT NULL, body BLOB NOT NULL, reply BLOB, code TEXT, detail TEXT,
  PRIMARY KEY (domain, client, sequence, commitment)) WITHOUT ROWID;
"""


MESSAGE: Final = "message"  # the purpose of what guests and operators send; hosts send to each other as well
RESEALED: Final = "resealed"  # of a packet that ended and whose message goes on in another one


@dataclass(frozen=True, slots=True)
class Step:
    """A staged or promoted change of guest state: version, salted root, and what to note when it stands."""

    version: int
    root: bytes
    salt: bytes
    records: tuple[Note, ...]
    promoted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A message of this endpoint: where it is, and its answer once there is one.

    `client` and `sequence` are None until the ledger has shown them. `reason` is the code in the
    ledger's reason record, `code` and `detail` what the peer's guest said where it spoke itself.
    """

    ref: bytes
    client: str | None = None
    sequence: int | None = None
    fence: int
    counter: int
    peer: str
    state: str  # staged, sent, acknowledged, refused, timed_out
    body: bytes
    reply: bytes | None = None
    code: str | None = None
    detail: str | None = None
    reason: str | None = None
    commitment: bytes  # of the packet, computed here when it was sealed (P4)
    timeout: int  # seconds, as the packet carries it
    record: bytes  # hash of the peer's key record it was sealed to
    purpose: str = MESSAGE
    schema: str = ""  # empty in rows of builds that did not keep it


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A message this endpoint received, by sender's domain, client, sequence and commitment (P4)."""

    domain: bytes
    client: str
    sequence: int
    commitment: bytes
    peer: str
    state: str  # answered, refused, deferred
    body: bytes
    reply: bytes | None = None
    code: str | None = None
    detail: str | None = None

    @property
    def answered(self) -> bool:
        """Has it an answer, or been refused?"""
        return self.state != "deferred"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a message of this endpoint ended, and in which packet it travelled."""

    ref: bytes
    client: str
    sequence: int
    state: str
    reply: bytes | None = None
    code: str | None = None
    detail: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resealed:
    """A message of this endpoint goes on in another packet, which is staged under `under`: its own was refused."""

    ref: bytes
    under: bytes
    client: str
    sequence: int
    code: str
    reason: str


Note = Seen | Ended | Resealed


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
                _upgrade(connection)
        except BaseException:
            connection.close()
            os.close(lock)
            raise
        os.chmod(path, 0o600)
        return cls(connection, lock)

    @classmethod
    def reading(cls, path: Path) -> Self:
        """Open a host's file to look at it, whether its host runs or not; nothing can be written."""
        with named_failures():
            return cls(sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None), None)

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
        records = cbor.encode([[_KINDS.index(type(record)), *astuple(record)] for record in step.records])
        self.connection.execute(
            "INSERT INTO step VALUES (?, ?, ?, ?, ?)",
            (step.version, step.root, step.salt, records, int(step.promoted)),
        )

    def steps(self, *, promoted: bool) -> list[Step]:
        rows = self.connection.execute("SELECT * FROM step WHERE promoted = ? ORDER BY version", (int(promoted),))
        return [Step(v, r, s, _records(data), bool(p)) for v, r, s, data, p in rows]

    def promote(self, version: int) -> None:
        """Everything up to `version` is on the ledger: note what its steps did, forget older ones."""
        for step in self.steps(promoted=False):
            if step.version <= version:
                for record in step.records:
                    self.note(record)
        self.connection.execute(
            "UPDATE step SET promoted = 1, records = ? WHERE version <= ?", (cbor.encode([]), version)
        )
        self.connection.execute("DELETE FROM step WHERE version < ?", (version,))
        self.connection.execute("UPDATE outbox SET state = 'sent' WHERE state = 'staged'")

    def renew(self, version: int, root: bytes, salt: bytes) -> None:
        """The state that stands has another root: the same tree under another salt."""
        self.connection.execute(
            "INSERT OR REPLACE INTO step VALUES (?, ?, ?, ?, 1)", (version, root, salt, cbor.encode([]))
        )

    def drop_staged(self) -> None:
        self.connection.execute("DELETE FROM step WHERE promoted = 0")
        self.connection.execute("DELETE FROM outbox WHERE state = 'staged'")

    def note(self, record: Note) -> None:
        """Record what a proven step received, how a message ended, or in what packet it goes on."""
        match record:
            case Seen():
                self.connection.execute(
                    "INSERT OR REPLACE INTO inbox VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", astuple(record)
                )
            case Ended():
                # A node may have named this packet for another message; the proof stands above its word.
                self.connection.execute(
                    "UPDATE outbox SET client = NULL, sequence = NULL "
                    "WHERE client = :client AND sequence = :sequence AND ref <> :ref",
                    {"client": record.client, "sequence": record.sequence, "ref": record.ref},
                )
                self.connection.execute(
                    "UPDATE outbox SET client = :client, sequence = :sequence, state = :state, reply = :reply, "
                    "code = :code, detail = :detail, reason = :reason WHERE ref = :ref",
                    asdict(record),
                )
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
        self.connection.execute(
            "INSERT INTO outbox VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", astuple(sent)
        )

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
        return [_sent_row(row) for row in rows]

    def sent_page(self, limit: int, state: str | None = None, before: bytes | None = None) -> list[Sent]:
        """The newest messages, at most `limit`, oldest first; with `before`, of those older than that ref's."""
        rows = self.connection.execute(
            "SELECT * FROM outbox WHERE purpose = 'message' AND (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR "
            "(fence, counter) < (SELECT fence, counter FROM outbox WHERE ref = ?2)) "
            "ORDER BY fence DESC, counter DESC LIMIT ?3",
            (state, before, limit),
        )
        return [_sent_row(row) for row in rows][::-1]

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
        return None if row is None else _seen_row(row)

    def answered(self, commitments: Iterable[bytes]) -> list[bytes]:
        """Which of these packets are answered or refused here."""
        query = "SELECT 1 FROM inbox WHERE commitment = ? AND state <> 'deferred'"
        return [one for one in commitments if self.connection.execute(query, (one,)).fetchone() is not None]

    def all_seen(self, limit: int) -> list[Seen]:
        rows = self.connection.execute("SELECT * FROM inbox ORDER BY client, sequence DESC LIMIT ?", (limit,))
        return [_seen_row(row) for row in rows]

    def _sent(self, query: str, *values: object) -> Sent | None:
        row = self.connection.execute(query, values).fetchone()
        return None if row is None else _sent_row(row)


def _upgrade(connection: sqlite3.Connection) -> None:
    """Bring a file of an earlier version to the columns of this one."""
    columns = [row[1] for row in connection.execute("PRAGMA table_info(outbox)")]
    for name, default in (("purpose", MESSAGE), ("schema", "")):
        if name not in columns:
            connection.execute(f"ALTER TABLE outbox ADD COLUMN {name} TEXT NOT NULL DEFAULT '{default}'")


# Rows are the dataclasses in the order of their fields.
_KINDS: Final[tuple[type[Note], ...]] = (Seen, Ended, Resealed)
_SENT: Final = tuple(field.name for field in fields(Sent))
_SEEN: Final = tuple(field.name for field in fields(Seen))


def _sent_row(row: tuple[Any, ...]) -> Sent:
    return Sent(**dict(zip(_SENT, row, strict=True)))


def _seen_row(row: tuple[Any, ...]) -> Seen:
    return Seen(**dict(zip(_SEEN, row, strict=True)))


def _records(data: bytes) -> tuple[Note, ...]:
    found: Any = cbor.decode(data)
    made = []
    for kind, *values in found:
        record = _KINDS[kind]
        made.append(record(**dict(zip((field.name for field in fields(record)), values, strict=True))))
    return tuple(made)
