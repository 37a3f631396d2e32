"""Base-128 varints, as protobuf and the headers of tree nodes write them."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

MAX_BYTES: Final = 10  # ceil(64 / 7): what a 64-bit number can take
_SHORT: Final = (
    *(bytes((n,)) for n in range(0x80)),
    *(bytes((n & 0x7F | 0x80, n >> 7)) for n in range(0x80, 0x800)),  # lengths of proofs and their parts
)
ONE_BYTE: Final = _SHORT[:0x80]  # the encodings of numbers below 128


def uvarint(number: int) -> bytes:
    """Encode a non-negative number below 2^64."""
    if number < 0x800:
        return _SHORT[number]
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


@lru_cache(maxsize=8_192)  # heights, sizes and versions of the nodes in use: few, and asked for all the time
def varint(number: int) -> bytes:
    """Zigzag varint of a non-negative number, as iavl writes height, size and version."""
    return uvarint(number << 1)


def read_uvarint(data: bytes, at: int) -> tuple[int, int]:
    """Read a varint at `at`; returns (number, position after it), or position -1 if there is none.

    Longer forms of a number are read as well: who needs the shortest one compares the encoding.
    """
    number = shift = 0
    for position in range(at, min(at + MAX_BYTES, len(data))):
        byte = data[position]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (number, position + 1) if number < 1 << 64 else (0, -1)
        shift += 7
    return 0, -1


__all__ = ("MAX_BYTES", "ONE_BYTE", "read_uvarint", "uvarint", "varint")
