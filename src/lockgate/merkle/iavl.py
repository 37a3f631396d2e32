"""The versioned AVL+ tree of Cosmos stores, worked on: set, remove, save.

Theory of operation. Values stand in leaves, and roots depend on history: a node carries the version
that made it. While a block is worked on, the first touch of a saved node copies it, with the nodes
above it (the saved ones stay part of their versions); after that the copy is changed in place. Heights
are kept right at every step, because rotations need them, and nothing climbs further than a height
changed; sizes, versions and hashes are computed once, at `save`.
Source: cosmos/iavl v1.2.8 (set, remove, rotations, hashing); digest ICS-23 §6.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256

from lockgate.merkle.node import EMPTY_ROOT, HEIGHTS, LEAF_HEAD, Fill, Node, encode, inner, leaf
from lockgate.merkle.ports import MAX_VERSION, NONCE_BITS, Batch
from lockgate.merkle.snapshot import Snapshot, find, scan
from lockgate.merkle.varint import uvarint, varint
from lockgate.primitives.errors import Misuse
from lockgate.primitives.quick import SHORT, short_sha256


class TreeMisused(Misuse):
    code = "merkle.tree_misused"
    summary = "A tree was given an empty key or value, or a version that does not follow."
    next_step = "Report the bug; ICS-23 can prove neither an empty key nor an empty value."


class Tree:
    """One tree, worked on by one owner. `saved` is its newest version."""

    __slots__ = ("_fill", "_orphans", "_root", "saved")

    def __init__(self, fill: Fill, saved: Snapshot | None = None) -> None:
        self._fill = fill
        self._orphans: list[int] = []
        self.become(saved or Snapshot(None, fill))

    def become(self, saved: Snapshot) -> None:
        """Go to a saved version; unsaved changes are forgotten."""
        self.saved = saved
        self._root = saved.root
        self._orphans = []

    @property
    def changed(self) -> bool:
        """Has anything been set or removed since the last version?"""
        return self._root is not self.saved.root

    def get(self, key: bytes) -> bytes | None:
        """Return the value of `key` with unsaved changes, or None."""
        node = find(self._root, key, self._fill)
        return None if node is None else node.value

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, value) with start <= key < end, ascending, with unsaved changes."""
        return scan(self._root, start, end, self._fill)

    def set(self, key: bytes, value: bytes) -> None:
        """Insert or replace. A replaced leaf gets the new version even when the value is the same."""
        if not key or not value:
            raise TreeMisused("empty key or value", key=key)
        self.take(((key, value, None),))

    def take(self, changes: Iterable[tuple[bytes, bytes | None, object]]) -> None:
        """Set each key to its value, or remove it where that is None; the third of each is the caller's own.

        Neighbours in ascending order share their way down: what the last insertion left of its path also
        leads to a greater key, up to the one where the way last turned left.
        """
        path: list[Node] = []
        last, high = b"", b""  # the key before, and the key where its way turned left; empty: nowhere
        for key, value, _ in changes:
            if value is None:
                self.remove(key)
                path = []
                continue
            if path and last < key and (key < high or not high):
                node = path.pop()
            else:
                if self._root is None:
                    self._root = leaf(key, value)
                    continue
                node, path, high = self._root, [], b""
            last = key
            while True:
                height = node.height
                if height > 0:
                    if node.hash:
                        node = self._copy(node, path)
                    path.append(node)
                    if key < node.key:
                        high = node.key
                        node = node.left
                    else:
                        node = node.right
                elif height == 0:
                    break
                else:
                    self._fill(node)
            if key != node.key:
                fresh = leaf(key, value)
                pair = inner(node.key, fresh, node, 1) if key < node.key else inner(key, node, fresh, 1)
                self._grow(path, node, pair)
            elif node.hash:
                self._orphans.append(node.number)
                self._put(path, node, leaf(key, value))
            else:
                node.value = value

    def remove(self, key: bytes) -> bool:
        """Remove a key; returns whether it was there. Without it the tree is untouched."""
        node = self._root
        if node is None:
            return False
        path: list[Node] = []
        while True:
            height = node.height
            if height > 0:
                path.append(node)
                node = node.left if key < node.key else node.right
            elif height == 0:
                break
            else:
                self._fill(node)
        if node.key != key:
            return False
        if not path:
            self._forget(node)
            self._root = None
            return True
        child, node = node, path.pop()
        own = len(path)  # what is unsaved lies above what is saved
        while own and path[own - 1].hash:
            own -= 1
        if own < len(path):
            saved, path = path[own:], path[:own]
            for one in saved:
                path.append(self._copy(one, path))
        self._forget(node)
        self._forget(child)
        if child is node.right:
            self._put(path, node, node.left)
        else:
            self._put(path, node, node.right)
            # What stood left of `node` was the least key of some subtree; the inner node that was named
            # after it, the nearest one with the path on its right, takes the next key.
            for above in reversed(path):
                if above.key <= key:
                    above.key = node.key
                    break
        self._settle(path)
        return True

    def save(self, batch: Batch | None, version: int) -> Snapshot:
        """Hash what is new as `version` and add it to `batch` (None: keep it in memory only)."""
        if self._root is self.saved.root:
            return self.saved
        if not 0 < version <= MAX_VERSION:
            raise TreeMisused("no such version", version=version)
        if self._root is not None and not self._root.hash:
            self._finish(self._root, batch, version)
        if batch is not None:
            batch.orphans += self._orphans
        self.become(Snapshot(self._root, self._fill))
        return self.saved

    def _copy(self, node: Node, path: list[Node]) -> Node:
        """Put a copy of a saved inner node in its place below the last of `path`."""
        self._orphans.append(node.number)
        copy = inner(node.key, node.left, node.right, node.height)
        if not path:
            self._root = copy
            return copy
        above = path[-1]
        if above.left is node:
            above.left = copy
        else:
            above.right = copy
        return copy

    def _own(self, node: Node) -> Node:
        """The node itself when it is unsaved, else a copy that may be changed."""
        if not node.hash:
            return node
        self._orphans.append(node.number)
        return inner(node.key, node.left, node.right, node.height)

    def _forget(self, node: Node) -> None:
        if node.hash:
            self._orphans.append(node.number)

    def _put(self, path: list[Node], old: Node, new: Node) -> None:
        """Let `new` stand where `old` stood: below the last of `path`, or as the root."""
        if not path:
            self._root = new
        elif path[-1].left is old:
            path[-1].left = new
        else:
            path[-1].right = new

    def _height(self, node: Node) -> int:
        if node.height < 0:
            self._fill(node)
        return node.height

    def _grow(self, path: list[Node], old: Node, new: Node) -> None:
        """Let `new`, one higher, stand where `old` stood below the end of `path`; rotate where need be.

        What grew is unsaved, and so are the nodes a rotation lifts. After one no height differs above it.
        """
        height, on_left = new.height, False
        while path:
            node = path.pop()
            if node.left is old:
                node.left = new
                other = node.right.height
                if other < 0:
                    other = self._height(node.right)
                if other >= height:
                    return
                if other + 2 == height:
                    if on_left:
                        top = new
                    else:
                        top, new.right = new.right, new.right.left
                        top.left, new.height, top.height = new, height - 1, height
                    node.left, top.right, node.height = top.right, node, height - 1
                    self._put(path, node, top)
                    return
                on_left = True
            else:
                node.right = new
                other = node.left.height
                if other < 0:
                    other = self._height(node.left)
                if other >= height:
                    return
                if other + 2 == height:
                    if on_left:
                        top, new.left = new.left, new.left.right
                        top.right, new.height, top.height = new, height - 1, height
                    else:
                        top = new
                    node.right, top.left, node.height = top.left, node, height - 1
                    self._put(path, node, top)
                    return
                on_left = False
            height += 1
            node.height = height
            old = new = node
        self._root = new

    def _settle(self, path: list[Node]) -> None:
        """Set heights from the end of `path` upwards and rotate, until a height did not change."""
        while path:
            node = path.pop()
            before = node.height
            left, right = node.left.height, node.right.height
            if left < 0 or right < 0:
                left, right = self._height(node.left), self._height(node.right)
            if -2 < left - right < 2:
                node.height = 1 + (left if left > right else right)
            else:
                top = self._rotate_right(node) if left > right else self._rotate_left(node)
                self._put(path, node, top)
                node = top
            if node.height == before:
                return

    def _rotate_right(self, node: Node) -> Node:
        """Lift the left child above `node`; first its own right child where that one is higher."""
        top = node.left
        if top.hash:
            top = self._own(top)
        high, low = top.left.height, top.right.height
        if high < 0 or low < 0:
            high, low = self._height(top.left), self._height(top.right)
        if high < low:
            under, top = top, self._own(top.right)
            under.right, top.left = top.left, under
            self._measure(under)
        node.left, top.right = top.right, node
        self._measure(node)
        self._measure(top)
        return top

    def _rotate_left(self, node: Node) -> Node:
        """The mirror image of `_rotate_right`."""
        top = node.right
        if top.hash:
            top = self._own(top)
        high, low = top.right.height, top.left.height
        if high < 0 or low < 0:
            high, low = self._height(top.right), self._height(top.left)
        if high < low:
            under, top = top, self._own(top.left)
            under.left, top.right = top.right, under
            self._measure(under)
        node.right, top.left = top.left, node
        self._measure(node)
        self._measure(top)
        return top

    def _measure(self, node: Node) -> None:
        left, right = node.left.height, node.right.height
        if left < 0 or right < 0:
            left, right = self._height(node.left), self._height(node.right)
        node.height = 1 + (left if left > right else right)

    def _finish(self, root: Node, batch: Batch | None, version: int) -> None:
        """Give the unsaved nodes at and below `root` their size, hash and number, children first."""
        tail = varint(version)
        before_left = tail + b"\x20"
        first = version << NONCE_BITS
        nodes = None if batch is None else batch.nodes
        fill = self._fill
        heads: dict[int, bytes] = {}  # of inner nodes, by size and height
        starts: dict[int, bytes] = {}  # of leaves, by the length of their key
        value, hashed = b"", EMPTY_ROOT  # the last leaf's: receipts and many acknowledgements are alike

        def finish(node: Node) -> None:
            nonlocal value, hashed
            height = node.height
            if height:
                left, right = node.left, node.right
                if not left.hash:
                    finish(left)
                elif left.height < 0:
                    fill(left)
                if not right.hash:
                    finish(right)
                elif right.height < 0:
                    fill(right)
                node.size = size = left.size + right.size
                shape = size << 6 | height
                head = heads.get(shape)
                if head is None:
                    head = heads[shape] = HEIGHTS[height] + varint(size) + before_left
                node.hash = short_sha256(b"".join((head, left.hash, b"\x20", right.hash))).digest()
            else:
                key = node.key
                if node.value != value:
                    value = node.value
                    hashed = (short_sha256(value) if len(value) <= SHORT else sha256(value)).digest()
                size = len(key)
                start = starts.get(size)
                if start is None:
                    start = starts[size] = LEAF_HEAD + tail + uvarint(size)
                node.hash = short_sha256(b"".join((start, key, b"\x20", hashed))).digest()
            if nodes is None:
                node.number = first
            else:
                node.number = first | len(nodes) + 1
                nodes.append((node.number, encode(node)))

        finish(root)
        finish = None  # type: ignore[assignment]  # it names itself: a cycle that would wait for the collector
        if nodes is not None and len(nodes) >> NONCE_BITS:
            raise TreeMisused("too many new nodes in one version", version=version, nodes=len(nodes))


__all__ = ("EMPTY_ROOT", "Tree", "TreeMisused")
