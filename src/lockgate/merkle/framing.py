"""Canonical `cosmos.ics23.v1` bytes, as the provers write them and the fused check expects them.

Field numbers: ExistenceProof 1 key, 2 value, 3 leaf, 4 path; LeafOp 1 hash, 2 prehash_key,
3 prehash_value, 4 length, 5 prefix; InnerOp 1 hash, 2 prefix, 3 suffix. Tests hold them equal to what
the generated messages serialise.
"""

from __future__ import annotations

from typing import Final

from lockgate.merkle.varint import uvarint

LEAF_OP: Final = b"\x08\x01\x18\x01\x20\x01"  # SHA-256, value hashed first with SHA-256, VAR_PROTO lengths
STEP: Final = b"\x08\x01\x12"  # an InnerOp up to the length of its prefix: SHA-256


def field(tag: bytes, value: bytes) -> bytes:
    """A length-delimited field."""
    return tag + uvarint(len(value)) + value


__all__ = ("LEAF_OP", "STEP", "field")
