"""RFC 9162 trees: roots, proofs made and checked, the appender."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from lockgate.merkle import tree
from lockgate.merkle.errors import BadTreeIndex, ProofMismatch
from lockgate.primitives.errors import PeerFault

# The example leaves of the Certificate Transparency project and their roots at growing sizes.
LEAVES = tuple(
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
)
ROOTS = {
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}
HASHES = [tree.leaf_hash(b"%d" % i) for i in range(33)]


def by_definition(hashes: Sequence[bytes]) -> bytes:
    if len(hashes) < 2:
        return hashes[0] if hashes else tree.EMPTY_ROOT
    split = 1 << (len(hashes) - 1).bit_length() - 1
    return tree.inner_hash(by_definition(hashes[:split]), by_definition(hashes[split:]))


def subtree_proof(hashes: Sequence[bytes], start: int, end: int, *, known: bool = True) -> list[bytes]:
    """SUBTREE_PROOF of the Merkle tree certificates draft, as it is defined there."""
    size = len(hashes)
    if (start, end) == (0, size):
        return [] if known else [by_definition(hashes)]
    split = 1 << (size - 1).bit_length() - 1
    left, right = hashes[:split], hashes[split:]
    if end <= split:
        return [*subtree_proof(left, start, end, known=known), by_definition(right)]
    if split <= start:
        return [*subtree_proof(right, start - split, end - split, known=known), by_definition(left)]
    return [*subtree_proof(right, 0, end - split, known=False), by_definition(left)]


def subtrees(size: int) -> list[tuple[int, int]]:
    return [
        (start, end)
        for end in range(1, size + 1)
        for start in range(end)
        if start % (1 << (end - start - 1).bit_length()) == 0
    ]


@pytest.mark.parametrize("size", sorted(ROOTS))
def test_published_roots(size: int) -> None:
    assert tree.root(LEAVES[:size]).hex() == ROOTS[size]


@pytest.mark.parametrize("size", range(34))
def test_root_and_appender_follow_the_definition(size: int) -> None:
    appender = tree.Appender()
    for i in range(size):
        appender.append(b"%d" % i)
    assert appender.size == size
    assert appender.root() == tree.root_of_hashes(HASHES[:size]) == by_definition(HASHES[:size])


def test_an_appender_goes_on_after_its_root_was_asked() -> None:
    appender = tree.Appender()
    for size, digest in enumerate(HASHES, 1):
        appender.append_hash(digest)
        assert appender.root() == by_definition(HASHES[:size])


def test_a_full_appender_refuses() -> None:
    appender = tree.Appender()
    appender.size = tree.MAX_SIZE - 1
    with pytest.raises(BadTreeIndex):
        appender.append(b"one more")


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 13, 16, 33])
def test_every_leaf_is_included_and_nowhere_else(size: int) -> None:
    hashes = HASHES[:size]
    root = tree.root_of_hashes(hashes)
    for index in range(size):
        proof = tree.inclusion_proof(hashes, index)
        tree.verify_inclusion(hashes[index], index, size, proof, root)
        for wrong in {index - 1, index + 1, index ^ 1, index ^ 2, size, size + index} - {index}:
            with pytest.raises(PeerFault):
                tree.verify_inclusion(hashes[index], wrong, size, proof, root)
        for spoilt in ((*proof, root), (root, *proof), proof[:-1] if proof else (root,)):
            with pytest.raises(PeerFault):
                tree.verify_inclusion(hashes[index], index, size, spoilt, root)


@pytest.mark.parametrize("new", [1, 2, 3, 7, 8, 13, 16, 33])
def test_every_prefix_is_consistent(new: int) -> None:
    new_root = tree.root_of_hashes(HASHES[:new])
    for old in range(1, new + 1):
        old_root = tree.root_of_hashes(HASHES[:old])
        proof = tree.consistency_proof(HASHES[:new], old)
        tree.verify_consistency(old, new, proof, old_root, new_root)
        assert list(proof) == subtree_proof(HASHES[:new], 0, old)
        for spoilt in ((*proof, new_root), proof[:-1] if proof else (old_root,)):
            with pytest.raises(PeerFault):
                tree.verify_consistency(old, new, spoilt, old_root, new_root)
        with pytest.raises(ProofMismatch):
            tree.verify_consistency(old, new, proof, HASHES[0][::-1], new_root)
        with pytest.raises(ProofMismatch):
            tree.verify_consistency(old, new, proof, old_root, HASHES[0][::-1])


@pytest.mark.parametrize("size", [1, 2, 5, 8, 13, 21])
def test_every_subtree_is_consistent_with_its_tree(size: int) -> None:
    hashes = HASHES[:size]
    root = by_definition(hashes)
    for start, end in subtrees(size):
        sub = by_definition(hashes[start:end])
        proof = subtree_proof(hashes, start, end)
        tree.verify_subtree_consistency(start, end, size, proof, sub, root)
        with pytest.raises(PeerFault):
            tree.verify_subtree_consistency(start, end, size, [*proof, sub], sub, root)
        with pytest.raises(PeerFault):
            tree.verify_subtree_consistency(start, end, size, proof, HASHES[-1], root)
        for index in range(start, end):
            path = tree.inclusion_proof(hashes[start:end], index - start)
            tree.verify_subtree_inclusion(hashes[index], index, start, end, path, sub)


@pytest.mark.parametrize(("start", "end"), [(0, 0), (1, 3), (3, 5), (4, 4), (-2, 2), (2, 1)])
def test_ranges_that_are_no_subtree_are_refused(start: int, end: int) -> None:
    with pytest.raises(BadTreeIndex):
        tree.verify_subtree_inclusion(HASHES[start], start, start, end, (), HASHES[start])


def test_a_range_across_subtrees_is_refused_though_its_hashes_fit() -> None:
    across = tree.inner_hash(HASHES[1], HASHES[2])
    with pytest.raises(BadTreeIndex, match="aligned"):
        tree.verify_subtree_inclusion(HASHES[1], 1, 1, 3, (HASHES[2],), across)
    with pytest.raises(BadTreeIndex, match="aligned"):
        tree.verify_subtree_consistency(1, 3, 3, (), across, across)


def test_asking_for_what_is_not_there_is_refused() -> None:
    with pytest.raises(BadTreeIndex):
        tree.inclusion_proof(HASHES, len(HASHES))
    with pytest.raises(BadTreeIndex):
        tree.inclusion_proof([], 0)
    with pytest.raises(BadTreeIndex):
        tree.consistency_proof(HASHES, 0)
    with pytest.raises(BadTreeIndex):
        tree.verify_inclusion(HASHES[0], 0, tree.MAX_SIZE, [HASHES[0]] * 63, HASHES[0])


def test_hashes_of_another_length_are_refused() -> None:
    with pytest.raises(ProofMismatch):
        tree.verify_inclusion(b"", 0, 1, (), b"")
    with pytest.raises(ProofMismatch):
        tree.verify_consistency(1, 2, (b"short",), HASHES[0], HASHES[0])
