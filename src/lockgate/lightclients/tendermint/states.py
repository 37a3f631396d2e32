"""Client and consensus states of 07-tendermint: values, validity, and their bytes as ibc-go stores them.

What a relayer sends is decoded and encoded again, so stored bytes are canonical whoever made them.
Source: ibc.lightclients.tendermint.v1, digest §10.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from google.protobuf.message import DecodeError, Message

from lockgate.codec.type_urls import TENDERMINT_CLIENT_STATE, TENDERMINT_CONSENSUS_STATE
from lockgate.codec.wire import ibc_tendermint_pb2 as wire
from lockgate.lightclients.cometbft import decoding, framing
from lockgate.lightclients.cometbft.commit import Fraction
from lockgate.lightclients.cometbft.framing import bytes_field, message_field, number_field
from lockgate.lightclients.cometbft.types import GO_ZERO_TIME
from lockgate.lightclients.forms import (
    HASH_BYTES,
    MAX_STATE_BYTES,
    UNSET_ROOT,
    encode_height,
    is_root,
    unwrap_any,
    wrap_any,
)
from lockgate.lightclients.tendermint.errors import (
    InvalidChainId,
    InvalidClientState,
    InvalidClockDrift,
    InvalidConsensusState,
    InvalidHeight,
    InvalidProofSpecs,
    InvalidTrustingPeriod,
    InvalidUnbondingPeriod,
    MalformedState,
)
from lockgate.merkle.errors import ProofMalformed
from lockgate.merkle.specs import ProofSpec
from lockgate.primitives.ids import MAX_CHAIN_ID, Height, revision_number
from lockgate.primitives.time import NANOS_PER_SECOND, DurationNanos, UnixNanos

MAX_PROOF_SPECS: Final = 32  # one per element of a merkle prefix, of which ibc-go allows 32
MAX_UPGRADE_PATH: Final = 32  # the same: the path must have one element per proof spec
SENTINEL_ROOT: Final = b"sentinel_root"  # ibc-go: stands where an upgraded chain has no header yet
FROZEN_HEIGHT: Final = Height(0, 1)  # ibc-go: any non-zero height says frozen, this one always
NOT_FROZEN: Final = Height(0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientState:
    """What a client knows of its chain, and how it judges headers."""

    chain_id: str
    trust_level: Fraction
    trusting_period: DurationNanos
    unbonding_period: DurationNanos
    max_clock_drift: DurationNanos
    frozen_height: Height = NOT_FROZEN
    latest_height: Height
    proof_specs: tuple[bytes, ...]  # each a canonical ics23.ProofSpec, innermost store first
    upgrade_path: tuple[str, ...] = ()
    allow_update_after_expiry: bool = False  # deprecated, carried along
    allow_update_after_misbehaviour: bool = False  # deprecated, carried along

    @property
    def is_frozen(self) -> bool:
        return not self.frozen_height.is_zero

    def frozen(self) -> ClientState:
        return replace(self, frozen_height=FROZEN_HEIGHT)

    def moved_to(self, height: Height) -> ClientState:
        return replace(self, latest_height=height)


@dataclass(frozen=True, slots=True)
class ConsensusState:
    """What a client keeps of one verified header."""

    timestamp: UnixNanos
    root: bytes  # the app hash
    next_validators_hash: bytes

    @property
    def has_root(self) -> bool:
        """Whether anything can be proven against the root: 32 bytes, not all zero."""
        return is_root(self.root)


def check_client_state(state: ClientState) -> None:
    """Refuse a client state no client may start from or upgrade to. Source: digest §10."""
    if not state.chain_id.strip() or len(state.chain_id.encode()) > MAX_CHAIN_ID:
        raise InvalidChainId(chain_id=state.chain_id, most=MAX_CHAIN_ID)
    if state.trusting_period <= 0:
        raise InvalidTrustingPeriod("not positive", trusting_period=state.trusting_period)
    if state.unbonding_period <= 0:
        raise InvalidUnbondingPeriod("not positive", unbonding_period=state.unbonding_period)
    if state.max_clock_drift <= 0:
        raise InvalidClockDrift(max_clock_drift=state.max_clock_drift)
    if state.latest_height.revision != revision_number(state.chain_id):
        raise InvalidHeight("revision", latest_height=state.latest_height, chain_id=state.chain_id)
    if state.latest_height.height == 0:
        raise InvalidHeight("latest height is zero", latest_height=state.latest_height)
    if state.trusting_period >= state.unbonding_period:
        raise InvalidTrustingPeriod(
            "not shorter than the unbonding period",
            trusting_period=state.trusting_period,
            unbonding_period=state.unbonding_period,
        )
    if not 0 < len(state.proof_specs) <= MAX_PROOF_SPECS:
        raise InvalidProofSpecs(count=len(state.proof_specs), most=MAX_PROOF_SPECS)
    for spec in state.proof_specs:
        try:
            ProofSpec.from_bytes(spec)
        except ProofMalformed as fault:
            raise InvalidProofSpecs("not a proof spec", spec=spec) from fault
    if len(state.upgrade_path) > MAX_UPGRADE_PATH or not all(part.strip() for part in state.upgrade_path):
        raise InvalidClientState("upgrade path", path=state.upgrade_path)


def check_consensus_state(state: ConsensusState) -> None:
    """Refuse a consensus state no client may start from: nothing in it may be unset (A1)."""
    if state.timestamp < NANOS_PER_SECOND:
        raise InvalidConsensusState("time", timestamp=state.timestamp)
    if not state.has_root:
        raise InvalidConsensusState("root", root=state.root)
    if len(state.next_validators_hash) != HASH_BYTES or not any(state.next_validators_hash):
        raise InvalidConsensusState("next validators hash", hash=state.next_validators_hash)


def encode_client_state(state: ClientState) -> bytes:
    """Return the Any bytes stored under `clients/{id}/clientState`."""
    level = number_field(b"\x08", state.trust_level.numerator) + number_field(b"\x10", state.trust_level.denominator)
    return _encode_client_state(state, level, state.trusting_period, state.max_clock_drift, state.frozen_height)


def encode_committed_client_state(state: ClientState) -> bytes:
    """Return the Any bytes a chain commits to for its upgrade: fields a client chooses are zero."""
    return _encode_client_state(state, b"", 0, 0, NOT_FROZEN, deprecated=False)


def _encode_client_state(
    state: ClientState, level: bytes, trusting: int, drift: int, frozen: Height, deprecated: bool = True
) -> bytes:
    value = b"".join(
        (
            bytes_field(b"\x0a", state.chain_id.encode()),
            message_field(b"\x12", level),
            message_field(b"\x1a", framing.duration(trusting)),
            message_field(b"\x22", framing.duration(state.unbonding_period)),
            message_field(b"\x2a", framing.duration(drift)),
            message_field(b"\x32", encode_height(frozen)),
            message_field(b"\x3a", encode_height(state.latest_height)),
            *(message_field(b"\x42", spec) for spec in state.proof_specs),
            *(message_field(b"\x4a", part.encode()) for part in state.upgrade_path),
            number_field(b"\x50", deprecated and state.allow_update_after_expiry),
            number_field(b"\x58", deprecated and state.allow_update_after_misbehaviour),
        )
    )
    return wrap_any(TENDERMINT_CLIENT_STATE, value)


def encode_consensus_state(state: ConsensusState) -> bytes:
    """Return the Any bytes stored under `clients/{id}/consensusStates/{height}`."""
    value = (
        message_field(b"\x0a", framing.timestamp(state.timestamp))
        + message_field(b"\x12", bytes_field(b"\x0a", state.root))
        + bytes_field(b"\x1a", state.next_validators_hash)
    )
    return wrap_any(TENDERMINT_CONSENSUS_STATE, value)


def decode_client_state(raw: bytes) -> ClientState:
    """Read a client state from its Any. Fields are typed, not yet judged: `check_client_state` does.

    Raises `MalformedState`; `TrustLevelInvalid` and `MalformedChainData` for fractions and durations.
    """
    message = wire.ClientState()
    _unwrap(raw, TENDERMINT_CLIENT_STATE, message)
    level = message.trust_level
    return _client_state(message, Fraction(level.numerator, level.denominator))


def decode_committed_client_state(raw: bytes) -> ClientState:
    """Read an upgraded client state; the fields a client chooses need not be set, and are not used."""
    message = wire.ClientState()
    _unwrap(raw, TENDERMINT_CLIENT_STATE, message)
    return _client_state(message, Fraction(1, 1))


def _client_state(message: wire.ClientState, level: Fraction) -> ClientState:
    if len(message.proof_specs) > MAX_PROOF_SPECS:
        raise InvalidProofSpecs(count=len(message.proof_specs), most=MAX_PROOF_SPECS)
    specs = []
    for spec in message.proof_specs:
        spec.DiscardUnknownFields()
        specs.append(spec.SerializeToString(deterministic=True))
    return ClientState(
        chain_id=message.chain_id,
        trust_level=level,
        trusting_period=decoding.duration(message.trusting_period),
        unbonding_period=decoding.duration(message.unbonding_period),
        max_clock_drift=decoding.duration(message.max_clock_drift),
        frozen_height=Height(message.frozen_height.revision_number, message.frozen_height.revision_height),
        latest_height=Height(message.latest_height.revision_number, message.latest_height.revision_height),
        proof_specs=tuple(specs),
        upgrade_path=tuple(message.upgrade_path),
        allow_update_after_expiry=message.allow_update_after_expiry,
        allow_update_after_misbehaviour=message.allow_update_after_misbehaviour,
    )


def decode_consensus_state(raw: bytes) -> ConsensusState:
    """Read a consensus state from its Any; `check_consensus_state` judges it."""
    message = wire.ConsensusState()
    _unwrap(raw, TENDERMINT_CONSENSUS_STATE, message)
    time = decoding.instant(message.timestamp) if message.HasField("timestamp") else GO_ZERO_TIME
    return ConsensusState(time, message.root.hash, message.next_validators_hash)


def _unwrap(raw: bytes, type_url: str, into: Message) -> None:
    value = unwrap_any(raw, type_url)
    try:
        into.ParseFromString(value)
    except DecodeError as fault:
        raise MalformedState("not protobuf", type_url=type_url) from fault


__all__ = (
    "FROZEN_HEIGHT",
    "MAX_PROOF_SPECS",
    "MAX_STATE_BYTES",
    "MAX_UPGRADE_PATH",
    "NOT_FROZEN",
    "SENTINEL_ROOT",
    "UNSET_ROOT",
    "ClientState",
    "ConsensusState",
    "check_client_state",
    "check_consensus_state",
    "decode_client_state",
    "decode_committed_client_state",
    "decode_consensus_state",
    "encode_client_state",
    "encode_committed_client_state",
    "encode_consensus_state",
    "encode_height",
    "wrap_any",
)
