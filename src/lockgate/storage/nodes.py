"""Tree nodes in a ledger's SQLite file, written through the ledger's own connection.

Nothing here commits: the engine puts blocks, nodes and indices into one transaction. Nodes are rows
by number, so a version appends at the end of the table; the numbers a version replaced are one row.
"""

from __future__ import annotations

import sqlite3
from array import array
from sys import byteorder
from typing import Final

from lockgate.merkle.errors import NodeDamaged
from lockgate.merkle.ports import NONCE_BITS, Batch
from lockgate.storage.ledger import named_failures

_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS tree_node (number INTEGER PRIMARY KEY, data BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS tree_orphans (version INTEGER PRIMARY KEY, numbers BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS tree_roots (version INTEGER PRIMARY KEY, data BLOB NOT NULL)",
)


class SqliteNodes:
    """Meets `merkle.ports.NodeStore`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        with named_failures():
            for statement in _SCHEMA:
                connection.execute(statement)

    def get(self, number: int, /) -> bytes | None:
        with named_failures():
            row = self._connection.execute("SELECT data FROM tree_node WHERE number = ?", (number,)).fetchone()
        return None if row is None else _blob(row[0], number >> NONCE_BITS)

    def write(self, batch: Batch, /) -> None:
        execute = self._connection.execute
        with named_failures():
            self._connection.executemany("INSERT INTO tree_node VALUES (?, ?)", batch.nodes)
            if batch.orphans:
                execute("INSERT INTO tree_orphans VALUES (?, ?)", (batch.version, _pack(batch.orphans)))
            execute("INSERT INTO tree_roots VALUES (?, ?)", (batch.version, batch.roots))

    def add(self, nodes: list[tuple[int, bytes]], /) -> None:
        with named_failures():
            self._connection.executemany("INSERT INTO tree_node VALUES (?, ?)", nodes)

    def roots(self, version: int, /) -> bytes | None:
        with named_failures():
            row = self._connection.execute("SELECT data FROM tree_roots WHERE version = ?", (version,)).fetchone()
        return None if row is None else _blob(row[0], version)

    def versions(self) -> tuple[int, int]:
        with named_failures():
            row = self._connection.execute(
                "SELECT (SELECT min(version) FROM tree_roots), (SELECT max(version) FROM tree_roots)"
            ).fetchone()
        return int(row[0] or 0), int(row[1] or 0)

    def prune(self, oldest_kept: int, /) -> int:
        execute = self._connection.execute
        with named_failures():
            execute("DELETE FROM tree_roots WHERE version < ?", (oldest_kept,))
            rows = execute("SELECT version, numbers FROM tree_orphans WHERE version <= ?", (oldest_kept,)).fetchall()
            gone = [(number,) for version, packed in rows for number in _unpack(_blob(packed, version), version)]
            if rows:
                self._connection.executemany("DELETE FROM tree_node WHERE number = ?", gone)
                execute("DELETE FROM tree_orphans WHERE version <= ?", (oldest_kept,))
        return len(gone)

    def discard_after(self, version: int, /) -> None:
        execute = self._connection.execute
        with named_failures():
            execute("DELETE FROM tree_node WHERE number >= ?", ((version + 1) << NONCE_BITS,))
            execute("DELETE FROM tree_orphans WHERE version > ?", (version,))
            execute("DELETE FROM tree_roots WHERE version > ?", (version,))


def _blob(value: object, version: int) -> bytes:
    # SQLite columns hold any type: an altered row can be text or a number.
    if not isinstance(value, bytes):
        raise NodeDamaged("a row holds no bytes", version=version)
    return value


def _pack(numbers: list[int]) -> bytes:
    packed = array("Q", numbers)
    if byteorder == "little":
        packed.byteswap()
    return packed.tobytes()


def _unpack(data: bytes, version: int) -> array[int]:
    numbers = array("Q")
    if len(data) % numbers.itemsize:
        raise NodeDamaged("a list of replaced nodes is cut short", version=version)
    numbers.frombytes(data)
    if byteorder == "little":
        numbers.byteswap()
    return numbers


__all__ = ("SqliteNodes",)
