"""Tree nodes in the ledger's SQLite file, written through the ledger's own connection (I14).

Nothing here commits: the engine puts blocks, nodes and indices into one transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any, Final

from lockgate.codec import cbor
from lockgate.codec.errors import Malformed
from lockgate.merkle.errors import NodeDamaged
from lockgate.merkle.ports import NodeKey

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS node (
  store TEXT NOT NULL, version INTEGER NOT NULL, number INTEGER NOT NULL, data BLOB NOT NULL,
  PRIMARY KEY (store, version, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS orphan (
  store TEXT NOT NULL, replaced_at INTEGER NOT NULL, version INTEGER NOT NULL, number INTEGER NOT NULL,
  PRIMARY KEY (store, replaced_at, version, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS root (version INTEGER PRIMARY KEY, data BLOB NOT NULL);
"""


class SqliteNodes:
    """Meets `merkle.ports.NodeStore`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.executescript(_SCHEMA)

    def get(self, store: str, key: NodeKey, /) -> bytes | None:
        row = self._connection.execute(
            "SELECT data FROM node WHERE store = ? AND version = ? AND number = ?", (store, *key)
        ).fetchone()
        return None if row is None else bytes(row[0])

    def put(self, store: str, nodes: Iterable[tuple[NodeKey, bytes]], /) -> None:
        self._connection.executemany(
            "INSERT INTO node VALUES (?, ?, ?, ?)", [(store, v, n, data) for (v, n), data in nodes]
        )

    def orphan(self, store: str, replaced_at: int, keys: Iterable[NodeKey], /) -> None:
        self._connection.executemany(
            "INSERT INTO orphan VALUES (?, ?, ?, ?)", [(store, replaced_at, v, n) for v, n in keys]
        )

    def prune(self, store: str, oldest_kept: int, /) -> int:
        gone = self._connection.execute(
            "SELECT version, number FROM orphan WHERE store = ? AND replaced_at <= ?", (store, oldest_kept)
        ).fetchall()
        self._connection.executemany(
            "DELETE FROM node WHERE store = ? AND version = ? AND number = ?",
            [(store, v, n) for v, n in gone],
        )
        self._connection.execute("DELETE FROM orphan WHERE store = ? AND replaced_at <= ?", (store, oldest_kept))
        return len(gone)

    def put_roots(self, version: int, roots: Iterable[tuple[str, NodeKey | None, bytes]], /) -> None:
        data = cbor.encode([[name, list(key) if key else None, root] for name, key, root in roots])
        self._connection.execute("INSERT INTO root VALUES (?, ?)", (version, data))

    def roots(self, version: int, /) -> dict[str, tuple[NodeKey | None, bytes]] | None:
        row = self._connection.execute("SELECT data FROM root WHERE version = ?", (version,)).fetchone()
        if row is None:
            return None
        try:
            records: Any = cbor.decode(bytes(row[0]))
            return {name: (tuple(key) if key else None, root) for name, key, root in records}
        except (Malformed, TypeError, ValueError) as error:
            raise NodeDamaged("a root record does not decode", version=version) from error

    def versions(self) -> tuple[int, int]:
        row = self._connection.execute("SELECT min(version), max(version) FROM root").fetchone()
        return int(row[0] or 0), int(row[1] or 0)

    def prune_roots(self, oldest_kept: int, /) -> None:
        self._connection.execute("DELETE FROM root WHERE version < ?", (oldest_kept,))
