"""The tree against a dictionary and against the naive port: same roots, every key proves, every absence."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lockgate.merkle import ics23
from lockgate.merkle.audit import audit
from lockgate.merkle.errors import EmptyTree, NotAvailable
from lockgate.merkle.iavl import Tree
from lockgate.merkle.multistore import MultiStore
from lockgate.merkle.node import EMPTY_ROOT, reader
from lockgate.merkle.ports import Batch
from lockgate.merkle.specs import IAVL_SPEC, TENDERMINT_SPEC
from lockgate.storage.memory import MemoryNodes
from tests.unit.merkle.naive_iavl import Naive, naive_remove, naive_root, naive_save, naive_set

SPECS = (IAVL_SPEC, TENDERMINT_SPEC)
# Few keys, so that removals meet what is there and trees shrink as well as grow.
KEYS = st.one_of(st.integers(0, 40).map(lambda i: b"%02d" % i), st.binary(min_size=1, max_size=2))
CHANGES = st.tuples(KEYS, st.one_of(st.none(), st.binary(min_size=1, max_size=3)))
BLOCKS = st.lists(st.lists(CHANGES, max_size=40), min_size=1, max_size=6)


@given(BLOCKS)
@settings(max_examples=300, deadline=None)
def test_roots_and_contents_are_those_of_the_naive_tree(blocks: list[list[tuple[bytes, bytes | None]]]) -> None:
    tree, model = Tree(reader(None)), dict[bytes, bytes]()
    node: Naive | None = None
    for version, block in enumerate(blocks, 1):
        for key, value in block:
            if value is None:
                assert tree.remove(key) is (model.pop(key, None) is not None)
                node = naive_remove(node, key)
            else:
                tree.set(key, value)
                node, model[key] = naive_set(node, key, value), value
            assert tree.get(key) == value
        node = naive_save(node, version)
        assert tree.save(None, version).root_hash == naive_root(node)
        assert list(tree.scan(b"", b"\xff" * 3)) == sorted(model.items())


# Runs of neighbouring keys, as packets have them: first key, how many, and every how many-th of them goes, 0: none.
RUNS = st.lists(st.tuples(st.integers(0, 90), st.integers(1, 60), st.integers(0, 4)), min_size=1, max_size=4)


@given(st.lists(RUNS, min_size=1, max_size=5), st.booleans())
@example([[(0, 40, 0)], [(50, 3, 0), (0, 30, 1), (53, 20, 0)]], False)  # what is removed lies before the last set
@settings(max_examples=200, deadline=None)
def test_changes_taken_together_are_changes_made_one_by_one(
    blocks: list[list[tuple[int, int, int]]], ascending: bool
) -> None:
    together, alone = Tree(reader(None)), Tree(reader(None))
    node: Naive | None = None
    for version, runs in enumerate(blocks, 1):
        value = b"%d" % version
        block = {
            b"%03d" % key: None if gone and key % gone == 0 else value
            for first, count, gone in runs
            for key in range(first, first + count)
        }
        changes = [(key, block[key], None) for key in (sorted(block) if ascending else block)]
        together.take(changes)
        for key, new, _ in changes:
            if new is None:
                alone.remove(key)
                node = naive_remove(node, key)
            else:
                alone.set(key, new)
                node = naive_set(node, key, new)
        node = naive_save(node, version)
        batches = Batch(version), Batch(version)
        assert together.save(batches[0], version).root_hash == naive_root(node)
        assert alone.save(batches[1], version).root_hash == naive_root(node)
        assert batches[0] == batches[1], "the same nodes are new and the same are replaced"


@given(BLOCKS, st.tuples(KEYS, KEYS))
@settings(max_examples=100, deadline=None)
def test_a_scan_is_the_sorted_range(
    blocks: list[list[tuple[bytes, bytes | None]]], bounds: tuple[bytes, bytes]
) -> None:
    store, model = MultiStore(("s",)), dict[bytes, bytes]()
    for version, block in enumerate(blocks, 1):
        _apply(store, model, block)
        store.commit(version)
    start, end = bounds
    wanted = sorted((k, v) for k, v in model.items() if start <= k < end)
    assert list(store.scan("s", start, end)) == wanted
    assert list(store.view(store.version).scan("s", start, end)) == wanted


@given(BLOCKS, st.lists(KEYS, max_size=20))
@settings(max_examples=150, deadline=None)
def test_every_key_proves_and_every_other_key_proves_absent(
    blocks: list[list[tuple[bytes, bytes | None]]], others: list[bytes]
) -> None:
    store, models = MultiStore(("other", "s"), MemoryNodes()), [dict[bytes, bytes]()]
    hashes = [EMPTY_ROOT]
    for version, block in enumerate(blocks, 1):
        models.append(dict(models[-1]))
        _apply(store, models[-1], block)
        hashes.append(store.commit(version))
    reopened = MultiStore(("other", "s"), store._nodes)  # reads every node it needs from the store
    for version, model in enumerate(models[1:], 1):
        for key in {*model, *others}:
            if not model:
                with pytest.raises(EmptyTree):
                    reopened.prove("s", key, version)
                continue
            proven = reopened.prove("s", key, version)
            assert proven == store.prove("s", key, version)
            assert proven.merkle_proof == store.view(version).merkle_proof("s", key)
            assert proven.value == model.get(key)
            if proven.value is None:
                ics23.verify_non_membership(SPECS, hashes[version], (b"s", key), proven.merkle_proof)
            else:
                ics23.verify_membership(SPECS, hashes[version], (b"s", key), proven.value, proven.merkle_proof)


@given(BLOCKS, st.integers(1, 6), st.integers(0, 6), st.booleans())
@settings(max_examples=200, deadline=None)
def test_pruned_discarded_and_reopened_stores_hold_what_they_should(
    blocks: list[list[tuple[bytes, bytes | None]]], oldest: int, back: int, on_disk: bool
) -> None:
    nodes = MemoryNodes()
    store = MultiStore(("s",), nodes if on_disk else None)
    models, hashes = [dict[bytes, bytes]()], [EMPTY_ROOT]
    for version, block in enumerate(blocks, 1):
        models.append(dict(models[-1]))
        _apply(store, models[-1], block)
        hashes.append(store.commit(version))
    newest = len(blocks)
    oldest, back = min(oldest, newest), min(back, newest - min(oldest, newest))
    store.prune(oldest)
    store.rollback(newest - back)
    if on_disk:
        assert list(audit(nodes)) == [(v, hashes[v]) for v in range(oldest, newest - back + 1)]
        sizes = [2 * len(m) - 1 for m in models if m]
        assert len(nodes) <= sum(sizes)
        if back == 0 and oldest == newest:
            assert len(nodes) == max(2 * len(models[newest]) - 1, 0), "only the newest version's nodes are left"
        store = MultiStore(("s",), nodes)
    assert store.version == newest - back
    assert store.app_hash == hashes[newest - back]
    for version in range(1, newest + 1):
        if oldest <= version <= newest - back:
            assert dict(store.view(version).scan("s", b"", b"\xff" * 3)) == models[version]
            assert store.hash_at(version) == hashes[version]
        else:
            with pytest.raises(NotAvailable):
                store.view(version)
    never_went_back = MultiStore(("s",))
    for version in range(1, newest - back + 1):
        never_went_back.apply(_difference(models[version - 1], models[version]))
        never_went_back.commit(version)
    for one in (store, never_went_back):
        one.apply({("s", b"next"): b"1"})
        one.commit(newest - back + 1)
    assert store.app_hash == never_went_back.app_hash


def _apply(store: MultiStore, model: dict[bytes, bytes], block: list[tuple[bytes, bytes | None]]) -> None:
    writes = dict(block)
    store.apply({("s", key): value for key, value in writes.items()})
    for key, value in writes.items():
        if value is None:
            model.pop(key, None)
        else:
            model[key] = value


def _difference(before: dict[bytes, bytes], after: dict[bytes, bytes]) -> dict[tuple[str, bytes], bytes | None]:
    return {("s", key): after.get(key) for key in {*before, *after} if before.get(key) != after.get(key)}
