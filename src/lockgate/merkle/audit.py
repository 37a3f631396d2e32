"""Walking a whole node store: every version, every node, every rule a tree keeps (I14).

Hashes alone do not cover the keys of inner nodes, so order and routing are compared with the leaves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lockgate.merkle import store_map, tree
from lockgate.merkle.errors import NodeDamaged
from lockgate.merkle.node import EMPTY_ROOT, Fill, Node, reader, unread
from lockgate.merkle.ports import NodeStore
from lockgate.merkle.roots import decode_roots


@dataclass(frozen=True, slots=True)
class _Facts:
    digest: bytes
    least: bytes
    greatest: bytes
    height: int
    size: int


def audit(nodes: NodeStore) -> Iterator[tuple[int, bytes]]:
    """Yield (version, app hash) of every kept version, oldest first, each after all of it was checked.

    The caller compares the hash with its header. Raises NodeDamaged; what was not yielded before it is
    where the store is bad. Nodes that versions share are read once; memory is a few words per node.
    """
    fill = reader(nodes)
    known: dict[int, _Facts] = {}
    oldest, newest = nodes.versions()
    for version in range(oldest, newest + 1):
        record = nodes.roots(version)
        if record is None:
            continue
        leaves = []
        for name, (number, digest) in decode_roots(record, version).items():
            if number:
                _check(unread(number, digest), fill, known)
            elif digest != EMPTY_ROOT:
                raise NodeDamaged("an empty store has a root", version=version, store=name)
            leaves.append(store_map.leaf_hash(name, digest))
        yield version, tree.root_of_hashes(leaves)


def _check(node: Node, fill: Fill, known: dict[int, _Facts]) -> _Facts:
    """Return what is true of a subtree that keeps every rule."""
    facts = known.get(node.number)
    if facts is not None and facts.digest == node.hash:
        return facts
    fill(node)
    if not node.height:
        facts = _Facts(node.hash, node.key, node.key, 0, 1)
    else:
        left, right = _check(node.left, fill, known), _check(node.right, fill, known)
        if not left.greatest < right.least == node.key or abs(left.height - right.height) > 1:
            raise NodeDamaged("a tree is out of order or balance", version=node.version, number=node.number)
        height, size = 1 + max(left.height, right.height), left.size + right.size
        if (node.height, node.size) != (height, size):
            raise NodeDamaged("a tree counts wrongly", version=node.version, number=node.number)
        facts = _Facts(node.hash, left.least, right.greatest, height, size)
        del node.left, node.right  # what was checked need not stay in memory
    known[node.number] = facts
    return facts


__all__ = ("audit",)
