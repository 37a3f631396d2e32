"""How much of a validator set stands behind a commit. Source: digest §8; types/validation.go.

Both checks first choose the signatures that count, by power alone, and only then verify those, in
order. So a commit that lacks power costs no signature check, nothing behind the threshold is
looked at, and the first signature that fails ends the whole verification. The slow complete ZIP-215
routine runs where the fast library says no: once for a signature that is none, and for each that only it
accepts, which no honest validator makes, and which must count all the same (docs/explanation/attacks.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from lockgate.crypto.ed25519 import verify_zip215
from lockgate.lightclients.cometbft.errors import (
    CommitAddressMismatch,
    CommitInvalid,
    DuplicateVote,
    InsufficientPower,
    TrustLevelInvalid,
    WrongSignature,
)
from lockgate.lightclients.cometbft.signing import VoteFrame
from lockgate.lightclients.cometbft.types import BlockIdFlag, Commit, Validator, ValidatorSet

Verified = Mapping[int, bytes]  # place in the commit → key its signature verified under


@dataclass(frozen=True, slots=True)
class Fraction:
    """How much of a trusted set must have signed, strictly more than this: 1/3 to 1."""

    numerator: int
    denominator: int

    def __post_init__(self) -> None:
        if not 0 < self.numerator <= self.denominator < 1 << 64 or 3 * self.numerator < self.denominator:
            raise TrustLevelInvalid(numerator=self.numerator, denominator=self.denominator)


ONE_THIRD: Final = Fraction(1, 3)  # least that leaves one honest signer while 2/3 are honest


@dataclass(frozen=True, slots=True)
class NotEnoughTrust:
    """Well formed, and too few of the trusted validators signed it: verify one in between first."""

    signed_power: int
    more_than: int


def check_commit_light(
    chain_id: str,
    validators: ValidatorSet,
    commit: Commit,
    already: Verified | None = None,
) -> None:
    """Require that more than 2/3 of `validators`, the block's own set, signed the commit's block.

    Signature i belongs to validator i and must name that validator's address (CSA-2026-001).
    `already` holds signatures of this very commit that have been verified; one that was checked
    under the same key is not checked twice.

    Raises `CommitInvalid`, `CommitAddressMismatch`, `InsufficientPower`, `WrongSignature`.
    """
    members = validators.validators
    if len(commit.signatures) != len(members):
        raise CommitInvalid("not one signature per validator", signatures=len(commit.signatures))
    needed = validators.total_power * 2 // 3
    chosen: list[tuple[int, Validator]] = []
    power = 0
    for place, sig in enumerate(commit.signatures):
        if sig.flag is not BlockIdFlag.COMMIT:
            continue
        member = members[place]
        if sig.validator_address != member.address:
            raise CommitAddressMismatch(place=place, expected=member.address, found=sig.validator_address)
        chosen.append((place, member))
        power += member.voting_power
        if power > needed:
            break
    else:
        raise InsufficientPower(signed=power, more_than=needed)
    if already:
        chosen = [(place, member) for place, member in chosen if already.get(place) != member.public_key]
    _check_signatures(chain_id, commit, chosen)


def check_commit_light_trusting(
    chain_id: str,
    trusted: ValidatorSet,
    commit: Commit,
    level: Fraction,
) -> Verified | NotEnoughTrust:
    """Ask whether more than `level` of `trusted`, an earlier set, signed the commit's block.

    Validators are found by address; those unknown to `trusted` are skipped. Returns what was
    verified, so that the check of the block's own set need not repeat it.

    Raises `DuplicateVote`, `WrongSignature`.
    """
    needed = trusted.total_power * level.numerator // level.denominator
    chosen: dict[int, tuple[int, Validator]] = {}
    power = 0
    for place, sig in enumerate(commit.signatures):
        if sig.flag is not BlockIdFlag.COMMIT:
            continue
        index = trusted.place(sig.validator_address)
        if index is None:
            continue
        if index in chosen:
            raise DuplicateVote(validator=sig.validator_address, first=chosen[index][0], second=place)
        member = trusted.validators[index]
        chosen[index] = (place, member)
        power += member.voting_power
        if power > needed:
            break
    else:
        return NotEnoughTrust(power, needed)
    _check_signatures(chain_id, commit, list(chosen.values()))
    return {place: member.public_key for place, member in chosen.values()}


def _check_signatures(chain_id: str, commit: Commit, chosen: list[tuple[int, Validator]]) -> None:
    frame = VoteFrame.precommits(chain_id, commit)
    for place, member in chosen:
        sig = commit.signatures[place]
        if not verify_zip215(member.public_key, sig.signature, frame.sign_bytes(sig.timestamp)):
            raise WrongSignature(place=place, validator=member.address)


__all__ = (
    "ONE_THIRD",
    "Fraction",
    "NotEnoughTrust",
    "Verified",
    "check_commit_light",
    "check_commit_light_trusting",
)
