"""Signature algorithms as values: one verification function and the exact lengths of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from lockgate.crypto import ecdsa, ed25519
from lockgate.crypto.ec import P256, load_public
from lockgate.crypto.errors import BadKey
from lockgate.crypto.hashes import SHA256
from lockgate.crypto.mldsa import MLDSA65


@dataclass(frozen=True, slots=True)
class SignatureAlgorithm:
    """An algorithm with keys and signatures of one length, in bytes."""

    name: str
    public_bytes: int
    signature_bytes: int
    _verify: Callable[[bytes, bytes, bytes], bool] = field(repr=False)
    _check: Callable[[bytes], object] = field(repr=False)

    def verify(self, public_key: bytes, signature: bytes, message: bytes) -> bool:
        """Never raises, whatever the bytes."""
        return self._verify(public_key, signature, message)

    def check_public_key(self, public_key: bytes) -> None:
        """Raise BadKey unless the key has the algorithm's form."""
        if not isinstance(public_key, bytes) or len(public_key) != self.public_bytes:
            raise BadKey("a public key has the wrong type or length", algorithm=self.name)
        self._check(public_key)


def _verify_es256(public_key: bytes, signature: bytes, message: bytes) -> bool:
    # Only the uncompressed form, so that a key has one encoding; low s, so that a signature has one.
    if len(public_key) != P256.public_bytes:
        return False
    return ecdsa.verify(P256, SHA256, public_key, signature, message, low_s=True)


ED25519: Final = SignatureAlgorithm("Ed25519", 32, 64, ed25519.verify_strict, ed25519.check_public_key)
ES256: Final = SignatureAlgorithm("ES256", 65, 64, _verify_es256, lambda key: load_public(P256, key))
ML_DSA_65: Final = SignatureAlgorithm(MLDSA65.name, MLDSA65.public_bytes, MLDSA65.signature_bytes, MLDSA65.verify, len)
ALGORITHMS: Final = {algorithm.name: algorithm for algorithm in (ED25519, ES256, ML_DSA_65)}

__all__ = ("ALGORITHMS", "ED25519", "ES256", "ML_DSA_65", "SignatureAlgorithm")
