"""The bytes consensus keys sign. Source: tendermint.types CanonicalVote, digest §5.

All votes of one commit share everything but the time, so `VoteFrame` frames the rest once: a
commit of 150 votes costs one frame and 150 short joins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from lockgate.lightclients.cometbft import framing
from lockgate.lightclients.cometbft.framing import bytes_field, message_field, number_field, uvarint
from lockgate.lightclients.cometbft.types import BlockID, Commit, VoteType
from lockgate.primitives.time import UnixNanos

_MASK64: Final = (1 << 64) - 1


def _sfixed64_field(tag: bytes, number: int) -> bytes:
    return tag + (number & _MASK64).to_bytes(8, "little") if number else b""


@dataclass(frozen=True, slots=True)
class VoteFrame:
    """What stands before and after the timestamp in the sign bytes of one kind of vote."""

    before: bytes
    after: bytes

    @classmethod
    def of(cls, chain_id: str, kind: VoteType, height: int, round_: int, block_id: BlockID | None) -> Self:
        """Frame a vote; `block_id` None, or an empty one, is a vote for nil."""
        before = (
            number_field(b"\x08", kind)
            + _sfixed64_field(b"\x11", height)
            + _sfixed64_field(b"\x19", round_)
            + _canonical_block_id(b"\x22", block_id)
        )
        return cls(before, bytes_field(b"\x32", chain_id.encode()))

    @classmethod
    def precommits(cls, chain_id: str, commit: Commit) -> Self:
        """Frame the precommits for the block of `commit`, those with flag COMMIT."""
        return cls.of(chain_id, VoteType.PRECOMMIT, commit.height, commit.round, commit.block_id)

    def sign_bytes(self, timestamp: UnixNanos) -> bytes:
        """Return the length-prefixed CanonicalVote with this vote's own time."""
        stamp = framing.timestamp(timestamp)
        size = len(self.before) + 2 + len(stamp) + len(self.after)  # a timestamp is under 128 bytes
        return b"".join((uvarint(size), self.before, b"\x2a", uvarint(len(stamp)), stamp, self.after))


def proposal_sign_bytes(
    chain_id: str, height: int, round_: int, pol_round: int, block_id: BlockID | None, timestamp: UnixNanos
) -> bytes:
    """Return the length-prefixed CanonicalProposal. `pol_round` is -1 without a proof of lock."""
    body = b"".join(
        (
            number_field(b"\x08", VoteType.PROPOSAL),
            _sfixed64_field(b"\x11", height),
            _sfixed64_field(b"\x19", round_),
            number_field(b"\x20", pol_round),
            _canonical_block_id(b"\x2a", block_id),
            message_field(b"\x32", framing.timestamp(timestamp)),
            bytes_field(b"\x3a", chain_id.encode()),
        )
    )
    return uvarint(len(body)) + body


def _canonical_block_id(tag: bytes, block_id: BlockID | None) -> bytes:
    if block_id is None or block_id.is_zero:
        return b""
    return message_field(tag, framing.block_id(block_id.hash, block_id.parts.total, block_id.parts.hash))


__all__ = ("VoteFrame", "proposal_sign_bytes")
