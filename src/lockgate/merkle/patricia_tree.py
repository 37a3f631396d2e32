"""Merkle-Patricia tries made from their contents: the root, and proofs. For the lab and for comparisons.

Nothing of ours stores one. A trie is a function of what it holds, so it is built whole, and again after a change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lockgate.codec import rlp
from lockgate.codec.rlp import Rlp
from lockgate.crypto.keccak import keccak256
from lockgate.merkle.patricia import EMPTY_ROOT, HASH_BYTES, nibbles

_Entries = list[tuple[bytes, bytes]]  # nibbles and value, in order


class PatriciaTree:
    """The trie that holds `entries`: key bytes to value bytes, none of them empty."""

    __slots__ = ("_node",)

    def __init__(self, entries: Mapping[bytes, bytes]) -> None:
        self._node = _build(sorted((nibbles(key), value) for key, value in entries.items()))

    @property
    def root(self) -> bytes:
        """32 bytes."""
        return keccak256(rlp.encode(self._node)) if self._node else EMPTY_ROOT

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """What the trie holds, read from it in the order of its keys: (nibbles, value)."""
        return _walk(self._node, b"")

    def prove(self, key: bytes) -> list[bytes]:
        """The nodes `patricia.get` wants for a key, whether it is there or not; none for an empty trie."""
        if not self._node:
            return []
        proof, node, path = [rlp.encode(self._node)], self._node, nibbles(key)
        while True:
            child, path = _step(node, path)
            if not child:
                return proof
            encoded = rlp.encode(child)
            if len(encoded) >= HASH_BYTES:
                proof.append(encoded)
            node = child


class _Node(tuple[Rlp, ...]):
    """A node that knows its children as nodes, where its items may name them by hash."""

    children: tuple[_Node | None, ...] = ()
    own: bytes = b""


def _step(node: _Node, path: bytes) -> tuple[_Node | None, bytes]:
    if len(node) == 17:
        return (node.children[path[0]], path[1:]) if path else (None, b"")
    if node.children and path.startswith(node.own):
        return node.children[0], path[len(node.own) :]
    return None, b""


def _walk(node: _Node, path: bytes) -> Iterator[tuple[bytes, bytes]]:
    value = node[-1] if node and (len(node) == 17 or not node.children) else b""
    if isinstance(value, bytes) and value:
        yield path + node.own, value
    for nibble, child in enumerate(node.children):
        if child:
            yield from _walk(child, path + (bytes([nibble]) if len(node) == 17 else node.own))


def _build(entries: _Entries) -> _Node:
    if not entries:
        return _Node()
    if len(entries) == 1:
        path, value = entries[0]
        leaf = _Node((_hex_prefix(path, leaf=True), value))
        leaf.own = path
        return leaf
    first, last = entries[0][0], entries[-1][0]
    shared = next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    if shared:
        below = _build([(path[shared:], value) for path, value in entries])
        node = _Node((_hex_prefix(first[:shared], leaf=False), _named(below)))
        node.children, node.own = (below,), first[:shared]
        return node
    value = entries[0][1] if not first else b""
    groups = [[(path[1:], held) for path, held in entries if path and path[0] == nibble] for nibble in range(16)]
    children = tuple(_build(group) if group else None for group in groups)
    node = _Node((*(_named(child) if child else b"" for child in children), value))
    node.children = children
    return node


def _named(node: _Node) -> Rlp:
    encoded = rlp.encode(tuple(node))
    return keccak256(encoded) if len(encoded) >= HASH_BYTES else tuple(node)


def _hex_prefix(path: bytes, *, leaf: bool) -> bytes:
    flags = 2 * leaf + len(path) % 2
    unpacked = bytes([flags]) + path if len(path) % 2 else bytes([flags, 0]) + path
    return bytes(high << 4 | low for high, low in zip(unpacked[::2], unpacked[1::2], strict=True))


__all__ = ("PatriciaTree",)
