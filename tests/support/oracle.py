"""An oracle that breaks one family of cryptography: it hands over every secret of that family, and none of the other.

Of a hybrid key its thief then holds one half. In the place of the other half stands a key of his own: it decapsulates
and signs, and says that it is the victim's. With both halves the same code opens and signs everything.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from lockgate.crypto.dh import X25519, DhKey
from lockgate.crypto.keys import IdentitySigner
from lockgate.crypto.mlkem import MLKEM768, SEED_BYTES
from lockgate.crypto.ports import Decapsulator, Signer
from lockgate.crypto.xwing import XWING, JoinedKemKey
from lockgate.lab.entropy import seeded_signer


class Family(enum.Enum):
    """What is broken."""

    CLASSICAL = "X25519, P-256 and Ed25519"
    POST_QUANTUM = "ML-KEM and ML-DSA"


BOTH: Final = frozenset(Family)
_OF: Final = {"Ed25519": Family.CLASSICAL, "ES256": Family.CLASSICAL, "ML-DSA-65": Family.POST_QUANTUM}
_OWN: Final = hashlib.sha256(b"the attacker's own").digest()


@dataclass(frozen=True, slots=True)
class _PosingKem:
    """An ML-KEM key of the attacker's that names the victim's public key."""

    public_key: bytes
    own: Decapsulator

    @property
    def kem_id(self) -> int:
        return self.own.kem_id

    def decapsulate(self, enc: bytes, /) -> bytes:
        return self.own.decapsulate(enc)


@dataclass(frozen=True, slots=True)
class _PosingDh:
    """An X25519 key of the attacker's that names the victim's public key."""

    public_key: bytes
    own: DhKey

    def exchange(self, peer: bytes, /) -> bytes:
        return self.own.exchange(peer)


@dataclass(frozen=True, slots=True)
class _PosingSigner:
    """A signer of the attacker's that names the victim's public key."""

    public_key: bytes
    own: Signer

    @property
    def algorithm(self) -> str:
        return self.own.algorithm

    def sign(self, message: bytes, /) -> bytes:
        return self.own.sign(message)


def kem_key(seed: bytes, broken: Collection[Family]) -> JoinedKemKey:
    """An X-Wing key, long-term or ephemeral, by what the oracle gives of it. `seed` is its whole private key."""
    expanded = hashlib.shake_256(seed).digest(SEED_BYTES + XWING.scalar_seed_bytes)
    mlkem: Decapsulator = MLKEM768.private_key(expanded[:SEED_BYTES])
    group = XWING.group_key(expanded[SEED_BYTES:])
    if Family.POST_QUANTUM not in broken:
        mlkem = _PosingKem(mlkem.public_key, MLKEM768.private_key(_OWN + _OWN))
    if Family.CLASSICAL not in broken:
        group = _PosingDh(group.public_key, X25519.private_key(_OWN))
    return XWING.join(mlkem, group)


def identity(real: IdentitySigner, broken: Collection[Family]) -> IdentitySigner:
    """An identity, by what the oracle gives of it: its public keys are the victim's."""
    signers = tuple(
        one if _OF[one.algorithm] in broken else _PosingSigner(one.public_key, seeded_signer(one.algorithm, _OWN))
        for one in real.signers
    )
    return IdentitySigner(real.key.suite, signers, real.role)


__all__ = ("BOTH", "Family", "identity", "kem_key")
