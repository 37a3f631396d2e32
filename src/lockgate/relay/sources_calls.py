"""Raw calls to a ledger of several nodes: searches are counted by hit, a transaction's fate by source.

A transaction goes to one source. Its bytes are signed and its sequence is used once, so where that source
is silent, errs or refuses, the same bytes go to the next: whichever takes them, they act once. That it is in a
block is believed when enough sources show it there.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from lockgate.courier.ports import ChainUnavailable
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.pages import check_hits
from lockgate.relay.rpc import BadAnswer, Pushes, RpcError, number
from lockgate.relay.sources import STUMBLES, Source, SourceLied, SourceOutvoted, Sources, SourcesDisagree, now

CONFIRM_S: Final = 5.0  # a source that has not indexed a block by then does not have it
CONFIRM_EVERY_S: Final = 0.02
BEATS_EVERY_S: Final = 0.02  # a source that announces without end wakes nobody more often
DEFAULT_HITS: Final = 30  # of a page whose length nobody named
SEARCHES: Final = {"tx_search": "txs", "block_search": "blocks"}
Json = dict[str, Any]


class SourcedCalls:
    """Meets `Calls` and `Pushes` over all sources of a ledger."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources

    async def call(self, method: str, **params: Any) -> Json:
        """Call by the method's rule. Raises as `Calls.call`, SourcesTooFew and SourcesDisagree."""
        if method in SEARCHES:
            return await self._search(method, SEARCHES[method], params)
        if method.startswith("broadcast_tx"):
            return await self._broadcast(method, params)
        names = f"{method} {params}"
        found = await self.sources.elect(names, lambda chain: _entry(chain, method, params))
        if "" not in found:
            raise RpcError("too few sources have it", method=method)
        return found[""]

    async def close(self) -> None:
        await asyncio.gather(*(source.chain.rpc.close() for source in self.sources.all), return_exceptions=True)

    @property
    def reconnects(self) -> int:
        """How often a subscription to any of them was made again."""
        return sum(getattr(source.chain.rpc, "reconnects", 0) for source in self.sources.all)

    async def beats(self) -> AsyncIterator[None]:
        """An item when any source announces a block, and never more than fifty a second."""
        heard = asyncio.Event()

        async def listen(rpc: Pushes) -> None:
            async for _ in rpc.beats():
                heard.set()

        listeners = [
            asyncio.create_task(listen(source.chain.rpc))
            for source in self.sources.all
            if isinstance(source.chain.rpc, Pushes)
        ]
        try:
            while listeners:
                await heard.wait()
                heard.clear()
                yield None
                await asyncio.sleep(BEATS_EVERY_S)
        finally:
            for each in listeners:
                each.cancel()
            await asyncio.gather(*listeners, return_exceptions=True)

    async def _search(self, method: str, field: str, params: Mapping[str, Any]) -> Json:
        """Hits that enough sources show, in order of their place."""

        async def ask(chain: CometBftChain) -> dict[tuple[int, int, str], Json]:
            answer = await chain.rpc.call(method, **params)
            items = answer.get(field) or ()
            check_hits(len(items), number(params.get("per_page", DEFAULT_HITS)), method)
            hits = {_place(item): item for item in items}
            most[chain] = number(answer.get("total_count", 0))
            return hits

        most: dict[CometBftChain, int] = {}
        found = await self.sources.elect(f"{method} {params}", ask)
        ordered = sorted(found, reverse=params.get("order_by") == "desc")
        # The total steers paging only: one that is too high costs a page, one too low would end a search early.
        return {field: [found[place] for place in ordered], "total_count": str(max(most.values(), default=0))}

    async def _broadcast(self, method: str, params: Mapping[str, Any]) -> Json:
        """Offer the bytes to one source after the other until one takes them: none can keep them from the rest."""
        refused: list[tuple[Source, Json]] = []
        errors: list[RpcError] = []
        for source in self.sources.fit(method):
            try:
                answer = await source.chain.rpc.call(method, **params)
                code = number(answer.get("check_tx", answer).get("code", 0))  # broadcast_tx_sync is the check itself
            except RpcError as error:
                errors.append(error)  # a node's own words: it waits, is known already, or whatever it likes to say
                continue
            except STUMBLES as error:
                self.sources.failed(source, error, method)
                continue
            if code:
                refused.append((source, answer))
                if len(refused) >= self.sources.required:
                    return answer
                continue
            if method != "broadcast_tx_commit" or self.sources.required == 1:
                return answer
            return await self._confirmed(source, params, answer)
        if errors:
            (usual, _), *_ = Counter(error.detail for error in errors).most_common()
            raise next(error for error in errors if error.detail == usual)
        if refused:
            said = {source.name: str(answer.get("check_tx")) for source, answer in refused}
            raise self.sources.halt(SourcesDisagree(method, chain=self.sources.chain_id, said=said))
        raise ChainUnavailable("no source took the transaction", chain=self.sources.chain_id)

    async def _confirmed(self, source: Source, params: Mapping[str, Any], answer: Json) -> Json:
        """The result as enough sources show it. Raises ChainUnavailable where they do not: its fate is unknown."""
        try:
            height = number(answer["height"])
            digest = hashlib.sha256(base64.b64decode(str(params["tx"]))).digest()
        except (KeyError, ValueError, BadAnswer) as error:
            self.sources.failed(source, BadAnswer("a result has another shape"), "a transaction")
            raise ChainUnavailable("the transaction's result does not read") from error
        what = f"tx {digest.hex()}"
        asked = {"hash": base64.b64encode(digest).decode()}
        ends = now() + CONFIRM_S
        while True:
            try:
                found = await self.sources.elect(what, lambda chain: _result(chain, asked))
            except RpcError:
                found = {}
            if "" in found:
                return {"check_tx": {}, **found[""]}
            if now() >= ends:
                break
            await asyncio.sleep(CONFIRM_EVERY_S)
        tips = await self.sources.every("tip", lambda chain: chain.tip())
        known = {of: tip.height.height for of, tip in tips.items() if not isinstance(tip, RpcError)}
        short = [tip for of, tip in known.items() if of is not source and tip < height]
        if sum(tip > height for tip in known.values()) >= self.sources.required:
            self.sources.aside(source, SourceLied("a transaction is not in the block it names"), what, said=height)
        elif len(short) >= self.sources.required:
            self.sources.aside(source, SourceOutvoted("a block that the others do not have"), what, height, max(short))
        raise ChainUnavailable("the transaction was not seen at enough sources", hash=digest)


async def _entry(chain: CometBftChain, method: str, params: Mapping[str, Any]) -> dict[str, Json]:
    return {"": await chain.rpc.call(method, **params)}


async def _result(chain: CometBftChain, asked: Mapping[str, str]) -> dict[str, Json]:
    """What a source shows of a transaction, without what differs between honest nodes."""
    found = await chain.rpc.call("tx", **asked)
    return {"": {"height": str(found.get("height")), "tx_result": found.get("tx_result")}}


def _place(item: Any) -> tuple[int, int, str]:
    """Where a hit of a search stands: height, index in the block, hash. Raises BadAnswer."""
    try:
        if "block" in item:
            return number(item["block"]["header"]["height"]), 0, ""
        return number(item["height"]), number(item.get("index", 0)), str(item.get("hash"))
    except (KeyError, TypeError, AttributeError) as error:
        raise BadAnswer("a search result has another shape") from error


__all__ = ("SourcedCalls",)
