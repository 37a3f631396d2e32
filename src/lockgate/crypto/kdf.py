"""Key derivation: HKDF (RFC 5869) over SHA-2, and SHAKE as a one-stage KDF (FIPS 202)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final, Literal

from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from lockgate.crypto.errors import WrongLength
from lockgate.crypto.hashes import SHA256, SHA384, SHA512, Hash


def hkdf_extract(hash_: Hash, salt: bytes, ikm: bytes) -> bytes:
    """Return the pseudorandom key of RFC 5869 §2.2. An empty salt stands for zeros of hash length."""
    return HKDF.extract(hash_.algorithm, salt or bytes(hash_.digest_bytes), ikm)


def hkdf_expand(hash_: Hash, prk: bytes, info: bytes, length: int) -> bytes:
    """Return `length` bytes, at most 255 hash lengths (RFC 5869 §2.3). Raises WrongLength."""
    if not 0 < length <= 255 * hash_.digest_bytes:
        raise WrongLength("HKDF gives 1 byte to 255 hash lengths", length=length)
    return HKDFExpand(hash_.algorithm, length, info).derive(prk)


def hkdf(hash_: Hash, ikm: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """Extract, then expand."""
    return hkdf_expand(hash_, hkdf_extract(hash_, salt, ikm), info, length)


@dataclass(frozen=True, slots=True)
class Hkdf:
    """A two-stage KDF as HPKE uses it; `id` is IANA's HPKE KDF identifier."""

    id: int
    name: str
    hash: Hash

    @property
    def output_bytes(self) -> int:
        return self.hash.digest_bytes

    def extract(self, salt: bytes, ikm: bytes) -> bytes:
        return hkdf_extract(self.hash, salt, ikm)

    def expand(self, prk: bytes, info: bytes, length: int) -> bytes:
        return hkdf_expand(self.hash, prk, info, length)


@dataclass(frozen=True, slots=True)
class Shake:
    """A one-stage KDF (draft-ietf-hpke-pq §5). `output_bytes` is its nominal secret length."""

    id: int
    name: Literal["SHAKE128", "SHAKE256"]
    output_bytes: int

    def derive(self, ikm: bytes, length: int) -> bytes:
        xof = hashlib.shake_128 if self.name == "SHAKE128" else hashlib.shake_256
        return xof(ikm).digest(length)


HKDF_SHA256: Final = Hkdf(0x0001, "HKDF-SHA256", SHA256)
HKDF_SHA384: Final = Hkdf(0x0002, "HKDF-SHA384", SHA384)
HKDF_SHA512: Final = Hkdf(0x0003, "HKDF-SHA512", SHA512)
SHAKE128: Final = Shake(0x0010, "SHAKE128", 32)
SHAKE256: Final = Shake(0x0011, "SHAKE256", 64)

Kdf = Hkdf | Shake
KDFS: Final[dict[int, Kdf]] = {kdf.id: kdf for kdf in (HKDF_SHA256, HKDF_SHA384, HKDF_SHA512, SHAKE128, SHAKE256)}

__all__ = (
    "HKDF_SHA256",
    "HKDF_SHA384",
    "HKDF_SHA512",
    "KDFS",
    "SHAKE128",
    "SHAKE256",
    "Hkdf",
    "Kdf",
    "Shake",
    "hkdf",
    "hkdf_expand",
    "hkdf_extract",
)
