"""A ledger read through several nodes, as one `Chain`: the rule of each method (I10, B5).

| what is read | rule |
|---|---|
| tip | the highest block that enough sources have reached; its time is that of the header they agree on |
| earliest | the first block that enough sources have |
| headers | enough sources must show the same hash; two signed ones of a height are kept as evidence |
| commits, validator sets, proofs | one source, checked against the header agreed on; else the next source |
| blocks' events and transactions | enough sources must show the same; who differs is outvoted at once |
| outstanding, received, acknowledged, still open, keys, heights, clients | counted by entry |
| a client, a consensus state, other queries | enough sources must say the same, after a block or two if need be |
| searches, transactions sent | `sources_calls` |

The light client above decides what is true; here nothing is believed that fewer than the required number say.
"""

from __future__ import annotations

import base64
import contextlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping, Sequence
from typing import Any, Final, TypeVar

from lockgate.courier.ports import BlockEvents, Proven, Tip, TrackedClient
from lockgate.lightclients.tendermint import CLIENT_TYPE
from lockgate.lightclients.tendermint.states import ConsensusState
from lockgate.merkle.ics23_fast import ProofMemo
from lockgate.primitives.errors import PeerFault
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.state import Event
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.rpc import RpcError, b64
from lockgate.relay.sources import (
    Source,
    SourceBehind,
    Sources,
    SourcesDisagree,
    now,
)
from lockgate.relay.sources_headers import SourcedHeaders

BEHIND_S: Final = 4.0  # a source that has not reached by then what enough others had is behind
MEMOS_KEPT: Final = 8  # roots that proofs are checked against at a time

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


class RefutedProof(PeerFault):
    code = "sources.refuted_proof"
    summary = "A node's proof does not hold under the header that enough nodes agree on."
    next_step = "Nothing: another node is asked; the alarm names the one."


