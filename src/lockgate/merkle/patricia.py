"""Merkle-Patricia tries of Ethereum: what a list of nodes proves under a root.

A proof is the nodes from the root to where the key ends, each one's Keccak-256 named by its parent. A node
whose encoding is under 32 bytes stands inside its parent instead. The same list proves that a key is absent:
its way ends at an empty branch slot, or at a leaf or extension that goes elsewhere.

Every node must be used and none be missing, each in its one encoding. So a proof cannot be padded, and what
it says does not depend on the reader. Source: Yellow Paper, appendix D; Ethereum's `eth_getProof` (EIP-1186).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from lockgate.codec import rlp
from lockgate.codec.errors import RlpMalformed
from lockgate.codec.rlp import Rlp
from lockgate.crypto.keccak import keccak256
from lockgate.merkle.errors import ProofMalformed, ProofMismatch

EMPTY_ROOT: Final = keccak256(rlp.encode(b""))
MAX_NODES: Final = 65  # a key of 32 bytes has 64 nibbles, and a leaf may follow a branch for each
MAX_NODE_BYTES: Final = 1 << 16  # a branch of 16 hashes takes 532 bytes; a receipt in a leaf some kilobytes
HASH_BYTES: Final = 32
_Items = tuple[Rlp, ...]  # of a node: 2 or 17, none where there is no node
_BRANCH: Final = 17  # items: one child for each nibble, and the value of a key that ends here
_LEAF: Final = 2  # flags in the first nibble of a path: it ends in a value,
_ODD: Final = 1  # and it has an odd number of nibbles


def get(root: bytes, key: bytes, proof: Sequence[bytes]) -> bytes | None:
    """The value of `key` in the trie under `root`, None when the proof shows that there is none.

    `key` is the path as bytes: for state tries, the hash of the address or slot. Values are bytes as stored.
    Raises ProofMalformed for what no trie holds, ProofMismatch for nodes that do not hang together.
    """
    if len(proof) > MAX_NODES:
        raise ProofMalformed("more nodes than a key has nibbles", nodes=len(proof), most=MAX_NODES)
    if root == EMPTY_ROOT and not proof:
        return None  # nodes answer so for an account that has no storage
    walk = _Walk(proof)
    node, path = walk.node(root), nibbles(key)
    while True:
        if not node:  # an empty slot, or the empty trie
            return walk.end(None)
        if len(node) == _BRANCH:
            if not path:
                return walk.end(_value(node[16]) or None)
            node, path = walk.child(node[path[0]]), path[1:]
            continue
        is_leaf, own = _path(node)
        if is_leaf:
            return walk.end(_stored(node[1]) if own == path else None)
        if path[: len(own)] != own:
            return walk.end(None)
        path = path[len(own) :]
        node = walk.child(node[1])
        if len(node) != _BRANCH:
            raise ProofMalformed("what follows an extension is no branch")


class _Walk:
    """Takes the nodes of a proof one after another."""

    def __init__(self, proof: Sequence[bytes]) -> None:
        self._proof = proof
        self._used = 0

    def node(self, digest: bytes) -> _Items:
        if self._used == len(self._proof):
            raise ProofMismatch("the proof ends before the key does", nodes=len(self._proof))
        encoded = self._proof[self._used]
        self._used += 1
        if len(encoded) > MAX_NODE_BYTES:
            raise ProofMalformed("a node is too large", size=len(encoded), most=MAX_NODE_BYTES)
        computed = keccak256(encoded)
        if computed != digest:
            raise ProofMismatch("a node has another hash", expected=digest, computed=computed)
        try:
            return _checked(rlp.decode(encoded))
        except RlpMalformed as failure:
            raise ProofMalformed("a node is not RLP", reason=failure.detail) from None

    def child(self, item: Rlp) -> _Items:
        """What an item of a node stands for: nothing, the node of this hash, or the node itself."""
        if isinstance(item, bytes):
            if item and len(item) != HASH_BYTES:
                raise ProofMalformed("a child is named by something other than a hash", size=len(item))
            return self.node(item) if item else ()
        if len(rlp.encode(item)) >= HASH_BYTES:
            raise ProofMalformed("a node that should be named by its hash stands inside its parent")
        return _checked(item)

    def end(self, value: bytes | None) -> bytes | None:
        if self._used != len(self._proof):
            raise ProofMalformed("nodes follow the end of the key", unused=len(self._proof) - self._used)
        return value


def _checked(node: Rlp) -> _Items:
    if node == b"":
        return ()
    if isinstance(node, tuple) and len(node) in (2, _BRANCH):
        return node
    raise ProofMalformed("a node is empty, or has 2 or 17 items")


def _path(node: _Items) -> tuple[bool, bytes]:
    """Whether a node of two items is a leaf, and its nibbles (hex-prefix encoding, appendix C)."""
    encoded = _value(node[0])
    unpacked = nibbles(encoded)
    flags = unpacked[0] if unpacked else 0xF
    if flags > _LEAF | _ODD or (not flags & _ODD and unpacked[1] != 0):
        raise ProofMalformed("the path of a node is not encoded as one", path=encoded)
    own = unpacked[1:] if flags & _ODD else unpacked[2:]
    if not flags & _LEAF and not own:
        raise ProofMalformed("an extension goes nowhere")
    return bool(flags & _LEAF), own


def _stored(item: Rlp) -> bytes:
    value = _value(item)
    if not value:
        raise ProofMalformed("a leaf holds nothing")
    return value


def _value(item: Rlp) -> bytes:
    if not isinstance(item, bytes):
        raise ProofMalformed("a node stands where a value should")
    return item


def nibbles(key: bytes) -> bytes:
    """The half-bytes of a key, high one first, each as a byte."""
    return bytes(half for byte in key for half in (byte >> 4, byte & 15))


__all__ = ("EMPTY_ROOT", "HASH_BYTES", "MAX_NODES", "MAX_NODE_BYTES", "get", "nibbles")
