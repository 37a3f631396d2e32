"""Which headers to fetch so that a distant one can be trusted: a pure state machine.

A plan starts from a trusted block and wants its target. Where too few trusted validators signed a
candidate, it wants the header halfway, and comes back to the candidate from there. Every step gives
a new plan; nothing is fetched here and no time is asked. Source: light/client.go verifySkipping.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Self

from lockgate.lightclients.cometbft.errors import BisectionExhausted, BisectionMisused, ValidatorSetMismatch
from lockgate.lightclients.cometbft.soundness import SoundBlock, sound_block
from lockgate.lightclients.cometbft.types import LightBlock
from lockgate.lightclients.cometbft.verification import Invalid, NotEnoughTrust, TrustedState, TrustOptions, verify
from lockgate.primitives.errors import PeerFault, Refused
from lockgate.primitives.time import UnixNanos

# A chain whose set turns over by a third each day needs one header a day, so two a trusting period of
# weeks for each halving: dozens. A thousand leaves room; beyond it the node is making us run in place.
MAX_BISECTION_FETCHES: Final = 1_000


def trusted_state(block: LightBlock) -> TrustedState:
    """Return what `block`, once trusted, says about later headers."""
    header = block.header
    return TrustedState(header.chain_id, header.height, header.time, header.next_validators_hash)


def sound_light_block(block: LightBlock) -> SoundBlock:
    """Check a fetched block in itself, with both its validator sets. Raises `HeaderRefused`."""
    sound = sound_block(block.signed_header, block.validators)
    if block.next_validators.hash != block.header.next_validators_hash:
        raise ValidatorSetMismatch(
            "next validators",
            expected=block.header.next_validators_hash,
            computed=block.next_validators.hash,
        )
    return sound


@dataclass(frozen=True, slots=True, kw_only=True)
class BisectionPlan:
    """How far a walk from a trusted block to `target` has come.

    Feed the block of height `wanted` until `wanted` is None. Then either `failure` says why the walk
    ended, or `verified` holds every header on the way, ascending, the target last.
    """

    trusted: LightBlock
    target: int
    options: TrustOptions
    wanted: int | None
    pending: tuple[LightBlock, ...] = ()  # fetched, sound, not yet reached; lowest last
    verified: tuple[LightBlock, ...] = ()
    fetched: int = 0
    failure: PeerFault | Refused | None = None
    refused: int = 0  # the height of the block that `failure` is about

    @classmethod
    def to(cls, target: int, trusted: LightBlock, options: TrustOptions) -> Self:
        """Start a walk. A target at or below the trusted height is a mistake of the caller."""
        if target <= trusted.height:
            raise BisectionMisused("target is not above the trusted height", target=target)
        return cls(trusted=trusted, target=target, options=options, wanted=target)

    @property
    def done(self) -> bool:
        """The target is verified."""
        return self.wanted is None and self.failure is None

    def feed(self, block: LightBlock, now: UnixNanos) -> BisectionPlan:
        """Take the block of height `wanted` and go on as far as it leads."""
        if self.wanted is None or block.height != self.wanted:
            raise BisectionMisused(wanted=self.wanted, fed=block.height)
        try:
            sound_light_block(block)
        except (PeerFault, Refused) as failure:
            return self._ended(failure, block.height)
        plan = replace(self, pending=(*self.pending, block), fetched=self.fetched + 1)
        return plan._advanced(now)

    def _advanced(self, now: UnixNanos) -> BisectionPlan:
        trusted, pending, verified = self.trusted, list(self.pending), list(self.verified)
        while pending:
            candidate = pending[-1]
            verdict = verify(
                trusted_state(trusted),
                trusted.next_validators,
                sound_block(candidate.signed_header, candidate.validators),
                self.options,
                now,
            )
            if isinstance(verdict, Invalid):
                return self._ended(verdict.failure, candidate.height)
            if isinstance(verdict, NotEnoughTrust):
                if self.fetched >= MAX_BISECTION_FETCHES:
                    return self._ended(
                        BisectionExhausted(fetched=self.fetched, reached=trusted.height), candidate.height
                    )
                return replace(
                    self,
                    trusted=trusted,
                    pending=tuple(pending),
                    verified=tuple(verified),
                    wanted=(trusted.height + candidate.height) // 2,
                )
            trusted = pending.pop()
            verified.append(trusted)
        return replace(self, trusted=trusted, pending=(), verified=tuple(verified), wanted=None)

    def _ended(self, failure: PeerFault | Refused, height: int) -> BisectionPlan:
        return replace(self, wanted=None, pending=(), failure=failure, refused=height)


__all__ = ("MAX_BISECTION_FETCHES", "BisectionPlan", "sound_light_block", "trusted_state")
