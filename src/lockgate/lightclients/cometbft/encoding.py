"""Protobuf bytes of CometBFT values: blocks to cut into parts, headers for clients, leaves to hash.

Source: tendermint.types, v0.38; digest §2.
"""

from __future__ import annotations

from collections.abc import Sequence

from lockgate.lightclients.cometbft import framing
from lockgate.lightclients.cometbft.framing import bytes_field, message_field, number_field
from lockgate.lightclients.cometbft.types import (
    BlockID,
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


def header(value: Header) -> bytes:
    """Encode Header."""
    return b"".join(
        (
            message_field(b"\x0a", version(value)),
            bytes_field(b"\x12", value.chain_id.encode()),
            number_field(b"\x18", value.height),
            message_field(b"\x22", framing.timestamp(value.time)),
            message_field(b"\x2a", block_id(value.last_block_id)),
            bytes_field(b"\x32", value.last_commit_hash),
            bytes_field(b"\x3a", value.data_hash),
            bytes_field(b"\x42", value.validators_hash),
            bytes_field(b"\x4a", value.next_validators_hash),
            bytes_field(b"\x52", value.consensus_hash),
            bytes_field(b"\x5a", value.app_hash),
            bytes_field(b"\x62", value.last_results_hash),
            bytes_field(b"\x6a", value.evidence_hash),
            bytes_field(b"\x72", value.proposer_address),
        )
    )


def commit_sig(value: CommitSig) -> bytes:
    """Encode CommitSig, the leaf of a commit's hash."""
    return b"".join(
        (
            number_field(b"\x08", value.flag),
            bytes_field(b"\x12", value.validator_address),
            message_field(b"\x1a", framing.timestamp(value.timestamp)),
            bytes_field(b"\x22", value.signature),
        )
    )


def commit(value: Commit) -> bytes:
    """Encode Commit."""
    head = (
        number_field(b"\x08", value.height)
        + number_field(b"\x10", value.round)
        + message_field(b"\x1a", block_id(value.block_id))
    )
    return head + b"".join([message_field(b"\x22", commit_sig(sig)) for sig in value.signatures])


def signed_header(value: SignedHeader) -> bytes:
    """Encode SignedHeader."""
    return message_field(b"\x0a", header(value.header)) + message_field(b"\x12", commit(value.commit))


def validator(value: Validator) -> bytes:
    """Encode Validator."""
    return (
        bytes_field(b"\x0a", value.address)
        + message_field(b"\x12", framing.public_key(value.public_key))
        + number_field(b"\x18", value.voting_power)
        + number_field(b"\x20", value.proposer_priority)
    )


def validator_set(value: ValidatorSet) -> bytes:
    """Encode ValidatorSet. The total is left out, as CometBFT does: readers compute it."""
    members = b"".join([message_field(b"\x0a", validator(member)) for member in value.validators])
    return members + message_field(b"\x12", validator(value.proposer))


def block(head: Header, txs: Sequence[bytes], last_commit: Commit) -> bytes:
    """Encode a Block without evidence: the bytes that are cut into parts.

    The first block carries the empty `Commit()`, not none. Source: digest §4.
    """
    data = b"".join([message_field(b"\x0a", tx) for tx in txs])
    return b"".join(
        (
            message_field(b"\x0a", header(head)),
            message_field(b"\x12", data),
            message_field(b"\x1a", b""),
            message_field(b"\x22", commit(last_commit)),
        )
    )


__all__ = (
    "block",
    "block_id",
    "commit",
    "commit_sig",
    "header",
    "signed_header",
    "validator",
    "validator_set",
    "version",
)
