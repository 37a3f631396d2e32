"""SSZ hash tree roots and proofs in them, as Ethereum's consensus uses them.

A value becomes chunks of 32 bytes, the leaves of a binary SHA-256 tree filled up with zeros to a power of two.
A *generalized index* names a node: the root is 1, the children of g are 2g and 2g + 1. So the index fixes how
long a branch is, and on which side each sibling stands. Source: consensus-specs ssz/simple-serialize.md and
ssz/merkle-proofs.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache

from lockgate.merkle.errors import ProofMalformed, ProofMismatch

CHUNK = 32


def uint(number: int) -> bytes:
    """The chunk of an unsigned number of up to 256 bits: little-endian."""
    return number.to_bytes(CHUNK, "little")


def packed(data: bytes) -> list[bytes]:
    """The chunks of a string of fixed length, the last one filled up with zeros."""
    return [data[at : at + CHUNK].ljust(CHUNK, b"\0") for at in range(0, len(data), CHUNK)]


def merkleize(chunks: Sequence[bytes], limit: int | None = None) -> bytes:
    """The root over chunks. `limit`: how many there could be (of a list); without, there are always this many."""
    width = max(1, len(chunks) if limit is None else limit)
    level, nodes = 0, list(chunks)
    while width > 1:
        if len(nodes) % 2:
            nodes.append(zero(level))
        nodes = [_parent(nodes[at], nodes[at + 1]) for at in range(0, len(nodes), 2)]
        width = (width + 1) // 2
        level += 1
    return nodes[0] if nodes else zero(level)


def with_length(root: bytes, length: int) -> bytes:
    """The root of a list, which its length is mixed into."""
    return _parent(root, uint(length))


@cache
def zero(level: int) -> bytes:
    """The root of a subtree of 2**level zero chunks."""
    return _parent(zero(level - 1), zero(level - 1)) if level else bytes(CHUNK)


def depth(index: int) -> int:
    """How many siblings a branch from a generalized index has."""
    return index.bit_length() - 1


def check_branch(leaf: bytes, branch: Sequence[bytes], index: int, root: bytes) -> None:
    """Require that `leaf` stands at a generalized index under `root`; siblings from the leaf up, 32 bytes each.

    Raises ProofMalformed for a branch of another length than the index has, ProofMismatch for another root.
    """
    if len(branch) != depth(index) or any(len(sibling) != CHUNK for sibling in branch):
        raise ProofMalformed("a branch is not as long as its index is deep", siblings=len(branch), index=index)
    node, at = leaf, index
    for sibling in branch:
        node = _parent(sibling, node) if at & 1 else _parent(node, sibling)
        at >>= 1
    if node != root:
        raise ProofMismatch("a branch leads to another root", index=index, expected=root, computed=node)


def branch_of(chunks: Sequence[bytes], position: int) -> list[bytes]:
    """The siblings of one of the chunks, from the leaf up: what `check_branch` wants."""
    level, nodes, siblings = 0, list(chunks), []
    while len(nodes) > 1:
        if len(nodes) % 2:
            nodes.append(zero(level))
        siblings.append(nodes[position ^ 1])
        nodes = [_parent(nodes[at], nodes[at + 1]) for at in range(0, len(nodes), 2)]
        position //= 2
        level += 1
    return siblings


def _parent(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(left + right).digest()


__all__ = (
    "CHUNK",
    "branch_of",
    "check_branch",
    "depth",
    "merkleize",
    "packed",
    "uint",
    "with_length",
    "zero",
)
