"""X-Wing and its two siblings: ML-KEM beside a Diffie–Hellman group, safe while either half is.

The private key is one 32-byte seed, expanded with SHAKE256. The combiner hashes both secrets, the
group's ciphertext and public key, and a label; ML-KEM's ciphertext need not be hashed, because
ML-KEM's secret already binds it.
Source: draft-connolly-cfrg-xwing-kem; draft-irtf-cfrg-concrete-hybrid-kems; draft-ietf-hpke-pq §4.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from lockgate.crypto.dh import DH_P256, DH_P384, X25519, DhKey, Group
from lockgate.crypto.errors import BadEncapsulation, BadKey
from lockgate.crypto.labeled import derive_seed
from lockgate.crypto.mlkem import MLKEM768, MLKEM1024, SECRET_BYTES, MlKem
from lockgate.crypto.mlkem import SEED_BYTES as MLKEM_SEED_BYTES
from lockgate.crypto.ports import Decapsulator, Encapsulated, Encapsulator

SEED_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class HybridKem:
    """One hybrid; keys and ciphertexts are the ML-KEM part, then the group's part.

    `scalar_seed_bytes` is what one private key of the group is sampled from: more than one scalar
    for P-256, where a candidate may be above the order.
    """

    id: int
    name: str
    label: bytes
    mlkem: MlKem
    group: Group
    scalar_seed_bytes: int
    secret_bytes: int = SECRET_BYTES
    private_bytes: int = SEED_BYTES
    post_quantum: bool = True

    @property
    def enc_bytes(self) -> int:
        return self.mlkem.enc_bytes + self.group.public_bytes

    @property
    def public_bytes(self) -> int:
        return self.mlkem.public_bytes + self.group.public_bytes

    @property
    def suite_id(self) -> bytes:
        return b"KEM" + self.id.to_bytes(2)

    def check_public_key(self, public_key: bytes, /) -> None:
        if len(public_key) != self.public_bytes:
            raise BadKey("a public key has the wrong length", kem=self.name, got=len(public_key))
        self.mlkem.check_public_key(public_key[: self.mlkem.public_bytes])
        self.group.check_public_key(public_key[self.mlkem.public_bytes :])

    def private_key(self, raw: bytes, /) -> HybridKemKey:
        return HybridKemKey(self, raw)

    def derive_key(self, ikm: bytes, /) -> HybridKemKey:
        return HybridKemKey(self, derive_seed(self.suite_id, ikm, SEED_BYTES))

    def encapsulate(self, public_key: bytes, encapsulator: Encapsulator, /) -> Encapsulated:
        """Encapsulate to both halves; draws for ML-KEM first, then for the group."""
        if len(public_key) != self.public_bytes:
            raise BadKey("a public key has the wrong length", kem=self.name, got=len(public_key))
        split = self.mlkem.public_bytes
        self.group.check_public_key(public_key[split:])
        post_quantum = self.mlkem.encapsulate(public_key[:split], encapsulator)
        ephemeral = self.group_key(encapsulator.bytes(self.scalar_seed_bytes))
        shared = ephemeral.exchange(public_key[split:])
        secret = self.combine(post_quantum.shared_secret, shared, ephemeral.public_key, public_key[split:])
        return Encapsulated(secret, post_quantum.enc + ephemeral.public_key)

    def join(self, mlkem: Decapsulator, group: DhKey) -> JoinedKemKey:
        """A private key whose halves lie in different places. Raises BadKey when one is of another kind."""
        if mlkem.kem_id != self.mlkem.id:
            raise BadKey("the post-quantum half is of another KEM", kem=self.name, got=mlkem.kem_id)
        self.group.check_public_key(group.public_key)
        return JoinedKemKey(self, mlkem, group)

    def decapsulate(self, mlkem: Decapsulator, group: DhKey, enc: bytes) -> bytes:
        """The shared secret by both halves. Raises BadEncapsulation on a wrong length or an unusable point."""
        if len(enc) != self.enc_bytes:
            raise BadEncapsulation("wrong ciphertext length", kem=self.name, got=len(enc))
        ct_m, ct_x = enc[: self.mlkem.enc_bytes], enc[self.mlkem.enc_bytes :]
        try:
            ss_x = group.exchange(ct_x)
        except BadKey as error:
            raise BadEncapsulation(kem=self.name) from error
        return self.combine(mlkem.decapsulate(ct_m), ss_x, ct_x, group.public_key)

    def combine(self, ss_m: bytes, ss_x: bytes, ct_x: bytes, pk_x: bytes) -> bytes:
        return hashlib.sha3_256(ss_m + ss_x + ct_x + pk_x + self.label).digest()

    def group_key(self, seed: bytes) -> DhKey:
        """RandomScalar: the first candidate in `seed` that is a private key of the group."""
        size = self.group.private_bytes
        for start in range(0, len(seed), size):
            candidate = seed[start : start + size]
            if not self.group.order or 0 < int.from_bytes(candidate) < self.group.order:
                return self.group.private_key(candidate)
        raise BadKey("no candidate is below the order of the group", kem=self.name)


class HybridKemKey:
    """A hybrid private key, expanded once from its 32-byte seed."""

    __slots__ = ("_group", "_mlkem", "_seed", "kem", "public_key")

    def __init__(self, kem: HybridKem, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise BadKey("a hybrid private key is a seed of 32 bytes", got=len(seed))
        expanded = hashlib.shake_256(seed).digest(MLKEM_SEED_BYTES + kem.scalar_seed_bytes)
        self.kem: Final = kem
        self._seed = seed
        self._mlkem = kem.mlkem.private_key(expanded[:MLKEM_SEED_BYTES])
        self._group = kem.group_key(expanded[MLKEM_SEED_BYTES:])
        self.public_key: Final = self._mlkem.public_key + self._group.public_key

    def __repr__(self) -> str:
        return f"HybridKemKey({self.kem.name})"

    @property
    def kem_id(self) -> int:
        return self.kem.id

    def reveal(self) -> bytes:
        """The 32-byte seed, for key files."""
        return self._seed

    def decapsulate(self, enc: bytes, /) -> bytes:
        """Return the shared secret. Raises BadEncapsulation on a wrong length or an unusable point."""
        return self.kem.decapsulate(self._mlkem, self._group, enc)


class JoinedKemKey:
    """A hybrid private key of two halves that were made apart: one in a device, one in a file."""

    __slots__ = ("_group", "_mlkem", "kem", "public_key")

    def __init__(self, kem: HybridKem, mlkem: Decapsulator, group: DhKey) -> None:
        self.kem: Final = kem
        self._mlkem = mlkem
        self._group = group
        self.public_key: Final = mlkem.public_key + group.public_key

    def __repr__(self) -> str:
        return f"JoinedKemKey({self.kem.name})"

    @property
    def kem_id(self) -> int:
        return self.kem.id

    def decapsulate(self, enc: bytes, /) -> bytes:
        """Return the shared secret. Raises BadEncapsulation, and whatever a device that is away raises."""
        return self.kem.decapsulate(self._mlkem, self._group, enc)


XWING: Final = HybridKem(0x647A, "X-Wing", rb"\.//^" + b"\\", MLKEM768, X25519, 32)
MLKEM768_P256: Final = HybridKem(0x0050, "MLKEM768-P256", b"MLKEM768-P256", MLKEM768, DH_P256, 128)
MLKEM1024_P384: Final = HybridKem(0x0051, "MLKEM1024-P384", b"MLKEM1024-P384", MLKEM1024, DH_P384, 48)

__all__ = ("MLKEM768_P256", "MLKEM1024_P384", "SEED_BYTES", "XWING", "HybridKem", "HybridKemKey", "JoinedKemKey")
