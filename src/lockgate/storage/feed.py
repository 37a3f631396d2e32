"""What happened to a host's messages, in order: a numbered list beside its inbox and outbox.

Rows are written by triggers inside the transaction that changes a message, so the list can neither miss a change
nor know one that was rolled back. The triggers live in the host's connection alone: whoever else opens the file
finds plain tables. A reader keeps the number it has come to, and goes on from there after any restart.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from lockgate.storage.ledger import named_failures

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS happening (
  number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, client TEXT, sequence INTEGER, ref BLOB)
"""
_TRIGGERS: Final = """
CREATE TEMP TRIGGER feed_received AFTER INSERT ON main.inbox BEGIN
  INSERT INTO happening (kind, client, sequence) VALUES ('received', new.client, new.sequence);
  SELECT lockgate_happened();
END;
CREATE TEMP TRIGGER feed_answered AFTER UPDATE OF state ON main.inbox WHEN new.state <> old.state BEGIN
  INSERT INTO happening (kind, client, sequence) VALUES ('received', new.client, new.sequence);
  SELECT lockgate_happened();
END;
CREATE TEMP TRIGGER feed_ended AFTER UPDATE OF state ON main.outbox
WHEN new.purpose = 'message' AND new.state IN ('acknowledged', 'refused', 'timed_out') AND new.state <> old.state BEGIN
  INSERT INTO happening (kind, client, sequence, ref) VALUES ('ended', new.client, new.sequence, new.ref);
  SELECT lockgate_happened();
END;
"""


@dataclass(frozen=True, slots=True)
class Happening:
    """A message received or answered (by client and sequence), or one of ours that ended (by ref)."""

    number: int
    kind: str  # received, ended
    client: str
    sequence: int
    ref: bytes


class Feed:
    """The list of one host, over its store's connection. `changed` is called whenever a row was added."""

    def __init__(self, connection: sqlite3.Connection, changed: Callable[[], None]) -> None:
        self._connection = connection
        with named_failures():
            connection.create_function("lockgate_happened", 0, changed)
            connection.execute(_TABLE)
            connection.executescript(_TRIGGERS)

    def newest(self) -> int:
        """Number of the newest row; 0 while there is none."""
        return int(self._connection.execute("SELECT coalesce(max(number), 0) FROM happening").fetchone()[0])

    def after(self, number: int, limit: int) -> list[Happening]:
        """Up to `limit` rows past `number`, in order."""
        rows = self._connection.execute(
            "SELECT number, kind, client, sequence, ref FROM happening WHERE number > ? ORDER BY number LIMIT ?",
            (number, limit),
        )
        return [
            Happening(int(n), kind, client or "", int(sequence or 0), ref or b"")
            for n, kind, client, sequence, ref in rows
        ]


__all__ = ("Feed", "Happening")
