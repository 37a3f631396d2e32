"""ML-KEM (FIPS 203), alone and as a KEM of HPKE. Private keys are their 64-byte seeds (d ‖ z).

Decapsulation is deterministic and lives here. Encapsulation draws its own entropy in the library,
which offers no other way; it is reached through `ports.Encapsulator`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import mlkem as _mlkem

from lockgate.crypto.errors import BadEncapsulation, BadKey
from lockgate.crypto.labeled import derive_seed
from lockgate.crypto.ports import Encapsulated, Encapsulator

SEED_BYTES: Final = 64
SECRET_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class MlKem:
    """One parameter set; `id` is IANA's HPKE KEM identifier, lengths are in bytes."""

    id: int
    name: str
    public_bytes: int
    enc_bytes: int
    _public: Any = field(repr=False)  # the library's classes share no base that mypy can call
    _private: Any = field(repr=False)
    secret_bytes: int = SECRET_BYTES
    private_bytes: int = SEED_BYTES
    post_quantum: bool = True

    @property
    def suite_id(self) -> bytes:
        return b"KEM" + self.id.to_bytes(2)

    def check_public_key(self, public_key: bytes, /) -> None:
        """The length and modulus checks of FIPS 203 §7.2."""
        try:
            self._public.from_public_bytes(public_key)
        except ValueError as error:
            raise BadKey("not an encapsulation key", kem=self.name, got=len(public_key)) from error

    def private_key(self, raw: bytes, /) -> MlKemKey:
        return MlKemKey(self, raw)

    def derive_key(self, ikm: bytes, /) -> MlKemKey:
        return MlKemKey(self, derive_seed(self.suite_id, ikm, SEED_BYTES))

    def encapsulate(self, public_key: bytes, encapsulator: Encapsulator, /) -> Encapsulated:
        if len(public_key) != self.public_bytes:
            raise BadKey("not an encapsulation key", kem=self.name, got=len(public_key))
        # The modulus check of FIPS 203 §7.2 is the encapsulator's: it loads the key anyway.
        shared_secret, enc = encapsulator.mlkem_encapsulate(self.name, public_key)
        return Encapsulated(shared_secret, enc)


class MlKemKey:
    """A decapsulation key, expanded once from its seed."""

    __slots__ = ("_key", "kem", "public_key")

    def __init__(self, kem: MlKem, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise BadKey("an ML-KEM private key is a seed of 64 bytes", got=len(seed))
        self.kem: Final = kem
        self._key = kem._private.from_seed_bytes(seed)
        self.public_key: Final[bytes] = self._key.public_key().public_bytes_raw()

    def __repr__(self) -> str:
        return f"MlKemKey({self.kem.name})"

    @property
    def kem_id(self) -> int:
        return self.kem.id

    def reveal(self) -> bytes:
        """The 64-byte seed, for key files."""
        seed: bytes = self._key.private_bytes_raw()
        return seed

    def decapsulate(self, enc: bytes, /) -> bytes:
        """Return the shared secret; for a forged ciphertext a pseudorandom one (implicit rejection)."""
        if len(enc) != self.kem.enc_bytes:
            raise BadEncapsulation("wrong ciphertext length", kem=self.kem.name, got=len(enc))
        shared_secret: bytes = self._key.decapsulate(enc)
        return shared_secret


MLKEM768: Final = MlKem(0x0041, "ML-KEM-768", 1184, 1088, _mlkem.MLKEM768PublicKey, _mlkem.MLKEM768PrivateKey)
MLKEM1024: Final = MlKem(0x0042, "ML-KEM-1024", 1568, 1568, _mlkem.MLKEM1024PublicKey, _mlkem.MLKEM1024PrivateKey)
PARAMETER_SETS: Final = {p.name: p for p in (MLKEM768, MLKEM1024)}

__all__ = ("MLKEM768", "MLKEM1024", "PARAMETER_SETS", "SECRET_BYTES", "SEED_BYTES", "MlKem", "MlKemKey")
