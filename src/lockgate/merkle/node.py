"""One node of a versioned tree, in memory and as the bytes a `NodeStore` keeps.

A node read from a store is at first only a number and the hash its parent holds (height −1); `fill`
completes it in place when it is needed, so every version that shares the node shares the reading.
Nodes already hashed are never changed otherwise.
"""

from __future__ import annotations

from binascii import crc32
from collections.abc import Callable
from hashlib import sha256
from typing import Final

from lockgate.merkle.errors import NodeDamaged
from lockgate.merkle.ports import NONCE_BITS, NodeStore
from lockgate.merkle.varint import read_uvarint, uvarint, varint

UNREAD: Final = -1
EMPTY_ROOT: Final = sha256(b"").digest()
MAX_HEIGHT: Final = 63  # an AVL tree of height 63 has more than 2^43 leaves; the header stays one byte
_FORMAT: Final = 1
_HASH: Final = 32
_CHILD: Final = 8 + _HASH
_CRC: Final = 4
HEIGHTS: Final = tuple(varint(height) for height in range(MAX_HEIGHT + 1))
LEAF_HEAD: Final = HEIGHTS[0] + varint(1)


class Node:
    """A leaf (height 0: `key`, `value`) or an inner node (`key` is the least one on its right).

    `number` and `hash` are 0 and empty until the node is saved; `size` counts leaves and is set with
    them. An unread node has `number` and `hash` only.
    """

    __slots__ = ("hash", "height", "key", "left", "number", "right", "size", "value")

    hash: bytes
    height: int
    key: bytes
    left: Node
    number: int
    right: Node
    size: int
    value: bytes

    @property
    def version(self) -> int:
        return self.number >> NONCE_BITS


Fill = Callable[[Node], None]


def leaf(key: bytes, value: bytes) -> Node:
    """Return a new leaf."""
    node = Node()
    node.key, node.value = key, value
    node.height, node.size, node.number, node.hash = 0, 1, 0, b""
    return node


def inner(key: bytes, left: Node, right: Node, height: int) -> Node:
    """Return a new inner node; its size is set when it is saved."""
    node = Node()
    node.key = key
    node.left = left
    node.right = right
    node.height = height
    node.number = 0
    node.hash = b""
    return node


def unread(number: int, digest: bytes) -> Node:
    """Return a node that is still in the store."""
    node = Node()
    node.number, node.hash, node.height = number, digest, UNREAD
    return node


def inner_head(height: int, size: int, version: bytes) -> bytes:
    """Header of an inner node, `version` given as varint. Source: iavl node.go, ICS-23 §6."""
    return HEIGHTS[height] + varint(size) + version


def leaf_hash(version: bytes, key: bytes, value: bytes) -> bytes:
    """Hash of a leaf, `version` given as varint."""
    head = LEAF_HEAD + version + uvarint(len(key)) + key
    return sha256(head + b"\x20" + sha256(value).digest()).digest()


def encode(node: Node) -> bytes:
    """Stored form of a saved node.

    Format 1: `01 height`; leaf: key length, key, value; inner: size, key length, key, then number and
    hash of each child; CRC-32 of all before. Lengths and size are varints, numbers 8 bytes. The hash
    covers everything but the key of an inner node: the CRC covers that one against decay, and the
    audit, which compares it with the leaves, against a forger.
    """
    if node.height:
        left, right = node.left, node.right
        body = b"".join(
            (
                bytes((_FORMAT, node.height)), uvarint(node.size), uvarint(len(node.key)), node.key,
                left.number.to_bytes(8, "big"), left.hash, right.number.to_bytes(8, "big"), right.hash,
            )
        )  # fmt: skip
    else:
        body = b"\x01\x00" + uvarint(len(node.key)) + node.key + node.value
    return body + crc32(body).to_bytes(_CRC, "big")


def decode_into(node: Node, data: bytes) -> None:
    """Complete `node` from its stored form; its hash is checked. Raises NodeDamaged, `node` unread."""
    body = data[:-_CRC]
    if len(data) < _CRC + 3 or body[0] != _FORMAT or crc32(body) != int.from_bytes(data[-_CRC:], "big"):
        raise NodeDamaged("unknown form or altered bytes", version=node.version, number=node.number)
    height, size, at = body[1], 1, 2
    if height:
        size, at = read_uvarint(body, at)
    length, at = read_uvarint(body, at) if at > 0 else (0, -1)
    end = at + length
    if at < 0 or not length or end > len(body) or height > MAX_HEIGHT:
        raise NodeDamaged("a node is cut short", version=node.version, number=node.number)
    key, rest, version = body[at:end], body[end:], varint(node.version)
    if not height:
        if not rest or leaf_hash(version, key, rest) != node.hash:
            raise NodeDamaged("a leaf has another hash", version=node.version, number=node.number)
        node.key, node.value, node.size = key, rest, 1
        node.height = 0
        return
    if len(rest) != 2 * _CHILD:
        raise NodeDamaged("a node has two children", version=node.version, number=node.number)
    left = unread(int.from_bytes(rest[:8], "big"), rest[8:_CHILD])
    right = unread(int.from_bytes(rest[_CHILD : _CHILD + 8], "big"), rest[_CHILD + 8 :])
    preimage = inner_head(height, size, version) + b"\x20" + left.hash + b"\x20" + right.hash
    if sha256(preimage).digest() != node.hash:
        raise NodeDamaged("a node has another hash", version=node.version, number=node.number)
    node.key, node.size, node.left, node.right = key, size, left, right
    node.height = height


def reader(store: NodeStore | None) -> Fill:
    """Return the function that completes unread nodes from `store`. Raises NodeDamaged."""

    def fill(node: Node) -> None:
        data = None if store is None else store.get(node.number)
        if data is None:
            raise NodeDamaged("a node is missing", version=node.version, number=node.number)
        decode_into(node, data)

    return fill


__all__ = (
    "EMPTY_ROOT",
    "HEIGHTS",
    "LEAF_HEAD",
    "UNREAD",
    "Fill",
    "Node",
    "decode_into",
    "encode",
    "inner",
    "inner_head",
    "leaf",
    "leaf_hash",
    "reader",
    "unread",
)
