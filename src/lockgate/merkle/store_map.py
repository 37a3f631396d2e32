"""The simple-Merkle map from store names to store roots: its root is a ledger's app hash.

Source: cosmos-sdk store/rootmulti; digest ICS-23 §7; verified under TendermintSpec.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from lockgate.merkle import tree
from lockgate.merkle.framing import LEAF_OP, STEP, field
from lockgate.merkle.varint import uvarint
from lockgate.primitives.quick import short_sha256

_LEAF: Final = field(b"\x1a", LEAF_OP + field(b"\x2a", b"\x00"))


def leaf_hash(name: str, root: bytes) -> bytes:
    """Hash of one entry: name and hashed store root, each after its length."""
    encoded = name.encode()
    return tree.leaf_hash(uvarint(len(encoded)) + encoded + b"\x20" + short_sha256(root).digest())


def prove(name: str, root: bytes, leaves: Sequence[bytes], index: int) -> bytes:
    """CommitmentProof that entry `index`, of the map with these leaf hashes, is (name, root)."""
    steps = []
    level, at = list(leaves), index
    while len(level) > 1:
        sibling = at ^ 1
        if sibling < len(level):
            if at & 1:
                operation = STEP + b"\x21\x01" + level[sibling]
            else:
                operation = STEP + b"\x01\x01\x1a\x20" + level[sibling]
            steps.append(field(b"\x22", operation))
        level, at = tree.level_above(level), at >> 1
    body = field(b"\x0a", name.encode()) + field(b"\x12", root) + _LEAF + b"".join(steps)
    return field(b"\x0a", body)


__all__ = ("leaf_hash", "prove")
