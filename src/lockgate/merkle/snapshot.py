"""Reading one tree, and proving from one saved version of it.

A snapshot is a root: nodes below it never change, so it stays readable while the next version is
built. Its proofs are canonical `cosmos.ics23.v1.CommitmentProof` bytes, written without a protobuf
library; steps above a node are kept once written, because the proofs of a batch share them.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from lockgate.merkle.errors import EmptyTree
from lockgate.merkle.framing import LEAF_OP, STEP, field
from lockgate.merkle.node import EMPTY_ROOT, LEAF_HEAD, Fill, Node, inner_head
from lockgate.merkle.ports import NONCE_BITS
from lockgate.merkle.varint import ONE_BYTE, uvarint, varint

MAX_STEPS_KEPT: Final = 4_096  # inner nodes with remembered steps, about 1 KiB each, per tree and version


def find(root: Node | None, key: bytes, fill: Fill) -> Node | None:
    """Return the leaf of `key`, or None."""
    node = root
    if node is None:
        return None
    while True:
        height = node.height
        if height > 0:
            node = node.left if key < node.key else node.right
        elif height == 0:
            return node if node.key == key else None
        else:
            fill(node)


def scan(root: Node | None, start: bytes, end: bytes, fill: Fill) -> Iterator[tuple[bytes, bytes]]:
    """Yield (key, value) with start <= key < end, ascending by key."""
    if root is None or start >= end:
        return
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node.height < 0:
            fill(node)
        if node.height:
            if end > node.key:
                waiting.append(node.right)
            if start < node.key:
                waiting.append(node.left)
        elif start <= node.key < end:
            yield node.key, node.value


class Snapshot:
    """One saved version of a tree."""

    __slots__ = ("_above", "_fill", "root", "root_hash")

    def __init__(self, root: Node | None, fill: Fill) -> None:
        self.root = root
        self.root_hash = EMPTY_ROOT if root is None else root.hash
        self._fill = fill
        self._above: dict[Node, bytes] = {}

    @property
    def root_number(self) -> int:
        """Number of the root node; 0 for an empty tree."""
        return 0 if self.root is None else self.root.number

    def get(self, key: bytes) -> bytes | None:
        """Return the value of `key`, or None."""
        node = find(self.root, key, self._fill)
        return None if node is None else node.value

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, value) with start <= key < end, ascending by key."""
        return scan(self.root, start, end, self._fill)

    def prove(self, key: bytes) -> tuple[bytes | None, bytes]:
        """Return the value (None: absent) and the CommitmentProof of that. Raises EmptyTree."""
        nodes = self._path(key)
        node = nodes[-1]
        if node.key == key:
            return node.value, field(b"\x0a", self._existence(nodes))
        parts = [field(b"\x0a", key)]
        below = node.key < key
        beside = self._beside(nodes, after=below)
        left, right = (nodes, beside) if below else (beside, nodes)
        if left is not None:
            parts.append(field(b"\x12", self._existence(left)))
        if right is not None:
            parts.append(field(b"\x1a", self._existence(right)))
        return None, field(b"\x12", b"".join(parts))

    def _path(self, key: bytes) -> list[Node]:
        """Nodes from the root to the leaf where `key` is or would be."""
        node = self.root
        if node is None:
            raise EmptyTree("nothing can be proven of an empty tree", key=key)
        nodes = []
        while True:
            height = node.height
            if height > 0:
                nodes.append(node)
                node = node.left if key < node.key else node.right
            elif height == 0:
                nodes.append(node)
                return nodes
            else:
                self._fill(node)

    def _beside(self, nodes: list[Node], *, after: bool) -> list[Node] | None:
        """Path to the leaf next to the one `nodes` ends in; None at the edge of the tree."""
        for depth in range(len(nodes) - 2, -1, -1):
            turn, taken = nodes[depth], nodes[depth + 1]
            other = turn.right if after else turn.left
            if other is taken:
                continue
            path = nodes[: depth + 1]
            while True:
                if other.height < 0:
                    self._fill(other)
                path.append(other)
                if not other.height:
                    return path
                other = other.left if after else other.right
        return None

    def _existence(self, nodes: list[Node]) -> bytes:
        """ExistenceProof of the leaf `nodes` ends in."""
        leaf = nodes[-1]
        key, value, version = leaf.key, leaf.value, varint(leaf.number >> NONCE_BITS)
        of_key, of_value = len(key), len(value)
        return b"".join(
            (
                b"\x0a", ONE_BYTE[of_key] if of_key < 0x80 else uvarint(of_key), key,
                b"\x12", ONE_BYTE[of_value] if of_value < 0x80 else uvarint(of_value), value,
                _leaf_op(version), self._steps(nodes),
            )
        )  # fmt: skip

    def _steps(self, nodes: list[Node]) -> bytes:
        """The path fields from the leaf `nodes` ends in up to the root."""
        last = len(nodes) - 1
        if not last:
            return b""
        above = self._above
        known = last - 1
        while known and nodes[known] not in above:
            known -= 1
        steps = above[nodes[known]] if known else b""
        if len(above) + last > MAX_STEPS_KEPT:
            above.clear()
        for depth in range(known + 1, last):
            steps = _step(nodes[depth - 1], nodes[depth]) + steps
            above[nodes[depth]] = steps
        return _step(nodes[last - 1], nodes[last]) + steps


@lru_cache(1_024)  # the leaves of a block share their version
def _leaf_op(version: bytes) -> bytes:
    """Field 3 of an ExistenceProof: the LeafOp, its prefix ending in this version."""
    prefix = LEAF_HEAD + version
    return b"\x1a" + field(b"", LEAF_OP + field(b"\x2a", prefix))


def _step(node: Node, child: Node) -> bytes:
    """The InnerOp field that leads from `child` to `node`."""
    head = inner_head(node.height, node.size, varint(node.number >> NONCE_BITS))
    size = len(head)
    if child is node.left:
        lengths = ONE_BYTE[size + 40], STEP, ONE_BYTE[size + 1]
        return b"".join((b"\x22", *lengths, head, b"\x20\x1a\x21\x20", node.right.hash))
    lengths = ONE_BYTE[size + 38], STEP, ONE_BYTE[size + 34]
    return b"".join((b"\x22", *lengths, head, b"\x20", node.left.hash, b"\x20"))


__all__ = ("Snapshot", "find", "scan")
