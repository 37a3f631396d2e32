"""The versioned AVL+ tree of Cosmos stores: values in leaves only, roots that depend on history.

Theory of operation. A node belongs to the version that created it. During a block the tree is worked
on in place: the first touch of a saved node copies it (the saved one stays part of its version), later
touches change the copy. Hashes, and the version in them, are computed once, at `save`. A key → value
map beside the tree answers reads, so reading costs no walk. Nodes are loaded from the store when they
are first needed, and are checked against the hash their parent holds (I14).
Source: cosmos/iavl v1.2.8 (set, remove, rotations, hashing); ICS-23 IavlSpec.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final

from lockgate.merkle.errors import EmptyTree, NodeDamaged
from lockgate.merkle.ports import NodeKey, NodeStore

EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
_sha256 = hashlib.sha256
_NODE_FORMAT: Final = 1


class Node:
    """A leaf (height 0, `value` set) or an inner node. `hash` is empty until the node is saved.

    `left` and `right` may be None while `left_key`/`right_key` name nodes still in the store.
    """

    __slots__ = (
        "hash", "height", "key", "left", "left_hash", "left_key", "number",
        "right", "right_hash", "right_key", "size", "value", "version",
    )  # fmt: skip

    def __init__(self, key: bytes, value: bytes | None) -> None:
        self.key = key
        self.value = value
        self.height = 0
        self.size = 1
        self.version = 0  # 0: not saved yet
        self.number = 0
        self.hash = b""
        self.left: Node | None = None
        self.right: Node | None = None
        self.left_key: NodeKey | None = None
        self.right_key: NodeKey | None = None
        self.left_hash = b""
        self.right_hash = b""

    @property
    def node_key(self) -> NodeKey:
        return self.version, self.number


class Tree:
    """One named tree, worked on by one owner. `save(version)` makes the next version."""

    def __init__(self, name: str, store: NodeStore) -> None:
        self.name = name
        self._store = store
        self._root: Node | None = None
        self._saved_root: Node | None = None
        self._orphans: list[NodeKey] = []
        self._new: list[Node] = []
        self.root_hash = EMPTY_ROOT
        self.version = 0

    @property
    def root_key(self) -> NodeKey | None:
        return None if self._saved_root is None else self._saved_root.node_key

    def load(self, version: int, root_key: NodeKey | None, root_hash: bytes) -> None:
        """Become the tree of `version`. Only the root node is read now."""
        self._orphans = []
        self.version = version
        self.root_hash = root_hash
        self._root = None if root_key is None else self._fetch(root_key, root_hash)
        self._saved_root = self._root

    def rollback(self) -> None:
        """Forget everything since the last `save` or `load`."""
        self._root = self._saved_root
        self._orphans = []

    def get(self, key: bytes) -> bytes | None:
        node = self._root
        if node is None:
            return None
        while node.height:
            node = self._left(node) if key < node.key else self._right(node)
        return node.value if node.key == key else None

    def set(self, key: bytes, value: bytes) -> None:
        """Insert or replace. Empty keys and values are the caller's mistake: ICS-23 cannot prove them."""
        assert key, "an empty key cannot be proven"
        assert value, "an empty value cannot be proven"
        if self._root is None:
            self._root = Node(key, value)
        else:
            self._root, _ = self._set(self._root, key, value)

    def remove(self, key: bytes) -> bool:
        """Remove a key; tells whether it was there."""
        if self._root is None:
            return False
        removed, root, _ = self._remove(self._root, key)
        if removed:
            self._root = root
        return removed

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, value) with start <= key < end, ascending."""
        if self._root is None:
            return
        stack = [self._root]
        while stack:
            node = stack.pop()
            if node.height:
                if end > node.key:
                    stack.append(self._right(node))
                if start < node.key:
                    stack.append(self._left(node))
            elif start <= node.key < end:
                assert node.value is not None
                yield node.key, node.value

    def save(self, version: int) -> bytes:
        """Hash and store what is new as `version`; return the root hash. An untouched tree keeps its root."""
        if self._root is self._saved_root:
            self.version = version
            return self.root_hash
        self._new = []
        if self._root is not None and not self._root.hash:
            self._finish(self._root, version)
        self._store.put(self.name, [((node.version, node.number), encode(node)) for node in self._new])
        if self._orphans:
            self._store.orphan(self.name, version, self._orphans)
        self._orphans = []
        self._new = []
        self.version = version
        self.root_hash = EMPTY_ROOT if self._root is None else self._root.hash
        self._saved_root = self._root
        return self.root_hash

    def path(self, key: bytes) -> list[Node]:
        """Nodes from the root to the leaf where `key` is or would be."""
        node = self._saved_root
        if node is None:
            raise EmptyTree("nothing can be proven of an empty tree", store=self.name)
        nodes = [node]
        while node.height:
            node = self._left(node) if key < node.key else self._right(node)
            nodes.append(node)
        return nodes

    def neighbours(self, key: bytes) -> tuple[bytes | None, bytes | None]:
        """Greatest key below and smallest key above `key`, in the saved version."""
        before: Node | None = None
        after: Node | None = None
        node = self._saved_root
        while node is not None and node.height:
            if key < node.key:
                after, node = self._right(node), self._left(node)
            else:
                before, node = self._left(node), self._right(node)
        if node is not None and node.key != key:
            if node.key < key:
                before = node
            else:
                after = node
        return self._edge(before, leftmost=False), self._edge(after, leftmost=True)

    def _edge(self, node: Node | None, *, leftmost: bool) -> bytes | None:
        if node is None:
            return None
        while node.height:
            node = self._left(node) if leftmost else self._right(node)
        return node.key

    # Working in place: a saved node is copied before its first change, a fresh one is changed.

    def _mine(self, node: Node) -> Node:
        if not node.version:
            return node
        self._orphans.append((node.version, node.number))
        copy = Node(node.key, node.value)
        copy.height, copy.size = node.height, node.size
        copy.left, copy.left_key, copy.left_hash = node.left, node.left_key, node.left_hash
        copy.right, copy.right_key, copy.right_hash = node.right, node.right_key, node.right_hash
        return copy

    def _set(self, node: Node, key: bytes, value: bytes) -> tuple[Node, bool]:
        """Returns the node in this place, and whether the key was there (so that nothing climbs)."""
        if not node.height:
            if key == node.key:
                leaf = self._mine(node)
                leaf.value = value
                return leaf, True
            fresh = Node(key, value)
            inner = Node(node.key if key < node.key else key, None)
            inner.height, inner.size = 1, 2
            inner.left, inner.right = (fresh, node) if key < node.key else (node, fresh)
            return inner, False
        node = self._mine(node)
        if key < node.key:
            node.left, known = self._set(self._left(node), key, value)
        else:
            node.right, known = self._set(self._right(node), key, value)
        if known:
            return node, True
        node.size += 1
        return self._balance(node), False

    def _remove(self, node: Node, key: bytes) -> tuple[bool, Node | None, bytes | None]:
        """Returns (removed, what stands here now, key an ancestor that went right must adopt)."""
        if not node.height:
            if key != node.key:
                return False, node, None
            if node.version:
                self._orphans.append((node.version, node.number))
            return True, None, None
        if key < node.key:
            removed, child, adopt = self._remove(self._left(node), key)
            if not removed:
                return False, node, None
            if child is None:
                self._drop(node)
                return True, self._right(node), node.key
            node = self._mine(node)
            node.left = child
        else:
            removed, child, adopt = self._remove(self._right(node), key)
            if not removed:
                return False, node, None
            if child is None:
                self._drop(node)
                return True, self._left(node), None
            node = self._mine(node)
            node.right = child
            if adopt is not None:
                node.key, adopt = adopt, None
        node.size -= 1
        return True, self._balance(node), adopt

    def _drop(self, node: Node) -> None:
        if node.version:
            self._orphans.append((node.version, node.number))

    def _balance(self, node: Node) -> Node:
        left, right = self._left(node), self._right(node)
        lean = left.height - right.height
        if -2 < lean < 2:
            node.height = 1 + (left.height if lean >= 0 else right.height)
            return node
        if lean > 1:
            if self._left(left).height < self._right(left).height:
                node.left = self._rotate_left(self._mine(left))
            return self._rotate_right(node)
        if self._left(right).height > self._right(right).height:
            node.right = self._rotate_right(self._mine(right))
        return self._rotate_left(node)

    def _rotate_right(self, node: Node) -> Node:
        top = self._mine(self._left(node))
        node.left, node.left_key, node.left_hash = top.right, top.right_key, top.right_hash
        self._measure(node)
        top.right = node
        self._measure(top)
        return top

    def _rotate_left(self, node: Node) -> Node:
        top = self._mine(self._right(node))
        node.right, node.right_key, node.right_hash = top.left, top.left_key, top.left_hash
        self._measure(node)
        top.left = node
        self._measure(top)
        return top

    def _measure(self, node: Node) -> None:
        left, right = self._left(node), self._right(node)
        node.height = 1 + max(left.height, right.height)
        node.size = left.size + right.size

    def _finish(self, node: Node, version: int) -> None:
        """Give a fresh node, and the fresh nodes below it, their version, hash and number."""
        header = varint(node.height) + varint(node.size) + varint(version)
        if node.height:
            left, right = node.left, node.right
            if left is not None and not left.hash:
                self._finish(left, version)
            if right is not None and not right.hash:
                self._finish(right, version)
            if left is not None:
                node.left_hash, node.left_key = left.hash, (left.version, left.number)
            if right is not None:
                node.right_hash, node.right_key = right.hash, (right.version, right.number)
            node.hash = _sha256(b"%b\x20%b\x20%b" % (header, node.left_hash, node.right_hash)).digest()
        else:
            assert node.value is not None
            node.hash = leaf_hash(header, node.key, node.value)
        node.version = version
        self._new.append(node)
        node.number = len(self._new)

    def _left(self, node: Node) -> Node:
        if node.left is None:
            assert node.left_key is not None
            node.left = self._fetch(node.left_key, node.left_hash)
        return node.left

    def _right(self, node: Node) -> Node:
        if node.right is None:
            assert node.right_key is not None
            node.right = self._fetch(node.right_key, node.right_hash)
        return node.right

    def _fetch(self, key: NodeKey, expected: bytes) -> Node:
        data = self._store.get(self.name, key)
        if data is None:
            raise NodeDamaged("a node is missing", store=self.name, version=key[0], number=key[1])
        node = decode(data, key, self.name)
        if node.hash != expected:
            raise NodeDamaged("a node has another hash", store=self.name, version=key[0], number=key[1])
        return node


def leaf_hash(header: bytes, key: bytes, value: bytes) -> bytes:
    return _sha256(b"%b%b%b\x20%b" % (header, uvarint(len(key)), key, _sha256(value).digest())).digest()


def varint(number: int) -> bytes:
    """Zigzag varint of a non-negative number, as iavl writes node headers."""
    return uvarint(number << 1)


def uvarint(number: int) -> bytes:
    if number < 0x80:
        return _ONE_BYTE[number]
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


_ONE_BYTE: Final = [bytes((i,)) for i in range(128)]


def encode(node: Node) -> bytes:
    """Stored form: format, height, size, key, then the value or the children's keys and hashes."""
    head = (
        bytes((_NODE_FORMAT, node.height)) + node.size.to_bytes(6, "big") + uvarint(len(node.key)) + node.key
    )
    if not node.height:
        assert node.value is not None
        return head + node.value
    assert node.left_key is not None
    assert node.right_key is not None
    return b"".join(
        (
            head,
            node.left_key[0].to_bytes(8, "big"),
            node.left_key[1].to_bytes(4, "big"),
            node.left_hash,
            node.right_key[0].to_bytes(8, "big"),
            node.right_key[1].to_bytes(4, "big"),
            node.right_hash,
        )
    )


