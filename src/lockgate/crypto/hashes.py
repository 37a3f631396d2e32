"""Hash functions as values, and the comparison that takes the same time for all inputs."""

from __future__ import annotations

import hashlib
import hmac as _hmac
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives import hashes as _hashes


@dataclass(frozen=True, slots=True)
class Hash:
    """A fixed-length hash. `algorithm` is the name of it that `cryptography` wants."""

    name: str
    digest_bytes: int
    algorithm: _hashes.HashAlgorithm

    def digest(self, data: bytes) -> bytes:
        return hashlib.new(self.name, data).digest()


SHA256: Final = Hash("sha256", 32, _hashes.SHA256())
SHA384: Final = Hash("sha384", 48, _hashes.SHA384())
SHA512: Final = Hash("sha512", 64, _hashes.SHA512())
HASHES: Final = {h.name: h for h in (SHA256, SHA384, SHA512)}


def equal(left: bytes, right: bytes) -> bool:
    """Compare two byte strings in time that depends on their lengths only."""
    return _hmac.compare_digest(left, right)


__all__ = ("HASHES", "SHA256", "SHA384", "SHA512", "Hash", "equal")
