"""A block under construction: every part of it is encoded once, and hashed from what was encoded.

The same bytes stand in several places: a header in the block that is cut into parts, in the stored
signed header and, field by field, in its own hash; a commit in its signed header, in the next block and
in the next header's hash. Source: digest §§2–4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from lockgate.lightclients.cometbft import encoding, hashing
from lockgate.lightclients.cometbft.types import BlockID, Commit, Header
from lockgate.merkle import tree


@dataclass(frozen=True, slots=True)
class SealedCommit:
    """A commit with its encoding and its hash, which the next header holds as `last_commit_hash`."""

    commit: Commit
    encoded: bytes
    hash: bytes

    @classmethod
    def of(cls, commit: Commit) -> Self:
        leaves = [encoding.commit_sig(sig) for sig in commit.signatures]
        return cls(commit, encoding.commit_of_leaves(commit, leaves), tree.root(leaves))


@dataclass(frozen=True, slots=True)
class AssembledBlock:
    """An encoded block and what votes sign of it."""

    encoded: bytes
    header: bytes
    block_id: BlockID

    @classmethod
    def of(cls, header: Header, txs: Sequence[bytes], last_commit: SealedCommit) -> Self:
        leaves = encoding.header_leaves(header)
        head = encoding.header_of_leaves(leaves)
        encoded = encoding.block_of(head, txs, last_commit.encoded)
        return cls(encoded, head, BlockID(tree.root(leaves), hashing.part_set(encoded)))

    def signed(self, commit: SealedCommit) -> bytes:
        """The encoded SignedHeader that `commit` makes of this block's header."""
        return encoding.signed_header_of(self.header, commit.encoded)
