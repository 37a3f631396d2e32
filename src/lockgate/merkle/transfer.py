"""Moving a saved tree to another store, node by node: children before parents, left before right.

What is moved of a node is what its hash does not follow from: of a leaf version, key and value, of an inner node
version, height and key. The receiver computes sizes and hashes and compares the root. The key of an inner node is the
one thing that no hash covers, so it is compared with the leaves: it must be the least key on its right. Numbers are
not moved: they are the receiver's own, and only their upper bits, the version, are hashed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from lockgate.merkle.errors import BadTransfer
from lockgate.merkle.node import EMPTY_ROOT, MAX_HEIGHT, Fill, Node, encode, inner, inner_head, leaf, leaf_hash, unread
from lockgate.merkle.ports import MAX_VERSION, NONCE_BITS, Batch, NodeStore
from lockgate.merkle.roots import encode_root_places
from lockgate.merkle.varint import varint
from lockgate.primitives.quick import short_sha256

MAX_NONCE: Final = (1 << NONCE_BITS) - 1


class Part(NamedTuple):
    """One node on its way. A leaf has height 0 and a value; an inner node's value is empty."""

    version: int
    height: int
    key: bytes
    value: bytes


def parts(number: int, digest: bytes, fill: Fill) -> Iterator[Part]:
    """The nodes of the tree with this root, in memory of its height. Raises NodeDamaged.

    Nodes are read anew: walking the trees that a store works on would fill its memory with all of them.
    """
    if not number:
        return
    waiting: list[tuple[int, bytes, Part | None]] = [(number, digest, None)]
    while waiting:
        at, expected, done = waiting.pop()
        if done is not None:
            yield done
            continue
        node = unread(at, expected)
        fill(node)
        if not node.height:
            yield Part(node.version, 0, node.key, node.value)
            continue
        waiting.append((at, expected, Part(node.version, node.height, node.key, b"")))
        waiting.append((node.right.number, node.right.hash, None))
        waiting.append((node.left.number, node.left.hash, None))


@dataclass(frozen=True, slots=True)
class _Built:
    """A subtree that is complete: its root, and the least and the greatest key in it."""

    node: Node
    least: bytes
    most: bytes


class Builder:
    """Builds one tree from its parts, as they come. `version` is the newest that a node of it may have."""

    def __init__(self, version: int, nonces: dict[int, int]) -> None:
        """`nonces` counts the numbers given out in each version; all trees of a store share it."""
        self._version = version
        self._nonces = nonces
        self._waiting: list[_Built] = []

    def take(self, part: Part) -> tuple[int, bytes]:
        """Add a node; returns its number and stored form. Raises BadTransfer, the tree then is of no use."""
        version, height, key, value = part
        if not 0 < version <= min(self._version, MAX_VERSION) or not 0 <= height <= MAX_HEIGHT or not key:
            raise BadTransfer("no node of a tree", version=version, height=height)
        made = self._inner(version, height, key) if height else self._leaf(version, key, value)
        nonce = self._nonces.get(version, 0) + 1
        if nonce > MAX_NONCE:
            raise BadTransfer("more nodes of a version than it can have", version=version)
        self._nonces[version] = nonce
        made.node.number = version << NONCE_BITS | nonce
        stored = encode(made.node)
        self._waiting.append(_Built(_stub(made.node), made.least, made.most))
        return made.node.number, stored

    def root(self) -> tuple[int, bytes]:
        """Number and hash of the root of the whole tree. Raises BadTransfer when a part of it is missing."""
        if not self._waiting:
            return 0, EMPTY_ROOT
        if len(self._waiting) != 1:
            raise BadTransfer("the tree is not complete", subtrees=len(self._waiting))
        node = self._waiting[0].node
        return node.number, node.hash

    def _leaf(self, version: int, key: bytes, value: bytes) -> _Built:
        if not value:
            raise BadTransfer("a leaf has a value", key=key)
        if self._waiting and self._waiting[-1].most >= key:
            raise BadTransfer("keys do not rise", key=key)
        if len(self._waiting) > MAX_HEIGHT:
            raise BadTransfer("more subtrees wait than a tree can have", subtrees=len(self._waiting))
        node = leaf(key, value)
        node.hash = leaf_hash(varint(version), key, value)
        return _Built(node, key, key)

    def _inner(self, version: int, height: int, key: bytes) -> _Built:
        if len(self._waiting) < 2:
            raise BadTransfer("an inner node has two children", key=key)
        right, left = self._waiting.pop(), self._waiting.pop()
        if key != right.least:
            raise BadTransfer("an inner node's key is the least one on its right", key=key)
        tall = max(left.node.height, right.node.height)
        if height != tall + 1 or abs(left.node.height - right.node.height) > 1:
            raise BadTransfer("the tree is not balanced", height=height)
        if version < max(left.node.version, right.node.version):
            raise BadTransfer("a node is older than its child", version=version)
        node = inner(key, left.node, right.node, height)
        node.size = left.node.size + right.node.size
        head = inner_head(height, node.size, varint(version))
        node.hash = short_sha256(b"".join((head, b"\x20", left.node.hash, b"\x20", right.node.hash))).digest()
        return _Built(node, left.least, right.most)


def _stub(node: Node) -> Node:
    """What a parent needs of a node that is stored already: nothing below it stays in memory."""
    kept = unread(node.number, node.hash)
    kept.height, kept.size = node.height, node.size
    return kept


class Arrival:
    """One version of several trees on its way into an empty node store. The caller's transaction makes it durable."""

    def __init__(self, nodes: NodeStore, names: Sequence[str], version: int) -> None:
        self._nodes = nodes
        self._names = tuple(sorted(names))
        self._version = version
        self._nonces: dict[int, int] = {}
        self._done: dict[str, tuple[int, bytes]] = {}
        self._builder: Builder | None = None
        self._stored: list[tuple[int, bytes]] = []

    def open(self, name: str) -> None:
        """Begin the tree of a store; they come in the order of their names. Raises BadTransfer."""
        self._close()
        if len(self._done) == len(self._names) or self._names[len(self._done)] != name:
            raise BadTransfer("another store was to come", store=name)
        self._builder = Builder(self._version, self._nonces)

    def take(self, part: Part) -> None:
        """Add a node of the open tree. Raises BadTransfer."""
        if self._builder is None:
            raise BadTransfer("a node before its store")
        self._stored.append(self._builder.take(part))

    def flush(self) -> None:
        """Hand what has come so far to the store: memory stays that of one part."""
        self._nodes.add(self._stored)
        self._stored = []

    def finish(self) -> dict[str, bytes]:
        """Write the version's root record; returns each store's root hash. Raises BadTransfer."""
        self._close()
        if tuple(self._done) != self._names:
            raise BadTransfer("stores are missing", stores=len(self._done))
        self.flush()
        record = encode_root_places(self._done)
        self._nodes.write(Batch(self._version, record))
        return {name: digest for name, (_, digest) in self._done.items()}

    def _close(self) -> None:
        if self._builder is not None:
            self._done[self._names[len(self._done)]] = self._builder.root()
            self._builder = None


__all__ = ("Arrival", "Builder", "Part", "parts")
