"""Entropy from a seed: bytes, ML-DSA signatures and ML-KEM encapsulations that replay (I13).

Only the lab may use this. The signatures and secrets are real and interoperate, but whoever knows the
seed knows them; and the two post-quantum libraries are pure Python, slow and not constant-time.
The keys themselves grow from seeds exactly as `keystore.software` makes them.
"""

from __future__ import annotations

import builtins
import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from dilithium_py.ml_dsa import ML_DSA_65 as _ML_DSA_65
from kyber_py.ml_kem import ML_KEM_768, ML_KEM_1024

from lockgate.crypto import ed25519
from lockgate.crypto.errors import BadKey
from lockgate.crypto.keys import SEED_BYTES, IdentitySigner, KeyRole, expand_seed
from lockgate.crypto.mlkem import PARAMETER_SETS
from lockgate.crypto.ports import Signer
from lockgate.crypto.signatures import ED25519, ES256, ML_DSA_65
from lockgate.crypto.suites import signature_suite
from lockgate.keystore.software import Es256Signer

_MLKEM: Final[dict[str, Any]] = {"ML-KEM-768": ML_KEM_768, "ML-KEM-1024": ML_KEM_1024}
_MLKEM_RANDOM_BYTES: Final = 32  # FIPS 203 algorithm 17: the message m


class SeededEntropy:
    """A stream of bytes from a seed: meets `Rng` and `Encapsulator`, and replays exactly."""

    __slots__ = ("_counter", "_seed")

    def __init__(self, seed: bytes) -> None:
        self._seed = hashlib.sha256(b"lockgate/lab-entropy/1\x00" + seed).digest()
        self._counter = 0

    def fork(self, label: str) -> SeededEntropy:
        """An independent stream; drawing from one does not move the other."""
        return SeededEntropy(self._seed + label.encode())

    def bytes(self, count: int, /) -> builtins.bytes:
        self._counter += 1
        return hashlib.shake_256(self._seed + self._counter.to_bytes(8)).digest(count)

    def mlkem_encapsulate(
        self, parameter_set: str, public_key: builtins.bytes, /
    ) -> tuple[builtins.bytes, builtins.bytes]:
        if parameter_set not in _MLKEM:
            raise BadKey("no such parameter set", kem=parameter_set)
        PARAMETER_SETS[parameter_set].check_public_key(public_key)
        randomness = self.bytes(_MLKEM_RANDOM_BYTES)
        secret, ciphertext = _MLKEM[parameter_set]._encaps_internal(public_key, randomness)
        return secret, ciphertext


class SeededEd25519Signer:
    """Ed25519 is deterministic by itself."""

    __slots__ = ("_key",)
    algorithm: Final = ED25519.name

    def __init__(self, seed: bytes) -> None:
        self._key = ed25519.SigningKey(seed)

    @property
    def public_key(self) -> bytes:
        return self._key.public_key

    def sign(self, message: bytes, /) -> bytes:
        return self._key.sign(message)


class SeededMlDsa65Signer:
    """The deterministic variant of ML-DSA-65 (FIPS 204 §3.4): one message, one signature."""

    __slots__ = ("_secret", "public_key")
    algorithm: Final = ML_DSA_65.name

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise BadKey("an ML-DSA seed has 32 bytes", got=len(seed))
        self.public_key: bytes
        self.public_key, self._secret = _ML_DSA_65.key_derive(seed)

    def __repr__(self) -> str:
        return "SeededMlDsa65Signer()"

    def sign(self, message: bytes, /) -> bytes:
        signature: bytes = _ML_DSA_65.sign(self._secret, message, deterministic=True)
        return signature


_SIGNERS: Final[Mapping[str, Callable[[bytes], Signer]]] = {
    ED25519.name: SeededEd25519Signer,
    ES256.name: Es256Signer,  # deterministic as it is (RFC 6979)
    ML_DSA_65.name: SeededMlDsa65Signer,
}


def seeded_signer(algorithm: str, seed: bytes) -> Signer:
    """The deterministic signer of one algorithm. Raises BadKey where the lab has none."""
    if algorithm not in _SIGNERS:
        raise BadKey("no seeded key of this algorithm", algorithm=algorithm)
    return _SIGNERS[algorithm](seed)


def seeded_identity_signer(suite_id: int, seed: bytes, role: KeyRole) -> IdentitySigner:
    """The same identity that `keystore.software.identity_signer` makes of this seed, deterministic."""
    names = [algorithm.name for algorithm in signature_suite(suite_id).algorithms]
    signers = tuple(seeded_signer(name, expand_seed(seed, role, name)) for name in names)
    return IdentitySigner(suite_id, signers, role)


__all__ = (
    "SeededEd25519Signer",
    "SeededEntropy",
    "SeededMlDsa65Signer",
    "seeded_identity_signer",
    "seeded_signer",
)