class SourcedChain(SourcedHeaders):
    """Meets `courier.ports.Chain` by several of them."""

    def __init__(self, sources: Sources) -> None:
        super().__init__(sources)
        self._stuck: tuple[int, float] | None = None  # a tip below others' that nothing decides, and since when
        self._memos: OrderedDict[bytes, ProofMemo] = OrderedDict()

    async def tip(self) -> Tip:
        tips = await self.sources.every("tip", lambda chain: chain.tip())
        found = {source: tip for source, tip in tips.items() if isinstance(tip, Tip)}
        heights = sorted((tip.height.height for tip in found.values()), reverse=True)
        if len(heights) < self.sources.required:
            raise next(tip for tip in tips.values() if isinstance(tip, RpcError))
        agreed = heights[self.sources.required - 1]
        for source, tip in found.items():
            self._note(source, tip.height.height, agreed)
        self._undecided({source: tip.height.height for source, tip in found.items()}, agreed)
        try:
            signed = await self.signed_header(agreed)
        except RpcError as error:  # not one that enough of them show, whatever they say
            said = {source.name: tip.height.height for source, tip in found.items()}
            raise self.sources.halt(SourcesDisagree("tip", chain=self.chain_id, said=said)) from error
        self.sources.agreed("tip")
        return Tip(self.chain_id, Height(self.revision, agreed), signed.header.time)

    async def earliest(self) -> int:
        """The first block that enough sources say they have."""
        answers = await self.sources.every("earliest", lambda chain: chain.earliest())
        found = sorted(answer for answer in answers.values() if isinstance(answer, int))
        if len(found) < self.sources.required:
            raise next(answer for answer in answers.values() if isinstance(answer, RpcError))
        return found[self.sources.required - 1]

    async def genesis(self) -> bytes:
        return await self._one("genesis", lambda chain: chain.genesis(), fixed=True)

    async def blocks_events(self, heights: Sequence[int]) -> list[BlockEvents]:
        async def ask(chain: CometBftChain) -> dict[int, BlockEvents]:
            return {block.height.height: block for block in await chain.blocks_events(heights)}

        return await self._blocks_of("events", heights, ask)

    async def events(self, heights: Sequence[int]) -> list[tuple[Event, ...]]:
        async def ask(chain: CometBftChain) -> dict[int, tuple[Event, ...]]:
            return dict(zip(heights, await chain.events(heights), strict=True))

        return await self._blocks_of("events", heights, ask)

    async def transactions(self, height: int) -> tuple[bytes, ...]:
        return await self._one(f"transactions of {height}", lambda chain: chain.transactions(height), fixed=True)

    def health(self) -> dict[str, object] | None:
        return self.sources.status()

    async def query(self, path: str, data: bytes, *, height: int = 0, prove: bool = False) -> dict[str, Any]:
        """Only the value of an answer that enough sources give: heights, logs and proofs differ."""

        async def ask(chain: CometBftChain) -> bytes:
            return b64((await chain.query(path, data, height=height)).get("value"))

        return {"value": base64.b64encode(await self._one(f"{path} {data.hex()}", ask)).decode()}

    async def prove(self, store: str, key: bytes, at: Height, /) -> Proven:
        (found,) = await self.prove_many(store, [key], at)
        if isinstance(found, Exception):
            raise found
        return found

    async def prove_many(self, store: str, keys: Sequence[bytes], at: Height, /) -> list[Proven | Exception]:
        """From one source, each proof checked under the header agreed on; what fails, from the next."""
        try:
            memo = self._memo((await self.signed_header(at.height)).header.app_hash)
        except RpcError as error:
            return [error for _ in keys]
        found: list[Proven | Exception] = [RpcError("no source has it") for _ in keys]
        left = list(range(len(keys)))

        def check(answers: Sequence[Proven | Exception]) -> None:
            for place, answer in zip(tuple(left), answers, strict=True):
                found[place] = answer
                if isinstance(answer, Proven):
                    found[place] = RpcError("no source proves it")  # until this one does
                    _check_proof(memo, (store.encode(), keys[place]), answer)
                    found[place] = answer
                    left.remove(place)
            for place in left:
                if not isinstance(found[place], RpcError):
                    raise RefutedProof(str(found[place]))
            if left:
                raise RpcError("some of it is not here")

        with contextlib.suppress(RpcError):  # in the place of what no source has
            await self.sources.first(
                f"proofs in {store} at {at.height}",
                lambda chain: chain.prove_many(store, [keys[place] for place in left], at),
                check,
            )
        return found

    async def last_sent(self, client_id: ClientId) -> int:
        """As the tip: the newest that enough sources have seen."""
        answers = await self.sources.every(f"last sent over {client_id}", lambda chain: chain.last_sent(client_id))
        found = sorted((answer for answer in answers.values() if isinstance(answer, int)), reverse=True)
        if len(found) < self.sources.required:
            raise next(answer for answer in answers.values() if isinstance(answer, RpcError))
        return found[self.sources.required - 1]

    async def keys(self, store: str, start: bytes, end: bytes, /) -> tuple[bytes, ...]:
        what = f"keys {store} {start.hex()} {end.hex()}"
        return tuple(sorted(await self._members(what, lambda chain: chain.keys(store, start, end))))

    async def outstanding(self, client_id: ClientId, /) -> dict[int, bytes]:
        return await self.sources.elect(f"outstanding {client_id}", lambda chain: chain.outstanding(client_id))

    async def received(self, client_id: ClientId, sequences: Collection[int], /) -> set[int]:
        return await self._members(f"received {client_id}", lambda chain: chain.received(client_id, sequences))

    async def still_open(self, client_id: ClientId, sequences: Collection[int], /) -> set[int]:
        return await self._members(f"open {client_id}", lambda chain: chain.still_open(client_id, sequences))

    async def acknowledged(self, client_id: ClientId, sequences: Collection[int], /) -> dict[int, bytes]:
        what = f"acknowledged {client_id}"
        return await self.sources.elect(what, lambda chain: chain.acknowledged(client_id, sequences))

    async def client(self, client_id: ClientId, /) -> TrackedClient:
        return await self._one(f"client {client_id}", lambda chain: chain.client(client_id))

    async def consensus(self, client_id: ClientId, height: Height) -> ConsensusState:
        return await self._one(f"consensus {client_id} {height}", lambda chain: chain.consensus(client_id, height))

    async def consensus_heights(self, client_id: ClientId) -> list[Height]:
        return sorted(await self._members(f"heights {client_id}", lambda chain: chain.consensus_heights(client_id)))

    async def clients_of(self, chain_id: str, kind: str = CLIENT_TYPE) -> list[ClientId]:
        what = f"clients {chain_id} {kind}"
        return sorted(await self._members(what, lambda chain: chain.clients_of(chain_id, kind)))

    async def _one(self, what: str, ask: Callable[[CometBftChain], Awaitable[T]], *, fixed: bool = False) -> T:
        async def entry(chain: CometBftChain) -> dict[str, T]:
            return {"": await ask(chain)}

        found = await self.sources.elect(what, entry, fixed=fixed)
        if "" not in found:
            raise RpcError("too few sources have it", what=what)
        return found[""]

    async def _members(self, what: str, ask: Callable[[CometBftChain], Awaitable[Collection[K]]]) -> set[K]:
        async def entries(chain: CometBftChain) -> dict[K, bool]:
            return dict.fromkeys(await ask(chain), True)

        return set(await self.sources.elect(what, entries))

    async def _blocks_of(
        self, what: str, heights: Sequence[int], ask: Callable[[CometBftChain], Awaitable[dict[int, T]]]
    ) -> list[T]:
        if not heights:
            return []
        found = await self.sources.elect(f"{what} {heights[0]} to {heights[-1]}", ask, fixed=True)
        if len(found) < len(heights):
            raise RpcError("too few sources have them", what=what)
        return [found[height] for height in heights]

    def _memo(self, root: bytes) -> ProofMemo:
        if root not in self._memos:
            self._memos[root] = ProofMemo(root)
            while len(self._memos) > MEMOS_KEPT:
                self._memos.popitem(last=False)
        return self._memos[root]

    def _undecided(self, heights: Mapping[Source, int], agreed: int) -> None:
        """Is one source ahead or are others behind? Where too few are left to tell, it halts after a while."""
        above = sum(height > agreed for height in heights.values())
        if not above or len(heights) - above >= self.sources.required:
            self._stuck = None
        elif self._stuck is None or self._stuck[0] != agreed:
            self._stuck = (agreed, now())
        elif now() - self._stuck[1] > BEHIND_S:
            said = {source.name: height for source, height in heights.items()}
            required = self.sources.required
            raise self.sources.halt(SourcesDisagree("tip", chain=self.chain_id, required=required, said=said))

    def _note(self, source: Source, height: int, agreed: int) -> None:
        """Follow a source that is behind: it must reach by a time what enough others have now."""
        source.height = height
        if source.due is not None and height >= source.due[0]:
            source.due = None
        if source.due is None:
            source.due = (agreed, now() + BEHIND_S) if height < agreed else None
        elif now() > source.due[1]:
            self.sources.aside(source, SourceBehind("", height=height, others=agreed), "tip", height, agreed)


def _check_proof(memo: ProofMemo, path: tuple[bytes, bytes], proven: Proven) -> None:
    if proven.value is None:
        memo.non_membership(proven.proof, path)
    else:
        memo.membership(proven.proof, path, proven.value)


__all__ = ("RefutedProof", "SourcedChain")
