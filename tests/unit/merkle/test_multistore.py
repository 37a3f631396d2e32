"""Named stores under one root: reads, versions, going back, pruning."""

from __future__ import annotations

import pytest

from lockgate.merkle.errors import NodeDamaged, NotAvailable, UnknownStore
from lockgate.merkle.iavl import Tree, TreeMisused
from lockgate.merkle.multistore import VERSIONS_OPEN, MultiStore
from lockgate.merkle.node import EMPTY_ROOT
from lockgate.merkle.ports import Batch
from lockgate.primitives.state import Overlay, View
from lockgate.storage.memory import MemoryNodes

NAMES = ("gov", "acc", "ibc")


class DiskFull(Exception):
    pass


class FailingNodes(MemoryNodes):
    """Refuses the next write."""

    fails = False

    def write(self, batch: Batch, /) -> None:
        if self.fails:
            raise DiskFull
        super().write(batch)


def state(nodes: MemoryNodes | None = None, versions: int = 1) -> MultiStore:
    store = MultiStore(NAMES, nodes)
    for version in range(1, versions + 1):
        store.apply({("ibc", b"k%d" % version): b"v", ("acc", b"n"): b"%d" % version})
        store.commit(version)
    return store


def contents(view: View, store: str = "ibc") -> dict[bytes, bytes]:
    return dict(view.scan(store, b"", b"\xff"))


def test_a_new_ledger_has_nothing_and_no_version() -> None:
    store = MultiStore(NAMES)
    assert (store.version, store.app_hash) == (0, EMPTY_ROOT)
    assert store.get("ibc", b"k") is None
    assert contents(store) == {}


def test_applied_writes_are_read_before_they_are_committed() -> None:
    store = state()
    store.apply({("ibc", b"new"): b"1", ("ibc", b"k1"): None})
    assert contents(store) == {b"new": b"1"}
    assert (store.get("ibc", b"new"), store.get("ibc", b"k1")) == (b"1", None)
    assert contents(store.view(1)) == {b"k1": b"v"}, "the version before does not change"


def test_an_overlay_reads_through() -> None:
    store = state()
    over = Overlay(store, {("ibc", b"a"): b"0", ("ibc", b"k1"): None})
    assert contents(over) == {b"a": b"0"}


@pytest.mark.parametrize("nodes", [None, MemoryNodes()], ids=["memory", "nodes"])
def test_a_block_without_effect_keeps_the_app_hash(nodes: MemoryNodes | None) -> None:
    store = state(nodes)
    before = store.app_hash
    assert store.commit(2) == before
    store.apply({("ibc", b"k1"): b"v", ("ibc", b"absent"): None})
    assert store.commit(3) == before
    store.apply({("ibc", b"k1"): b"w"})
    assert store.commit(4) != before


def test_order_of_the_writes_does_not_matter() -> None:
    writes = {("ibc", b"%03d" % (i * 37 % 101)): b"%d" % i for i in range(101)}
    one, other = MultiStore(NAMES), MultiStore(reversed(NAMES))  # type: ignore[arg-type]  # any order of names
    one.apply(writes)
    other.apply(dict(reversed(writes.items())))
    assert one.commit(1) == other.commit(1)


@pytest.mark.parametrize(
    ("writes", "refusal"),
    [
        ({("ibc", b"a"): b"1", ("nope", b"k"): b"v"}, UnknownStore),
        ({("ibc", b"a"): b"1", ("ibc", b"b"): b""}, TreeMisused),
        ({("ibc", b"a"): b"1", ("ibc", b""): b"v"}, TreeMisused),
    ],
)
def test_a_refused_block_changes_nothing(writes: dict[tuple[str, bytes], bytes | None], refusal: type) -> None:
    store = state()
    with pytest.raises(refusal):
        store.apply(writes)
    assert contents(store) == {b"k1": b"v"}
    assert store.commit(2) == store.hash_at(1)


def test_unknown_stores_are_refused_everywhere() -> None:
    store = state()
    for ask in (
        lambda: store.get("nope", b"k"),
        lambda: store.scan("nope", b"", b"z"),
        lambda: store.prove("nope", b"k", 1),
        lambda: store.view(1).get("nope", b"k"),
        lambda: store.view(1).scan("nope", b"", b"z"),
    ):
        with pytest.raises(UnknownStore):
            ask()


