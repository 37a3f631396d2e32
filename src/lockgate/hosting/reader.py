"""Reading a ledger without trusting its node: a follower, fed over RPC, and proofs against it (I9)."""

from __future__ import annotations

import asyncio
from typing import Final

from lockgate.courier.ports import Proven
from lockgate.lightclients.cometbft.bisection import BisectionPlan
from lockgate.lightclients.cometbft.verification import Invalid, NotEnoughTrust
from lockgate.lightclients.follower import Accepted, Equivocation, Expired, Follower
from lockgate.merkle import ics23
from lockgate.merkle.specs import IAVL_SPEC, TENDERMINT_SPEC
from lockgate.primitives.errors import PeerFault
from lockgate.primitives.ids import Height
from lockgate.primitives.ports import Clock
from lockgate.relay.chains.cometbft import CometBftChain

SPECS: Final = (IAVL_SPEC, TENDERMINT_SPEC)


class TwoHistories(PeerFault):
    code = "reader.two_histories"
    summary = "The ledger's validators have signed two headers that exclude each other (P20)."
    untouched = "Nothing was believed from the second one."
    next_step = "The evidence is submitted to every client of that domain, which freezes it."

    def __init__(self, evidence: Equivocation) -> None:
        super().__init__("equivocation", height=evidence.second.height)
        self.evidence = evidence


class ProvenReader:
    """One ledger, read through its own light client."""

    def __init__(self, chain: CometBftChain, follower: Follower, clock: Clock) -> None:
        self.chain = chain
        self.follower = follower
        self._clock = clock
        self._turn = asyncio.Lock()

    async def reach(self, height: int) -> int:
        """Trust the header of `height`, fetching what that takes; returns the height.

        Raises TrustExpired, TwoHistories, or what is invalid about the node's answer.
        """
        async with self._turn:
            if self.follower.latest is None:
                await self._feed(self.follower.anchor.height)
            if self.follower.trusted(height) is None:
                await self.chain.header_at_least(height)
                plan: BisectionPlan = self.follower.plan(height)
                while plan.wanted is not None:
                    plan = plan.feed(await self.chain.light_block(plan.wanted), self._clock.now())
                if plan.failure is not None:
                    raise plan.failure
                self._accept(self.follower.adopt(plan, self._clock.now()))
        return height

    async def latest(self) -> int:
        """Trust the node's newest header; returns its height."""
        tip = await self.chain.tip()
        return await self.reach(tip.height.height)

    async def value(self, store: str, key: bytes, height: int) -> bytes | None:
        """Value of a key in the state that the header of `height` carries, proven (None: proven absent)."""
        await self.reach(height)
        return self.check(store, key, await self.chain.prove(store, key, Height(self.chain.revision, height)))

    def check(self, store: str, key: bytes, proven: Proven) -> bytes | None:
        """Verify a proof against the follower's own root."""
        root = self.follower.root(proven.proof_height.height)
        assert root is not None, "the header was reached before the proof was asked for"
        path = (store.encode(), key)
        if proven.value is None:
            ics23.verify_non_membership(SPECS, root, path, proven.proof)
        else:
            ics23.verify_membership(SPECS, root, path, proven.value, proven.proof)
        return proven.value

    async def _feed(self, height: int) -> None:
        block = await self.chain.light_block(height)
        self._accept(self.follower.feed(block, self._clock.now()))

    @staticmethod
    def _accept(result: Accepted | NotEnoughTrust | Invalid | Expired | Equivocation) -> None:
        match result:
            case Accepted():
                return
            case Equivocation():
                raise TwoHistories(result)
            case Expired(failure=failure) | Invalid(failure):
                raise failure
            case NotEnoughTrust():
                raise AssertionError("a finished plan has enough trust at every step")
