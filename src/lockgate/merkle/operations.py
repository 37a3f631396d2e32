"""The operations an ICS-23 proof is built from: hashes, length prefixes, leaf and inner steps.

Source: cosmos/ics23 go/ops.go; digest ICS-23 §§1, 3.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Final

from cryptography.hazmat.primitives import hashes

from lockgate.codec.wire import ics23_pb2 as wire
from lockgate.crypto.keccak import keccak256
from lockgate.merkle import digests
from lockgate.merkle.errors import SpecViolation
from lockgate.merkle.specs import HashOp, LengthOp
from lockgate.merkle.varint import uvarint


def _sha512_256(data: bytes) -> bytes:
    state = hashes.Hash(hashes.SHA512_256())
    state.update(data)
    return state.finalize()


_HASHES: Final[Mapping[int, Callable[[bytes], bytes]]] = {
    HashOp.SHA256: lambda data: hashlib.sha256(data).digest(),
    HashOp.SHA512: lambda data: hashlib.sha512(data).digest(),
    HashOp.KECCAK256: keccak256,
    HashOp.RIPEMD160: digests.ripemd160,
    HashOp.BITCOIN: lambda data: digests.ripemd160(hashlib.sha256(data).digest()),
    HashOp.SHA512_256: _sha512_256,
    HashOp.BLAKE2B_512: lambda data: hashlib.blake2b(data).digest(),
    HashOp.BLAKE2S_256: lambda data: hashlib.blake2s(data).digest(),
    HashOp.BLAKE3: digests.blake3,
}
_LENGTHS: Final[Mapping[int, Callable[[int], bytes]]] = {
    LengthOp.NO_PREFIX: lambda _: b"",
    LengthOp.VAR_PROTO: uvarint,
    LengthOp.FIXED32_BIG: lambda size: size.to_bytes(4, "big"),
    LengthOp.FIXED32_LITTLE: lambda size: size.to_bytes(4, "little"),
    LengthOp.FIXED64_BIG: lambda size: size.to_bytes(8, "big"),
    LengthOp.FIXED64_LITTLE: lambda size: size.to_bytes(8, "little"),
}
_EXACT: Final[Mapping[int, int]] = {LengthOp.REQUIRE_32_BYTES: 32, LengthOp.REQUIRE_64_BYTES: 64}


def do_hash(operation: int, data: bytes) -> bytes:
    """Apply a HashOp. Raises SpecViolation for NO_HASH, which no node may use, and for unknown ones."""
    function = _HASHES.get(operation)
    if function is None:
        raise SpecViolation("no such hash", hash=operation)
    return function(data)


def prehash(operation: int, data: bytes) -> bytes:
    """Apply a HashOp to a key or value before it enters a leaf; NO_HASH leaves it as it is."""
    return data if operation == HashOp.NO_HASH else do_hash(operation, data)


def with_length(operation: int, data: bytes) -> bytes:
    """Put the length in front as a LengthOp says. VAR_RLP is unknown to the reference verifier too."""
    prefix = _LENGTHS.get(operation)
    if prefix is not None:
        return prefix(len(data)) + data
    if _EXACT.get(operation) == len(data):
        return data
    raise SpecViolation("unknown length rule, or the wrong length", rule=operation, size=len(data))


def leaf_hash(leaf: wire.LeafOp, key: bytes, value: bytes) -> bytes:
    """Hash a leaf. Empty keys and values are refused."""
    if not key or not value:
        raise SpecViolation("a leaf has a key and a value")
    hashed_key = with_length(leaf.length, prehash(leaf.prehash_key, key))
    hashed_value = with_length(leaf.length, prehash(leaf.prehash_value, value))
    return do_hash(leaf.hash, leaf.prefix + hashed_key + hashed_value)


def inner_hash(step: wire.InnerOp, child: bytes) -> bytes:
    """Hash one step of a path over its child."""
    if not child:
        raise SpecViolation("an inner node has a child")
    return do_hash(step.hash, step.prefix + child + step.suffix)


__all__ = ("do_hash", "inner_hash", "leaf_hash", "prehash", "with_length")
