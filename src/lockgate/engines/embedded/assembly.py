"""A block under construction: every part of it is encoded once, and hashed from what was encoded.

The same bytes stand in several places: a header in the block that is cut into parts, in the stored
signed header and, field by field, in its own hash; a commit in its signed header, in the next block and
in the next header's hash. What all headers of a ledger have in common is framed and hashed when the
ledger starts. Tests hold what is made here equal to `encoding` and `hashing`. Source: digest §§2–4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from lockgate.lightclients.cometbft import encoding, framing, hashing
from lockgate.lightclients.cometbft.types import BlockID, Commit, Header
from lockgate.merkle import tree
from lockgate.primitives.quick import short_sha256
from lockgate.primitives.time import UnixNanos


@dataclass(frozen=True, slots=True)
class SealedCommit:
    """An encoded commit and its hash, which the next header holds as `last_commit_hash`."""

    encoded: bytes
    hash: bytes

    @classmethod
    def of(cls, commit: Commit) -> Self:
        return cls.of_leaves(commit, [encoding.commit_sig(sig) for sig in commit.signatures])

    @classmethod
    def of_leaves(cls, commit: Commit, leaves: Sequence[bytes]) -> Self:
        """Of a commit whose signatures are encoded already."""
        return cls(encoding.commit_of_leaves(commit, leaves), tree.root(leaves))


class HeaderFrame:
    """What every header of one ledger has in common, under one validator set.

    Seven of the fourteen fields: versions, chain id, both validator hashes, consensus and evidence hash, proposer.
    """

    __slots__ = ("_after", "_before", "_between", "_first", "_last", "_set", "_sets")

    def __init__(self, like: Header) -> None:
        """Take the common fields of `like`; its other fields do not count."""
        leaves = encoding.header_leaves(like)
        parts = encoding.header_fields(leaves)
        self._before = parts[0] + parts[1]
        self._between = b"".join(parts[7:10])
        self._after = parts[12] + parts[13]
        self._first = tree.root(leaves[0:2])
        self._set = tree.leaf_hash(leaves[7])
        self._sets = tree.root(leaves[8:10])
        self._last = tree.root(leaves[12:14])

    def header(
        self,
        height: int,
        time: UnixNanos,
        last_block_id: BlockID,
        last_commit_hash: bytes,
        data_hash: bytes,
        app_hash: bytes,
        last_results_hash: bytes,
    ) -> tuple[bytes, bytes]:
        """Encode and hash a header with these fields of its own; each hash has 32 bytes, the height is above 0."""
        number = framing.varint(height)
        stamp = framing.timestamp(time)
        before = framing.block_id(last_block_id.hash, last_block_id.parts.total, last_block_id.parts.hash)
        encoded = b"".join(
            (
                self._before, b"\x18", number, b"\x22", framing.varint(len(stamp)), stamp,
                b"\x2a", framing.varint(len(before)), before, b"\x32\x20", last_commit_hash, b"\x3a\x20", data_hash,
                self._between, b"\x5a\x20", app_hash, b"\x62\x20", last_results_hash, self._after,
            )
        )  # fmt: skip
        h = short_sha256
        # The tree over fourteen leaves, written out: pairs, then pairs of pairs, a last odd one goes up as it is.
        one = h(b"\x01" + h(b"\x00\x08" + number).digest() + h(b"\x00" + stamp).digest()).digest()
        two = h(b"\x01" + h(b"\x00" + before).digest() + h(b"\x00\x0a\x20" + last_commit_hash).digest()).digest()
        three = h(b"\x01" + h(b"\x00\x0a\x20" + data_hash).digest() + self._set).digest()
        results = h(b"\x00\x0a\x20" + last_results_hash).digest()
        five = h(b"\x01" + h(b"\x00\x0a\x20" + app_hash).digest() + results).digest()
        left = h(b"\x01" + h(b"\x01" + self._first + one).digest() + h(b"\x01" + two + three).digest()).digest()
        right = h(b"\x01" + h(b"\x01" + self._sets + five).digest() + self._last).digest()
        return encoded, h(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class AssembledBlock:
    """An encoded block and what votes sign of it."""

    encoded: bytes
    header: bytes
    block_id: BlockID

    @classmethod
    def of(cls, header: bytes, digest: bytes, txs: Sequence[bytes], last_commit: SealedCommit) -> Self:
        """Of an encoded header, its hash, and what stands beside it in the block."""
        encoded = encoding.block_of(header, txs, last_commit.encoded)
        return cls(encoded, header, BlockID(digest, hashing.part_set(encoded)))

    def signed(self, commit: SealedCommit) -> bytes:
        """The encoded SignedHeader that `commit` makes of this block's header."""
        return encoding.signed_header_of(self.header, commit.encoded)
