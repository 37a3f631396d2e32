"""What must hold of a header, its commit and its validator set before any trust is asked.

`sound_block` is the only maker of `SoundBlock`; verification takes nothing else. Source: digest §8.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from lockgate.lightclients.cometbft.errors import (
    CommitInvalid,
    CommitMismatch,
    HeaderInvalid,
    ValidatorSetMismatch,
)
from lockgate.lightclients.cometbft.hashing import header_hash
from lockgate.lightclients.cometbft.types import (
    ADDRESS_BYTES,
    BLOCK_PROTOCOL,
    END_OF_TIME,
    GO_ZERO_TIME,
    HASH_BYTES,
    MAX_INT32,
    MAX_INT64,
    MAX_SIGNATURE_BYTES,
    MAX_VALIDATORS,
    BlockID,
    BlockIdFlag,
    Commit,
    CommitSig,
    Header,
    SignedHeader,
    ValidatorSet,
)
from lockgate.primitives.ids import MAX_CHAIN_ID
from lockgate.primitives.sealed import Sealed


@final
@dataclass(frozen=True, slots=True)
class SoundBlock(metaclass=Sealed):
    """A signed header that is consistent in itself and with its validator set. Not yet trusted."""

    header: Header
    commit: Commit
    validators: ValidatorSet
    hash: bytes  # of the header, 32 bytes


def sound_block(signed_header: SignedHeader, validators: ValidatorSet) -> SoundBlock:
    """Check header and commit for themselves, against each other, and against `validators`.

    Raises `HeaderInvalid`, `CommitInvalid`, `CommitMismatch` or `ValidatorSetMismatch`.
    """
    header, commit = signed_header.header, signed_header.commit
    _check_header(header)
    _check_commit(commit)
    if commit.height != header.height:
        raise CommitMismatch("another height", header=header.height, commit=commit.height)
    computed = header_hash(header)
    if commit.block_id.hash != computed:
        raise CommitMismatch("another block", header=computed, commit=commit.block_id.hash)
    if validators.hash != header.validators_hash:
        raise ValidatorSetMismatch(expected=header.validators_hash, computed=validators.hash)
    return Sealed.make(SoundBlock, header, commit, validators, computed)


def _check_header(header: Header) -> None:
    if header.version_block != BLOCK_PROTOCOL:
        raise HeaderInvalid("block protocol", expected=BLOCK_PROTOCOL, found=header.version_block)
    if not 0 < len(header.chain_id.encode()) <= MAX_CHAIN_ID:
        raise HeaderInvalid("chain id is empty or too long", most=MAX_CHAIN_ID)
    if not 0 < header.height <= MAX_INT64:
        raise HeaderInvalid("height", height=header.height)
    if not GO_ZERO_TIME <= header.time < END_OF_TIME:
        raise HeaderInvalid("time is outside years 1 to 9999", time=header.time)
    if len(header.proposer_address) != ADDRESS_BYTES:
        raise HeaderInvalid("proposer address length", length=len(header.proposer_address))
    for name, value in (
        ("last_block_id.hash", header.last_block_id.hash),
        ("last_block_id.parts.hash", header.last_block_id.parts.hash),
        ("last_commit_hash", header.last_commit_hash),
        ("data_hash", header.data_hash),
        ("consensus_hash", header.consensus_hash),
        ("last_results_hash", header.last_results_hash),
        ("evidence_hash", header.evidence_hash),
    ):
        if value and len(value) != HASH_BYTES:
            raise HeaderInvalid("hash length", field=name, length=len(value))
    # CometBFT lets these two be empty; an empty one could never be matched by a validator set, and
    # what is unset must not be stored as something to compare with later (incident A1).
    for name, value in (
        ("validators_hash", header.validators_hash),
        ("next_validators_hash", header.next_validators_hash),
    ):
        if len(value) != HASH_BYTES:
            raise HeaderInvalid("hash length", field=name, length=len(value))


def _check_commit(commit: Commit) -> None:
    if not 0 < commit.height <= MAX_INT64 or not 0 <= commit.round <= MAX_INT32:
        raise CommitInvalid("height or round", height=commit.height, round=commit.round)
    _check_block_id(commit.block_id)
    if not 0 < len(commit.signatures) <= MAX_VALIDATORS:
        raise CommitInvalid("number of signatures", count=len(commit.signatures), most=MAX_VALIDATORS)
    for place, sig in enumerate(commit.signatures):
        _check_commit_sig(sig, place)


def _check_block_id(block_id: BlockID) -> None:
    if len(block_id.hash) != HASH_BYTES or len(block_id.parts.hash) not in (0, HASH_BYTES):
        raise CommitInvalid("block id", hash=block_id.hash, parts=block_id.parts.hash)


def _check_commit_sig(sig: CommitSig, place: int) -> None:
    if sig.flag is BlockIdFlag.ABSENT:
        if sig.validator_address or sig.signature or sig.timestamp != GO_ZERO_TIME:
            raise CommitInvalid("an absent signature has contents", place=place)
    elif len(sig.validator_address) != ADDRESS_BYTES:
        raise CommitInvalid("address length", place=place, length=len(sig.validator_address))
    elif not 0 < len(sig.signature) <= MAX_SIGNATURE_BYTES:
        raise CommitInvalid("signature length", place=place, length=len(sig.signature))


__all__ = ("SoundBlock", "sound_block")
