"""Reading a ledger without trusting its node: a follower, fed over RPC, and proofs against it (I9)."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from lockgate.courier.ports import NotYet, Proven
from lockgate.lightclients.cometbft.bisection import BisectionPlan
from lockgate.lightclients.cometbft.errors import HeaderFromFuture
from lockgate.lightclients.cometbft.hashing import header_hash
from lockgate.lightclients.cometbft.types import LightBlock
from lockgate.lightclients.cometbft.verification import Invalid, NotEnoughTrust
from lockgate.lightclients.follower import Accepted, Equivocation, Expired, Follower, TrustExpired
from lockgate.merkle import ics23
from lockgate.merkle.specs import IAVL_SPEC, TENDERMINT_SPEC
from lockgate.primitives.errors import PeerFault, Refused, Unavailable
from lockgate.primitives.ids import Height
from lockgate.primitives.ports import Clock
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.rpc import RpcError

SPECS: Final = (IAVL_SPEC, TENDERMINT_SPEC)


class NotVouchedFor(PeerFault):
    code = "reader.not_vouched_for"
    summary = "A header that a peer sent along is not signed by enough of the validators this host trusts."
    untouched = "Nothing of it was believed."
    next_step = "Nothing: without their signatures it is no evidence."


class TwoHistories(PeerFault):
    code = "reader.two_histories"
    summary = "The ledger's validators have signed two headers that exclude each other (P20)."
    untouched = "Nothing was believed from the second one."
    next_step = "The evidence is in the host's evidence folder and was submitted to every client of that ledger."

    def __init__(self, chain_id: str, evidence: Equivocation) -> None:
        super().__init__("equivocation", chain=chain_id, height=evidence.second.height)
        self.chain_id = chain_id
        self.evidence = evidence


class Distrusted(Refused):
    code = "reader.distrusted"
    summary = "The ledger has signed two histories, so nothing it proves is believed any more."
    untouched = "Nothing was read from it; no message over it is sent or opened."
    next_step = "See the evidence file. After the ledger is settled, configure a fresh fingerprint (P11, P14)."


class ProvenReader:
    """One ledger, read through its own light client."""

    def __init__(self, chain: CometBftChain, follower: Follower, clock: Clock) -> None:
        self.chain = chain
        self.follower = follower
        self.distrusted: Distrusted | None = None
        self.first_set = b""  # hash of the validators at the fingerprint: every host of this ledger holds them
        self._clock = clock
        self._turn = asyncio.Lock()
        self._losses = chain.losses  # of the connection, when the node last showed the newest trusted header

    @property
    def newest(self) -> LightBlock:
        """The newest trusted block. The ledger has been read before anybody asks."""
        latest = self.follower.latest
        assert latest is not None, "the ledger was read first"
        return latest

    async def reach(self, height: int) -> int:
        """Trust the header of `height`, fetching what that takes; returns the height.

        Raises Distrusted, NotYet when the node does not have it, TrustExpired, TwoHistories, or what is
        invalid about the node's answer.
        """
        if self.distrusted is not None:
            raise self.distrusted
        async with self._turn:
            self._judge_conflicts()
            if self.follower.latest is None:
                first = await self.chain.light_block(self.follower.anchor.height)
                try:
                    self.judge(first)
                except PeerFault as failure:
                    self.chain.refuted(first.height, failure)
                    raise
                self.first_set = first.validators.hash
            elif self.chain.losses != self._losses:
                await self._same_history()
            if self.follower.trusted(height) is None:
                if height > self.newest.height and height > (await self.chain.tip()).height.height:
                    raise NotYet("the node has not reached the header", chain=self.chain.chain_id, height=height)
                try:
                    await self._walk(height)
                finally:
                    self._judge_conflicts()
        return height

    async def latest(self) -> int:
        """Trust the node's newest header; returns its height."""
        try:
            tip = await self.chain.tip()
        except Unavailable:
            self._judge_conflicts()
            raise
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

    def judge(self, block: LightBlock) -> None:
        """Feed a block that came from elsewhere, to learn whether it proves a second history.

        Raises TwoHistories, or what is invalid about it.
        """
        self._accept(self.follower.feed(block, self._clock.now()))

    def _judge_conflicts(self) -> None:
        """Nodes that contradict each other: who shows what is not signed has lied; where both is, the ledger has.

        Raises TwoHistories.
        """
        if self.follower.latest is None:
            return  # nothing to judge by yet
        for conflict in self.chain.take_conflicts():
            for name, block in conflict.blocks:
                try:
                    self.judge(block)
                except (TwoHistories, TrustExpired):
                    raise
                except PeerFault as failure:
                    self.chain.disproved(name, block.height, failure)

    async def _same_history(self) -> None:
        """After a lost connection: does the node still show the headers that are trusted?

        A ledger that was restored together with its signing state goes on with other blocks, and what
        follows the trusted header is signed as it should be. So the newest trusted one is fetched again;
        while the node is below it, the newest that it can have. Raises TwoHistories.
        """
        losses = self.chain.losses
        known = self.follower.newest_to((await self.chain.tip()).height.height)
        if known is None:
            return
        with contextlib.suppress(RpcError):  # pruned there since: nothing to compare
            shown = await self.chain.light_block(known.height)
            if header_hash(shown.header) != header_hash(known.header):
                self.chain.forget(known.height)
                self.judge(shown)
        if known is self.newest:
            self._losses = losses

    async def _walk(self, height: int) -> None:
        expired = self.follower.expired(self._clock.now())
        if expired is not None:
            raise expired.failure  # only a new fingerprint helps, whatever the node serves
        plan: BisectionPlan = self.follower.plan(height)
        while plan.wanted is not None:
            plan = plan.feed(await self.chain.light_block(plan.wanted), self._clock.now())
        if plan.failure is not None:
            if isinstance(plan.failure, PeerFault) and not isinstance(plan.failure, HeaderFromFuture):
                self.chain.refuted(plan.refused, plan.failure)
            for fetched in (*plan.verified, *plan.pending):
                self.chain.forget(fetched.height)
            self.chain.forget(height)
            raise plan.failure
        self._accept(self.follower.adopt(plan, self._clock.now()))

    def _accept(self, result: Accepted | NotEnoughTrust | Invalid | Expired | Equivocation) -> None:
        match result:
            case Accepted():
                return
            case Equivocation():
                raise TwoHistories(self.chain.chain_id, result)
            case Expired(failure=failure) | Invalid(failure):
                raise failure
            case NotEnoughTrust():
                raise NotVouchedFor("too few of the trusted validators signed it", chain=self.chain.chain_id)
