"""Client and consensus states: stored bytes as ibc-go's, and every unset or impossible value refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage

from lockgate.codec.type_urls import TENDERMINT_CLIENT_STATE, TENDERMINT_CONSENSUS_STATE
from lockgate.codec.wire import ibc_tendermint_pb2
from lockgate.lightclients.cometbft.errors import HeaderRefused, TrustLevelInvalid
from lockgate.lightclients.tendermint.client import TendermintClient
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
from lockgate.lightclients.tendermint.states import (
    MAX_STATE_BYTES,
    decode_client_state,
    decode_consensus_state,
    encode_client_state,
    encode_committed_client_state,
    encode_consensus_state,
    wrap_any,
)
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.ids import Height
from lockgate.primitives.time import DurationNanos, UnixNanos, seconds
from tests.support.chain import TestLedger, client_state_of, consensus_state_of
from tests.support.memory_view import MemoryView
from tests.unit.lightclients.world import CLIENT, OWN, ClientWorld

BLOCK = TestLedger().produce()
STATE = client_state_of(BLOCK)
CONSENSUS = consensus_state_of(BLOCK)

# A client state as a live chain stored it (digest §10).
REAL = bytes.fromhex(
    "0a0673696d642d321204080110031a040880ea4922040880df6e2a02080f32003a0408021026"
    "42190a090801180120012a0100120c0a02000110211804200c300142190a090801180120012a0100120c0a02000110201801200130"
    "014a07757067726164654a1075706772616465644942435374617465"
)


def test_a_real_client_state_is_read_and_written_again() -> None:
    raw = wrap_any(TENDERMINT_CLIENT_STATE, REAL)
    state = decode_client_state(raw)
    assert (state.chain_id, state.latest_height, state.max_clock_drift) == ("simd-2", Height(2, 38), seconds(15))
    assert (state.trusting_period, state.unbonding_period) == (seconds(1_209_600), seconds(1_814_400))
    assert state.upgrade_path == ("upgrade", "upgradedIBCState")
    assert encode_client_state(state) == raw


def test_states_survive_their_encoding() -> None:
    odd = replace(
        STATE,
        frozen_height=Height(0, 1),
        allow_update_after_expiry=True,
        allow_update_after_misbehaviour=True,
        trusting_period=DurationNanos(1_500_000_001),
    )
    for state in (STATE, odd):
        assert decode_client_state(encode_client_state(state)) == state
    assert decode_consensus_state(encode_consensus_state(CONSENSUS)) == CONSENSUS


def test_what_a_relayer_sends_is_stored_canonically() -> None:
    """Unknown fields and another field order reach no store."""
    message = ibc_tendermint_pb2.ClientState.FromString(REAL)
    shuffled = message.SerializeToString()[8:] + message.SerializeToString()[:8] + bytes.fromhex("f80101")
    assert encode_client_state(decode_client_state(wrap_any(TENDERMINT_CLIENT_STATE, shuffled))) == wrap_any(
        TENDERMINT_CLIENT_STATE, REAL
    )


def test_a_committed_state_has_the_client_s_own_choices_zeroed() -> None:
    outer = AnyMessage.FromString(encode_committed_client_state(STATE))
    message = ibc_tendermint_pb2.ClientState.FromString(outer.value)
    assert message.HasField("trust_level")
    assert not message.trust_level.denominator
    assert (message.trusting_period.seconds, message.max_clock_drift.seconds) == (0, 0)
    assert message.unbonding_period.seconds == STATE.unbonding_period // 10**9


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"chain_id": ""}, InvalidChainId),
        ({"chain_id": " \t"}, InvalidChainId),
        ({"chain_id": "x" * 49 + "-1"}, InvalidChainId),
        ({"trusting_period": DurationNanos(0)}, InvalidTrustingPeriod),
        ({"trusting_period": STATE.unbonding_period}, InvalidTrustingPeriod),
        ({"unbonding_period": DurationNanos(0)}, InvalidUnbondingPeriod),
        ({"unbonding_period": DurationNanos(-1)}, InvalidUnbondingPeriod),
        ({"max_clock_drift": DurationNanos(0)}, InvalidClockDrift),
        ({"latest_height": Height(2, 1)}, InvalidHeight),
        ({"latest_height": Height(0, 1)}, InvalidHeight),
        ({"latest_height": Height(1, 0)}, InvalidHeight),
        ({"proof_specs": ()}, InvalidProofSpecs),
        ({"proof_specs": (b"",)}, InvalidProofSpecs),
        ({"proof_specs": STATE.proof_specs * 17}, InvalidProofSpecs),
        ({"upgrade_path": ("upgrade", " ")}, InvalidClientState),
        ({"upgrade_path": ("x",) * 33}, InvalidClientState),
    ],
    ids=str,
)
def test_a_client_starts_from_a_valid_client_state_only(
    changes: dict[str, object], refusal: type[LockgateError]
) -> None:
    view = MemoryView()
    spoilt = encode_client_state(replace(STATE, **changes))  # type: ignore[arg-type]  # names are fields
    with pytest.raises(refusal):
        TendermintClient().initialise(view, CLIENT, spoilt, encode_consensus_state(CONSENSUS), BLOCK.header.time, OWN)


@pytest.mark.parametrize("level", [(0, 0), (0, 1), (1, 4), (4, 3)])
def test_trust_levels_are_from_a_third_to_one(level: tuple[int, int]) -> None:
    message = ibc_tendermint_pb2.ClientState.FromString(REAL)
    message.trust_level.numerator, message.trust_level.denominator = level
    with pytest.raises(TrustLevelInvalid):
        decode_client_state(wrap_any(TENDERMINT_CLIENT_STATE, message.SerializeToString()))


@pytest.mark.parametrize(
    "changes",
    [
        {"timestamp": UnixNanos(0)},
        {"timestamp": UnixNanos(999_999_999)},
        {"root": b""},
        {"root": bytes(32)},
        {"root": b"x" * 31},
        {"next_validators_hash": b""},
        {"next_validators_hash": bytes(32)},
        {"next_validators_hash": b"x" * 33},
    ],
    ids=str,
)
def test_a_client_starts_from_a_valid_consensus_state_only(changes: dict[str, object]) -> None:
    view = MemoryView()
    spoilt = encode_consensus_state(replace(CONSENSUS, **changes))  # type: ignore[arg-type]  # names are fields
    with pytest.raises(InvalidConsensusState):
        TendermintClient().initialise(view, CLIENT, encode_client_state(STATE), spoilt, BLOCK.header.time, OWN)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff",
        REAL,
        wrap_any(TENDERMINT_CONSENSUS_STATE, REAL),
        wrap_any(TENDERMINT_CLIENT_STATE, b"\xff\xff"),
        wrap_any(TENDERMINT_CLIENT_STATE, REAL + bytes(MAX_STATE_BYTES)),
    ],
    ids=["nothing", "noise", "bare", "type", "inner noise", "long"],
)
def test_other_bytes_are_no_client_state(raw: bytes) -> None:
    with pytest.raises(MalformedState):
        decode_client_state(raw)
    with pytest.raises(MalformedState):
        decode_consensus_state(raw)


def test_odd_durations_are_refused() -> None:
    message = ibc_tendermint_pb2.ClientState.FromString(REAL)
    message.trusting_period.nanos = -1
    with pytest.raises(HeaderRefused):
        decode_client_state(wrap_any(TENDERMINT_CLIENT_STATE, message.SerializeToString()))


def test_a_new_client_is_stored_as_ibc_go_stores_it() -> None:
    world = ClientWorld()
    state, consensus = client_state_of(world.first), consensus_state_of(world.first)
    key = b"consensusStates/1-1"
    index = b"iterateConsensusStates" + bytes(7) + b"\x01" + bytes(7) + b"\x01"
    assert world.view.stores["ibc"] == {
        b"clients/07-tendermint-0/clientState": encode_client_state(state),
        b"clients/07-tendermint-0/" + key: encode_consensus_state(consensus),
        b"clients/07-tendermint-0/" + key + b"/processedTime": world.now.to_bytes(8, "big"),
        b"clients/07-tendermint-0/" + key + b"/processedHeight": b"3-77",
        b"clients/07-tendermint-0/" + index: key,
    }