def test_versions_only_rise() -> None:
    store = state(versions=3)
    for version in (3, 2, 0):
        with pytest.raises(TreeMisused):
            store.commit(version)
    store.commit(10)
    assert store.version == 10


@pytest.mark.parametrize("version", [-1, 4, 2**40])
@pytest.mark.parametrize("nodes", [None, MemoryNodes()], ids=["memory", "nodes"])
def test_versions_that_are_not_there_are_refused(version: int, nodes: MemoryNodes | None) -> None:
    store = MultiStore(NAMES, nodes) if nodes is not None and nodes.versions()[1] else state(nodes, versions=3)
    for ask in (store.view, store.hash_at, lambda v: store.prove("ibc", b"k1", v)):
        with pytest.raises(NotAvailable):
            ask(version)


def test_a_version_in_between_that_was_never_made_is_refused() -> None:
    store = state(MemoryNodes())
    store.commit(5)
    with pytest.raises(NotAvailable):
        store.view(3)


def test_rollback_undoes_what_was_applied() -> None:
    store = state(MemoryNodes(), versions=2)
    before = contents(store)
    store.apply({("ibc", b"k1"): None, ("ibc", b"k2"): b"w", ("ibc", b"new"): b"1"})
    store.rollback()
    assert contents(store) == before
    assert [store.get("ibc", key) for key in (b"k1", b"k2", b"new")] == [b"v", b"v", None]
    assert store.commit(3) == store.hash_at(2)


def test_rollback_after_a_commit_that_the_disk_took_back() -> None:
    nodes = MemoryNodes()
    store = state(nodes, versions=2)
    root = store.app_hash
    store.apply({("ibc", b"k1"): None, ("ibc", b"new"): b"1"})
    store.commit(3)
    nodes.discard_after(2)  # what a rolled back transaction does
    store.rollback()
    assert (store.version, store.app_hash) == (2, root)
    assert [store.get("ibc", key) for key in (b"k1", b"k2", b"new")] == [b"v", b"v", None]
    with pytest.raises(NotAvailable):
        store.view(3)
    store.apply({("ibc", b"new"): b"2"})
    store.commit(3)
    again = state(MemoryNodes(), versions=2)
    again.apply({("ibc", b"new"): b"2"})
    assert again.commit(3) == store.app_hash


def test_rollback_after_a_commit_that_failed_half_way() -> None:
    nodes = FailingNodes()
    store = state(nodes, versions=2)
    nodes.fails = True
    store.apply({("ibc", b"new"): b"1"})
    with pytest.raises(DiskFull):
        store.commit(3)
    store.rollback()
    assert (store.version, store.get("ibc", b"new")) == (2, None)
    assert contents(store) == {b"k1": b"v", b"k2": b"v"}
    nodes.fails = False
    assert store.commit(3) == store.hash_at(2)


def test_rollback_after_writes_that_failed_half_way(monkeypatch: pytest.MonkeyPatch) -> None:
    store = state(versions=2)
    plain = Tree.take

    def failing(tree: Tree, changes: list[tuple[bytes, bytes | None, object]]) -> None:
        plain(tree, changes[:2])
        raise NodeDamaged("a node is missing", version=1, number=1)

    monkeypatch.setattr(Tree, "take", failing)
    with pytest.raises(NodeDamaged):
        store.apply({("ibc", b"n3"): b"1", ("ibc", b"n2"): b"1", ("ibc", b"n1"): b"1", ("ibc", b"k1"): None})
    monkeypatch.undo()
    store.rollback()
    assert [store.get("ibc", key) for key in (b"k1", b"n1", b"n2", b"n3")] == [b"v", None, None, None]
    assert contents(store) == {b"k1": b"v", b"k2": b"v"}
    assert store.commit(3) == state(versions=2).app_hash


@pytest.mark.parametrize("nodes", [None, MemoryNodes()], ids=["memory", "nodes"])
def test_rollback_to_a_named_version(nodes: MemoryNodes | None) -> None:
    store = state(nodes, versions=4)
    store.rollback(2)
    assert (store.version, store.app_hash) == (2, state(versions=2).app_hash)
    assert contents(store) == {b"k1": b"v", b"k2": b"v"}
    with pytest.raises(NotAvailable):
        store.rollback(3)


