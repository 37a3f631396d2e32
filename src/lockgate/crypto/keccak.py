"""Keccak-256 as Ethereum uses it: the padding of before FIPS 202, so never `hashlib.sha3_256`."""

from __future__ import annotations

from typing import Final

from Crypto.Hash import keccak as _keccak

DIGEST_BYTES: Final = 32


def keccak256(data: bytes) -> bytes:
    """Hash any number of bytes to 32. Source: Keccak reference 3.0, rate 1088, padding 0x01."""
    return _keccak.new(data=data, digest_bits=8 * DIGEST_BYTES).digest()


__all__ = ("DIGEST_BYTES", "keccak256")
