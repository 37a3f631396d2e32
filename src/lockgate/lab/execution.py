"""A small EVM state: accounts and their storage, the state root over them, and the proofs a node would serve.

The tries are Ethereum's own, of few entries. No code runs: whoever writes decides what a contract would have written.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from lockgate.codec import rlp
from lockgate.crypto.keccak import keccak256
from lockgate.merkle.ethereum import WORD_BYTES, Account
from lockgate.merkle.patricia_tree import PatriciaTree

# ERC-7201 slot of solidity-ibc's store, where our host contract keeps its commitments too.
COMMITMENTS_SLOT: Final = bytes.fromhex("1260944489272988d9df285149b5aa1b0f48f2136d6f416159f840a3e0747600")
NO_CODE: Final = keccak256(b"")
OTHERS: Final = tuple(bytes([number]) * 20 for number in range(1, 9))  # accounts beside ours, so that branches branch


def commitment_key(path: bytes, slot: bytes = COMMITMENTS_SLOT) -> bytes:
    """The storage slot of the word under an ICS-24 path: a mapping by the path's hash, at `slot`."""
    return keccak256(keccak256(path) + slot)


@dataclass(frozen=True)
class StateAt:
    """The state after one block: it proves what it held, whatever was written later."""

    accounts: dict[bytes, Account]
    storage: dict[bytes, dict[bytes, bytes]]

    @property
    def root(self) -> bytes:
        """32 bytes."""
        return self._tree.root

    def prove_account(self, address: bytes) -> list[bytes]:
        """Nodes from the state root to an account, or to where it would be."""
        return self._tree.prove(keccak256(address))

    def prove_storage(self, address: bytes, key: bytes) -> list[bytes]:
        """Nodes from an account's storage root to a slot, or to where its word would be."""
        return _storage_tree(self.storage.get(address, {})).prove(keccak256(key))

    @cached_property
    def _tree(self) -> PatriciaTree:
        return PatriciaTree({keccak256(address): each.to_bytes() for address, each in self.accounts.items()})


@dataclass
class ExecutionState:
    """The state as it is now."""

    storage: dict[bytes, dict[bytes, bytes]] = field(default_factory=dict)
    balances: dict[bytes, int] = field(default_factory=lambda: dict.fromkeys(OTHERS, 10**18))  # wei

    def put(self, address: bytes, key: bytes, word: bytes) -> None:
        """Write a word of 32 bytes; zero deletes it, and the account stays."""
        words = self.storage.setdefault(address, {})
        if any(word):
            words[key] = word
        else:
            words.pop(key, None)

    def commit(self, address: bytes, path: bytes, word: bytes) -> None:
        """Write what a packet host at `address` would write under an ICS-24 path."""
        self.put(address, commitment_key(path), word)

    def at(self, without: Iterable[bytes] = ()) -> StateAt:
        """The state at this moment, for proofs; `without` leaves accounts out."""
        storage = {address: dict(words) for address, words in self.storage.items() if address not in set(without)}
        accounts = {
            address: Account(1, self.balances.get(address, 0), _storage_tree(storage.get(address, {})).root, NO_CODE)
            for address in self.balances.keys() | storage.keys()
        }
        return StateAt(accounts, storage)


def _storage_tree(words: dict[bytes, bytes]) -> PatriciaTree:
    return PatriciaTree(
        {
            keccak256(key): rlp.encode_number(int.from_bytes(word))
            for key, word in words.items()
            if len(word) == WORD_BYTES
        }
    )


__all__ = ("COMMITMENTS_SLOT", "NO_CODE", "OTHERS", "ExecutionState", "StateAt", "commitment_key")