@pytest.mark.parametrize("nodes", [None, MemoryNodes()], ids=["memory", "nodes"])
def test_rollback_to_the_beginning(nodes: MemoryNodes | None) -> None:
    store = state(nodes, versions=2)
    store.rollback(0)
    assert (store.version, store.app_hash, contents(store)) == (0, EMPTY_ROOT, {})
    store.apply({("ibc", b"k1"): b"v", ("acc", b"n"): b"1"})
    assert store.commit(1) == state().app_hash


def test_a_reopened_store_goes_on_as_if_it_had_stayed_open() -> None:
    nodes = MemoryNodes()
    stayed, first = state(versions=5), state(nodes, versions=5)
    reopened = MultiStore(NAMES, nodes)
    assert (reopened.version, reopened.app_hash) == (5, first.app_hash)
    assert [reopened.get("ibc", b"k%d" % i) for i in range(7)] == [None, *[b"v"] * 5, None]
    writes = {("ibc", b"k3"): None, ("ibc", b"k9"): b"w", ("acc", b"n"): b"5"}
    for store in (stayed, reopened):
        store.apply(writes)
        store.commit(6)
    assert stayed.app_hash == reopened.app_hash


def test_other_store_names_than_those_recorded_are_refused() -> None:
    nodes = MemoryNodes()
    state(nodes)
    with pytest.raises(NodeDamaged):
        MultiStore(("gov", "acc"), nodes)


def test_pruning_keeps_the_newest_version_whatever_is_asked() -> None:
    nodes = MemoryNodes()
    store = state(nodes, versions=4)
    store.prune(99)
    assert nodes.versions() == (4, 4)
    assert contents(MultiStore(NAMES, nodes)) == {b"k%d" % i: b"v" for i in range(1, 5)}
    with pytest.raises(NotAvailable):
        store.view(3)


def test_nothing_grows_when_versions_are_pruned() -> None:
    nodes = MemoryNodes()
    store = MultiStore(NAMES, nodes)
    sizes = set()
    for version in range(1, 200):
        store.apply({("ibc", b"%02d" % (version % 50)): b"%d" % version})
        store.commit(version)
        store.prune(version - 10)
        if version > 100:
            sizes.add(len(nodes))
            assert len(nodes._roots) == 11
            assert len(nodes._orphans) == 10
            assert len(store._open) <= 11
    assert max(sizes) <= 99 + 10 * 8, "the newest version, and what ten blocks replaced"


@pytest.mark.parametrize("order", [1, -1, 7])
def test_after_pruning_exactly_the_newest_version_is_left(order: int) -> None:
    """Also when removals rotate nodes that no write went through."""
    nodes = MemoryNodes()
    store = MultiStore(("s",), nodes)
    keys = [b"%02d" % (i * order % 64) for i in range(64)]
    store.apply({("s", key): b"v" for key in keys})
    store.commit(1)
    for version, key in enumerate(keys, 2):
        assert len(nodes) == 2 * (66 - version) - 1
        store.apply({("s", key): None})
        store.commit(version)
        store.prune(version)
    assert len(nodes) == 0


def test_few_versions_stay_open_beside_a_node_store() -> None:
    nodes = MemoryNodes()
    store = state(nodes, versions=3 * VERSIONS_OPEN)
    for version in range(1, store.version + 1):
        assert len(contents(store.view(version))) == version
    assert len(store._open) <= VERSIONS_OPEN


def test_an_old_version_reads_and_proves_while_a_block_is_worked_on() -> None:
    store = state(MemoryNodes(), versions=3)
    old = store.view(2)
    proof = store.prove("ibc", b"k2", 2)
    store.apply({("ibc", b"k%d" % i): (None if i % 2 else b"changed") for i in range(1, 30)})
    assert contents(old) == {b"k1": b"v", b"k2": b"v"}
    assert store.prove("ibc", b"k2", 2) == proof
    store.commit(4)
    assert store.prove("ibc", b"k2", 2) == proof
    assert store.prove("ibc", b"k2", 4) != proof
