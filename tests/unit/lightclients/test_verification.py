"""The predicate of the digest §9: a good step, then each condition broken alone, to the nanosecond."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lockgate.lightclients.cometbft.bisection import trusted_state
from lockgate.lightclients.cometbft.commit import Fraction
from lockgate.lightclients.cometbft.errors import (
    HeaderFromFuture,
    HeightNotAfterTrusted,
    InsufficientPower,
    NotNextValidators,
    TimeNotAfterTrusted,
    TrustedHeaderExpired,
    UntrustedValidators,
    WrongChain,
    WrongSignature,
)
from lockgate.lightclients.cometbft.soundness import sound_block
from lockgate.lightclients.cometbft.types import (
    ABSENT_SIG,
    BlockIdFlag,
    Commit,
    CommitSig,
    LightBlock,
    Validator,
    ValidatorSet,
)
from lockgate.lightclients.cometbft.verification import (
    Invalid,
    NotEnoughTrust,
    Trusted,
    TrustOptions,
    Verdict,
    is_expired,
    verify,
)
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.time import DurationNanos, UnixNanos, seconds
from tests.support.chain import TestLedger, resigned, validator_set

OPTIONS = TrustOptions(trusting_period=seconds(3_600), clock_drift=seconds(10))


def step(trusted: LightBlock, block: LightBlock, now: int | None = None, options: TrustOptions = OPTIONS) -> Verdict:
    """Judge `block` from `trusted`, by default a second after the block."""
    moment = UnixNanos(block.header.time + 10**9 if now is None else now)
    sound = sound_block(block.signed_header, block.validators)
    return verify(trusted_state(trusted), trusted.next_validators, sound, options, moment)


def refusal(verdict: Verdict) -> type[LockgateError] | None:
    return type(verdict.failure) if isinstance(verdict, Invalid) else None


@pytest.fixture
def chain() -> TestLedger:
    ledger = TestLedger()
    ledger.run(9)
    return ledger


def test_adjacent_and_skipping_steps_are_trusted(chain: TestLedger) -> None:
    for height in (2, 3, 9):
        verdict = step(chain.block(1), chain.block(height))
        assert isinstance(verdict, Trusted)
        assert verdict.state == trusted_state(chain.block(height))


def test_trust_cannot_be_claimed(chain: TestLedger) -> None:
    block = chain.block(2)
    with pytest.raises(TypeError):
        Trusted(sound_block(block.signed_header, block.validators))


def test_the_trusted_header_expires_on_the_boundary(chain: TestLedger) -> None:
    trusted = chain.block(1)
    end = trusted.header.time + OPTIONS.trusting_period
    assert refusal(step(trusted, chain.block(2), now=end)) is TrustedHeaderExpired
    assert isinstance(step(trusted, chain.block(2), now=end - 1), Trusted)
    assert is_expired(trusted.header.time, OPTIONS.trusting_period, UnixNanos(end))
    assert not is_expired(trusted.header.time, OPTIONS.trusting_period, UnixNanos(end - 1))


def test_a_header_from_the_future_waits(chain: TestLedger) -> None:
    block = chain.block(5)
    edge = block.header.time - OPTIONS.clock_drift
    assert refusal(step(chain.block(1), block, now=edge)) is HeaderFromFuture
    assert isinstance(step(chain.block(1), block, now=edge + 1), Trusted)


def test_time_must_advance(chain: TestLedger) -> None:
    first = chain.block(1)
    for height in (2, 5):
        same = resigned(chain.block(height), time=first.header.time)
        assert refusal(step(first, same, now=first.header.time + 1)) is TimeNotAfterTrusted
        later = resigned(chain.block(height), time=first.header.time + 1)
        assert isinstance(step(first, later, now=first.header.time + 1), Trusted)


def test_height_must_advance(chain: TestLedger) -> None:
    assert refusal(step(chain.block(5), chain.block(5))) is HeightNotAfterTrusted
    assert refusal(step(chain.block(5), chain.block(4))) is HeightNotAfterTrusted


def test_the_chain_must_be_the_same() -> None:
    """The same keys under another chain id earn nothing: also not with signatures that are valid there."""
    here, there = TestLedger("ledger-1"), TestLedger("ledger-2")
    here.run(3)
    there.run(3)
    assert refusal(step(here.block(1), there.block(3))) is WrongChain


def test_trusted_validators_must_be_the_announced_ones(chain: TestLedger) -> None:
    block = chain.block(3)
    sound = sound_block(block.signed_header, block.validators)
    others = validator_set((10, 10, 10), first=8)
    now = UnixNanos(block.header.time + 1)
    verdict = verify(trusted_state(chain.block(1)), others, sound, OPTIONS, now)
    assert refusal(verdict) is UntrustedValidators


def test_an_adjacent_header_is_signed_by_the_announced_set() -> None:
    chain = TestLedger(powers=(10, 10, 10))
    first = chain.produce()
    usurpers = TestLedger(powers=(10, 10, 10, 1))  # shares three keys of four
    usurpers.run(2)
    assert refusal(step(first, usurpers.block(2))) is NotNextValidators
    usurpers.produce()
    assert isinstance(step(first, usurpers.block(3)), Trusted)  # overlap is enough two heights later


def test_a_set_that_changed_too_much_needs_a_header_in_between() -> None:
    chain = TestLedger(powers=(10, 10, 10))
    first = chain.produce()
    chain.elect((10, 10, 10), first=2)
    chain.run(3)
    assert step(first, chain.block(3)) == NotEnoughTrust(10, 10)
    assert isinstance(step(first, chain.block(2)), Trusted)
    assert isinstance(step(chain.block(2), chain.block(3)), Trusted)


def test_its_own_set_must_stand_behind_a_header(chain: TestLedger) -> None:
    weak = chain.produce(absent={0, 1})
    for trusted in (chain.block(9), chain.block(1)):
        assert refusal(step(trusted, weak)) is InsufficientPower


def test_a_higher_trust_level_asks_for_more(chain: TestLedger) -> None:
    chain.elect((10, 10, 10, 10), first=2)
    chain.run(2)
    options = replace(OPTIONS, trust_level=Fraction(2, 3))
    assert isinstance(step(chain.block(1), chain.latest), Trusted)
    assert isinstance(step(chain.block(1), chain.latest, options=options), NotEnoughTrust)


def test_no_drift_at_all_is_an_allowed_setting(chain: TestLedger) -> None:
    options = replace(OPTIONS, clock_drift=DurationNanos(0))
    block = chain.block(2)
    assert refusal(step(chain.block(1), block, block.header.time, options)) is HeaderFromFuture
    assert isinstance(step(chain.block(1), block, block.header.time + 1, options), Trusted)


def test_a_tampered_timestamp_is_a_wrong_signature(chain: TestLedger) -> None:
    block = chain.block(2)
    commit = block.signed_header.commit
    sigs: list[Any] = list(commit.signatures)
    sigs[0] = replace(sigs[0], timestamp=sigs[0].timestamp + 1)
    spoilt = replace(block.signed_header, commit=replace(commit, signatures=tuple(sigs)))
    assert refusal(step(chain.block(1), replace(block, signed_header=spoilt))) is WrongSignature


def test_signatures_only_zip_215_accepts_count() -> None:
    """A key and a nonce of small order: every CometBFT node accepts this, strict libraries do not (§7)."""
    identity = (1).to_bytes(32, "little")
    chain = TestLedger(powers=(10, 10))
    first = chain.produce()
    odd = Validator.from_key(identity, 100)
    validators = ValidatorSet.of((*first.validators.validators, odd))
    trusted = replace(trusted_state(first), next_validators_hash=validators.hash)
    second = chain.produce()
    header = replace(second.header, validators_hash=validators.hash)
    shell = resigned(replace(second, validators=first.validators), validators_hash=validators.hash)
    sig = CommitSig(BlockIdFlag.COMMIT, odd.address, header.time, identity + bytes(32))
    block_id = shell.signed_header.commit.block_id
    commit = Commit(header.height, 0, block_id, (sig, ABSENT_SIG, ABSENT_SIG))
    sound = sound_block(replace(shell.signed_header, commit=commit), validators)
    now = UnixNanos(header.time + 1)
    assert isinstance(verify(trusted, validators, sound, OPTIONS, now), Trusted)
