"""Protobuf framing by hand, for the few messages that are hashed, signed or stored on every block.

Fields ascend, zero scalars are left out, and sub-messages the Go types hold by value are always
written. `tests/unit/lightclients/test_encoding.py` holds every function here equal to the protobuf
library's own output. Source: digest §1.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from lockgate.codec.protobuf import uvarint
from lockgate.primitives.time import NANOS_PER_SECOND

_MASK64: Final = (1 << 64) - 1
_SHORT: Final = tuple(uvarint(length) for length in range(0x80))


def varint(number: int) -> bytes:
    """Encode an int64; negative numbers take ten bytes, as protobuf's plain int types do."""
    return uvarint(number & _MASK64)


def number_field(tag: bytes, number: int) -> bytes:
    """Frame a varint field; nothing when it is zero."""
    if 0 < number < 0x80:
        return tag + _SHORT[number]
    return tag + varint(number) if number else b""


def bytes_field(tag: bytes, value: bytes) -> bytes:
    """Frame a bytes or string field; nothing when it is empty."""
    size = len(value)
    if 0 < size < 0x80:
        return tag + _SHORT[size] + value
    return tag + uvarint(size) + value if value else b""


def message_field(tag: bytes, encoded: bytes) -> bytes:
    """Frame a sub-message that is always written, also when it is empty."""
    size = len(encoded)
    return tag + (_SHORT[size] if size < 0x80 else uvarint(size)) + encoded


@lru_cache(256)  # all votes of a commit, and mostly its header, carry one time
def timestamp(nanos: int) -> bytes:
    """Encode google.protobuf.Timestamp from nanoseconds since 1970, also before it."""
    seconds, fraction = divmod(nanos, NANOS_PER_SECOND)
    return number_field(b"\x08", seconds) + number_field(b"\x10", fraction)


def duration(nanos: int) -> bytes:
    """Encode google.protobuf.Duration; seconds and nanoseconds carry the same sign."""
    seconds, fraction = divmod(abs(nanos), NANOS_PER_SECOND)
    if nanos < 0:
        seconds, fraction = -seconds, -fraction
    return number_field(b"\x08", seconds) + number_field(b"\x10", fraction)


@lru_cache(256)  # a block is named by its votes, its commit, the next header and who verifies them
def block_id(block_hash: bytes, total: int, parts_hash: bytes) -> bytes:
    """Encode BlockID, and CanonicalBlockID, which has the same fields."""
    parts = number_field(b"\x08", total) + bytes_field(b"\x12", parts_hash)
    return bytes_field(b"\x0a", block_hash) + message_field(b"\x12", parts)


def public_key(ed25519: bytes) -> bytes:
    """Encode crypto.PublicKey with its Ed25519 arm; an arm that is set is written even when empty."""
    return message_field(b"\x0a", ed25519)


def simple_validator(ed25519: bytes, voting_power: int) -> bytes:
    """Encode SimpleValidator, the leaf of a validator set's hash."""
    return message_field(b"\x0a", public_key(ed25519)) + number_field(b"\x10", voting_power)


__all__ = (
    "block_id",
    "bytes_field",
    "duration",
    "message_field",
    "number_field",
    "public_key",
    "simple_validator",
    "timestamp",
    "uvarint",
    "varint",
)
