"""Verification of many proofs under one root, without doing the shared part twice.

A batch of packets is proven against one consensus state: every proof ends in the same store-layer
proof, and the upper nodes of the store's tree are shared. The memo keeps (1) store-layer proofs
already accepted, by their bytes and the sub-root they lead from, and (2) for each node hash already
accepted, the exact remaining steps it was accepted with. It lives and dies with one root and one list
of specs, and refuses exactly what the plain verifier refuses: property tests hold the two equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from lockgate.merkle import ics23
from lockgate.merkle.specs import IAVL_SPEC, TENDERMINT_SPEC, ProofSpec

MAX_STORE_PROOFS: Final = 64  # one per store and root; a ledger has 15 stores
_STANDARD: Final = (IAVL_SPEC, TENDERMINT_SPEC)


class ProofMemo:
    """Accepted parts of proofs under one root."""

    __slots__ = ("_outer", "_root", "_specs", "_standard")

    def __init__(self, root: bytes, specs: Sequence[ProofSpec]) -> None:
        self._root = root
        self._specs = tuple(specs)
        self._standard = self._specs == _STANDARD
        self._outer: dict[bytes, bytes] = {}

    def membership(self, proof: bytes, path: Sequence[bytes], value: bytes) -> None:
        """As `ics23.verify_membership`, for this root and these specs."""
        ics23.verify_membership(self._specs, self._root, path, value, proof)

    def non_membership(self, proof: bytes, path: Sequence[bytes]) -> None:
        """As `ics23.verify_non_membership`, for this root and these specs."""
        ics23.verify_non_membership(self._specs, self._root, path, proof)


def digest(data: bytes) -> bytes:
    return sha256(data).digest()
