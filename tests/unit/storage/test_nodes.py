"""Nodes in SQLite: inside the caller's transaction, and damage by its name."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path

import pytest

from lockgate.merkle.audit import audit
from lockgate.merkle.errors import NodeDamaged
from lockgate.merkle.multistore import MultiStore
from lockgate.merkle.ports import NONCE_BITS, Batch
from lockgate.storage.ledger import LedgerStore, StoreBroken
from lockgate.storage.nodes import SqliteNodes

NAMES = ("acc", "ibc")


def connection() -> sqlite3.Connection:
    return sqlite3.connect(":memory:", isolation_level=None)


def grow(state: MultiStore, versions: range) -> None:
    for version in versions:
        state.apply({("ibc", b"%02d" % (i * version % 37)): b"%d" % version for i in range(9)})
        state.commit(version)


def failing_block(store: LedgerStore, state: MultiStore, *, after_commit: bool) -> None:
    with suppress(RuntimeError), store.commit():
        state.apply({("ibc", b"new"): b"1", ("ibc", b"00"): None})
        if after_commit:
            state.commit(3)
        raise RuntimeError


def test_nothing_is_committed_but_by_the_caller() -> None:
    db = connection()
    nodes = SqliteNodes(db)
    db.execute("BEGIN IMMEDIATE")
    state = MultiStore(NAMES, nodes)
    grow(state, range(1, 4))
    nodes.prune(2)
    nodes.discard_after(2)
    SqliteNodes(db)  # opening a second time does not end the transaction either
    assert db.in_transaction
    db.execute("ROLLBACK")
    assert nodes.versions() == (0, 0)
    assert db.execute("SELECT count(*) FROM tree_node").fetchone() == (0,)


def test_a_failed_block_leaves_the_state_of_the_block_before() -> None:
    store = LedgerStore.in_memory()
    state = MultiStore(NAMES, SqliteNodes(store.connection))
    with store.commit():
        grow(state, range(1, 3))
    before, root = dict(state.scan("ibc", b"", b"z")), state.app_hash
    for fails_after_commit in (True, False):
        failing_block(store, state, after_commit=fails_after_commit)
        state.rollback()
        assert (state.version, state.app_hash, dict(state.scan("ibc", b"", b"z"))) == (2, root, before)
        assert state.get("ibc", b"new") is None
        assert state.get("ibc", b"00") == before[b"00"]
    with store.commit():
        grow(state, range(3, 5))
    whole = MultiStore(NAMES)
    grow(whole, range(1, 5))
    assert state.app_hash == whole.app_hash


def test_a_file_holds_the_state_from_one_start_to_the_next(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    store = LedgerStore.open(path)
    state = MultiStore(NAMES, SqliteNodes(store.connection))
    with store.commit():
        grow(state, range(1, 20))
    store.close()
    again = LedgerStore.open(path)
    reopened = MultiStore(NAMES, SqliteNodes(again.connection))
    assert reopened.app_hash == state.app_hash
    assert len(list(audit(SqliteNodes(again.connection)))) == 19
    again.close()


def test_the_file_does_not_grow_when_versions_are_pruned() -> None:
    db = connection()
    nodes = SqliteNodes(db)
    state = MultiStore(NAMES, nodes)
    pages = set()
    for version in range(1, 300):
        grow(state, range(version, version + 1))
        state.prune(version - 5)
        if version > 150:
            pages.add(db.execute("PRAGMA page_count").fetchone()[0])
    assert max(pages) <= min(pages) + 2
    assert db.execute("SELECT count(*) FROM tree_orphans").fetchone()[0] <= 5
    assert db.execute("SELECT count(*) FROM tree_roots").fetchone()[0] == 6


@pytest.mark.parametrize("table", ["tree_node", "tree_roots"])
@pytest.mark.parametrize("altered", ["substr(data, 2)", "CAST(data AS TEXT)", "7", "x''"])
def test_altered_rows_are_damage(table: str, altered: str) -> None:
    db = connection()
    nodes = SqliteNodes(db)
    grow(MultiStore(NAMES, nodes), range(1, 9))
    db.execute(f"UPDATE {table} SET data = {altered}")
    with pytest.raises((NodeDamaged, StoreBroken)):
        list(audit(nodes))
    with pytest.raises((NodeDamaged, StoreBroken)):
        MultiStore(NAMES, nodes).get("ibc", b"01")


@pytest.mark.parametrize("altered", ["CAST(x'00' || numbers AS BLOB)", "'text'", "3"])
def test_a_damaged_list_of_replaced_nodes_is_named_before_a_node_is_deleted(altered: str) -> None:
    db = connection()
    nodes = SqliteNodes(db)
    grow(MultiStore(NAMES, nodes), range(1, 9))
    before = db.execute("SELECT count(*) FROM tree_node").fetchone()
    db.execute(f"UPDATE tree_orphans SET numbers = {altered} WHERE version = 4")
    with pytest.raises(NodeDamaged):
        nodes.prune(6)
    assert db.execute("SELECT count(*) FROM tree_node").fetchone() == before


def test_a_broken_database_is_named() -> None:
    db = connection()
    nodes = SqliteNodes(db)
    db.execute("DROP TABLE tree_node")
    with pytest.raises(StoreBroken):
        nodes.get(1 << NONCE_BITS)
    with pytest.raises(StoreBroken):
        nodes.write(Batch(1, b"r", [(1 << NONCE_BITS | 1, b"n")]))


def test_a_version_is_written_once() -> None:
    nodes = SqliteNodes(connection())
    nodes.write(Batch(1, b"r"))
    with pytest.raises(StoreBroken):
        nodes.write(Batch(1, b"other"))
    assert nodes.roots(1) == b"r"
