"""The root record of a version: which node is each store's root, and what its hash is.

Format 1: `01`, number of stores, then per store, ascending by name: name length, name, number of the
root node (8 bytes, 0 for an empty tree), root hash (32 bytes).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from lockgate.merkle.errors import NodeDamaged
from lockgate.merkle.snapshot import Snapshot
from lockgate.merkle.varint import read_uvarint, uvarint

_FORMAT: Final = 1
_ENTRY: Final = 8 + 32

Roots = Mapping[str, tuple[int, bytes]]  # store name -> number and hash of its root node


def encode_roots(snapshots: Iterable[tuple[str, Snapshot]]) -> bytes:
    """Write a record; names ascending."""
    return encode_root_places({name: (snapshot.root_number, snapshot.root_hash) for name, snapshot in snapshots})


def encode_root_places(roots: Roots) -> bytes:
    """Write a record from numbers and hashes; names ascending."""
    parts = []
    for name, (number, digest) in roots.items():
        parts += [_prefixed(name), number.to_bytes(8, "big"), digest]
    return b"".join((bytes((_FORMAT,)), uvarint(len(parts) // 3), *parts))


@lru_cache(256)
def _prefixed(name: str) -> bytes:
    encoded = name.encode()
    return uvarint(len(encoded)) + encoded


def decode_roots(data: bytes, version: int) -> Roots:
    """Read the record of `version`. Raises NodeDamaged."""
    found: dict[str, tuple[int, bytes]] = {}
    count, at = read_uvarint(data, 1) if data[:1] == bytes((_FORMAT,)) else (0, -1)
    for _ in range(min(count, len(data))):
        length, at = read_uvarint(data, at) if at > 0 else (0, -1)
        end = at + length
        if at < 0 or end + _ENTRY > len(data):
            raise NodeDamaged("a root record is cut short", version=version)
        try:
            name = data[at:end].decode()
        except UnicodeDecodeError as fault:
            raise NodeDamaged("a root record names no store", version=version) from fault
        found[name] = (int.from_bytes(data[end : end + 8], "big"), data[end + 8 : end + _ENTRY])
        at = end + _ENTRY
    if at != len(data) or len(found) != count:
        raise NodeDamaged("a root record has another form", version=version)
    return found


__all__ = ("Roots", "decode_roots", "encode_root_places", "encode_roots")
