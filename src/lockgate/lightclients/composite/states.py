"""Client and consensus states of a composite client: values, validity and stored bytes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from lockgate.codec import cbor
from lockgate.lightclients.composite.errors import InvalidClientState
from lockgate.lightclients.composite.rule import Joined, parse
from lockgate.lightclients.forms import HASH_BYTES, decoded, is_root, items, unwrap_any, wrap_any
from lockgate.lightclients.standing import MalformedState
from lockgate.primitives.ids import MAX_CHAIN_ID, Height, revision_number
from lockgate.primitives.time import NANOS_PER_SECOND, DurationNanos, UnixNanos

CLIENT_TYPE: Final = "composite"
CLIENT_STATE: Final = "/lockgate.lightclients.composite.v1.ClientState"
CONSENSUS_STATE: Final = "/lockgate.lightclients.composite.v1.ConsensusState"
AGREEMENT: Final = "/lockgate.lightclients.composite.v1.Agreement"
FORMAT: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientState:
    """Which ledger is followed, and the rule over members that must agree on it."""

    domain: bytes
    chain_id: str
    rule: Joined
    trusting_period: DurationNanos  # how long an agreed height counts; members have their own beside it
    latest_height: Height
    is_frozen: bool = False

    def frozen(self) -> ClientState:
        return replace(self, is_frozen=True)

    def moved_to(self, height: Height) -> ClientState:
        return replace(self, latest_height=height)


@dataclass(frozen=True, slots=True)
class ConsensusState:
    """What the members of a satisfying set agreed on."""

    timestamp: UnixNanos
    root: bytes


def check_client_state(state: ClientState) -> None:
    """Refuse a client state no client may start from. `check_rule` judges the rule. Raises InvalidClientState."""
    if len(state.domain) != HASH_BYTES or not any(state.domain):
        raise InvalidClientState("domain", domain=state.domain)
    if not state.chain_id.strip() or len(state.chain_id.encode()) > MAX_CHAIN_ID:
        raise InvalidClientState("chain id", chain_id=state.chain_id)
    if state.trusting_period <= 0:
        raise InvalidClientState("trusting period", trusting=state.trusting_period)
    if state.latest_height.height == 0 or state.latest_height.revision != revision_number(state.chain_id):
        raise InvalidClientState("latest height", latest_height=state.latest_height, chain_id=state.chain_id)
    if state.is_frozen:
        raise InvalidClientState("a client does not start frozen")


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
        str(state.rule),
        int(state.trusting_period),
        [height.revision, height.height],
        state.is_frozen,
    ]
    return wrap_any(CLIENT_STATE, cbor.encode(value))


def decode_client_state(raw: bytes) -> ClientState:
    """Read a client state from its Any. Raises MalformedState or RuleRefused."""
    value = decoded(unwrap_any(raw, CLIENT_STATE))
    form, domain, chain_id, rule, trusting, height, frozen = items(value, int, bytes, str, str, int, tuple, bool)
    if form != FORMAT:
        raise MalformedState("format", format=form)
    return ClientState(
        domain=domain,
        chain_id=chain_id,
        rule=parse(rule),
        trusting_period=DurationNanos(trusting),
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


def encode_agreement(height: Height) -> bytes:
    """What is brought to a composite client: the height to be looked at, and nothing to be believed."""
    return cbor.encode([height.revision, height.height])


def decode_agreement(raw: bytes) -> Height:
    """Raises MalformedState."""
    return Height(*items(decoded(raw), int, int))


class CompositeForms:
    """Meets `lightclients.store.Forms`."""

    client_state = staticmethod(decode_client_state)
    consensus_state = staticmethod(decode_consensus_state)
    encode_client_state = staticmethod(encode_client_state)
    encode_consensus_state = staticmethod(encode_consensus_state)


__all__ = (
    "AGREEMENT",
    "CLIENT_STATE",
    "CLIENT_TYPE",
    "CONSENSUS_STATE",
    "ClientState",
    "CompositeForms",
    "ConsensusState",
    "check_client_state",
    "check_consensus_state",
    "decode_agreement",
    "decode_client_state",
    "decode_consensus_state",
    "encode_agreement",
    "encode_client_state",
    "encode_consensus_state",
)
