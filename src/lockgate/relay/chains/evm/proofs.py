"""Proofs of what the host stores, under the state root of a block, checked before they are handed on.

The form that a chain gives: RLP of (storage root, nodes to the account, nodes to the slot). Whoever follows the chain
takes of it what its own client checks. Source: eth_getProof (EIP-1186); Yellow Paper §4.1 and appendix D.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from lockgate.codec import rlp
from lockgate.codec.errors import RlpMalformed
from lockgate.merkle import ethereum
from lockgate.merkle.errors import ProofMalformed
from lockgate.merkle.patricia import MAX_NODE_BYTES, MAX_NODES
from lockgate.relay.chains.evm import answers
from lockgate.relay.chains.evm.answers import WORD
from lockgate.relay.rpc import BadAnswer

ABSENT: Final = bytes(WORD)


@dataclass(frozen=True, slots=True)
class StorageProof:
    """What stands in one slot of one account, under a state root."""

    storage_root: bytes
    account: tuple[bytes, ...]
    storage: tuple[bytes, ...]

    def to_bytes(self) -> bytes:
        return rlp.encode((self.storage_root, self.account, self.storage))

    @classmethod
    def from_bytes(cls, data: bytes) -> StorageProof:
        """Read what `to_bytes` made. Raises ProofMalformed."""
        try:
            root, account, storage = rlp.decode_list(data)
            if not isinstance(root, bytes) or not isinstance(account, tuple) or not isinstance(storage, tuple):
                raise ValueError
            return cls(root, tuple(map(_node, account)), tuple(map(_node, storage)))
        except (RlpMalformed, ValueError) as error:
            raise ProofMalformed("not a storage proof") from error

    def value(self, state_root: bytes, address: bytes, slot: bytes) -> bytes:
        """The word that is proven; zero for none. Raises ProofMalformed, ProofMismatch, BadAnswer."""
        found = ethereum.account(state_root, address, self.account)
        if found is None or found.storage_root != self.storage_root:
            raise BadAnswer("an account that is not the proven one", address=address)
        return ethereum.storage(self.storage_root, slot, self.storage)


def proofs_of(json: Any, slots: Sequence[bytes]) -> list[StorageProof]:
    """An answer of `eth_getProof`, by slot as asked. Raises BadAnswer."""
    try:
        root = answers.exactly(json["storageHash"], WORD)
        account = _nodes(json["accountProof"])
        by_slot = {_slot(one["key"]): _nodes(one["proof"]) for one in json["storageProof"]}
        return [StorageProof(root, account, by_slot[slot]) for slot in slots]
    except (KeyError, TypeError) as error:
        raise BadAnswer("a proof has another shape") from error


def _slot(value: Any) -> bytes:
    return answers.quantity(value, 256).to_bytes(WORD)  # nodes write it with zeros in front, or without


def _nodes(json: Any) -> tuple[bytes, ...]:
    if not isinstance(json, list) or len(json) > MAX_NODES:
        raise BadAnswer("not the nodes of a proof")
    return tuple([answers.data(node, MAX_NODE_BYTES) for node in json])


def _node(value: rlp.Rlp) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError
    return value


__all__ = ("ABSENT", "StorageProof", "proofs_of")
