"""ECDSA over P-256, P-384, P-521 and secp256k1, with raw r ‖ s (COSE, IEEE P1363) or DER signatures.

Ranges and encodings are checked here, so that what is accepted does not depend on how strict the
library's parser is (P7). Signing is deterministic (RFC 6979), hence a function of its inputs.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec as _ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from lockgate.crypto.ec import Curve, load_private, load_public, uncompressed
from lockgate.crypto.errors import BadKey
from lockgate.crypto.hashes import Hash


def verify(
    curve: Curve, hash_: Hash, public_key: bytes, signature: bytes, message: bytes, *, low_s: bool = False
) -> bool:
    """Whether raw r ‖ s signs `message`. `public_key` is a SEC 1 point. Never raises.

    `low_s` refuses the mirrored twin n − s as well, as Bitcoin, Ethereum and Cosmos do.
    """
    size = curve.coordinate_bytes
    if len(signature) != 2 * size:
        return False
    r, s = int.from_bytes(signature[:size]), int.from_bytes(signature[size:])
    return _verify(curve, hash_, public_key, (r, s), message, low_s=low_s)


def verify_der(
    curve: Curve, hash_: Hash, public_key: bytes, signature: bytes, message: bytes, *, low_s: bool = False
) -> bool:
    """Whether a DER SEQUENCE of r and s, in its one encoding, signs `message`. Never raises."""
    try:
        r, s = decode_dss_signature(signature)
    except ValueError:
        return False
    if r <= 0 or s <= 0 or encode_dss_signature(r, s) != signature:
        return False
    return _verify(curve, hash_, public_key, (r, s), message, low_s=low_s)


class SigningKey:
    """An ECDSA private key from its big-endian scalar; signs deterministically (RFC 6979), raw r ‖ s.

    `low_s` gives the smaller of s and n − s, the only one that Bitcoin, Ethereum and Cosmos take.
    """

    __slots__ = ("_key", "curve", "hash", "low_s", "public_key")

    def __init__(self, curve: Curve, hash_: Hash, scalar: bytes, *, low_s: bool = False) -> None:
        self._key = load_private(curve, scalar)
        self.curve: Final = curve
        self.hash: Final = hash_
        self.low_s: Final = low_s
        self.public_key: Final = uncompressed(self._key.public_key())

    def __repr__(self) -> str:
        return f"ecdsa.SigningKey({self.curve.name}, public_key={self.public_key.hex()})"

    def sign(self, message: bytes, /) -> bytes:
        der = self._key.sign(message, _ec.ECDSA(self.hash.algorithm, deterministic_signing=True))
        r, s = decode_dss_signature(der)
        if self.low_s:
            s = min(s, self.curve.order - s)
        size = self.curve.coordinate_bytes
        return r.to_bytes(size) + s.to_bytes(size)


def _verify(
    curve: Curve, hash_: Hash, public_key: bytes, pair: tuple[int, int], message: bytes, *, low_s: bool
) -> bool:
    r, s = pair
    if not 0 < r < curve.order or not 0 < s < curve.order or (low_s and 2 * s > curve.order):
        return False
    try:
        key = load_public(curve, public_key)
        key.verify(encode_dss_signature(r, s), message, _ec.ECDSA(hash_.algorithm))
    except (BadKey, InvalidSignature, ValueError):
        return False
    return True


__all__ = ("SigningKey", "verify", "verify_der")
