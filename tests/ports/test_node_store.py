"""`NodeStore`: one suite, run on memory and on SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import pytest

from lockgate.merkle.multistore import MultiStore
from lockgate.merkle.ports import NONCE_BITS, Batch, NodeStore
from lockgate.storage.memory import MemoryNodes
from lockgate.storage.nodes import SqliteNodes


def sqlite_nodes() -> SqliteNodes:
    return SqliteNodes(sqlite3.connect(":memory:", isolation_level=None))


def number(version: int, nonce: int) -> int:
    return version << NONCE_BITS | nonce


@pytest.fixture(params=[MemoryNodes, sqlite_nodes], ids=["memory", "sqlite"])
def nodes(request: pytest.FixtureRequest) -> NodeStore:
    made: Callable[[], NodeStore] = request.param
    return made()


def fill(nodes: NodeStore, versions: int) -> None:
    """Each version has two nodes of its own and replaces the second one of the version before."""
    for version in range(1, versions + 1):
        fresh = [(number(version, nonce), b"%d/%d" % (version, nonce)) for nonce in (1, 2)]
        gone = [number(version - 1, 2)] if version > 1 else []
        nodes.write(Batch(version, b"roots %d" % version, fresh, gone))


def held(nodes: NodeStore, versions: int) -> set[tuple[int, int]]:
    return {(v, n) for v in range(1, versions + 1) for n in (1, 2) if nodes.get(number(v, n)) is not None}


def test_an_empty_store_has_nothing(nodes: NodeStore) -> None:
    assert nodes.versions() == (0, 0)
    assert nodes.get(number(1, 1)) is None
    assert nodes.roots(1) is None
    assert nodes.prune(5) == 0
    nodes.discard_after(0)


def test_what_is_written_is_read(nodes: NodeStore) -> None:
    fill(nodes, 3)
    assert nodes.versions() == (1, 3)
    assert nodes.get(number(2, 1)) == b"2/1"
    assert nodes.get(number(2, 3)) is None
    assert [nodes.roots(version) for version in range(5)] == [None, b"roots 1", b"roots 2", b"roots 3", None]
    assert held(nodes, 3) == {(v, n) for v in (1, 2, 3) for n in (1, 2)}, "a replaced node stays for its versions"


def test_greatest_number(nodes: NodeStore) -> None:
    top = number((1 << 39) - 1, (1 << NONCE_BITS) - 1)
    nodes.write(Batch((1 << 39) - 1, b"r", [(top, b"node")], [top]))
    assert nodes.get(top) == b"node"
    assert nodes.versions() == ((1 << 39) - 1,) * 2


def test_pruning_takes_what_no_kept_version_has(nodes: NodeStore) -> None:
    fill(nodes, 5)
    assert nodes.prune(3) == 2
    assert nodes.versions() == (3, 5)
    assert nodes.roots(2) is None
    assert held(nodes, 5) == {(1, 1), (2, 1), (3, 1), (3, 2), (4, 1), (4, 2), (5, 1), (5, 2)}
    assert nodes.prune(3) == 0
    assert nodes.prune(5) == 2
    assert nodes.versions() == (5, 5)


def test_discarding_takes_back_newer_versions(nodes: NodeStore) -> None:
    fill(nodes, 5)
    nodes.discard_after(3)
    assert nodes.versions() == (1, 3)
    assert held(nodes, 5) == {(v, n) for v in (1, 2, 3) for n in (1, 2)}
    nodes.write(Batch(4, b"again", [(number(4, 1), b"other")], [number(3, 1)]))
    assert nodes.get(number(4, 1)) == b"other"
    assert nodes.prune(4) == 3
    assert held(nodes, 5) == {(1, 1), (2, 1), (3, 2), (4, 1)}, "what the discarded version replaced is kept"


def test_versions_without_new_nodes(nodes: NodeStore) -> None:
    fill(nodes, 1)
    nodes.write(Batch(7, b"same"))
    assert nodes.versions() == (1, 7)
    assert nodes.roots(3) is None
    assert nodes.prune(7) == 0
    assert held(nodes, 1) == {(1, 1), (1, 2)}


def test_a_whole_state_lives_in_it(nodes: NodeStore) -> None:
    stores = ("acc", "ibc")
    on_nodes, alone = MultiStore(stores, nodes), MultiStore(stores)
    for version in range(1, 40):
        writes = {("ibc", b"%02d" % (version * i % 61)): (b"%d" % version if i % 3 else None) for i in range(12)}
        for state in (on_nodes, alone):
            state.apply(writes)
            state.commit(version)
        if version % 10 == 0:
            on_nodes.prune(version - 3)
            on_nodes = MultiStore(stores, nodes)
    assert on_nodes.app_hash == alone.app_hash
    for version in range(27, 40):
        assert dict(on_nodes.view(version).scan("ibc", b"", b"z")) == dict(alone.view(version).scan("ibc", b"", b"z"))
        assert on_nodes.prove("ibc", b"07", version) == alone.prove("ibc", b"07", version)
