"""Client and consensus states of an attested client: values, validity and stored bytes.

Each is an Any, as IBC stores keep states, around deterministic CBOR under `cddl/attested.1.0.cddl`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from lockgate.codec import cbor
from lockgate.lightclients.attested.errors import InvalidClientState
from lockgate.lightclients.attested.signers import SignerSet, check_set, read_set
from lockgate.lightclients.forms import HASH_BYTES, decoded, is_root, items, unwrap_any, wrap_any
from lockgate.lightclients.standing import MalformedState
from lockgate.primitives.ids import MAX_CHAIN_ID, Height, revision_number
from lockgate.primitives.time import NANOS_PER_SECOND, DurationNanos, UnixNanos

CLIENT_TYPE: Final = "attested"
CLIENT_STATE: Final = "/lockgate.lightclients.attested.v1.ClientState"
CONSENSUS_STATE: Final = "/lockgate.lightclients.attested.v1.ConsensusState"
FORMAT: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientState:
    """Which ledger is attested, by whom, and how old an attestation may grow."""

    domain: bytes  # hash of the attested ledger's genesis (P9), or of what names a foreign network
    chain_id: str
    signers: SignerSet
    trusting_period: DurationNanos
    max_clock_drift: DurationNanos
    latest_height: Height
    is_frozen: bool = False

    def frozen(self) -> ClientState:
        return replace(self, is_frozen=True)

    def moved_to(self, height: Height) -> ClientState:
        return replace(self, latest_height=height)


@dataclass(frozen=True, slots=True)
class ConsensusState:
    """What was attested of one height."""

    timestamp: UnixNanos
    root: bytes


def check_client_state(state: ClientState, now: UnixNanos) -> None:
    """Refuse a client state no client may start from. Raises InvalidClientState or SignersRefused."""
    if len(state.domain) != HASH_BYTES or not any(state.domain):
        raise InvalidClientState("domain", domain=state.domain)
    if not state.chain_id.strip() or len(state.chain_id.encode()) > MAX_CHAIN_ID:
        raise InvalidClientState("chain id", chain_id=state.chain_id)
    if state.trusting_period <= 0 or state.max_clock_drift <= 0:
        raise InvalidClientState("periods are positive", trusting=state.trusting_period, drift=state.max_clock_drift)
    if state.latest_height.height == 0 or state.latest_height.revision != revision_number(state.chain_id):
        raise InvalidClientState("latest height", latest_height=state.latest_height, chain_id=state.chain_id)
    if state.is_frozen:
        raise InvalidClientState("a client does not start frozen")
    check_set(state.signers, now)


def check_consensus_state(state: ConsensusState) -> None:
    """Refuse what proves nothing: nothing in it may be unset (A1). Raises InvalidClientState."""
    if state.timestamp < NANOS_PER_SECOND or not is_root(state.root):
        raise InvalidClientState("consensus state", timestamp=state.timestamp, root=state.root)


def encode_client_state(state: ClientState) -> bytes:
    height = state.latest_height
    value = [
        FORMAT,
        state.domain,
        state.chain_id,
        int(state.trusting_period),
        int(state.max_clock_drift),
        [height.revision, height.height],
        state.is_frozen,
        state.signers.to_value(),
    ]
    return wrap_any(CLIENT_STATE, cbor.encode(value))


def decode_client_state(raw: bytes) -> ClientState:
    """Read a client state from its Any. Raises MalformedState, SignersRefused for keys of no suite."""
    value = decoded(unwrap_any(raw, CLIENT_STATE))
    form, domain, chain_id, trusting, drift, height, frozen, signers = items(
        value, int, bytes, str, int, int, tuple, bool, tuple
    )
    if form != FORMAT:
        raise MalformedState("format", format=form)
    return ClientState(
        domain=domain,
        chain_id=chain_id,
        signers=read_set(signers),
        trusting_period=DurationNanos(trusting),
        max_clock_drift=DurationNanos(drift),
        latest_height=Height(*items(height, int, int)),
        is_frozen=frozen,
    )


def encode_consensus_state(state: ConsensusState) -> bytes:
    return wrap_any(CONSENSUS_STATE, cbor.encode([FORMAT, int(state.timestamp), state.root]))


def decode_consensus_state(raw: bytes) -> ConsensusState:
    """Read a consensus state from its Any. Raises MalformedState."""
    form, timestamp, root = items(decoded(unwrap_any(raw, CONSENSUS_STATE)), int, int, bytes)
    if form != FORMAT:
        raise MalformedState("format", format=form)
    return ConsensusState(UnixNanos(timestamp), root)


class AttestedForms:
    """Meets `lightclients.store.Forms`."""

    client_state = staticmethod(decode_client_state)
    consensus_state = staticmethod(decode_consensus_state)
    encode_client_state = staticmethod(encode_client_state)
    encode_consensus_state = staticmethod(encode_consensus_state)


__all__ = (
    "CLIENT_STATE",
    "CLIENT_TYPE",
    "CONSENSUS_STATE",
    "AttestedForms",
    "ClientState",
    "ConsensusState",
    "check_client_state",
    "check_consensus_state",
    "decode_client_state",
    "decode_consensus_state",
    "encode_client_state",
    "encode_consensus_state",
)
