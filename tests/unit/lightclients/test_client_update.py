"""Updating and freezing a client: the good step, each row of the digest §14, nothing written on refusal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from lockgate.codec.type_urls import TENDERMINT_CLIENT_STATE, TENDERMINT_HEADER
from lockgate.codec.wire import ibc_tendermint_pb2 as wire
from lockgate.lightclients.cometbft import encoding
from lockgate.lightclients.cometbft.errors import (
    CommitAddressMismatch,
    CommitInvalid,
    CommitMismatch,
    HeaderFromFuture,
    InsufficientOverlap,
    InsufficientPower,
    InvalidValidatorSet,
    MalformedChainData,
    TimeNotAfterTrusted,
    TrustedHeaderExpired,
    UnsupportedKey,
    UntrustedValidators,
    ValidatorSetMismatch,
    WrongChain,
    WrongSignature,
)
from lockgate.lightclients.cometbft.types import LightBlock, SignedHeader, ValidatorSet
from lockgate.lightclients.tendermint.errors import (
    ClientExpired,
    ClientUnknown,
    ConsensusStateMissing,
    InvalidHeight,
    MalformedState,
    MessageTooLarge,
    RootUnset,
)
from lockgate.lightclients.tendermint.messages import MAX_HEADER_BYTES, decode_header
from lockgate.lightclients.tendermint.states import decode_consensus_state
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.time import DurationNanos, UnixNanos, seconds
from tests.support.chain import (
    TRUSTING,
    TestLedger,
    consensus_state_of,
    header_message,
    resigned,
    sign,
    validator_set,
)
from tests.unit.lightclients.world import CLIENT, ClientWorld


def test_a_header_is_stored_and_the_client_advances() -> None:
    world = ClientWorld()
    block = world.ledger.block(10)
    update = world.update(block)
    assert (update.consensus_heights, update.misbehaviour) == ((Height(1, 10),), False)
    assert world.client.latest_height(world.view, CLIENT) == Height(1, 10)
    assert world.client.timestamp_at(world.view, CLIENT, Height(1, 10)) == block.header.time
    stored = world.view.get("ibc", b"clients/07-tendermint-0/consensusStates/1-10")
    assert stored is not None
    assert decode_consensus_state(stored) == consensus_state_of(block)
    assert world.view.get("ibc", b"clients/07-tendermint-0/consensusStates/1-10/processedHeight") == b"3-77"


def test_the_same_header_again_changes_nothing() -> None:
    world = ClientWorld()
    world.update(world.ledger.block(10))
    before = world.view.snapshot()
    again = world.update(world.ledger.block(10))
    assert again.consensus_heights == (Height(1, 10),)
    assert not again.outcome.writes
    assert world.view.snapshot() == before


def test_a_lower_header_fills_the_gap() -> None:
    world = ClientWorld()
    world.update(world.ledger.block(10))
    update = world.update(world.ledger.block(5))
    assert update.consensus_heights == (Height(1, 5),)
    assert world.client.latest_height(world.view, CLIENT) == Height(1, 10)
    assert b"clientState" not in {key[1][-11:] for key in update.outcome.writes}
    assert world.update(world.ledger.block(7), world.ledger.block(5)).consensus_heights == (Height(1, 7),)


def edit(change: Callable[[wire.Header], object]) -> Callable[[ClientWorld], bytes]:
    """Change the good Header message in place."""

    def message(world: ClientWorld) -> bytes:
        header = wire.Header.FromString(header_message(world.ledger.block(10), world.first))
        change(header)
        return header.SerializeToString()

    return message


def block_with(change: Callable[[LightBlock], LightBlock]) -> Callable[[ClientWorld], bytes]:
    """Send another block than the good one."""
    return lambda world: header_message(change(world.ledger.block(10)), world.first)


def other_chain(chain_id: str) -> Callable[[ClientWorld], bytes]:
    def message(world: ClientWorld) -> bytes:
        other = TestLedger(chain_id)
        other.run(10)
        return header_message(other.block(10), world.first)

    return message


def permuted(header: wire.Header) -> None:
    sigs = header.signed_header.commit.signatures
    one, other = (type(sigs[0]).FromString(sigs[place].SerializeToString()) for place in (0, 1))
    sigs[0].CopyFrom(other)
    sigs[1].CopyFrom(one)


def secp256k1(header: wire.Header) -> None:
    header.validator_set.validators[0].pub_key.secp256k1 = bytes(33)


def weak(block: LightBlock) -> LightBlock:
    return replace(block, signed_header=sign(block.header, block.validators, absent={0, 1}))


def nil_votes(block: LightBlock) -> LightBlock:
    return replace(block, signed_header=sign(block.header, block.validators, nil={0, 1}))


def another_round(block: LightBlock) -> LightBlock:
    commit = replace(block.signed_header.commit, round=1)
    return replace(block, signed_header=SignedHeader(block.header, commit))


def usurped(block: LightBlock) -> LightBlock:
    strangers = validator_set((10, 10, 10), first=30)
    header = replace(block.header, validators_hash=strangers.hash)
    return LightBlock(sign(header, strangers), strangers, strangers)


def one_third(block: LightBlock) -> LightBlock:
    """Signed by validators of whom the trusted set knows one fifth."""
    mixed = validator_set((10, 10, 10, 10), first=3)
    header = replace(block.header, validators_hash=mixed.hash)
    return LightBlock(sign(header, mixed), mixed, mixed)


def trusted_from_nowhere(world: ClientWorld) -> bytes:
    return header_message(world.ledger.block(10), world.ledger.block(2))


def expired_trusted(world: ClientWorld) -> bytes:
    """Keep the client alive by newer headers until the first one has expired, then trust that one."""
    world.update(world.ledger.block(10))
    long = world.ledger.produce(world.store.app_hash, after=DurationNanos(TRUSTING - seconds(20)))
    world.now = UnixNanos(long.header.time)
    world.update(long, world.ledger.block(10))
    world.now = UnixNanos(world.first.header.time + TRUSTING)
    return header_message(long, world.first)


REFUSALS: list[tuple[str, Callable[[ClientWorld], bytes], type[LockgateError]]] = [
    ("wrong chain id", other_chain("ledger-x-1"), WrongChain),
    ("wrong revision", other_chain("ledger-2"), InvalidHeight),
    ("trusted height missing", trusted_from_nowhere, ConsensusStateMissing),
    (
        "trusted height not below",
        edit(lambda h: setattr(h.trusted_height, "revision_height", 10)),
        InvalidHeight,
    ),
    (
        "trusted validators of another hash",
        edit(lambda h: h.trusted_validators.ParseFromString(_encoded(validator_set((10, 10, 10, 11))))),
        UntrustedValidators,
    ),
    ("trusted validators absent", edit(lambda h: h.ClearField("trusted_validators")), UntrustedValidators),
    ("too little overlap", block_with(one_third), InsufficientOverlap),
    ("no overlap at all", block_with(usurped), InsufficientOverlap),
    ("too few of its own set", block_with(weak), InsufficientPower),
    ("nil votes counted", block_with(nil_votes), InsufficientPower),
    ("signatures permuted", edit(permuted), CommitAddressMismatch),
    (
        "signature dropped",
        edit(lambda h: h.signed_header.commit.signatures.pop()),
        CommitInvalid,
    ),
    (
        "signature of a stranger",
        edit(lambda h: setattr(h.signed_header.commit.signatures[2], "validator_address", bytes(20))),
        CommitAddressMismatch,
    ),
    (
        "signature forged",
        edit(lambda h: setattr(h.signed_header.commit.signatures[0], "signature", bytes(64))),
        WrongSignature,
    ),
    (
        "timestamp tampered",
        edit(lambda h: setattr(h.signed_header.commit.signatures[0].timestamp, "nanos", 7)),
        WrongSignature,
    ),
    ("commit of another round", block_with(another_round), WrongSignature),
    (
        "commit of another height",
        edit(lambda h: setattr(h.signed_header.commit, "height", 9)),
        CommitMismatch,
    ),
    (
        "commit of another block",
        edit(lambda h: setattr(h.signed_header.commit.block_id, "hash", bytes(32))),
        CommitMismatch,
    ),
    ("app hash altered", edit(lambda h: setattr(h.signed_header.header, "app_hash", bytes(32))), CommitMismatch),
    (
        "validator set of another hash",
        edit(lambda h: h.validator_set.ParseFromString(_encoded(validator_set((10, 10, 10, 11))))),
        ValidatorSetMismatch,
    ),
    (
        "total power overflows",
        edit(lambda h: setattr(h.validator_set.validators[0], "voting_power", 2**62)),
        InvalidValidatorSet,
    ),
    ("proposer absent", edit(lambda h: h.validator_set.ClearField("proposer")), InvalidValidatorSet),
    ("unknown key type", edit(secp256k1), UnsupportedKey),
    ("no signed header", edit(lambda h: h.ClearField("signed_header")), MalformedChainData),
    ("noise", lambda world: b"\xff\xff", MalformedChainData),
    ("oversized", lambda world: bytes(MAX_HEADER_BYTES + 1), MessageTooLarge),
    (
        "time of the trusted header",
        lambda world: header_message(resigned(world.ledger.block(10), time=world.first.header.time), world.first),
        TimeNotAfterTrusted,
    ),
    ("trusted header expired", expired_trusted, TrustedHeaderExpired),
    ("root unset", block_with(lambda block: resigned(block, app_hash=bytes(32))), RootUnset),
    ("root of another length", block_with(lambda block: resigned(block, app_hash=b"short")), RootUnset),
]


def _encoded(validators: ValidatorSet) -> bytes:
    return encoding.validator_set(validators)


@pytest.mark.parametrize(("spoil", "refusal"), [row[1:] for row in REFUSALS], ids=[row[0] for row in REFUSALS])
def test_a_spoilt_header_is_refused(spoil: Callable[[ClientWorld], bytes], refusal: type[LockgateError]) -> None:
    world = ClientWorld()
    message = spoil(world)
    before = world.view.snapshot()
    with pytest.raises(refusal):
        world.send(TENDERMINT_HEADER, message)
    assert world.view.snapshot() == before


def test_clock_drift_is_strict_to_the_nanosecond() -> None:
    world = ClientWorld()
    block = world.ledger.block(10)
    world.now = UnixNanos(block.header.time - seconds(15))
    with pytest.raises(HeaderFromFuture):
        world.update(block)
    world.now = UnixNanos(world.now + 1)
    assert world.update(block).consensus_heights == (Height(1, 10),)


def test_status_is_active_until_the_trusting_period_ends() -> None:
    world = ClientWorld()
    world.now = UnixNanos(world.first.header.time + TRUSTING - 1)
    assert world.status() == "Active"
    world.now = UnixNanos(world.now + 1)
    assert world.status() == "Expired"
    with pytest.raises(ClientExpired):
        world.update(world.ledger.block(10))
    assert world.client.status(world.view, ClientId("07-tendermint-9"), world.now) == "Unknown"
    assert world.client.latest_height(world.view, ClientId("07-tendermint-9")) == Height(0, 0)


def test_a_client_without_its_latest_consensus_state_is_expired() -> None:
    world = ClientWorld()
    del world.view.stores["ibc"][b"clients/07-tendermint-0/consensusStates/1-1"]
    assert world.status() == "Expired"


def test_what_does_not_exist_is_refused_by_name() -> None:
    world = ClientWorld()
    message = header_message(world.ledger.block(10), world.first)
    with pytest.raises(ClientUnknown):
        world.send(TENDERMINT_HEADER, message, ClientId("07-tendermint-9"))
    with pytest.raises(MalformedState):
        world.send(TENDERMINT_CLIENT_STATE, message)
    with pytest.raises(ConsensusStateMissing):
        world.client.timestamp_at(world.view, CLIENT, Height(1, 2))


def test_a_validator_change_is_followed_step_by_step() -> None:
    world = ClientWorld()
    world.ledger.elect((10, 10, 10, 10), first=8)
    blocks = [world.produce() for _ in range(3)]
    world.now = UnixNanos(blocks[-1].header.time + 1)
    with pytest.raises(InsufficientOverlap):
        world.update(blocks[2])
    world.update(blocks[0])
    world.update(blocks[1], blocks[0])
    assert world.update(blocks[2], blocks[0]).consensus_heights == (Height(1, 13),)


def test_the_message_decodes_to_what_was_sent() -> None:
    world = ClientWorld()
    header = decode_header(header_message(world.ledger.block(10), world.first))
    assert (header.height, header.trusted_height) == (Height(1, 10), Height(1, 1))
    assert header.trusted_validators == world.first.next_validators
