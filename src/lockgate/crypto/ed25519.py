"""Ed25519 with two acceptance sets, each fixed by a formula and not by a library (P7).

Both start alike: key and signature of 32 and 64 bytes, signature = R ‖ s with s < L, and
k = SHA-512(R ‖ A ‖ message) mod L over the bytes as received. Both use the cofactored equation

    [8][s]B = [8]R + [8][k]A

`verify_zip215`, for what ledgers sign: any encodings of points on the curve, also non-canonical ones,
also points of small order. Every CometBFT node accepts exactly this set. Source: ZIP-215.

`verify_strict`, for our own keys: A and R in their one canonical encoding and neither of small order.
With small-order A refused, no signature fits two keys or two messages; nothing about R is needed for
that, but no honest signer makes such an R (its secret nonce would be a multiple of L).
Source: RFC 8032 §5.1.7; "Taming the many EdDSAs" (Chalkias, Garillot, Nikolaenko, 2020), algorithm 2.

How a library may help without deciding: whatever equation it uses, cofactored or not, a signature it
accepts has s < L and satisfies the cofactored one for points that decode as above. So its *accept* is
final (after our own check of the encodings in the strict case), and its *reject* means nothing: then
the big-integer check of `edwards25519` answers, in about a millisecond. An honest peer never causes it.
Signing is deterministic, so that two libraries write the same bytes. Hence each is used where it is the
faster one: libsodium takes half the time for a vote, OpenSSL hashes a long transaction twice as fast.
"""

from __future__ import annotations

import hashlib
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from nacl.bindings import crypto_sign, crypto_sign_open
from nacl.exceptions import BadSignatureError

from lockgate.crypto.edwards25519 import L, decompress, double_scalar_is_torsion, is_canonical
from lockgate.crypto.errors import BadKey

PUBLIC_BYTES: Final = 32
SEED_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
LONG_MESSAGE: Final = 8_192  # bytes from which OpenSSL is the faster one, measured on x86-64 with AVX2

# The canonical encodings of the eight points P with [8]P = 0. A test derives them from the curve.
SMALL_ORDER: Final = frozenset(
    bytes.fromhex(encoding)
    for encoding in (
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    )
)


def verify_strict(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether `signature` is in the strict set. Never raises, whatever the bytes."""
    if len(public_key) != PUBLIC_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    if public_key in SMALL_ORDER or signature[:32] in SMALL_ORDER:
        return False
    if not is_canonical(public_key) or not is_canonical(signature[:32]):
        return False
    if int.from_bytes(signature[32:], "little") >= L:
        return False
    return _library_accepts(public_key, signature, message) or equation_holds(public_key, signature, message)


def verify_zip215(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether `signature` is in the ZIP-215 set. Never raises, whatever the bytes."""
    if len(public_key) != PUBLIC_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    if int.from_bytes(signature[32:], "little") >= L:
        return False
    return _library_accepts(public_key, signature, message) or equation_holds(public_key, signature, message)


def check_public_key(public_key: bytes) -> None:
    """Raise BadKey unless these are 32 canonical bytes outside the small-order ones.

    Half of all such strings are no point; a key that is none verifies nothing, so finding that out
    (a square root, 0.1 ms) is left to verification.
    """
    if len(public_key) != PUBLIC_BYTES:
        raise BadKey("an Ed25519 public key has 32 bytes", got=len(public_key))
    if not is_canonical(public_key) or public_key in SMALL_ORDER:
        raise BadKey("an Ed25519 public key is not canonical or has small order", public_key=public_key)


def equation_holds(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """The ZIP-215 rule in big integers: the reference both functions fall back to. Public data only."""
    s = int.from_bytes(signature[32:], "little")
    point, target = decompress(public_key), decompress(signature[:32])
    if s >= L or point is None or target is None:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public_key + message).digest(), "little") % L
    return double_scalar_is_torsion(s, k, point, target)


class SigningKey:
    """An Ed25519 private key from its 32-byte seed. Signing is deterministic (RFC 8032), so pure."""

    __slots__ = ("_key", "_sodium_key", "public_key")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise BadKey("an Ed25519 seed has 32 bytes", got=len(seed))
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public_key: Final = self._key.public_key().public_bytes_raw()
        self._sodium_key = seed + self.public_key

    def __repr__(self) -> str:
        return f"ed25519.SigningKey(public_key={self.public_key.hex()})"

    def sign(self, message: bytes, /) -> bytes:
        if len(message) < LONG_MESSAGE:
            return crypto_sign(message, self._sodium_key)[:SIGNATURE_BYTES]
        return self._key.sign(message)


def _library_accepts(public_key: bytes, signature: bytes, message: bytes) -> bool:
    if len(message) < LONG_MESSAGE:
        try:
            crypto_sign_open(signature + message, public_key)
        except BadSignatureError:
            return False
        return True
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


__all__ = (
    "PUBLIC_BYTES",
    "SEED_BYTES",
    "SIGNATURE_BYTES",
    "SMALL_ORDER",
    "SigningKey",
    "check_public_key",
    "equation_holds",
    "verify_strict",
    "verify_zip215",
)
