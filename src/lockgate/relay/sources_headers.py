"""Headers of a ledger of several nodes: which one enough of them show, and blocks that stand under it.

Nodes agree on a header by its hash; whose commit and validator set are served with it does not matter, as
both are checked. Two headers of a height whose commits hold are kept: either some of the nodes have made
validators up, or the ledger has signed twice. A light client can tell, and is asked (P20).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Mapping
from typing import Final

from lockgate.courier.evidence import Conflict
from lockgate.lightclients.cometbft.bisection import sound_light_block
from lockgate.lightclients.cometbft.commit import check_commit_light
from lockgate.lightclients.cometbft.hashing import header_hash
from lockgate.lightclients.cometbft.types import LightBlock, SignedHeader, ValidatorSet
from lockgate.primitives.errors import LockgateError, PeerFault, Refused, Unavailable
from lockgate.relay.chains.cometbft import LIGHT_BLOCKS_KEPT, SETS_KEPT, CometBftChain
from lockgate.relay.rpc import RpcError
from lockgate.relay.sources import (
    ANSWER_S,
    Source,
    SourceLied,
    SourceOutvoted,
    Sources,
    SourcesDisagree,
    SourceUnusable,
    now,
)
from lockgate.relay.sources_calls import SourcedCalls

CONFLICTS_KEPT: Final = 64
VALIDATORS_S: Final = 30.0  # a set of 10,000 comes in a hundred pages


class RefutedBlock(PeerFault):
    code = "sources.refuted_block"
    summary = "A node's commit or validator set does not belong to the header that enough nodes agree on."
    next_step = "Nothing: another node is asked; the alarm names the one."


class SourcedHeaders(CometBftChain):
    """The part of a chain of several nodes that light clients feed on."""

    def __init__(self, sources: Sources) -> None:
        super().__init__(SourcedCalls(sources), sources.chain_id)
        self.sources = sources
        self._agreed: OrderedDict[int, dict[Source, SignedHeader]] = OrderedDict()  # who vouches for a header
        self._conflicts: deque[Conflict] = deque(maxlen=CONFLICTS_KEPT)
        self._shown: deque[int] = deque(maxlen=CONFLICTS_KEPT)  # heights whose conflicts were kept

    async def signed_header(self, height: int) -> SignedHeader:
        """The header enough sources show, with the commit of one of them. Conflicting ones are kept."""
        return next(iter((await self._vouched(height)).values()))

    async def validators(self, height: int) -> ValidatorSet:
        if height == 1:
            return await self._set(1, (await self.signed_header(1)).header.validators_hash)
        return await self._set(height, (await self.signed_header(height - 1)).header.next_validators_hash)

    async def light_block(self, height: int) -> LightBlock:
        if self.losses != self._losses:
            self._losses = self.losses
            self._blocks.clear()
            self._agreed.clear()
        known = self._blocks.get(height)
        if known is not None:
            return known
        vouched = await self._vouched(height)
        header = next(iter(vouched.values())).header
        own = await self._set(height, header.validators_hash)
        following = await self._set(height + 1, header.next_validators_hash)
        for source, signed in list(vouched.items()):
            block = LightBlock(signed, own, following)
            try:
                _check(block)
            except (PeerFault, Refused) as refuted:
                del vouched[source]
                self.sources.aside(source, SourceLied(str(refuted)), f"commit of {height}")
                continue
            self._blocks[height] = block
            while len(self._blocks) > LIGHT_BLOCKS_KEPT:
                self._blocks.popitem(last=False)
            return block
        self._agreed.pop(height, None)
        raise self.sources.halt(SourcesDisagree("no source has a commit that holds", height=height))

    def forget(self, height: int) -> None:
        super().forget(height)
        self._agreed.pop(height, None)

    def refuted(self, height: int, failure: LockgateError) -> None:
        """The light client does not believe a block: whoever vouched for it lied, few or many."""
        for source, signed in self._agreed.get(height, {}).items():
            alarm = SourceLied("its header does not verify: " + str(failure))
            self.sources.aside(source, alarm, f"header {height}", header_hash(signed.header), failure.code)
        self.forget(height)

    def disproved(self, name: str, height: int, failure: LockgateError) -> None:
        """As `refuted`, for one source's block of a conflict."""
        for source in self.sources.all:
            if source.name == name:
                self.sources.aside(source, SourceLied(str(failure)), f"header {height}", others=failure.code)

    def take_conflicts(self) -> list[Conflict]:
        found = list(self._conflicts)
        self._conflicts.clear()
        return found

    @property
    def losses(self) -> int:
        return sum(source.chain.losses for source in self.sources.all)

    async def _vouched(self, height: int) -> dict[Source, SignedHeader]:
        """Who shows the header that enough sources agree on, each with the commit it gives."""
        known = self._agreed.get(height)
        if known:
            return known
        what, sources = f"header {height}", self.sources
        answers = await sources.every(what, lambda chain: chain.signed_header(height))
        shown: dict[bytes, dict[Source, SignedHeader]] = {}
        for source, answer in answers.items():
            if isinstance(answer, RpcError):
                continue
            if (answer.header.chain_id, answer.header.height) != (self.chain_id, height):
                sources.aside(source, SourceUnusable("another chain's header, or another height's"), what)
                continue
            shown.setdefault(header_hash(answer.header), {})[source] = answer
        if sum(map(len, shown.values())) < sources.required:
            sources.fit(what)  # raises where too many were set aside
            raise RpcError("too few sources have the header", height=height)
        if len(shown) > 1:
            await self._conflict(height, shown)
        enough = [digest for digest, who in shown.items() if len(who) >= sources.required]
        if not enough or (len(enough) > 1 and sources.required > 1):
            said = {source.name: digest.hex() for digest, who in shown.items() for source in who}
            raise sources.halt(SourcesDisagree(what, chain=self.chain_id, required=sources.required, said=said))
        for digest, who in shown.items():
            for source in who if digest != enough[0] else ():
                if source.until <= now():
                    sources.aside(source, SourceOutvoted(what), what, digest, enough[0])
        sources.agreed(what)
        found = self._agreed[height] = shown[enough[0]]
        while len(self._agreed) > LIGHT_BLOCKS_KEPT:
            self._agreed.popitem(last=False)
        return found

    async def _conflict(self, height: int, shown: Mapping[bytes, Mapping[Source, SignedHeader]]) -> None:
        """Keep one block for each header of a height; who cannot show one that is signed has lied."""
        blocks: list[tuple[str, LightBlock]] = []
        for source in (source for who in shown.values() for source in who):
            try:
                source.chain.forget(height)
                async with asyncio.timeout(ANSWER_S):
                    block = await source.chain.light_block(height)
                _check(block)
            except TimeoutError:
                continue
            except (PeerFault, Refused) as refuted:
                self.sources.aside(source, SourceLied(str(refuted)), f"header {height}")
            except Unavailable:
                continue
            else:
                if all(header_hash(block.header) != header_hash(other.header) for _, other in blocks):
                    blocks.append((source.name, block))
        if len(blocks) > 1 and height not in self._shown:
            self._shown.append(height)
            self._conflicts.append(Conflict(height, tuple(blocks)))

    async def _set(self, height: int, wanted: bytes) -> ValidatorSet:
        found = self._sets.get(wanted)
        if found is None:

            def check(members: ValidatorSet) -> None:
                if members.hash != wanted:
                    raise RefutedBlock("validators", expected=wanted, computed=members.hash)

            found = await self.sources.first(
                f"validators of {height}", lambda chain: chain.validators(height), check, VALIDATORS_S
            )
            self._sets[wanted] = found
            while len(self._sets) > SETS_KEPT:
                self._sets.popitem(last=False)
        return found


def _check(block: LightBlock) -> None:
    """A block is consistent, and its own validators have signed it. Raises PeerFault, Refused."""
    sound = sound_light_block(block)
    check_commit_light(sound.header.chain_id, sound.validators, sound.commit)


__all__ = ("RefutedBlock", "SourcedHeaders")
