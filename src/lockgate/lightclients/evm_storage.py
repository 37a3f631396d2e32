"""What the storage root of a host contract on an EVM proves: values under ICS-24 paths, and their absence.

A ledger whose chain id is of the namespace `eip155` (CAIP-2) is an EVM. What is attested of it is the storage root of
the host contract at a block, so a proof is the nodes of that one trie from its root to a slot; which contract on which
chain it is, the client's domain says: `domain_of`. Source: docs/spec/evm.md; Yellow Paper, appendix D.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final

from lockgate.codec import rlp
from lockgate.codec.errors import RlpMalformed
from lockgate.crypto.keccak import keccak256
from lockgate.merkle import ethereum
from lockgate.merkle.errors import ProofMalformed, ProofMismatch
from lockgate.merkle.ethereum import WORD_BYTES

NAMESPACE: Final = "eip155:"
# ERC-7201 slot of solidity-ibc's store, and of our host's
COMMITMENTS_SLOT: Final = bytes.fromhex("1260944489272988d9df285149b5aa1b0f48f2136d6f416159f840a3e0747600")
_DOMAIN: Final = b"lockgate/evm-host/1\x00"


def is_evm(chain_id: str) -> bool:
    """Whether a chain id names an EVM."""
    return chain_id.startswith(NAMESPACE)


def chain_name(network: int) -> str:
    """An EVM chain's id as text. Source: CAIP-2."""
    return f"{NAMESPACE}{network}"


def domain_of(network: int, host: bytes) -> bytes:
    """The domain id of a host contract (P9): 32 bytes that name chain and address."""
    return hashlib.sha256(_DOMAIN + network.to_bytes(32) + host).digest()


def slot_of(path: bytes, commitments: bytes = COMMITMENTS_SLOT) -> bytes:
    """The slot of the word under an ICS-24 path, in a host's mapping at `commitments`: 32 bytes."""
    return keccak256(keccak256(path) + commitments)


def encode_proof(nodes: Sequence[bytes]) -> bytes:
    """The nodes of the storage trie, root first."""
    return rlp.encode(tuple(nodes))


class WordProofs(ABC):
    """Verifies what words a host contract holds, whatever leads to its storage root. Meets `ibc.ports.Proofs`."""

    __slots__ = ()

    @abstractmethod
    def _word(self, proof: bytes, path: Sequence[bytes]) -> bytes:
        """The proven word under a path, zero where nothing stands. Raises why it is not proven."""

    def membership(self, proof: bytes, path: Sequence[bytes], value: bytes) -> None:
        """Require that the host holds `value`, a word that is not zero. Raises ProofMismatch, and what `_word` does."""
        if len(value) != WORD_BYTES or not any(value):
            raise ProofMismatch("a commitment is a word that is not zero", size=len(value))
        found = self._word(proof, path)
        if found != value:
            raise ProofMismatch("the contract holds another word", expected=value, computed=found)

    def non_membership(self, proof: bytes, path: Sequence[bytes]) -> None:
        """Require that the host holds nothing under a path. Raises ProofMismatch, and what `_word` does."""
        found = self._word(proof, path)
        if any(found):
            raise ProofMismatch("the contract holds a word", computed=found)


class StorageProofs(WordProofs):
    """Under the host's storage root."""

    __slots__ = ("_root",)

    def __init__(self, root: bytes) -> None:
        self._root = root

    def _word(self, proof: bytes, path: Sequence[bytes]) -> bytes:
        if len(path) != 1:
            raise ProofMalformed("a host contract has no store names: its merkle prefix is one empty element")
        try:
            nodes = rlp.decode_list(proof)
        except RlpMalformed as error:
            raise ProofMalformed("a proof is a list of nodes") from error
        if not all(isinstance(node, bytes) for node in nodes):
            raise ProofMalformed("a node is bytes")
        return ethereum.storage(self._root, slot_of(path[0]), [node for node in nodes if isinstance(node, bytes)])


__all__ = (
    "COMMITMENTS_SLOT",
    "StorageProofs",
    "WordProofs",
    "chain_name",
    "domain_of",
    "encode_proof",
    "is_evm",
    "slot_of",
)
