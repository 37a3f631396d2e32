"""IAVL as its definition reads: recursive, every touched node copied every time, nothing clever.

The tree under test is compared with this one. Source: cosmos/iavl v1.2.8, digest ICS-23 §6.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256


@dataclass(frozen=True)
class Naive:
    key: bytes
    value: bytes = b""
    height: int = 0
    size: int = 1
    version: int = 0
    hash: bytes = b""
    left: Naive | None = None
    right: Naive | None = None


def naive_set(node: Naive | None, key: bytes, value: bytes) -> Naive:
    if node is None:
        return Naive(key, value)
    if not node.height:
        if key < node.key:
            return Naive(node.key, height=1, size=2, left=Naive(key, value), right=node)
        if key > node.key:
            return Naive(key, height=1, size=2, left=node, right=Naive(key, value))
        return Naive(key, value)
    if key < node.key:
        return _balance(_with(node, naive_set(node.left, key, value), node.right))
    return _balance(_with(node, node.left, naive_set(node.right, key, value)))


def naive_remove(node: Naive | None, key: bytes) -> Naive | None:
    if node is None or not _has(node, key):
        return node
    return _remove(node, key)[0]


def naive_save(node: Naive | None, version: int) -> Naive | None:
    """Give unsaved nodes their version and hash."""
    if node is None or node.hash:
        return node
    if not node.height:
        head = _zigzag(0) + _zigzag(1) + _zigzag(version) + _uvarint(len(node.key)) + node.key
        return replace(node, version=version, hash=sha256(head + b"\x20" + sha256(node.value).digest()).digest())
    left, right = naive_save(node.left, version), naive_save(node.right, version)
    assert left is not None
    assert right is not None
    head = _zigzag(node.height) + _zigzag(node.size) + _zigzag(version)
    digest = sha256(head + b"\x20" + left.hash + b"\x20" + right.hash).digest()
    return replace(node, version=version, hash=digest, left=left, right=right)


def naive_root(node: Naive | None) -> bytes:
    return sha256(b"").digest() if node is None else node.hash


def _remove(node: Naive, key: bytes) -> tuple[Naive | None, bytes | None]:
    """What stands here now, and the key an ancestor that went right takes over."""
    if not node.height:
        return None, None
    assert node.left is not None
    assert node.right is not None
    if key < node.key:
        left, adopt = _remove(node.left, key)
        if left is None:
            return node.right, node.key
        return _balance(_with(node, left, node.right)), adopt
    right, adopt = _remove(node.right, key)
    if right is None:
        return node.left, None
    node = replace(node, key=node.key if adopt is None else adopt)
    return _balance(_with(node, node.left, right)), None


def _has(node: Naive, key: bytes) -> bool:
    while node.height:
        child = node.left if key < node.key else node.right
        assert child is not None
        node = child
    return node.key == key


def _with(node: Naive, left: Naive | None, right: Naive | None) -> Naive:
    assert left is not None
    assert right is not None
    height, size = 1 + max(left.height, right.height), left.size + right.size
    return Naive(node.key, height=height, size=size, left=left, right=right)


def _lean(node: Naive | None) -> int:
    assert node is not None
    if not node.height:
        return 0
    assert node.left is not None
    assert node.right is not None
    return node.left.height - node.right.height


def _balance(node: Naive) -> Naive:
    assert node.left is not None
    assert node.right is not None
    lean = _lean(node)
    if lean > 1:
        if _lean(node.left) >= 0:
            return _rotate_right(node)
        return _rotate_right(_with(node, _rotate_left(node.left), node.right))
    if lean < -1:
        if _lean(node.right) <= 0:
            return _rotate_left(node)
        return _rotate_left(_with(node, node.left, _rotate_right(node.right)))
    return node


def _rotate_right(node: Naive) -> Naive:
    assert node.left is not None
    return _with(node.left, node.left.left, _with(node, node.left.right, node.right))


def _rotate_left(node: Naive) -> Naive:
    assert node.right is not None
    return _with(node.right, _with(node, node.left, node.right.left), node.right.right)


def _uvarint(number: int) -> bytes:
    out = b""
    while number >= 0x80:
        out += bytes((number & 0x7F | 0x80,))
        number >>= 7
    return out + bytes((number,))


def _zigzag(number: int) -> bytes:
    return _uvarint(2 * number)
