"""What a client says about itself to whoever combines it with others, or explains it to a person (P21)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from lockgate.primitives.ids import Height
from lockgate.primitives.time import DurationNanos, UnixNanos

UNNAMED: Final = b""  # a client of a kind that knows its chain by name only
ICS23: Final = "ics23"  # proofs of IAVL stores under a simple Merkle tree: those of every ledger of ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Whom a client follows, and on whose word.

    `operators`, `sources` and `keys` name single parties, so that two clients which share one are seen
    to. A ledger's own validators are one source, named after the chain, and no operator we could name.
    """

    kind: str
    chain_id: str
    domain: bytes = UNNAMED  # 32 bytes, where the client is bound to a genesis (P9)
    trusting_period: DurationNanos
    operators: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()
    keys: frozenset[bytes] = frozenset()
    parties: tuple[int, int] | None  # operators needed, operators; None where nobody is named
    alone: frozenset[str]  # operators and sources that alone make the client believe what they like
    proofs: str = ICS23  # the form of the proofs it reads
    above_two_thirds: bool  # forging takes more than 2/3 of the weight: what lanes that carry value ask (B3)
    needs: str  # what it takes for the client to believe a header
    forged_by: str  # who together could make it believe a false one


@dataclass(frozen=True, slots=True)
class Triple:
    """What a client holds of one height, in the terms that all kinds share (P21)."""

    height: Height
    timestamp: UnixNanos
    root: bytes


class MemberProofs(Protocol):
    """Verifies proofs of one form under one root."""

    def membership(self, proof: bytes, path: Sequence[bytes], value: bytes) -> None: ...

    def non_membership(self, proof: bytes, path: Sequence[bytes]) -> None: ...


__all__ = ("ICS23", "UNNAMED", "MemberProofs", "Subject", "Triple")
