"""The light client's predicate: may a header be trusted, given one that is? Source: digest §9.

The answer is a value. `NotEnoughTrust` is an honest chain whose validators changed: the caller
bisects. `Trusted` can be made nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

from lockgate.lightclients.cometbft.commit import (
    ONE_THIRD,
    Fraction,
    NotEnoughTrust,
    check_commit_light,
    check_commit_light_trusting,
)
from lockgate.lightclients.cometbft.errors import (
    HeaderFromFuture,
    HeightNotAfterTrusted,
    NotNextValidators,
    TimeNotAfterTrusted,
    TrustedHeaderExpired,
    UntrustedValidators,
    WrongChain,
)
from lockgate.lightclients.cometbft.soundness import SoundBlock
from lockgate.lightclients.cometbft.types import ValidatorSet
from lockgate.primitives.errors import PeerFault, Refused
from lockgate.primitives.sealed import Sealed
from lockgate.primitives.time import DurationNanos, UnixNanos, seconds

DEFAULT_CLOCK_DRIFT: Final = seconds(10)  # light.defaultMaxClockDrift


@dataclass(frozen=True, slots=True)
class TrustedState:
    """What one trusted header says about the headers after it."""

    chain_id: str
    height: int
    time: UnixNanos
    next_validators_hash: bytes  # 32 bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustOptions:
    """How long a header stays trusted, and how far clocks and validator sets may differ."""

    trusting_period: DurationNanos  # shorter than the chain's unbonding period
    clock_drift: DurationNanos = DEFAULT_CLOCK_DRIFT
    trust_level: Fraction = ONE_THIRD


@final
@dataclass(frozen=True, slots=True)
class Trusted(metaclass=Sealed):
    """The block is verified: `block.header` may be believed until it expires."""

    block: SoundBlock

    @property
    def state(self) -> TrustedState:
        header = self.block.header
        return TrustedState(header.chain_id, header.height, header.time, header.next_validators_hash)


@dataclass(frozen=True, slots=True)
class Invalid:
    """Never to be trusted from this state, or not at this time; `failure` says why."""

    failure: PeerFault | Refused


Verdict = Trusted | NotEnoughTrust | Invalid


def is_expired(time: UnixNanos, trusting_period: DurationNanos, now: UnixNanos) -> bool:
    """Tell whether a header of `time` is out of its trusting period; on the boundary it is."""
    return time + trusting_period <= now


def verify(
    trusted: TrustedState,
    trusted_validators: ValidatorSet,
    block: SoundBlock,
    options: TrustOptions,
    now: UnixNanos,
) -> Verdict:
    """Judge `block` from `trusted` at time `now`.

    `trusted_validators` must hash to what the trusted header announced for the next height. An
    adjacent block must be signed by exactly that set; a later one by more than the trust level of
    it, and by more than 2/3 of the block's own set.
    """
    try:
        _check_place_in_time(trusted, block, options, now)
        already = None
        if trusted_validators.hash != trusted.next_validators_hash:
            raise UntrustedValidators(expected=trusted.next_validators_hash, computed=trusted_validators.hash)
        if block.header.height == trusted.height + 1:
            if block.header.validators_hash != trusted.next_validators_hash:
                raise NotNextValidators(expected=trusted.next_validators_hash, found=block.header.validators_hash)
        else:
            overlap = check_commit_light_trusting(
                trusted.chain_id, trusted_validators, block.commit, options.trust_level
            )
            if isinstance(overlap, NotEnoughTrust):
                return overlap
            already = overlap
        check_commit_light(trusted.chain_id, block.validators, block.commit, already)
    except (PeerFault, Refused) as failure:
        return Invalid(failure.with_traceback(None))
    return Sealed.make(Trusted, block)


def _check_place_in_time(trusted: TrustedState, block: SoundBlock, options: TrustOptions, now: UnixNanos) -> None:
    header = block.header
    if is_expired(trusted.time, options.trusting_period, now):
        raise TrustedHeaderExpired(height=trusted.height, expired_at=trusted.time + options.trusting_period, now=now)
    if header.chain_id != trusted.chain_id:
        raise WrongChain(expected=trusted.chain_id, found=header.chain_id)
    if header.height <= trusted.height:
        raise HeightNotAfterTrusted(trusted=trusted.height, found=header.height)
    if header.time <= trusted.time:
        raise TimeNotAfterTrusted(trusted=trusted.time, found=header.time)
    if header.time >= now + options.clock_drift:
        raise HeaderFromFuture(time=header.time, before=now + options.clock_drift)


__all__ = (
    "DEFAULT_CLOCK_DRIFT",
    "Invalid",
    "NotEnoughTrust",
    "TrustOptions",
    "Trusted",
    "TrustedState",
    "Verdict",
    "is_expired",
    "verify",
)
