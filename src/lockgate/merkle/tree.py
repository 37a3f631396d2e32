"""RFC 6962 / RFC 9162 Merkle trees over byte strings, and their proofs.

The same tree serves transparency logs, CometBFT's header fields, validator sets and transactions,
and the map of store roots. Leaf hash SHA-256(00 ‖ leaf), inner hash SHA-256(01 ‖ left ‖ right),
split at the largest power of two below the size. Source: RFC 9162 §2.1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from lockgate.merkle.errors import BadTreeIndex, ProofMismatch
from lockgate.primitives.quick import SHORT, short_sha256

_sha256 = hashlib.sha256
EMPTY_ROOT: Final = _sha256(b"").digest()
HASH_BYTES: Final = 32
MAX_SIZE: Final = 1 << 63  # RFC 9162 counts leaves in 64 bits; signed readers must cope


def leaf_hash(leaf: bytes) -> bytes:
    return _sha256(b"\x00" + leaf).digest()


def inner_hash(left: bytes, right: bytes) -> bytes:
    return _sha256(b"\x01" + left + right).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """Root over the leaves; SHA-256 of nothing for no leaves. Source: RFC 9162 §2.1.1."""
    return root_of_hashes(
        [(short_sha256 if len(leaf) < SHORT else _sha256)(b"\x00" + leaf).digest() for leaf in leaves]
    )


def root_of_hashes(hashes: Sequence[bytes]) -> bytes:
    """Root over leaf hashes."""
    level = hashes
    while len(level) > 1:
        level = level_above(level)
    return level[0] if level else EMPTY_ROOT


def level_above(level: Sequence[bytes]) -> list[bytes]:
    """Hash a level pairwise; a last odd one goes up as it is. This is the split at powers of two."""
    rest = iter(level)  # taken from twice a pair
    above = [short_sha256(b"\x01" + left + right).digest() for left, right in zip(rest, rest, strict=False)]
    if len(level) & 1:
        above.append(level[-1])
    return above


class Appender:
    """A tree that only grows, in memory of its height: the roots of its complete subtrees."""

    __slots__ = ("_peaks", "size")

    def __init__(self) -> None:
        self._peaks: list[bytes] = []  # of falling sizes: one per bit set in `size`
        self.size = 0

    def append(self, leaf: bytes) -> None:
        """Add a leaf."""
        self.append_hash(leaf_hash(leaf))

    def append_hash(self, digest: bytes) -> None:
        """Add a leaf by its hash."""
        if self.size + 1 >= MAX_SIZE:
            raise BadTreeIndex("the tree is full", size=self.size)
        carry = self.size
        while carry & 1:
            digest = inner_hash(self._peaks.pop(), digest)
            carry >>= 1
        self._peaks.append(digest)
        self.size += 1

    def root(self) -> bytes:
        """Root over what was appended so far."""
        if not self._peaks:
            return EMPTY_ROOT
        current = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            current = inner_hash(peak, current)
        return current


def inclusion_proof(hashes: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """Audit path of leaf `index`, leaf end first. Source: RFC 9162 §2.1.3.1."""
    if not 0 <= index < len(hashes):
        raise BadTreeIndex("no such leaf", index=index, size=len(hashes))
    path: list[bytes] = []
    level = hashes
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            path.append(level[sibling])
        level, index = level_above(level), index >> 1
    return tuple(path)


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected: bytes) -> None:
    """Check that leaf hash `leaf` stands at `index` in the tree of `size` with root `expected`.

    Raises BadTreeIndex or ProofMismatch. Source: RFC 9162 §2.1.3.2.
    """
    computed = inclusion_root(leaf, index, size, proof)
    if computed != expected:
        raise ProofMismatch("another root", expected=expected, computed=computed)


def inclusion_root(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """The one root of a tree of `size` in which `proof` leads from leaf hash `leaf` at `index`.

    For proofs whose root is signed and not sent. Raises as `verify_inclusion`.
    """
    _check_hashes((leaf, *proof))
    if not 0 <= index < size < MAX_SIZE:
        raise BadTreeIndex("the index is not inside the tree", index=index, size=size)
    node, last, current = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise BadTreeIndex("the proof is too long", size=size, length=len(proof))
        if node & 1 or node == last:
            current = inner_hash(sibling, current)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            current = inner_hash(current, sibling)
        node, last = node >> 1, last >> 1
    if last != 0:
        raise BadTreeIndex("the proof is too short", size=size, length=len(proof))
    return current


def consistency_proof(hashes: Sequence[bytes], old: int) -> tuple[bytes, ...]:
    """Proof that the first `old` leaves are a prefix. Source: RFC 9162 §2.1.4.1."""
    if not 0 < old <= len(hashes):
        raise BadTreeIndex("no such old size", old=old, size=len(hashes))
    return _consistency(hashes, old, complete=True)


def verify_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """Check that the tree of size `old` is a prefix of the one of size `new`.

    Size 0 is always refused: RFC 9162 leaves it undefined. Source: RFC 9162 §2.1.4.2.
    """
    verify_subtree_consistency(0, old, new, proof, old_root, new_root)


def verify_subtree_inclusion(
    leaf: bytes, index: int, start: int, end: int, proof: Sequence[bytes], expected: bytes
) -> None:
    """Check a leaf inside the subtree [start, end), whose start is aligned to its size.

    Source: draft Merkle tree certificates, subtree inclusion proofs.
    """
    _check_subtree(start, end)
    if not start <= index < end:
        raise BadTreeIndex("the leaf is not inside the subtree", index=index, start=start, end=end)
    verify_inclusion(leaf, index - start, end - start, proof, expected)


def verify_subtree_consistency(
    start: int, end: int, size: int, proof: Sequence[bytes], subtree_root: bytes, tree_root: bytes
) -> None:
    """Check that the subtree [start, end) is part of the tree of `size`.

    Source: draft Merkle tree certificates, subtree consistency proofs; for start 0 this is
    RFC 9162 §2.1.4.2.
    """
    if 0 < start == end <= size:
        # The draft's empty subtree: part of every tree, and nothing is left to prove.
        _check_hashes(proof)
        if proof or subtree_root != EMPTY_ROOT:
            raise ProofMismatch("an empty subtree has the empty root and no proof")
        return
    computed = consistency_root(start, end, size, proof, subtree_root)
    if computed != tree_root:
        raise ProofMismatch("another root", expected=tree_root, computed=computed)


def consistency_root(start: int, end: int, size: int, proof: Sequence[bytes], subtree_root: bytes) -> bytes:
    """The one root of a tree of `size` that `proof` shows to hold the subtree [start, end) with `subtree_root`.

    For proofs whose root is signed and not sent. Raises as `verify_subtree_consistency`; an empty subtree shows none.
    """
    _check_hashes(proof)
    _check_subtree(start, end)
    if end > size or size >= MAX_SIZE:
        raise BadTreeIndex("the subtree is not inside the tree", end=end, size=size)
    first, last, top = start, end - 1, size - 1
    if end == size:
        while first != last:
            first, last, top = first >> 1, last >> 1, top >> 1
    else:
        while first != last and last & 1:
            first, last, top = first >> 1, last >> 1, top >> 1
    rest = list(proof)
    if first == last:
        sub = whole = subtree_root
    else:
        if not rest:
            raise BadTreeIndex("the proof is empty", size=size)
        sub = whole = rest.pop(0)
    for sibling in rest:
        if top == 0:
            raise BadTreeIndex("the proof is too long", size=size, length=len(proof))
        if last & 1 or last == top:
            if first < last:
                sub = inner_hash(sibling, sub)
            whole = inner_hash(sibling, whole)
            while not last & 1 and last:
                first, last, top = first >> 1, last >> 1, top >> 1
        else:
            whole = inner_hash(whole, sibling)
        first, last, top = first >> 1, last >> 1, top >> 1
    if top != 0:
        raise BadTreeIndex("the proof is too short", size=size, length=len(proof))
    if sub != subtree_root:
        raise ProofMismatch("another root of the subtree", expected=subtree_root, computed=sub)
    return whole


def _consistency(hashes: Sequence[bytes], old: int, *, complete: bool) -> tuple[bytes, ...]:
    size = len(hashes)
    if old == size:
        return () if complete else (root_of_hashes(hashes),)
    split = 1 << (size - 1).bit_length() - 1
    if old <= split:
        return (*_consistency(hashes[:split], old, complete=complete), root_of_hashes(hashes[split:]))
    return (
        *_consistency(hashes[split:], old - split, complete=False),
        root_of_hashes(hashes[:split]),
    )


def _check_subtree(start: int, end: int) -> None:
    if not 0 <= start < end:
        raise BadTreeIndex("an empty or negative range", start=start, end=end)
    if start & ((1 << (end - start - 1).bit_length()) - 1):
        raise BadTreeIndex("the subtree's start is not aligned to its size", start=start, end=end)


def _check_hashes(hashes: Sequence[bytes]) -> None:
    if any(len(item) != HASH_BYTES for item in hashes):
        raise ProofMismatch("a hash has 32 bytes")


__all__ = (
    "EMPTY_ROOT",
    "MAX_SIZE",
    "Appender",
    "consistency_proof",
    "consistency_root",
    "inclusion_proof",
    "inclusion_root",
    "inner_hash",
    "leaf_hash",
    "level_above",
    "root",
    "root_of_hashes",
    "verify_consistency",
    "verify_inclusion",
    "verify_subtree_consistency",
    "verify_subtree_inclusion",
)
