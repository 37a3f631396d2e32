"""ML-DSA (FIPS 204) verification, and public keys from seeds.

Signing draws its own entropy in the library, so it is not here: see `ports.Signer`, met by
`keystore.software` and, from a seed, by `lab.entropy`. Verification is a total function of its
inputs, pinned by third-party vectors (P7); lengths are checked before the library sees the bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import mldsa as _mldsa

from lockgate.crypto.errors import BadKey

SEED_BYTES: Final = 32
MAX_CONTEXT: Final = 255  # FIPS 204 §5.2: its length is one byte


class _Public(Protocol):
    def verify(self, signature: bytes, data: bytes, context: bytes | None = None) -> None: ...


@dataclass(frozen=True, slots=True)
class MlDsa:
    """One parameter set; lengths in bytes."""

    name: str
    public_bytes: int
    signature_bytes: int
    _public: Any = field(repr=False)  # the library's classes share no base that mypy can call
    _private: Any = field(repr=False)

    def verify(self, public_key: bytes, signature: bytes, message: bytes, context: bytes = b"") -> bool:
        """Whether `signature` is one of `message` under `context` (FIPS 204 algorithm 3). Never raises."""
        if len(public_key) != self.public_bytes or len(signature) != self.signature_bytes:
            return False
        if len(context) > MAX_CONTEXT:
            return False
        try:
            key: _Public = self._public.from_public_bytes(public_key)
            key.verify(signature, message, context)
        except (InvalidSignature, ValueError):
            return False
        return True

    def public_from_seed(self, seed: bytes) -> bytes:
        """ML-DSA.KeyGen_internal: the public key of a 32-byte seed."""
        if len(seed) != SEED_BYTES:
            raise BadKey("an ML-DSA seed has 32 bytes", got=len(seed))
        public: bytes = self._private.from_seed_bytes(seed).public_key().public_bytes_raw()
        return public


MLDSA44: Final = MlDsa("ML-DSA-44", 1312, 2420, _mldsa.MLDSA44PublicKey, _mldsa.MLDSA44PrivateKey)
MLDSA65: Final = MlDsa("ML-DSA-65", 1952, 3309, _mldsa.MLDSA65PublicKey, _mldsa.MLDSA65PrivateKey)
MLDSA87: Final = MlDsa("ML-DSA-87", 2592, 4627, _mldsa.MLDSA87PublicKey, _mldsa.MLDSA87PrivateKey)
PARAMETER_SETS: Final = {p.name: p for p in (MLDSA44, MLDSA65, MLDSA87)}

__all__ = ("MAX_CONTEXT", "MLDSA44", "MLDSA65", "MLDSA87", "PARAMETER_SETS", "SEED_BYTES", "MlDsa")
