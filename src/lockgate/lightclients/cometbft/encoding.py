"""Protobuf bytes of CometBFT values: blocks to cut into parts, headers for clients, leaves to hash.

Source: tendermint.types, v0.38; digest §2.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from lockgate.lightclients.cometbft import framing
from lockgate.lightclients.cometbft.framing import bytes_field, message_field, number_field
from lockgate.lightclients.cometbft.types import (
    BlockID,
    BlockIdFlag,
    Commit,
    CommitSig,
    Header,
    SignedHeader,
    Validator,
    ValidatorSet,
)


def version(header: Header) -> bytes:
    """Encode version.Consensus."""
    return number_field(b"\x08", header.version_block) + number_field(b"\x10", header.version_app)


def block_id(value: BlockID) -> bytes:
    """Encode BlockID; an empty one still holds its empty part set header: `1200`."""
    return framing.block_id(value.hash, value.parts.total, value.parts.hash)


def header_leaves(value: Header) -> list[bytes]:
    """Return the fourteen leaves of the block hash, in order.

    Numbers, strings and byte fields are wrapped as `google.protobuf.*Value`, so an empty one is an
    empty leaf.
    """
    return [
        version(value),
        bytes_field(b"\x0a", value.chain_id.encode()),
        number_field(b"\x08", value.height),
        framing.timestamp(value.time),
        block_id(value.last_block_id),
        bytes_field(b"\x0a", value.last_commit_hash),
        bytes_field(b"\x0a", value.data_hash),
        bytes_field(b"\x0a", value.validators_hash),
        bytes_field(b"\x0a", value.next_validators_hash),
        bytes_field(b"\x0a", value.consensus_hash),
        bytes_field(b"\x0a", value.app_hash),
        bytes_field(b"\x0a", value.last_results_hash),
        bytes_field(b"\x0a", value.evidence_hash),
        bytes_field(b"\x0a", value.proposer_address),
    ]


def header_fields(leaves: Sequence[bytes]) -> list[bytes]:
    """Frame the fields of the Header with these leaves: a wrapped field differs from the header's in its tag alone."""
    parts = [tag + leaf[1:] if leaf else b"" for tag, leaf in zip(_HEADER_TAGS, leaves, strict=True)]
    for place in _HEADER_MESSAGES:
        parts[place] = message_field(_HEADER_TAGS[place], leaves[place])
    return parts


def header(value: Header) -> bytes:
    """Encode Header."""
    return b"".join(header_fields(header_leaves(value)))


def commit_sig(value: CommitSig) -> bytes:
    """Encode CommitSig, the leaf of a commit's hash."""
    stamp = framing.timestamp(value.timestamp)
    return commit_sig_of(vote_head(value.flag, value.validator_address), stamp, value.signature)


def vote_head(flag: BlockIdFlag, address: bytes) -> bytes:
    """Encode the start of a CommitSig: what a validator's votes have in common."""
    return number_field(b"\x08", flag) + bytes_field(b"\x12", address)


def commit_sig_of(head: bytes, stamp: bytes, signature: bytes) -> bytes:
    """Encode the CommitSig of a vote's start, its encoded time and its signature."""
    return b"".join((head, message_field(b"\x1a", stamp), bytes_field(b"\x22", signature)))


def commit(value: Commit) -> bytes:
    """Encode Commit."""
    return commit_of_leaves(value, [commit_sig(sig) for sig in value.signatures])


def commit_of_leaves(value: Commit, leaves: Sequence[bytes]) -> bytes:
    """Encode the Commit whose signatures are encoded already."""
    head = (
        number_field(b"\x08", value.height)
        + number_field(b"\x10", value.round)
        + message_field(b"\x1a", block_id(value.block_id))
    )
    return head + b"".join([message_field(b"\x22", leaf) for leaf in leaves])


def signed_header(value: SignedHeader) -> bytes:
    """Encode SignedHeader."""
    return signed_header_of(header(value.header), commit(value.commit))


def signed_header_of(head: bytes, votes: bytes) -> bytes:
    """Encode the SignedHeader of an encoded header and an encoded commit."""
    return message_field(b"\x0a", head) + message_field(b"\x12", votes)


def validator(value: Validator) -> bytes:
    """Encode Validator."""
    return (
        bytes_field(b"\x0a", value.address)
        + message_field(b"\x12", framing.public_key(value.public_key))
        + number_field(b"\x18", value.voting_power)
        + number_field(b"\x20", value.proposer_priority)
    )


@lru_cache(16)  # a relayer sends one set again and again; the largest takes a megabyte
def validator_set(value: ValidatorSet) -> bytes:
    """Encode ValidatorSet. The total is left out, as CometBFT does: readers compute it."""
    members = b"".join([message_field(b"\x0a", validator(member)) for member in value.validators])
    return members + message_field(b"\x12", validator(value.proposer))


def block(head: Header, txs: Sequence[bytes], last_commit: Commit) -> bytes:
    """Encode a Block without evidence: the bytes that are cut into parts.

    The first block carries the empty `Commit()`, not none. Source: digest §4.
    """
    return block_of(header(head), txs, commit(last_commit))


def block_of(head: bytes, txs: Sequence[bytes], last_commit: bytes) -> bytes:
    """Encode the Block of an encoded header and an encoded last commit."""
    data = b"".join([message_field(b"\x0a", tx) for tx in txs])
    return b"".join(
        (
            message_field(b"\x0a", head),
            message_field(b"\x12", data),
            message_field(b"\x1a", b""),
            message_field(b"\x22", last_commit),
        )
    )


_HEADER_TAGS: Final = tuple(bytes((tag,)) for tag in b"\x0a\x12\x18\x22\x2a\x32\x3a\x42\x4a\x52\x5a\x62\x6a\x72")
_HEADER_MESSAGES: Final = (0, 3, 4)  # version, time and last block id: messages, not wrapped in their leaves


__all__ = (
    "block",
    "block_id",
    "block_of",
    "commit",
    "commit_of_leaves",
    "commit_sig",
    "commit_sig_of",
    "header",
    "header_fields",
    "header_leaves",
    "signed_header",
    "signed_header_of",
    "validator",
    "validator_set",
    "version",
    "vote_head",
)
