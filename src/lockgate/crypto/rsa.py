"""RSA verification (RFC 8017): certificates and foreign COSE messages; no key of ours is RSA."""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from lockgate.crypto.hashes import Hash

MIN_BITS: Final = 2048  # NIST SP 800-131A: below is disallowed
MAX_BITS: Final = 8192  # largest in certificates seen; verification time grows with the square
MAX_EXPONENT: Final = 1 << 33  # 65537 in practice; a large one only costs the verifier time


def verify_pss(hash_: Hash, n: int, e: int, signature: bytes, message: bytes, *, salt_bytes: int) -> bool:
    """RSASSA-PSS with MGF1 over the same hash and a salt of exactly `salt_bytes`. Never raises."""
    scheme = padding.PSS(padding.MGF1(hash_.algorithm), salt_bytes)
    return _verify(hash_, n, e, signature, message, scheme=scheme)


def verify_pkcs1(hash_: Hash, n: int, e: int, signature: bytes, message: bytes) -> bool:
    """RSASSA-PKCS1-v1_5. Never raises."""
    return _verify(hash_, n, e, signature, message, scheme=padding.PKCS1v15())


def _verify(
    hash_: Hash, n: int, e: int, signature: bytes, message: bytes, *, scheme: padding.AsymmetricPadding
) -> bool:
    if not MIN_BITS <= n.bit_length() <= MAX_BITS or not 3 <= e < MAX_EXPONENT:
        return False
    if len(signature) != (n.bit_length() + 7) // 8:
        return False
    try:
        rsa.RSAPublicNumbers(e, n).public_key().verify(signature, message, scheme, hash_.algorithm)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        return False
    return True


__all__ = ("MAX_BITS", "MAX_EXPONENT", "MIN_BITS", "verify_pkcs1", "verify_pss")
