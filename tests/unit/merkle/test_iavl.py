"""The tree: pinned roots, versions, and what is copied, replaced and kept."""

from __future__ import annotations

import pytest

from lockgate.merkle.iavl import Tree, TreeMisused
from lockgate.merkle.node import EMPTY_ROOT, reader
from lockgate.merkle.ports import MAX_VERSION, NONCE_BITS, Batch


def make(*pairs: tuple[bytes, bytes]) -> Tree:
    tree = Tree(reader(None))
    for key, value in pairs:
        tree.set(key, value)
    return tree


ABC = ((b"a", b"1"), (b"b", b"2"), (b"c", b"3"))


def test_pinned_roots() -> None:
    """The small vector of the ICS-23 digest §6, computed with cosmos/iavl's rules."""
    tree = make(*ABC)
    first = tree.save(None, 1)
    assert first.root_hash.hex() == "94ee7455e38ba1286d6f8e8317485dd90e8d9ced4795e233270868ce3f74814e"
    assert first.root is not None
    assert (first.root.key, first.root.right.key) == (b"b", b"c")
    leaves = (first.root.left, first.root.right.left, first.root.right.right)
    assert [leaf.hash.hex()[:8] for leaf in leaves] == ["bbe33cd0", "33865dc4", "2de087ae"]
    tree.set(b"b", b"22")
    assert tree.remove(b"a")
    second = tree.save(None, 2)
    assert second.root_hash.hex() == "d437c7267229c0ca25a28311916b3ab121cb16fa94407bfdda7613a7a2b74176"
    assert second.root is not None
    assert [(leaf.hash.hex()[:8], leaf.version) for leaf in (second.root.left, second.root.right)] == [
        ("0f89e2f1", 2),
        ("2de087ae", 1),
    ]
    assert first.root_hash.hex().startswith("94ee7455"), "an old version does not change"
    assert dict(first.scan(b"", b"z")) == dict(ABC)


def test_an_empty_tree_has_the_empty_root_before_and_after() -> None:
    tree = make((b"k", b"v"))
    assert tree.saved.root_hash == EMPTY_ROOT
    assert tree.remove(b"k")
    assert not tree.changed
    tree.set(b"k", b"v")
    tree.save(None, 1)
    assert tree.remove(b"k")
    assert tree.save(None, 2).root_hash == EMPTY_ROOT
    assert tree.saved.root_number == 0


def test_removing_what_is_not_there_leaves_the_tree_untouched() -> None:
    tree = make(*ABC)
    saved = tree.save(None, 1)
    assert not tree.remove(b"bb")
    assert not tree.changed
    assert tree.save(None, 2) is saved


def test_writing_an_equal_value_makes_a_new_version_of_the_leaf() -> None:
    tree = make(*ABC)
    before = tree.save(None, 1).root_hash
    tree.set(b"b", b"2")
    assert tree.save(None, 2).root_hash != before


@pytest.mark.parametrize(("key", "value"), [(b"", b"v"), (b"k", b"")])
def test_what_cannot_be_proven_cannot_be_set(key: bytes, value: bytes) -> None:
    tree = make(*ABC)
    saved = tree.save(None, 1)
    with pytest.raises(TreeMisused):
        tree.set(key, value)
    assert tree.save(None, 2) is saved


@pytest.mark.parametrize("version", [0, -1, MAX_VERSION + 1])
def test_versions_stay_in_their_bits(version: int) -> None:
    with pytest.raises(TreeMisused):
        make(*ABC).save(None, version)


def test_a_version_writes_what_is_new_and_names_what_it_replaced() -> None:
    tree = make(*((b"%02d" % i, b"v") for i in range(64)))
    first = Batch(1)
    tree.save(first, 1)
    assert len(first.nodes) == 127
    assert not first.orphans
    depth = tree.saved.root.height if tree.saved.root else 0
    tree.set(b"07", b"w")
    tree.set(b"07", b"x")  # changes the copy in place
    second = Batch(2)
    tree.save(second, 2)
    assert len(second.nodes) == len(second.orphans) <= depth + 1
    assert {number >> NONCE_BITS for number, _ in second.nodes} == {2}
    assert {number >> NONCE_BITS for number in second.orphans} == {1}
    assert len(set(second.orphans)) == len(second.orphans)


def test_numbers_go_on_from_what_the_batch_has() -> None:
    batch = Batch(5)
    make(*ABC).save(batch, 5)
    make(*ABC).save(batch, 5)
    assert [number for number, _ in batch.nodes] == [5 << NONCE_BITS | i for i in range(1, 11)]


def test_going_back_forgets_what_was_not_saved() -> None:
    tree = make(*ABC)
    saved = tree.save(None, 1)
    tree.set(b"d", b"4")
    tree.remove(b"a")
    tree.become(saved)
    assert not tree.changed
    assert dict(tree.scan(b"", b"z")) == dict(ABC)
    batch = Batch(2)
    tree.set(b"d", b"4")
    tree.save(batch, 2)
    again = make(*ABC)
    again.save(None, 1)
    again.set(b"d", b"4")
    assert again.save(None, 2).root_hash == tree.saved.root_hash


@pytest.mark.parametrize("step", [1, -1, 7, 3])
def test_heights_stay_balanced(step: int) -> None:
    tree = Tree(reader(None))
    for i in range(200):
        tree.set((i * step % 211).to_bytes(2, "big"), b"v")
    for i in range(0, 200, 3):
        tree.remove((i * step % 211).to_bytes(2, "big"))
    root = tree.save(None, 1).root
    waiting = [root]
    while waiting:
        node = waiting.pop()
        assert node is not None
        if node.height:
            assert abs(node.left.height - node.right.height) <= 1
            assert node.height == 1 + max(node.left.height, node.right.height)
            assert node.size == node.left.size + node.right.size
            waiting += [node.left, node.right]
