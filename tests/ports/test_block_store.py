"""`BlockStore`: one suite, run on memory and on SQLite."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lockgate.engines.embedded.ports import BlockStore
from lockgate.storage.blocks import MemoryBlocks
from lockgate.storage.ledger import LedgerStore


@pytest.fixture(params=[MemoryBlocks, LedgerStore.in_memory], ids=["memory", "sqlite"])
def store(request: pytest.FixtureRequest) -> BlockStore:
    made: Callable[[], BlockStore] = request.param
    return made()


def add(store: BlockStore, height: int, *transactions: bytes) -> None:
    store.add_block(
        height=height,
        hash=b"hash %d" % height,
        block=b"block",
        signed=b"signed",
        results=b"results",
        app_hash=b"root",
        time=10 * height,
    )
    store.add_transactions(height, list(transactions))
    store.add_events([("sent.sequence", str(height), height, 0), ("sent.client", "one", height, 0)])


def test_an_empty_store_has_nothing(store: BlockStore) -> None:
    assert store.tip() is None
    assert store.base_height() == 0
    assert store.block(1) is None
    assert store.height_of_hash(b"hash 1") is None
    assert store.transaction(b"tx") is None
    assert store.meta("name") is None
    assert store.search([("sent.client", "one")]) == []


def test_what_is_committed_is_read(store: BlockStore) -> None:
    for height in (1, 2, 3):
        with store.commit():
            add(store, height, b"tx %d" % height, b"tx again")
            store.set_meta("name", b"%d" % height)
    tip, row = store.tip(), store.block(2)
    assert tip is not None
    assert tip.height == 3
    assert row is not None
    assert (row.height, row.hash, row.block, row.signed, row.results, row.app_hash, row.time) == (
        *(2, b"hash 2", b"block", b"signed", b"results", b"root", 20),
    )
    assert store.base_height() == 1
    assert store.height_of_hash(b"hash 3") == 3
    assert store.transaction(b"tx 2") == (2, 0)
    assert store.meta("name") == b"3"


def test_of_two_blocks_with_the_same_bytes_the_first_keeps_the_index(store: BlockStore) -> None:
    for height in (1, 2):
        with store.commit():
            add(store, height, b"tx", b"tx again")
    assert store.transaction(b"tx again") == (1, 1)


def test_a_search_finds_each_transaction_once_in_order(store: BlockStore) -> None:
    for height in (1, 2):
        with store.commit():
            add(store, height)
            store.add_events([("sent.client", "one", height, 0), ("sent.client", "one", height, -1)])
    assert store.search([("sent.client", "one")]) == [(1, -1), (1, 0), (2, -1), (2, 0)]
    with store.commit():
        add(store, 3)
    assert store.search([("sent.client", "one")])[-1] == (3, 0)
    assert store.search([("sent.sequence", "3")]) == [(3, 0)]
    assert store.search([("sent.sequence", "4")]) == []
    assert store.search([("sent.client", "one"), ("sent.sequence", "2")]) == [(2, 0)]
    assert store.search([("sent.client", "one")], 3, 3) == [(3, 0)]


def test_a_commit_that_fails_leaves_nothing(store: BlockStore) -> None:
    with store.commit():
        add(store, 1, b"tx")

    def fail() -> None:
        with store.commit():
            add(store, 2, b"other tx")
            store.set_meta("name", b"value")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    tip = store.tip()
    assert tip is not None
    assert tip.height == 1
    assert store.transaction(b"other tx") is None
    assert store.meta("name") is None
    assert store.search([("sent.client", "one")]) == [(1, 0)]
    with store.commit():
        add(store, 2)
    assert store.height_of_hash(b"hash 2") == 2
