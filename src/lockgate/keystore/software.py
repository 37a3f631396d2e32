"""Keys in this process's memory, and the operating system's entropy: the plain adapters.

The library draws its own entropy for ML-DSA signatures (hedged, FIPS 204 §3.4) and ML-KEM
encapsulations, so these two run here and nowhere below. All keys grow from 32-byte seeds.
"""

from __future__ import annotations

import builtins
import os
from collections.abc import Callable, Mapping
from typing import Final

from cryptography.hazmat.primitives.asymmetric import mldsa as _mldsa
from cryptography.hazmat.primitives.asymmetric import mlkem as _mlkem

from lockgate.crypto import ecdsa, ed25519
from lockgate.crypto.dhkem import DHKEM_P256
from lockgate.crypto.ec import P256
from lockgate.crypto.errors import BadKey
from lockgate.crypto.hashes import SHA256
from lockgate.crypto.keys import SEED_BYTES, IdentitySigner, KeyRole, expand_seed
from lockgate.crypto.ports import Signer
from lockgate.crypto.signatures import ED25519, ES256, ML_DSA_65
from lockgate.crypto.suites import signature_suite

_ENCAPSULATION_KEYS: Final[Mapping[str, type[_mlkem.MLKEM768PublicKey] | type[_mlkem.MLKEM1024PublicKey]]] = {
    "ML-KEM-768": _mlkem.MLKEM768PublicKey,
    "ML-KEM-1024": _mlkem.MLKEM1024PublicKey,
}


class OsEntropy:
    """The operating system's random bytes: an `Rng` and an `Encapsulator`."""

    __slots__ = ()

    def bytes(self, count: int, /) -> builtins.bytes:
        return os.urandom(count)

    def mlkem_encapsulate(
        self, parameter_set: str, public_key: builtins.bytes, /
    ) -> tuple[builtins.bytes, builtins.bytes]:
        try:
            key = _ENCAPSULATION_KEYS[parameter_set].from_public_bytes(public_key)
        except (KeyError, ValueError) as error:
            raise BadKey("not an encapsulation key", kem=parameter_set) from error
        return key.encapsulate()


class Ed25519Signer:
    """Meets `Signer` with an Ed25519 key from its seed."""

    __slots__ = ("_key",)
    algorithm: Final = ED25519.name

    def __init__(self, seed: bytes) -> None:
        self._key = ed25519.SigningKey(seed)

    def __repr__(self) -> str:
        return repr(self._key)

    @property
    def public_key(self) -> bytes:
        return self._key.public_key

    def sign(self, message: bytes, /) -> bytes:
        return self._key.sign(message)


class MlDsa65Signer:
    """Meets `Signer` with an ML-DSA-65 key from its seed; no two signatures of it are alike."""

    __slots__ = ("_key", "public_key")
    algorithm: Final = ML_DSA_65.name

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise BadKey("an ML-DSA seed has 32 bytes", got=len(seed))
        self._key = _mldsa.MLDSA65PrivateKey.from_seed_bytes(seed)
        self.public_key: Final = self._key.public_key().public_bytes_raw()

    def __repr__(self) -> str:
        return "MlDsa65Signer()"

    def sign(self, message: bytes, /) -> bytes:
        return self._key.sign(message)


class Es256Signer:
    """Meets `Signer` with a P-256 key from its seed, low-s signatures. Stands in for a TPM's key."""

    __slots__ = ("_key",)
    algorithm: Final = ES256.name

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise BadKey("a P-256 seed has 32 bytes", got=len(seed))
        # DeriveKeyPair of RFC 9180 samples below the order; the seed is derived for this use alone.
        self._key = ecdsa.SigningKey(P256, SHA256, DHKEM_P256.derive_key(seed).reveal())

    def __repr__(self) -> str:
        return repr(self._key)

    @property
    def public_key(self) -> bytes:
        return self._key.public_key

    def sign(self, message: bytes, /) -> bytes:
        signature = self._key.sign(message)
        s = int.from_bytes(signature[32:])
        return signature[:32] + min(s, P256.order - s).to_bytes(32)


_SIGNERS: Final[Mapping[str, Callable[[bytes], Signer]]] = {
    ED25519.name: Ed25519Signer,
    ML_DSA_65.name: MlDsa65Signer,
    ES256.name: Es256Signer,
}


def signer(algorithm: str, seed: bytes) -> Signer:
    """The signer of one algorithm from its own 32-byte seed. Raises BadKey."""
    if algorithm not in _SIGNERS:
        raise BadKey("no software key of this algorithm", algorithm=algorithm)
    return _SIGNERS[algorithm](seed)


def identity_signer(suite_id: int, seed: bytes, role: KeyRole) -> IdentitySigner:
    """The signer of an identity: each algorithm's key grows from `seed`. Raises UnknownSuite, BadKey."""
    names = [algorithm.name for algorithm in signature_suite(suite_id).algorithms]
    signers = tuple(signer(name, expand_seed(seed, role, name)) for name in names)
    return IdentitySigner(suite_id, signers, role)


__all__ = ("Ed25519Signer", "Es256Signer", "MlDsa65Signer", "OsEntropy", "identity_signer", "signer")
