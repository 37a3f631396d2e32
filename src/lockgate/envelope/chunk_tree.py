"""The Merkle tree over a chunked body: one leaf per sealed chunk, shaped as RFC 9162 §2.1 says.

Leaves are hashes of ciphertext, so whoever holds a chunk can check it against the root without a key.
The root is built in memory that grows with the logarithm of the count.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

HASH_BYTES: Final = 32
_LEAF: Final = b"\x00"
_NODE: Final = b"\x01"
Buffer = bytes | bytearray | memoryview


def leaf_hash(chunk: Buffer) -> bytes:
    """32 bytes, SHA-256 over 0x00 and the sealed chunk."""
    digest = hashlib.sha256(_LEAF)
    digest.update(chunk)
    return digest.digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(_NODE + left + right).digest()


class RootBuilder:
    """Appends leaves in order. `peaks` are the roots of the complete subtrees so far, largest first."""

    __slots__ = ("count", "peaks")

    def __init__(self, count: int = 0, peaks: Sequence[bytes] = ()) -> None:
        self.count = count
        self.peaks = list(peaks)

    def append(self, leaf: bytes) -> None:
        # Each trailing one bit of the count is a peak as large as the one being carried.
        carried, below = leaf, self.count
        while below & 1:
            carried = node_hash(self.peaks.pop(), carried)
            below >>= 1
        self.peaks.append(carried)
        self.count += 1

    def root(self) -> bytes:
        """The root over the leaves so far, of which there is at least one."""
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = node_hash(peak, root)
        return root


def root_of(leaves: Sequence[bytes]) -> bytes:
    builder = RootBuilder()
    for leaf in leaves:
        builder.append(leaf)
    return builder.root()


def audit_path(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """The siblings from leaf `index` up. Source: RFC 9162 §2.1.3.1."""
    if len(leaves) == 1:
        return ()
    split = _split(len(leaves))
    if index < split:
        return (*audit_path(leaves[:split], index), root_of(leaves[split:]))
    return (*audit_path(leaves[split:], index - split), root_of(leaves[:split]))


def root_from_path(leaf: bytes, index: int, count: int, path: Sequence[bytes]) -> bytes | None:
    """The root that `path` leads to, or None when its length does not fit. Source: RFC 9162 §2.1.3.2."""
    if not 0 <= index < count:
        return None
    position, last, root = index, count - 1, leaf
    for sibling in path:
        if last == 0 or len(sibling) != HASH_BYTES:
            return None
        if position & 1 or position == last:
            root = node_hash(sibling, root)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            root = node_hash(root, sibling)
        position >>= 1
        last >>= 1
    return root if last == 0 else None


def _split(count: int) -> int:
    """The largest power of two below `count`, which is at least 2."""
    return 1 << (count - 1).bit_length() - 1


__all__ = ("HASH_BYTES", "RootBuilder", "audit_path", "leaf_hash", "node_hash", "root_from_path", "root_of")
