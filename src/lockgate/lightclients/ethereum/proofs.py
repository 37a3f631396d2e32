"""What an Ethereum state root proves of a packet host: the word under a path, by the trie of accounts and its own.

The word under an ICS-24 path `p` stands in slot keccak256(keccak256(p) ‖ commitments), where solidity-ibc keeps
it. A path has one element, so a counterparty's merkle prefix is a list of one empty string. Source: docs/spec/evm.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from lockgate.codec import cbor
from lockgate.codec.errors import Malformed
from lockgate.lightclients.ethereum.errors import AccountMissing
from lockgate.lightclients.evm_storage import WordProofs, slot_of
from lockgate.lightclients.forms import items
from lockgate.lightclients.standing import MalformedState
from lockgate.merkle import ethereum
from lockgate.merkle.errors import LayersDiffer, ProofMalformed
from lockgate.merkle.patricia import MAX_NODES

MAX_PROOF: Final = 1 << 17  # bytes; two tries of 65 nodes of 532 bytes take 70 KB, and real ones 5
KNOWN_ACCOUNTS: Final = 4  # account proofs in use under one root: provers of one height send the same
Nodes = tuple[bytes, ...]


def encode_proof(account: Sequence[bytes], storage: Sequence[bytes]) -> bytes:
    """Nodes from the state root to the host's account, and from its storage root to the word or where it would be."""
    return cbor.encode([list(account), list(storage)])


def decode_proof(raw: bytes) -> tuple[Nodes, Nodes]:
    """Raises ProofMalformed."""
    if len(raw) > MAX_PROOF:
        raise ProofMalformed("too long", size=len(raw), most=MAX_PROOF)
    try:
        account, storage = items(cbor.decode(raw), tuple, tuple)
    except (Malformed, MalformedState) as failure:
        raise ProofMalformed("not an account proof and a storage proof") from failure
    for nodes in (account, storage):
        if len(nodes) > MAX_NODES or not all(type(node) is bytes for node in nodes):
            raise ProofMalformed("not the nodes of a trie", nodes=len(nodes), most=MAX_NODES)
    return account, storage


class AccountProofs(WordProofs):
    """Under the chain's state root, through the host's account; remembers account proofs that held.

    Raises LayersDiffer, AccountMissing, and what `patricia.get` does.
    """

    __slots__ = ("_commitments", "_host", "_known", "_root")

    def __init__(self, root: bytes, host: bytes, commitments: bytes) -> None:
        self._root = root
        self._host = host
        self._commitments = commitments
        self._known: dict[Nodes, bytes] = {}  # account proof -> storage root

    def _word(self, proof: bytes, path: Sequence[bytes]) -> bytes:
        if len(path) != 1:
            raise LayersDiffer("a contract's mapping is one layer", elements=len(path))
        account, storage = decode_proof(proof)
        slot = slot_of(path[0], self._commitments)
        return ethereum.storage(self._storage_root(account), slot, storage)

    def _storage_root(self, nodes: Nodes) -> bytes:
        known = self._known.get(nodes)
        if known is not None:
            return known
        found = ethereum.account(self._root, self._host, nodes)
        if found is None:
            raise AccountMissing(host=self._host, root=self._root)
        if len(self._known) >= KNOWN_ACCOUNTS:
            self._known.clear()
        self._known[nodes] = found.storage_root
        return found.storage_root


__all__ = ("KNOWN_ACCOUNTS", "MAX_PROOF", "AccountProofs", "decode_proof", "encode_proof")
