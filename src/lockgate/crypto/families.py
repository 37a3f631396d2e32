"""Which hard problem an algorithm stands on. A break may take a family whole, so two of them are two breaks (S66)."""

from __future__ import annotations

import enum
from typing import Final

from lockgate.crypto.ports import Kem
from lockgate.crypto.signatures import ED25519, ES256, ML_DSA_65, SignatureAlgorithm
from lockgate.crypto.xwing import HybridKem


class Family(enum.StrEnum):
    ELLIPTIC = "elliptic"  # discrete logarithms on curves: X25519, P-256, Ed25519
    LATTICE = "lattice"  # module lattices: ML-KEM, ML-DSA


Families = frozenset[Family]
_SIGNATURES: Final = {
    ED25519.name: Family.ELLIPTIC,
    ES256.name: Family.ELLIPTIC,
    ML_DSA_65.name: Family.LATTICE,
}


def of_signatures(algorithms: tuple[SignatureAlgorithm, ...]) -> Families:
    """The families that all must break before somebody signs in another's name: every algorithm is required."""
    return frozenset(_SIGNATURES[algorithm.name] for algorithm in algorithms)


def of_kem(kem: Kem) -> Families:
    """The families that all must break before somebody else has the secret."""
    if isinstance(kem, HybridKem):
        return frozenset({Family.LATTICE, Family.ELLIPTIC})
    return frozenset({Family.LATTICE if kem.post_quantum else Family.ELLIPTIC})


__all__ = ("Families", "Family", "of_kem", "of_signatures")
