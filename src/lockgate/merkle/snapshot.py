"""Reading one tree, and proving from one saved version of it.

A snapshot is a root: nodes below it never change, so it stays readable while the next version is
built. Its proofs are canonical `cosmos.ics23.v1.CommitmentProof` bytes, written without a protobuf
library. The keys of a batch are neighbours: each proof starts where its way down parts from the one before.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from lockgate.merkle.errors import EmptyTree
from lockgate.merkle.framing import LEAF_OP, STEP, field
from lockgate.merkle.node import EMPTY_ROOT, LEAF_HEAD, Fill, Node, inner_head
from lockgate.merkle.ports import NONCE_BITS
from lockgate.merkle.varint import ONE_BYTE, uvarint, varint

# An inner node on the way down to a leaf; low and high: low <= key < high for every key below it, an empty high is
# no bound; the steps from its left and its right child, each up to the hash of the other one; the steps from the
# node up to the root; the turn above. A plain tuple: one is made for every proof.
_Turn = tuple[Node, bytes, bytes, bytes, bytes, bytes, "_Turn | None"]


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
    for leaf in leaves(root, start, end, fill):
        yield leaf.key, leaf.value


def leaves(root: Node | None, start: bytes, end: bytes, fill: Fill) -> Iterator[Node]:
    """Yield the leaves with start <= key < end, ascending by key."""
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
            yield node


class Snapshot:
    """One saved version of a tree."""

    __slots__ = ("_fill", "_last", "root", "root_hash")

    def __init__(self, root: Node | None, fill: Fill) -> None:
        self.root = root
        self.root_hash = EMPTY_ROOT if root is None else root.hash
        self._fill = fill
        self._last: _Turn | None = None  # the last turn of the last way down

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

    def written(self, start: bytes, end: bytes) -> Iterator[int]:
        """The version that wrote each key with start <= key < end, ascending by key."""
        return (leaf.version for leaf in leaves(self.root, start, end, self._fill))

    def prove(self, key: bytes) -> tuple[bytes | None, bytes]:
        """Return the value (None: absent) and the CommitmentProof of that. Raises EmptyTree."""
        leaf, proof = self._existence(key)
        if leaf.key == key:
            return leaf.value, b"".join((b"\x0a", uvarint(len(proof)), proof))
        below = leaf.key < key
        beside = self._beside(key, after=below)
        other = None if beside is None else self._existence(beside.key)[1]
        left, right = (proof, other) if below else (other, proof)
        parts = [field(b"\x0a", key)]
        if left is not None:
            parts.append(field(b"\x12", left))
        if right is not None:
            parts.append(field(b"\x1a", right))
        return None, field(b"\x12", b"".join(parts))

    def _existence(self, key: bytes) -> tuple[Node, bytes]:
        """The leaf where `key` is or would be, and its ExistenceProof. Raises EmptyTree."""
        at = self._last
        while at is not None:
            node, low, high, to_left, to_right, steps, above = at
            if low <= key and (key < high or not high):
                break
            at = above
        else:
            root = self.root
            if root is None:
                raise EmptyTree("nothing can be proven of an empty tree", key=key)
            if root.height < 0:
                self._fill(root)
            if not root.height:
                return root, _frame(root)
            node, low, high, steps = root, b"", b"", b""
            to_left, to_right = _to_children(node.height, node.size, node.number >> NONCE_BITS)
            at = (node, low, high, to_left, to_right, steps, None)
        while True:
            if key < node.key:
                child, high = node.left, node.key
                head, other, end = to_left, node.right.hash, b""
            else:
                child, low = node.right, node.key
                head, other, end = to_right, node.left.hash, b"\x20"
            height = child.height
            if height < 0:
                self._fill(child)
                height = child.height
            if not height:
                self._last = at
                return child, _frame(child, head, other, end, steps)
            node, steps = child, b"".join((head, other, end, steps))
            to_left, to_right = _to_children(height, node.size, node.number >> NONCE_BITS)
            at = (node, low, high, to_left, to_right, steps, at)

    def _beside(self, key: bytes, *, after: bool) -> Node | None:
        """The leaf after or before the one where `key` would be; None at the edge of the tree."""
        node, other = self.root, None
        while node is not None and node.height:
            left = key < node.key
            if left is after:
                other = node.right if after else node.left
            node = node.left if left else node.right
        while other is not None:
            if other.height < 0:
                self._fill(other)
            if not other.height:
                break
            other = other.left if after else other.right
        return other


def _frame(leaf: Node, head: bytes = b"", other: bytes = b"", end: bytes = b"", steps: bytes = b"") -> bytes:
    """ExistenceProof of a leaf; its first step comes in three pieces, then those from the node above."""
    key, value = leaf.key, leaf.value
    of_key, of_value = len(key), len(value)
    return b"".join(
        (
            b"\x0a", ONE_BYTE[of_key] if of_key < 0x80 else uvarint(of_key), key,
            b"\x12", ONE_BYTE[of_value] if of_value < 0x80 else uvarint(of_value), value,
            _leaf_op(leaf.number >> NONCE_BITS), head, other, end, steps,
        )
    )  # fmt: skip


@lru_cache(1_024)  # the leaves of a block share their version
def _leaf_op(version: int) -> bytes:
    """Field 3 of an ExistenceProof: the LeafOp, its prefix ending in this version."""
    prefix = LEAF_HEAD + varint(version)
    return b"\x1a" + field(b"", LEAF_OP + field(b"\x2a", prefix))


@lru_cache(4_096)  # the small subtrees of a block share their shape and version
def _to_children(height: int, size: int, version: int) -> tuple[bytes, bytes]:
    """The InnerOp fields of a node from its left and its right child, each up to the hash of the other one."""
    head = inner_head(height, size, varint(version))
    length = len(head)
    return (
        b"".join((b"\x22", ONE_BYTE[length + 40], STEP, ONE_BYTE[length + 1], head, b"\x20\x1a\x21\x20")),
        b"".join((b"\x22", ONE_BYTE[length + 38], STEP, ONE_BYTE[length + 34], head, b"\x20")),
    )


__all__ = ("Snapshot", "find", "leaves", "scan")
