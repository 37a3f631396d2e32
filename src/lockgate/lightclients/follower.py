"""A host's own light client of a ledger: believes no node, no relayer, and not its first answer.

It starts from a fingerprint obtained out of band (P11): the block with that header hash, and every
later one verified from it. Feeding is all there is; what to fetch a `BisectionPlan` says. Results
are values, because an honest node can cause each of them, except `Equivocation`, which is proof
against the ledger's own validators: two headers, both signed by enough of them (P20).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass, replace
from typing import Final

from lockgate.lightclients.cometbft.bisection import BisectionPlan, sound_light_block, trusted_state
from lockgate.lightclients.cometbft.commit import check_commit_light
from lockgate.lightclients.cometbft.hashing import header_hash
from lockgate.lightclients.cometbft.soundness import SoundBlock
from lockgate.lightclients.cometbft.types import LightBlock, ValidatorSet
from lockgate.lightclients.cometbft.verification import (
    Invalid,
    NotEnoughTrust,
    Trusted,
    TrustOptions,
    is_expired,
    verify,
)
from lockgate.primitives.errors import Misuse, PeerFault, Refused
from lockgate.primitives.ids import ChainId, DomainId, Hash32
from lockgate.primitives.time import UnixNanos

# Proofs and messages refer to recent headers; at a heartbeat of 5 s this is over an hour of them.
MAX_KEPT: Final = 1_024


class NotAnchored(Misuse):
    code = "follower.not_anchored"
    summary = "The follower was asked for a plan, or given one, that it cannot use yet."
    next_step = "Feed the block of the anchor's height first; adopt only finished plans."


class AnchorMismatch(PeerFault):
    code = "follower.anchor_mismatch"
    summary = "The node's block is not the one the configured fingerprint names."
    next_step = "Do not go on with this node. Compare the fingerprint with its publisher, out of band."


class TrustExpired(Refused):
    code = "follower.trust_expired"
    summary = "The newest trusted header is older than the trusting period, so no header can follow it."
    next_step = "Obtain a fresh fingerprint (height and header hash) out of band and configure it."


class BelowTrusted(Refused):
    code = "follower.below_trusted"
    summary = "The header is below every header that is still held, so nothing can vouch for it."
    next_step = "Start a second follower from an earlier fingerprint to read old headers."


class ConflictUnproven(PeerFault):
    code = "follower.conflict_unproven"
    summary = "A header contradicts a trusted one and is not signed by that one's validators."
    next_step = "Drop this node; keep the header it served as evidence of its own misconduct."


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """Where trust starts: a domain and one header of its ledger, by hash."""

    domain: DomainId  # hash of the ledger's genesis (P9)
    chain_id: ChainId
    height: int
    header_hash: Hash32


@dataclass(frozen=True, slots=True)
class Accepted:
    """The header is trusted. `fresh` is False when it was before."""

    height: int
    header_hash: bytes
    fresh: bool = True


@dataclass(frozen=True, slots=True)
class Expired:
    """Trust has run out by the clock; only a new fingerprint helps. `failure` explains."""

    height: int
    expired_at: UnixNanos
    failure: TrustExpired


@dataclass(frozen=True, slots=True)
class Equivocation:
    """The ledger signed two histories: one height twice, or a later height that is not later in time.

    Both blocks verify from `trusted`, so a 07-tendermint client that holds it freezes on the pair.
    Where nothing older was held, `trusted` is `second` itself, and its own validators signed both.
    `first` is not lower than `second`.
    """

    trusted: LightBlock
    first: LightBlock
    second: LightBlock


Fed = Accepted | NotEnoughTrust | Invalid | Expired | Equivocation


class Follower:
    """Trusted headers of one ledger, growing from an anchor; at most `kept` are held."""

    __slots__ = ("_blocks", "_heights", "_kept", "_options", "_sets", "anchor")

    def __init__(self, anchor: Anchor, options: TrustOptions, kept: int = MAX_KEPT) -> None:
        self.anchor: Final = anchor
        self._options: Final = options
        self._kept: Final = max(kept, 2)
        self._blocks: dict[int, LightBlock] = {}
        self._heights: list[int] = []  # of _blocks, ascending
        self._sets: dict[bytes, ValidatorSet] = {}  # one value for a set, however many blocks share it

    @property
    def latest(self) -> LightBlock | None:
        """The newest trusted block; None before the anchor's block was fed."""
        return self._blocks[self._heights[-1]] if self._heights else None

    @property
    def sets(self) -> tuple[ValidatorSet, ...]:
        """Every validator set of the blocks held, once each."""
        return tuple(self._sets.values())

    def trusted(self, height: int) -> LightBlock | None:
        """Return the trusted block of a height, if it is held."""
        return self._blocks.get(height)

    def newest_to(self, height: int) -> LightBlock | None:
        """Return the newest trusted block that is not above a height."""
        return self._nearest_below(height + 1)

    def header_hash(self, height: int) -> bytes | None:
        """Return the hash of the trusted header of a height, to compare with what others saw (P20)."""
        block = self._blocks.get(height)
        return None if block is None else header_hash(block.header)

    def root(self, height: int) -> bytes | None:
        """Return the app hash in the trusted header of a height: the state after the block before."""
        block = self._blocks.get(height)
        return None if block is None else block.header.app_hash

    def expired(self, now: UnixNanos) -> Expired | None:
        """Tell whether the newest trusted header has expired, and what to do about it."""
        latest = self.latest
        if latest is None or not is_expired(latest.header.time, self._options.trusting_period, now):
            return None
        end = UnixNanos(latest.header.time + self._options.trusting_period)
        failure = TrustExpired(chain_id=self.anchor.chain_id, height=latest.height, expired_at=end, now=now)
        return Expired(latest.height, end, failure)

    def plan(self, target: int) -> BisectionPlan:
        """Return what to fetch to reach `target` from the nearest trusted block below it.

        Raises `NotAnchored` before the anchor's block was fed, `BelowTrusted` for what is too old.
        """
        if not self._heights:
            raise NotAnchored("nothing is trusted yet", target=target, anchor=self.anchor.height)
        base = self._nearest_below(target)
        if base is None:
            raise BelowTrusted(target=target, lowest=self._heights[0])
        return BisectionPlan.to(target, base, self._options)

    def adopt(self, plan: BisectionPlan, now: UnixNanos) -> Fed:
        """Feed what a finished plan verified, lowest first; return what became of the last one fed."""
        if not plan.done:
            raise NotAnchored("the plan has not reached its target", wanted=plan.wanted)
        for block in plan.verified[:-1]:
            result = self.feed(block, now)
            if not isinstance(result, Accepted):
                return result
        return self.feed(plan.verified[-1], now)

    def feed(self, block: LightBlock, now: UnixNanos) -> Fed:
        """Judge one fetched block, and keep it if it is to be trusted."""
        try:
            sound = sound_light_block(block)
            if not self._heights:
                return self._start(block, sound, now)
        except (PeerFault, Refused) as failure:
            return Invalid(failure.with_traceback(None))
        expired = self.expired(now)
        if expired is not None:
            return expired
        known = self._blocks.get(block.height)
        if known is None:
            return self._extend(block, sound, now)
        if header_hash(known.header) == sound.hash:
            return Accepted(block.height, sound.hash, fresh=False)
        return self._second_history(known, block, sound, now)

    def _start(self, block: LightBlock, sound: SoundBlock, now: UnixNanos) -> Fed:
        anchor = self.anchor
        if (sound.header.chain_id, block.height) != (anchor.chain_id, anchor.height):
            raise AnchorMismatch("another chain or height", expected=anchor.height, found=block.height)
        if sound.hash != anchor.header_hash:
            raise AnchorMismatch("another header", expected=anchor.header_hash, found=sound.hash)
        # The hash settles what the header says; the signatures show that it was decided.
        check_commit_light(anchor.chain_id, sound.validators, sound.commit)
        self._keep(block)
        return self.expired(now) or Accepted(block.height, sound.hash)

    def _extend(self, block: LightBlock, sound: SoundBlock, now: UnixNanos) -> Fed:
        base, later = self._nearest_below(block.height), self._nearest_above(block.height)
        if base is None:
            return Invalid(BelowTrusted(fed=block.height, lowest=self._heights[0]))
        if block.header.time <= base.header.time:
            return self._second_history(base, block, sound, now)
        verdict = self._judge(base, sound, now)
        if not isinstance(verdict, Trusted):
            return verdict
        if later is not None and later.header.time <= block.header.time:
            return Equivocation(base, later, block)
        self._keep(block)
        return Accepted(block.height, sound.hash)

    def _second_history(self, known: LightBlock, block: LightBlock, sound: SoundBlock, now: UnixNanos) -> Fed:
        """Ask whether a block that contradicts `known`, not above it, would have been trusted too."""
        base = self._witness(block)
        if base is not None:
            verdict = self._judge(base, sound, now)
            return Equivocation(base, block, known) if isinstance(verdict, Trusted) else verdict
        # Nothing older is held, as at the anchor: then the known header's own validators must have signed.
        if sound.header.validators_hash != known.header.validators_hash:
            return Invalid(ConflictUnproven(height=known.height, fed=block.height))
        try:
            check_commit_light(self.anchor.chain_id, known.validators, sound.commit)
        except (PeerFault, Refused) as failure:
            return Invalid(failure.with_traceback(None))
        return Equivocation(known, block, known)

    def _judge(self, base: LightBlock, sound: SoundBlock, now: UnixNanos) -> Trusted | NotEnoughTrust | Invalid:
        return verify(trusted_state(base), base.next_validators, sound, self._options, now)

    def _witness(self, block: LightBlock) -> LightBlock | None:
        """Return the highest held block that is below `block` both in height and in time."""
        for height in reversed(self._heights):
            base = self._blocks[height]
            if height < block.height and base.header.time < block.header.time:
                return base
        return None

    def _nearest_below(self, height: int) -> LightBlock | None:
        place = bisect_left(self._heights, height)
        return self._blocks[self._heights[place - 1]] if place else None

    def _nearest_above(self, height: int) -> LightBlock | None:
        place = bisect_right(self._heights, height)
        return self._blocks[self._heights[place]] if place < len(self._heights) else None

    def _keep(self, block: LightBlock) -> None:
        shared = replace(
            block, validators=self._share(block.validators), next_validators=self._share(block.next_validators)
        )
        insort(self._heights, block.height)
        self._blocks[block.height] = shared
        if len(self._heights) > self._kept:
            del self._blocks[self._heights.pop(0)]
            held = (v.hash for b in self._blocks.values() for v in (b.validators, b.next_validators))
            self._sets = {digest: self._sets[digest] for digest in dict.fromkeys(held)}

    def _share(self, validators: ValidatorSet) -> ValidatorSet:
        return self._sets.setdefault(validators.hash, validators)


__all__ = (
    "MAX_KEPT",
    "Accepted",
    "Anchor",
    "AnchorMismatch",
    "BelowTrusted",
    "ConflictUnproven",
    "Equivocation",
    "Expired",
    "Fed",
    "Follower",
    "NotAnchored",
    "TrustExpired",
)
