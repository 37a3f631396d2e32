"""Client updates that were verified here first: a relayer hands on no header it would not believe itself.

The starting point is what the client on the other ledger trusts: its newest consensus state and its own
terms (trusting period, trust level, drift). From there the same predicate runs here that runs there,
with bisection where too few of the trusted validators signed; each header on the way becomes one
message, in order. A node that lies, lags behind or is on another history shows here, typed, before
anything was sent.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from lockgate.codec import type_urls as urls
from lockgate.courier.ports import Chain, HeaderChain, NotYet, TrackedClient, Updater
from lockgate.lightclients.cometbft.bisection import BisectionPlan
from lockgate.lightclients.cometbft.errors import HeaderFromFuture
from lockgate.lightclients.cometbft.types import LightBlock
from lockgate.lightclients.cometbft.verification import TrustOptions
from lockgate.lightclients.tendermint.messages import encode_header
from lockgate.lightclients.tendermint.states import ConsensusState
from lockgate.merkle.ics23_fast import ProofMemo
from lockgate.merkle.specs import ProofSpec
from lockgate.primitives.errors import PeerFault, Refused
from lockgate.primitives.ids import Height
from lockgate.primitives.time import UnixNanos
from lockgate.relay.updaters.grounds import OtherHistory, RootGround

GROUNDS_KEPT: Final = 8  # both lanes of both stages prove against few headers at a time


class NoHeaders(Refused):
    code = "relay.no_headers"
    summary = "A client that is updated by CometBFT headers follows a ledger that has none."
    untouched = "Nothing was sent."
    next_step = "Make a client of a kind that can follow that ledger, and a lane over it."


class TendermintUpdater:
    """Brings one client of `chain`, which lives on another ledger, to headers of `chain`."""

    def __init__(self, chain: HeaderChain) -> None:
        self._chain = chain
        self._grounds: OrderedDict[tuple[Height, Height, ConsensusState], RootGround] = OrderedDict()
        self.bisections = 0

    @classmethod
    def of(cls, chain: Chain, _others: Updater) -> TendermintUpdater:
        """For `relay.kinds`. Raises NoHeaders for a ledger of another family."""
        if not isinstance(chain, HeaderChain):
            raise NoHeaders(chain=chain.chain_id)
        return cls(chain)

    def health(self) -> None:
        """Headers are everybody's."""

    def counts(self) -> dict[str, int]:
        return {"bisections": self.bisections}

    async def reach(self, tracked: TrackedClient, target: Height, now: UnixNanos, /) -> RootGround:
        """Ground at `target`, or at the client's newest header where that is as high.

        `now` is the time of the ledger the client is on. Raises OtherHistory, NotYet for a header from
        the future, or why a header is not to be believed.
        """
        key = (tracked.latest, max(tracked.latest, target), tracked.consensus)
        known = self._grounds.get(key)
        if known is None:
            if tracked.latest >= target:
                await self._same_history(tracked)
                known = self._ground(tracked, tracked.latest, tracked.consensus)
            else:
                known = await self._walk(tracked, target, now)
            self._grounds[key] = known
            while len(self._grounds) > GROUNDS_KEPT:
                self._grounds.popitem(last=False)
        return known

    async def _walk(self, tracked: TrackedClient, target: Height, now: UnixNanos) -> RootGround:
        base = await self._same_history(tracked)
        state = tracked.state
        options = TrustOptions(
            trusting_period=state.trusting_period, clock_drift=state.max_clock_drift, trust_level=state.trust_level
        )
        plan = BisectionPlan.to(target.height, base, options)
        while plan.wanted is not None:
            plan = plan.feed(await self._chain.light_block(plan.wanted), now)
        if plan.failure is not None:
            if isinstance(plan.failure, PeerFault) and not isinstance(plan.failure, HeaderFromFuture):
                self._chain.refuted(plan.refused, plan.failure)
            # Any of the blocks may be the lie, the first one's next validators too: none is asked for the last time.
            for height in (base.height, target.height, *(block.height for block in (*plan.verified, *plan.pending))):
                self._chain.forget(height)
            if isinstance(plan.failure, HeaderFromFuture):
                raise NotYet("the header is ahead of the other ledger's time", height=target) from plan.failure
            raise plan.failure
        self.bisections += len(plan.verified) - 1
        headers, trusted = [], base
        for block in plan.verified:
            at = Height(target.revision, trusted.height)
            header = encode_header(block.signed_header, block.validators, at, trusted.next_validators)
            headers.append((urls.TENDERMINT_HEADER, header))
            trusted = block
        return self._ground(tracked, target, consensus_of(trusted), tuple(headers))

    async def _same_history(self, tracked: TrackedClient) -> LightBlock:
        """The block of the client's newest height. Raises OtherHistory when it is not the one it trusts."""
        base = await self._chain.light_block(tracked.latest.height)
        if consensus_of(base) != tracked.consensus:
            self._chain.forget(base.height)
            raise OtherHistory(
                "another header at the trusted height",
                chain=self._chain.chain_id,
                client=tracked.client_id,
                height=tracked.latest,
            )
        return base

    def _ground(
        self,
        tracked: TrackedClient,
        height: Height,
        held: ConsensusState,
        headers: tuple[tuple[str, bytes], ...] = (),
    ) -> RootGround:
        specs = [ProofSpec.from_bytes(spec) for spec in tracked.state.proof_specs]
        return RootGround(self._chain, height, held.timestamp, held.root, ProofMemo(held.root, specs), headers)


def consensus_of(block: LightBlock) -> ConsensusState:
    """What a client that accepts this block keeps of it."""
    header = block.header
    return ConsensusState(header.time, header.app_hash, header.next_validators_hash)


__all__ = ("NoHeaders", "TendermintUpdater", "consensus_of")
