"""Validator sets, sound blocks, and who stands behind a commit: each rule of the digest §8 spoilt once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

import pytest

from lockgate.crypto import ed25519
from lockgate.lightclients.cometbft import commit as commit_module
from lockgate.lightclients.cometbft.commit import (
    ONE_THIRD,
    Fraction,
    NotEnoughTrust,
    check_commit_light,
    check_commit_light_trusting,
)
from lockgate.lightclients.cometbft.errors import (
    CommitAddressMismatch,
    CommitInvalid,
    CommitMismatch,
    DuplicateVote,
    HeaderInvalid,
    HeaderRefused,
    InsufficientPower,
    InvalidValidatorSet,
    TrustLevelInvalid,
    UnsupportedKey,
    ValidatorSetMismatch,
    WrongSignature,
)
from lockgate.lightclients.cometbft.soundness import SoundBlock, sound_block
from lockgate.lightclients.cometbft.types import (
    ABSENT_SIG,
    END_OF_TIME,
    GO_ZERO_TIME,
    MAX_TOTAL_POWER,
    MAX_VALIDATORS,
    BlockID,
    BlockIdFlag,
    Commit,
    CommitSig,
    LightBlock,
    PartSetHeader,
    SignedHeader,
    Validator,
    ValidatorSet,
    address_of,
)
from lockgate.primitives.time import UnixNanos
from tests.support.chain import TestLedger, sign, signing_key, validator_set


def produced(powers: tuple[int, ...], **votes: set[int]) -> LightBlock:
    return TestLedger(powers=powers).produce(**votes)  # type: ignore[arg-type]  # votes are absent, nil


def with_sig(commit: Commit, place: int, sig: CommitSig) -> Commit:
    sigs = list(commit.signatures)
    sigs[place] = sig
    return replace(commit, signatures=tuple(sigs))


# --- validator sets


def test_validators_are_ordered_by_power_then_address() -> None:
    members = validator_set((10, 30, 10, 20)).validators
    assert [member.voting_power for member in members] == [30, 20, 10, 10]
    assert members[2].address < members[3].address
    assert validator_set((10, 30, 10, 20)).total_power == 70


def test_hash_covers_keys_and_powers_and_nothing_else() -> None:
    one = validator_set((10, 20))
    priorities = tuple(replace(member, proposer_priority=-7) for member in one.validators)
    assert ValidatorSet(priorities, priorities[1]).hash == one.hash
    assert validator_set((10, 21)).hash != one.hash
    assert validator_set((10, 20), first=5).hash != one.hash


def key(number: int) -> Validator:
    return Validator.from_key(signing_key(number).public_key, 10)


@pytest.mark.parametrize(
    "members",
    [
        (),
        (key(0), key(0)),
        tuple(sorted((key(0), key(1)), key=lambda v: v.address, reverse=True)),
        (replace(key(0), address=bytes(20)),),
        (replace(key(0), voting_power=-1),),
        (replace(key(0), voting_power=0),),
        (key(0), replace(key(1), voting_power=-1)),
        (replace(key(0), voting_power=MAX_TOTAL_POWER + 1),),
        (replace(key(0), voting_power=MAX_TOTAL_POWER), replace(key(1), voting_power=1)),
    ],
    ids=[
        "empty",
        "doubled",
        "disordered",
        "address",
        "negative",
        "powerless",
        "partly negative",
        "too much",
        "overflow",
    ],
)
def test_what_is_not_a_validator_set_cannot_be_made(members: tuple[Validator, ...]) -> None:
    with pytest.raises(InvalidValidatorSet):
        ValidatorSet(members, members[0] if members else key(0))


def test_a_set_needs_its_proposer_among_its_members() -> None:
    with pytest.raises(InvalidValidatorSet):
        ValidatorSet((key(0),), key(1))
    with pytest.raises(InvalidValidatorSet):
        ValidatorSet.of((key(0),), key(1).address)
    with pytest.raises(InvalidValidatorSet):
        ValidatorSet.of(())
    assert ValidatorSet.of((key(0), key(1)), key(1).address).proposer == key(1)
    with pytest.raises(InvalidValidatorSet):
        ValidatorSet((key(0),), replace(key(0), public_key=key(1).public_key))


def test_total_power_is_an_eighth_of_int64() -> None:
    assert MAX_TOTAL_POWER == 1_152_921_504_606_846_975
    assert ValidatorSet.of((replace(key(0), voting_power=MAX_TOTAL_POWER),)).total_power == MAX_TOTAL_POWER


def test_keys_are_ed25519() -> None:
    short = bytes(31)
    with pytest.raises(UnsupportedKey):
        ValidatorSet((Validator(address_of(short), short, 1),), Validator(address_of(short), short, 1))


def test_ten_thousand_validators_are_a_set_and_one_more_is_not() -> None:
    keys = [sha256(b"key %d" % number).digest() for number in range(MAX_VALIDATORS + 1)]
    members = tuple(Validator.from_key(raw, 1) for raw in keys)
    assert len(ValidatorSet.of(members[:-1])) == MAX_VALIDATORS
    with pytest.raises(InvalidValidatorSet):
        ValidatorSet.of(members)


# --- sound blocks


def spoil_header(**changes: object) -> Callable[[LightBlock], LightBlock]:
    def spoil(block: LightBlock) -> LightBlock:
        header = replace(block.header, **changes)  # type: ignore[arg-type]  # names are fields
        return replace(block, signed_header=sign(header, block.validators))

    return spoil


def spoil_commit(change: Callable[[Commit], Commit]) -> Callable[[LightBlock], LightBlock]:
    def spoil(block: LightBlock) -> LightBlock:
        return replace(block, signed_header=SignedHeader(block.header, change(block.signed_header.commit)))

    return spoil


COMMIT_SPOILINGS: list[tuple[Callable[[Commit], Commit], type[HeaderRefused]]] = [
    (lambda c: replace(c, height=c.height + 1), CommitMismatch),
    (lambda c: replace(c, height=0), CommitInvalid),
    (lambda c: replace(c, round=-1), CommitInvalid),
    (lambda c: replace(c, round=2**31), CommitInvalid),
    (lambda c: replace(c, signatures=()), CommitInvalid),
    (lambda c: replace(c, signatures=(ABSENT_SIG,) * (MAX_VALIDATORS + 1)), CommitInvalid),
    (lambda c: replace(c, block_id=BlockID()), CommitInvalid),
    (lambda c: replace(c, block_id=replace(c.block_id, hash=bytes(32))), CommitMismatch),
    (lambda c: replace(c, block_id=replace(c.block_id, hash=bytes(31))), CommitInvalid),
    (lambda c: replace(c, block_id=replace(c.block_id, parts=PartSetHeader(1, b"x"))), CommitInvalid),
    (lambda c: with_sig(c, 0, replace(c.signatures[0], flag=BlockIdFlag.ABSENT)), CommitInvalid),
    (lambda c: with_sig(c, 0, replace(ABSENT_SIG, timestamp=UnixNanos(0))), CommitInvalid),
    (lambda c: with_sig(c, 0, replace(c.signatures[0], signature=b"")), CommitInvalid),
    (lambda c: with_sig(c, 0, replace(c.signatures[0], signature=bytes(65))), CommitInvalid),
    (lambda c: with_sig(c, 0, replace(c.signatures[0], validator_address=bytes(19))), CommitInvalid),
]


@pytest.mark.parametrize(("change", "refusal"), COMMIT_SPOILINGS)
def test_unsound_commits_are_refused(change: Callable[[Commit], Commit], refusal: type[HeaderRefused]) -> None:
    block = produced((10, 10, 10))
    sound_block(block.signed_header, block.validators)
    with pytest.raises(refusal):
        sound_block(spoil_commit(change)(block).signed_header, block.validators)


@pytest.mark.parametrize(
    "changes",
    [
        {"version_block": 10},
        {"chain_id": ""},
        {"chain_id": "x" * 51},
        {"chain_id": "é" * 26},
        {"height": 0},
        {"height": -1},
        {"height": 2**63},
        {"time": GO_ZERO_TIME - 1},
        {"time": END_OF_TIME},
        {"proposer_address": bytes(19)},
        {"last_commit_hash": b"x"},
        {"data_hash": bytes(33)},
        {"consensus_hash": b"x"},
        {"last_results_hash": b"x"},
        {"evidence_hash": b"x"},
        {"next_validators_hash": b""},
        {"next_validators_hash": bytes(31)},
        {"last_block_id": BlockID(b"x")},
        {"last_block_id": BlockID(b"", PartSetHeader(1, b"x"))},
    ],
    ids=str,
)
def test_unsound_headers_are_refused(changes: dict[str, object]) -> None:
    block = produced((10, 10, 10))
    with pytest.raises((HeaderInvalid, CommitInvalid)):
        sound_block(spoil_header(**changes)(block).signed_header, block.validators)


def test_the_validators_must_be_the_header_s() -> None:
    block = produced((10, 10, 10))
    with pytest.raises(ValidatorSetMismatch):
        sound_block(block.signed_header, validator_set((10, 10, 11)))
    with pytest.raises((HeaderInvalid, ValidatorSetMismatch)):
        sound_block(spoil_header(validators_hash=bytes(32))(block).signed_header, block.validators)


def test_a_sound_block_cannot_be_claimed() -> None:
    block = produced((10,))
    with pytest.raises(TypeError):
        SoundBlock(block.header, block.signed_header.commit, block.validators, bytes(32))


# --- more than two thirds of the block's own set


def light(block: LightBlock) -> None:
    check_commit_light(block.header.chain_id, block.validators, block.signed_header.commit)


def test_more_than_two_thirds_must_sign() -> None:
    light(produced((10, 10, 10)))
    light(produced((10, 10, 11), absent={2}))  # 21 of 31, strictly more than 20
    with pytest.raises(InsufficientPower):
        light(produced((10, 10, 10), absent={1}))  # exactly two thirds
    with pytest.raises(InsufficientPower):
        light(produced((10, 10, 10), nil={0}))  # votes for nil are no votes for the block


@pytest.mark.parametrize("total", range(3, 12))
def test_the_threshold_is_exact(total: int) -> None:
    """Of `total` equal validators, the least number of votes that passes is floor(2·total/3) + 1."""
    enough = total * 2 // 3 + 1
    light(produced((1,) * total, absent=set(range(enough, total))))
    with pytest.raises(InsufficientPower):
        light(produced((1,) * total, absent=set(range(enough - 1, total))))


def test_each_signature_belongs_to_its_place() -> None:
    block = produced((10, 10, 10))
    commit = block.signed_header.commit
    turned = replace(commit, signatures=commit.signatures[1:] + commit.signatures[:1])
    with pytest.raises(CommitAddressMismatch):
        light(replace(block, signed_header=SignedHeader(block.header, turned)))
    alien = with_sig(commit, 0, replace(commit.signatures[0], validator_address=bytes(20)))
    with pytest.raises(CommitAddressMismatch):
        light(replace(block, signed_header=SignedHeader(block.header, alien)))
    with pytest.raises(CommitInvalid):
        check_commit_light("ledger-1", validator_set((10, 10)), commit)


@pytest.mark.parametrize(
    "change",
    [
        lambda sig: replace(sig, signature=bytes(64)),
        lambda sig: replace(sig, signature=sig.signature[:63]),
        lambda sig: replace(sig, timestamp=sig.timestamp + 1),
    ],
    ids=["forged", "short", "another time"],
)
def test_a_bad_signature_before_the_threshold_ends_it(change: Callable[[CommitSig], CommitSig]) -> None:
    block = produced((10, 10, 10))
    commit = block.signed_header.commit
    with pytest.raises(WrongSignature):
        check_commit_light("ledger-1", block.validators, with_sig(commit, 1, change(commit.signatures[1])))


def test_signatures_sign_round_chain_and_parts() -> None:
    block = produced((10, 10, 10))
    commit = block.signed_header.commit
    parts = replace(commit.block_id, parts=PartSetHeader(2, commit.block_id.parts.hash))
    for spoilt in (replace(commit, round=1), replace(commit, block_id=parts)):
        with pytest.raises(WrongSignature):
            check_commit_light("ledger-1", block.validators, spoilt)
    with pytest.raises(WrongSignature):
        check_commit_light("ledger-2", block.validators, commit)


def test_nothing_behind_the_threshold_is_looked_at() -> None:
    block = produced((40, 30, 20, 10))
    commit = block.signed_header.commit  # 70 of 100 suffice
    for place in (2, 3):
        commit = with_sig(commit, place, replace(commit.signatures[place], signature=bytes(64)))
    check_commit_light("ledger-1", block.validators, commit)


# --- the trust level of an earlier set


def trusting(trusted: ValidatorSet, block: LightBlock, level: Fraction = ONE_THIRD) -> object:
    return check_commit_light_trusting("ledger-1", trusted, block.signed_header.commit, level)


def test_more_than_a_third_of_the_trusted_set_must_sign() -> None:
    block = produced((10, 10, 10))
    assert trusting(block.validators, block) == {
        place: block.validators.validators[place].public_key for place in (0, 1)
    }
    assert trusting(validator_set((10, 10, 10), first=2), block) == NotEnoughTrust(10, 10)  # exactly 1/3
    assert trusting(validator_set((11, 10, 10), first=2), block) != NotEnoughTrust(11, 10)
    assert trusting(validator_set((10, 10, 10), first=9), block) == NotEnoughTrust(0, 10)
    assert trusting(block.validators, block, Fraction(2, 3)) != NotEnoughTrust(30, 20)
    assert trusting(block.validators, produced((10, 10, 10), absent={0}), Fraction(2, 3)) == NotEnoughTrust(20, 20)
    assert trusting(block.validators, block, Fraction(1, 1)) == NotEnoughTrust(30, 30)


def test_votes_for_nil_and_absent_votes_earn_no_trust() -> None:
    block = produced((10, 10, 10), nil={0}, absent={1})
    assert trusting(block.validators, block) == NotEnoughTrust(10, 10)


def test_one_validator_votes_once() -> None:
    block = produced((10, 10, 10, 10))
    sigs = block.signed_header.commit.signatures
    doubled = replace(block.signed_header.commit, signatures=(sigs[0], sigs[0], sigs[2], sigs[3]))
    with pytest.raises(DuplicateVote):
        trusting(block.validators, replace(block, signed_header=SignedHeader(block.header, doubled)))


@pytest.mark.parametrize("terms", [(0, 0), (0, 1), (1, 0), (1, 4), (2, 1), (-1, -3), (1, 1 << 64)])
def test_trust_levels_are_from_a_third_to_one(terms: tuple[int, int]) -> None:
    with pytest.raises(TrustLevelInvalid):
        Fraction(*terms)
    assert Fraction(1, 3) == ONE_THIRD
    assert Fraction(1, 1).numerator == 1


# --- what a check costs


class Counter:
    """Stands in for a signature check and counts."""

    def __init__(self, answer: Callable[[bytes, bytes, bytes], bool]) -> None:
        self.calls = 0
        self._answer = answer

    def __call__(self, public_key: bytes, signature: bytes, message: bytes) -> bool:
        self.calls += 1
        return self._answer(public_key, signature, message)


def test_a_commit_without_power_costs_no_signature_check(monkeypatch: pytest.MonkeyPatch) -> None:
    counter = Counter(ed25519.verify_zip215)
    monkeypatch.setattr(commit_module, "verify_zip215", counter)
    block = produced((10, 10, 10), absent={2})
    with pytest.raises(InsufficientPower):
        light(block)
    assert counter.calls == 0


def test_the_slow_check_runs_once_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    counter = Counter(ed25519.equation_holds)
    monkeypatch.setattr(ed25519, "equation_holds", counter)
    block = produced((1,) * 9)
    commit = block.signed_header.commit
    forged = replace(commit, signatures=tuple(replace(s, signature=bytes(64)) for s in commit.signatures))
    with pytest.raises(WrongSignature):
        check_commit_light("ledger-1", block.validators, forged)
    assert counter.calls == 1


def test_a_signature_is_checked_once_for_both_thresholds(monkeypatch: pytest.MonkeyPatch) -> None:
    counter = Counter(ed25519.verify_zip215)
    monkeypatch.setattr(commit_module, "verify_zip215", counter)
    block = produced((10, 10, 10, 10))
    commit = block.signed_header.commit
    verified = check_commit_light_trusting("ledger-1", block.validators, commit, ONE_THIRD)
    assert not isinstance(verified, NotEnoughTrust)
    check_commit_light("ledger-1", block.validators, commit, verified)
    assert counter.calls == 3
    stale = {place: bytes(32) for place in verified}  # verified under other keys: does not count
    check_commit_light("ledger-1", block.validators, commit, stale)
    assert counter.calls == 6