def decode(data: bytes, key: NodeKey, store: str) -> Node:
    """Read a stored node and compute its hash from what it says. Raises NodeDamaged."""
    try:
        if data[0] != _NODE_FORMAT:
            raise NodeDamaged("unknown node format", store=store, version=key[0], number=key[1])
        height, size = data[1], int.from_bytes(data[2:8], "big")
        length, shift, at = 0, 0, 8
        while True:
            byte = data[at]
            length |= (byte & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if byte < 0x80:
                break
        node = Node(data[at : at + length], None)
        rest = data[at + length :]
    except IndexError as error:
        raise NodeDamaged("a node is cut short", store=store, version=key[0], number=key[1]) from error
    node.height, node.size = height, size
    node.version, node.number = key
    header = varint(height) + varint(size) + varint(key[0])
    if height == 0:
        node.value = rest
        node.hash = leaf_hash(header, node.key, rest)
        return node
    if len(rest) != 88:
        raise NodeDamaged(
            "an inner node has 88 bytes of children", store=store, version=key[0], number=key[1]
        )
    node.left_key = (int.from_bytes(rest[:8], "big"), int.from_bytes(rest[8:12], "big"))
    node.left_hash = rest[12:44]
    node.right_key = (int.from_bytes(rest[44:52], "big"), int.from_bytes(rest[52:56], "big"))
    node.right_hash = rest[56:88]
    node.hash = _sha256(b"%b\x20%b\x20%b" % (header, node.left_hash, node.right_hash)).digest()
    return node


__all__ = ("EMPTY_ROOT", "Node", "Tree", "decode", "encode", "uvarint", "varint")
