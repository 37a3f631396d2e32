"""From protobuf messages to values. Any bytes give a value or a `HeaderRefused`.

Foreign headers keep protobuf semantics: unknown fields and field order do not matter, because
nothing of the bytes is kept; what is stored, hashed or compared later is encoded again.
Source: digest §2. Go keeps times by value, so a time that is not on the wire is Go's zero time.
"""

from __future__ import annotations

from typing import TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message
from google.protobuf.timestamp_pb2 import Timestamp

from lockgate.codec.wire import tendermint_pb2 as wire
from lockgate.lightclients.cometbft.errors import (
    CommitInvalid,
    InvalidValidatorSet,
    MalformedChainData,
    UnsupportedKey,
)
from lockgate.lightclients.cometbft.types import (
    END_OF_TIME,
    GO_ZERO_TIME,
    MAX_INT64,
    MAX_VALIDATORS,
    BlockID,
    BlockIdFlag,
    Commit,
    CommitSig,
    Header,
    PartSetHeader,
    SignedHeader,
    Validator,
    ValidatorSet,
)
from lockgate.primitives.time import NANOS_PER_SECOND, DurationNanos, UnixNanos

M = TypeVar("M", bound=Message)
_FLAGS = {int(flag): flag for flag in BlockIdFlag}


def parse(kind: type[M], raw: bytes) -> M:
    """Parse one protobuf message. Raises `MalformedChainData`."""
    try:
        return kind.FromString(raw)
    except DecodeError as fault:
        raise MalformedChainData("not a protobuf message", kind=kind.__name__) from fault


def instant(message: Timestamp) -> UnixNanos:
    """Read a time of the years 1 to 9999."""
    nanos = message.seconds * NANOS_PER_SECOND + message.nanos
    if not 0 <= message.nanos < NANOS_PER_SECOND or not GO_ZERO_TIME <= nanos < END_OF_TIME:
        raise MalformedChainData("time out of range", seconds=message.seconds, nanos=message.nanos)
    return UnixNanos(nanos)


def duration(message: Duration) -> DurationNanos:
    """Read a duration that fits int64 nanoseconds, with one sign for both fields."""
    seconds, fraction = message.seconds, message.nanos
    nanos = seconds * NANOS_PER_SECOND + fraction
    if abs(fraction) >= NANOS_PER_SECOND or seconds * fraction < 0 or abs(nanos) > MAX_INT64:
        raise MalformedChainData("duration out of range", seconds=seconds, nanos=fraction)
    return DurationNanos(nanos)


def block_id(message: wire.BlockID) -> BlockID:
    """Read a BlockID."""
    parts = message.part_set_header
    return BlockID(message.hash, PartSetHeader(parts.total, parts.hash))


def header(message: wire.Header) -> Header:
    """Read a Header."""
    return Header(
        version_block=message.version.block,
        version_app=message.version.app,
        chain_id=message.chain_id,
        height=message.height,
        time=instant(message.time) if message.HasField("time") else GO_ZERO_TIME,
        last_block_id=block_id(message.last_block_id),
        last_commit_hash=message.last_commit_hash,
        data_hash=message.data_hash,
        validators_hash=message.validators_hash,
        next_validators_hash=message.next_validators_hash,
        consensus_hash=message.consensus_hash,
        app_hash=message.app_hash,
        last_results_hash=message.last_results_hash,
        evidence_hash=message.evidence_hash,
        proposer_address=message.proposer_address,
    )


def commit(message: wire.Commit) -> Commit:
    """Read a Commit of at most MAX_VALIDATORS signatures."""
    signatures = message.signatures
    if len(signatures) > MAX_VALIDATORS:
        raise CommitInvalid("too many signatures", count=len(signatures), most=MAX_VALIDATORS)
    return Commit(
        message.height,
        message.round,
        block_id(message.block_id),
        tuple([_commit_sig(sig) for sig in signatures]),
    )


def _commit_sig(message: wire.CommitSig) -> CommitSig:
    flag = _FLAGS.get(message.block_id_flag)
    if flag is None:
        raise CommitInvalid("unknown block id flag", flag=message.block_id_flag)
    time = instant(message.timestamp) if message.HasField("timestamp") else GO_ZERO_TIME
    return CommitSig(flag, message.validator_address, time, message.signature)


def signed_header(message: wire.SignedHeader) -> SignedHeader:
    """Read a SignedHeader; both halves must be there."""
    if not message.HasField("header") or not message.HasField("commit"):
        raise MalformedChainData("a signed header lacks its header or its commit")
    return SignedHeader(header(message.header), commit(message.commit))


def validator_set(message: wire.ValidatorSet) -> ValidatorSet:
    """Read a ValidatorSet in the order given; the total on the wire is ignored."""
    members = message.validators
    if len(members) > MAX_VALIDATORS:
        raise InvalidValidatorSet("too many validators", count=len(members), most=MAX_VALIDATORS)
    if not message.HasField("proposer"):
        raise InvalidValidatorSet("no proposer")
    return ValidatorSet(tuple([_validator(member) for member in members]), _validator(message.proposer))


def _validator(message: wire.Validator) -> Validator:
    kind = message.pub_key.WhichOneof("sum")
    if kind != "ed25519":
        raise UnsupportedKey(kind=kind)
    return Validator(message.address, message.pub_key.ed25519, message.voting_power, message.proposer_priority)


__all__ = (
    "block_id",
    "commit",
    "duration",
    "header",
    "instant",
    "parse",
    "signed_header",
    "validator_set",
)
