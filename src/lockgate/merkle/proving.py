"""ICS-23 proofs out of trees, written straight to their canonical protobuf bytes.

Field numbers: cosmos.ics23.v1 (ExistenceProof 1 key, 2 value, 3 leaf, 4 path; InnerOp 1 hash,
2 prefix, 3 suffix). The tests hold these bytes equal to what the generated messages serialise.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from lockgate.merkle import tree as simple
from lockgate.merkle.errors import EmptyTree
from lockgate.merkle.iavl import Node, Tree, uvarint, varint

_SIMPLE_LEAF: Final = b"\x1a\x09\x08\x01\x18\x01\x20\x01\x2a\x01\x00"  # hash, prehash, length, prefix 00


def field(tag: bytes, value: bytes) -> bytes:
    return tag + uvarint(len(value)) + value


def existence(tree: Tree, key: bytes) -> bytes | None:
    """ExistenceProof of `key` in the saved version, or None when the key is absent."""
    nodes = tree.path(key)
    leaf = nodes[-1]
    if leaf.key != key:
        return None
    assert leaf.value is not None
    leaf_op = b"\x08\x01\x18\x01\x20\x01" + field(b"\x2a", varint(0) + varint(1) + varint(leaf.version))
    parts = [field(b"\x0a", key), field(b"\x12", leaf.value), field(b"\x1a", leaf_op)]
    parts += [_inner_op(node, key) for node in reversed(nodes[:-1])]
    return b"".join(parts)


def commitment_proof(tree: Tree, key: bytes) -> tuple[bytes, bytes | None]:
    """CommitmentProof of presence or absence, and the value (None: absent). Raises EmptyTree."""
    found = existence(tree, key)
    if found is not None:
        value = tree.path(key)[-1].value
        return field(b"\x0a", found), value
    before, after = tree.neighbours(key)
    if before is None and after is None:
        raise EmptyTree("nothing can be proven of an empty tree", store=tree.name)
    parts = [field(b"\x0a", key)]
    for tag, neighbour in ((b"\x12", before), (b"\x1a", after)):
        if neighbour is not None:
            side = existence(tree, neighbour)
            assert side is not None, "a neighbour is in the tree"
            parts.append(field(tag, side))
    return field(b"\x12", b"".join(parts)), None


def store_leaf(name: str, root: bytes) -> bytes:
    """Leaf content of the store map: name and hashed root, each with its length. Source: ICS-23 §7."""
    encoded = name.encode()
    return uvarint(len(encoded)) + encoded + b"\x20" + sha256(root).digest()


def store_proof(names: Sequence[str], roots: Sequence[bytes], index: int) -> bytes:
    """CommitmentProof that store `names[index]` has root `roots[index]` in the map of all stores."""
    hashes = [simple.leaf_hash(store_leaf(name, root)) for name, root in zip(names, roots, strict=True)]
    steps = []
    level, at = hashes, index
    while len(level) > 1:
        sibling = at ^ 1
        if sibling < len(level):
            if at & 1:
                steps.append(field(b"\x22", b"\x08\x01" + field(b"\x12", b"\x01" + level[sibling])))
            else:
                steps.append(field(b"\x22", b"\x08\x01\x12\x01\x01" + field(b"\x1a", level[sibling])))
        odd = len(level) & 1
        above = [simple.inner_hash(level[i], level[i + 1]) for i in range(0, len(level) - odd, 2)]
        if odd:
            above.append(level[-1])
        level, at = above, at >> 1
    body = (
        field(b"\x0a", names[index].encode()) + field(b"\x12", roots[index]) + _SIMPLE_LEAF + b"".join(steps)
    )
    return field(b"\x0a", body)


def _inner_op(node: Node, key: bytes) -> bytes:
    header = varint(node.height) + varint(node.size) + varint(node.version)
    if key < node.key:
        operation = b"\x08\x01" + field(b"\x12", header + b"\x20") + field(b"\x1a", b"\x20" + node.right_hash)
    else:
        operation = b"\x08\x01" + field(b"\x12", header + b"\x20" + node.left_hash + b"\x20")
    return field(b"\x22", operation)


__all__ = ("commitment_proof", "existence", "field", "store_leaf", "store_proof")
