"""Altered messages: never another header, never a stray error, and memory changes no answer."""

from __future__ import annotations

from base64 import b64decode
from contextlib import suppress
from functools import cache

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.codec.type_urls import (
    TENDERMINT_CLIENT_STATE,
    TENDERMINT_CONSENSUS_STATE,
    TENDERMINT_HEADER,
    TENDERMINT_MISBEHAVIOUR,
)
from lockgate.codec.wire import ibc_client_pb2
from lockgate.lightclients.cometbft import rpc_json
from lockgate.lightclients.cometbft.rfc3339 import parse_time
from lockgate.lightclients.tendermint import (
    TendermintClient,
    decode_client_state,
    decode_consensus_state,
    decode_header,
    decode_misbehaviour,
    encode_misbehaviour,
)
from lockgate.lightclients.tendermint.states import wrap_any
from lockgate.primitives.errors import LockgateError, PeerFault, Refused
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.state import Writes
from lockgate.primitives.time import UnixNanos
from tests.support.chain import TestLedger, client_states_of, header_message, resigned
from tests.support.memory_view import MemoryView
from tests.vectors.sets import vectors_root

CLIENT = ClientId("07-tendermint-0")
OWN = Height(0, 9)


class Recorded:
    """A client, the message that updates it, and what that update writes."""

    def __init__(self, states: tuple[bytes, bytes], message: bytes, now: UnixNanos) -> None:
        self.view = MemoryView()
        self.now = now
        self.message = message
        self.warm = TendermintClient()
        self.view.apply(self.warm.initialise(self.view, CLIENT, *states, now, OWN))
        self.writes = self.writes_of(self.warm, message)
        assert self.writes is not None

    def writes_of(self, module: TendermintClient, message: bytes) -> Writes | None:
        """Return what the update would write; None when it is refused."""
        try:
            update = module.update(self.view, CLIENT, (TENDERMINT_HEADER, message), self.now, OWN)
        except (PeerFault, Refused):
            return None
        assert not update.misbehaviour
        return update.outcome.writes

    def check(self, altered: bytes) -> None:
        """An altered message is refused, or says exactly what the good one says."""
        warm = self.writes_of(self.warm, altered)
        assert warm in (None, self.writes)
        assert self.writes_of(TendermintClient(), altered) == warm


def flipped(message: bytes, place: int, mask: int) -> bytes:
    altered = bytearray(message)
    altered[place] ^= mask
    return bytes(altered)


@cache
def four_validators() -> Recorded:
    chain = TestLedger()
    chain.run(9)
    block = chain.produce(absent={3})
    now = UnixNanos(block.header.time + 1)
    return Recorded(client_states_of(chain.block(1)), header_message(block, chain.block(1)), now)


@cache
def stargaze() -> Recorded | None:
    """Return the first recorded mainnet update with its client, where the third-party set is present."""
    folder = vectors_root() / "ibc-v2" / "stargaze-mainnet"
    creation, updates = None, []
    for path in sorted(folder.glob("*.msg")) if folder.is_dir() else ():
        raw = b64decode(path.read_text())
        try:
            message = ibc_client_pb2.MsgCreateClient.FromString(raw)
        except DecodeError:
            message = ibc_client_pb2.MsgCreateClient()
        if message.client_state.type_url == TENDERMINT_CLIENT_STATE:
            creation = message
        else:
            updates.append(ibc_client_pb2.MsgUpdateClient.FromString(raw).client_message.value)
    if creation is None or not updates:
        return None
    header = min(updates, key=lambda value: decode_header(value).height)
    now = UnixNanos(decode_header(header).block.header.time + 1)
    states = (creation.client_state.SerializeToString(), creation.consensus_state.SerializeToString())
    return Recorded(states, header, now)


@pytest.mark.parametrize("mask", [0x01, 0x80])
def test_no_flipped_byte_makes_another_header(mask: int) -> None:
    recorded = four_validators()
    for place in range(len(recorded.message)):
        recorded.check(flipped(recorded.message, place, mask))


@settings(max_examples=150, deadline=None)
@given(place=st.integers(0, 1_000_000), mask=st.integers(1, 255))
def test_no_flipped_byte_of_a_mainnet_header_makes_another(place: int, mask: int) -> None:
    recorded = stargaze()
    if recorded is None:
        pytest.skip("third-party cases ibc-v2/stargaze-mainnet are absent; set LOCKGATE_VECTORS")
    recorded.check(flipped(recorded.message, place % len(recorded.message), mask))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_cut_or_spliced_message_makes_another_header(data: st.DataObject) -> None:
    recorded = four_validators()
    message = recorded.message
    start = data.draw(st.integers(0, len(message)))
    end = data.draw(st.integers(start, len(message)))
    filling = data.draw(st.binary(max_size=40) | st.just(message[start:end] * 2))
    recorded.check(message[:start] + filling + message[end:])


@cache
def evidence() -> tuple[Recorded, bytes]:
    recorded = four_validators()
    chain = TestLedger()
    chain.run(10)
    pair = (chain.block(10), resigned(chain.block(10), app_hash=b"\x01" * 32))
    return recorded, encode_misbehaviour(CLIENT, *(header_message(one, chain.block(1)) for one in pair))


@settings(max_examples=300, deadline=None)
@given(place=st.integers(0, 1_000_000), mask=st.integers(1, 255))
def test_altered_evidence_freezes_only_on_a_contradiction(place: int, mask: int) -> None:
    recorded, raw = evidence()
    altered = flipped(raw, place % len(raw), mask)
    try:
        update = recorded.warm.update(recorded.view, CLIENT, (TENDERMINT_MISBEHAVIOUR, altered), recorded.now, OWN)
    except (PeerFault, Refused):
        return
    assert update.misbehaviour
    assert decode_misbehaviour(altered).is_contradiction


@settings(max_examples=300, deadline=None)
@given(raw=st.binary(max_size=300))
def test_decoders_raise_typed_errors_on_any_bytes(raw: bytes) -> None:
    for decode in (
        decode_header,
        decode_misbehaviour,
        decode_client_state,
        decode_consensus_state,
        lambda value: decode_client_state(wrap_any(TENDERMINT_CLIENT_STATE, value)),
        lambda value: decode_consensus_state(wrap_any(TENDERMINT_CONSENSUS_STATE, value)),
    ):
        with suppress(LockgateError):
            decode(raw)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
PLACES = (
    ("header",),
    ("commit",),
    *(("header", name) for name in ("version", "height", "time", "last_block_id", "app_hash", "chain_id")),
    *(("commit", name) for name in ("height", "round", "block_id", "signatures")),
)


@settings(max_examples=300, deadline=None)
@given(place=st.sampled_from(PLACES), value=JSON)
def test_json_readers_raise_typed_errors_on_any_json(place: tuple[str, ...], value: object) -> None:
    signed = rpc_json.signed_header_to_json(TestLedger(powers=(1,)).produce().signed_header)
    inner = signed
    for name in place[:-1]:
        inner = inner[name]  # type: ignore[assignment]  # a nested object
    inner[place[-1]] = value
    for read in (rpc_json.signed_header_from_json, rpc_json.validator_set_from_json, rpc_json.txs_from_json):
        with suppress(LockgateError):
            read(signed)
            read(value)


@settings(max_examples=300, deadline=None)
@given(text=st.text(max_size=40) | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,20}Z"))
def test_the_time_reader_raises_typed_errors_on_any_text(text: str) -> None:
    with suppress(LockgateError):
        parse_time(text)
