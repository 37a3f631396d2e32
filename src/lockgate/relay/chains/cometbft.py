"""Any ledger that answers the CometBFT RPC, as a courier's or a host's `Chain` (I10).

The node is not trusted. Light blocks are verified by whoever follows the ledger; a proof is checked
against the app hash of a header before it is handed on, so that a lying or confused node shows as a
typed failure here and not as a wasted transaction on the other ledger.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final

from google.protobuf.any_pb2 import Any as AnyMessage

from lockgate.codec.type_urls import TENDERMINT_HEADER
from lockgate.courier.ports import BlockEvents, NotYet, Proven, Tip
from lockgate.lightclients.cometbft import framing, rpc_json
from lockgate.lightclients.cometbft.rfc3339 import parse_time
from lockgate.lightclients.cometbft.types import LightBlock, SignedHeader, ValidatorSet
from lockgate.lightclients.tendermint.messages import encode_header
from lockgate.primitives.ids import ClientId, Height, revision_number
from lockgate.primitives.state import Event
from lockgate.primitives.time import UnixNanos
from lockgate.relay.chains.cometbft_state import CometBftState, response_of
from lockgate.relay.events import events_of
from lockgate.relay.heights import of_heights, results_of
from lockgate.relay.pages import EndlessAnswer
from lockgate.relay.rpc import BadAnswer, Calls, Pushes, RpcError, b64, call_many, number
from lockgate.relay.scan import EventSearch, Found

POLL_S: Final = 0.05  # while waiting for a header that is due at once
PER_PAGE: Final = 100
MAX_PAGES: Final = 100  # 10,000 validators
LIGHT_BLOCKS_KEPT: Final = 256
SETS_KEPT: Final = 16  # of up to 10,000 validators each


class CometBftChain(CometBftState):
    """Reads one ledger over one node. Meets `courier.ports.Chain`."""

    def __init__(self, rpc: Calls, chain_id: str) -> None:
        super().__init__(rpc)
        self.chain_id = chain_id
        self.revision = revision_number(chain_id)
        self._blocks: OrderedDict[int, LightBlock] = OrderedDict()
        self._losses = 0  # when _blocks were fetched
        self._beats = 0
        self._heard = False  # blocks are announced, so waits may be longer
        self._announced = asyncio.Event()
        self._listener: asyncio.Task[None] | None = None
        self._sets: OrderedDict[bytes, ValidatorSet] = OrderedDict()  # by their own hash

    async def tip(self) -> Tip:
        """Newest block; raises BadAnswer when the node runs another chain."""
        status = await self.rpc.call("status")
        try:
            info = status["sync_info"]
            network = status["node_info"]["network"]
            height, time = number(info["latest_block_height"]), info["latest_block_time"]
        except (KeyError, TypeError) as error:
            raise BadAnswer("status has another shape") from error
        if network != self.chain_id:
            raise BadAnswer("the node runs another chain", expected=self.chain_id, got=network)
        return Tip(self.chain_id, self._height(height), parse_time(time))

    async def earliest(self) -> int:
        status = await self.rpc.call("status")
        try:
            return max(1, number(status["sync_info"]["earliest_block_height"]))  # 0: it has none at all yet
        except (KeyError, TypeError) as error:
            raise BadAnswer("status has another shape") from error

    async def genesis(self) -> bytes:
        """Our own genesis document, as embedded ledgers serve it."""
        document = await self.rpc.call("genesis")
        try:
            return b64(document["genesis"]["app_state"]["lockgate"])
        except (KeyError, TypeError) as error:
            raise BadAnswer("not a ledger of ours: its genesis carries no Lockgate document") from error

    async def block_events(self, height: int, /) -> BlockEvents:
        (block,) = await self.blocks_events([height])
        return block

    async def blocks_events(self, heights: Sequence[int]) -> list[BlockEvents]:
        """As `block_events`, for several heights in two round trips. Raises what any of them raises."""
        found = []
        commits = await of_heights(self.rpc, "commit", heights)
        for height, events, commit in zip(heights, await self.events(heights), commits, strict=True):
            signed = rpc_json.signed_header_from_json(commit.get("signed_header"))
            if signed.header.height != height:
                raise BadAnswer("the node answered for another height", asked=height)
            found.append(BlockEvents(self._height(height), signed.header.time, events))
        return found

    async def events(self, heights: Sequence[int]) -> list[tuple[Event, ...]]:
        """Events of several blocks, those of transactions that succeeded and those of the block itself."""
        found = []
        for height, results in zip(heights, await results_of(self.rpc, heights), strict=True):
            if number(results.get("height", 0)) != height:
                raise BadAnswer("the node answered for another height", asked=height)
            found.append(events_of(results))
        return found

    async def transactions(self, height: int) -> tuple[bytes, ...]:
        """Transactions of a block that succeeded, in order."""
        block, results = await asyncio.gather(
            self.rpc.call("block", height=str(height)), self.rpc.call("block_results", height=str(height))
        )
        txs = rpc_json.txs_from_json(block["block"]["data"])
        outcomes = results.get("txs_results") or ()
        return tuple(tx for tx, outcome in zip(txs, outcomes, strict=False) if number(outcome.get("code", 0)) == 0)

    async def time_of(self, height: int, /) -> UnixNanos:
        return (await self.signed_header(height)).header.time

    async def signed_header(self, height: int) -> SignedHeader:
        answer = await self.rpc.call("commit", height=str(height))
        signed = rpc_json.signed_header_from_json(answer.get("signed_header"))
        if signed.header.height != height:
            raise BadAnswer("the node answered for another height", asked=height, got=signed.header.height)
        return signed

    async def validators(self, height: int) -> ValidatorSet:
        """All pages of the validator set of a height. Raises EndlessAnswer."""
        members: list[Any] = []
        for page in range(1, MAX_PAGES + 1):
            answer = await self.rpc.call("validators", height=str(height), page=str(page), per_page=str(PER_PAGE))
            total, some = number(answer.get("total", 0)), answer.get("validators") or ()
            if total > MAX_PAGES * PER_PAGE or not 0 < len(some) <= PER_PAGE:
                raise EndlessAnswer("not the pages of a set", of="validators", total=total, page=page, items=len(some))
            members += some
            if len(members) >= total:
                break
        return ValidatorSet.of(rpc_json.validators_from_json(members))

    async def light_block(self, height: int) -> LightBlock:
        """Header, commit and both validator sets of a height. Cached; verification is the caller's.

        A header names its sets by hash, and they seldom change: a set that is known is not fetched again.
        Blocks are fetched again after a connection was lost: a restored node may have others.
        """
        if self.losses != self._losses:
            self._losses = self.losses
            self._blocks.clear()
        known = self._blocks.get(height)
        if known is not None:
            return known
        signed = await self.signed_header(height)
        own = await self._set(height, signed.header.validators_hash)
        following = await self._set(height + 1, signed.header.next_validators_hash)
        block = LightBlock(signed, own, following)
        self._blocks[height] = block
        while len(self._blocks) > LIGHT_BLOCKS_KEPT:
            self._blocks.popitem(last=False)
        return block

    @property
    def reconnects(self) -> int:
        return int(getattr(self.rpc, "reconnects", 0))

    @property
    def losses(self) -> int:
        """How often the connection to the node was lost; 0 for an adapter that has none."""
        return int(getattr(self.rpc, "losses", 0))

    def forget(self, height: int) -> None:
        """Drop a block that did not verify: another answer may."""
        self._blocks.pop(height, None)

    async def _set(self, height: int, wanted: bytes) -> ValidatorSet:
        found = self._sets.get(wanted)
        if found is None:
            found = await self.validators(height)
            self._sets[found.hash] = found
            while len(self._sets) > SETS_KEPT:
                self._sets.popitem(last=False)
        return found

    async def header_at_least(self, height: int, deadline_s: float = 10.0) -> Tip:
        """Wait until the ledger has this height; raises NotYet when it does not come."""
        try:
            async with asyncio.timeout(deadline_s):
                while True:
                    seen = self.beat
                    tip = await self.tip()
                    if tip.height.height >= height:
                        return tip
                    await self.pause(seen)
        except TimeoutError as error:
            raise NotYet("the header did not come", height=height) from error

    @property
    def beat(self) -> int:
        """Counts blocks that were announced; read it before asking, give it to `pause` after."""
        return self._beats

    async def pause(self, seen: int, longest_s: float = POLL_S) -> None:
        """Wait for a block after `seen`; where none is announced, for `longest_s` and at most POLL_S unheard."""
        if isinstance(self.rpc, Pushes) and (self._listener is None or self._listener.done()):
            self._listener = asyncio.create_task(self._listen(self.rpc))
        if self._beats != seen:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(longest_s if self._heard else min(longest_s, POLL_S)):
                await self._announced.wait()

    async def _listen(self, rpc: Pushes) -> None:
        async for _ in rpc.beats():
            self._beats += 1
            self._heard = True
            self._announced.set()
            self._announced = asyncio.Event()
        self._heard = False

    async def prove(self, store: str, key: bytes, at: Height, /) -> Proven:
        response = await self.query(f"store/{store}/key", key, height=at.height - 1, prove=True)
        return _proven(response, key, at)

    async def prove_many(self, store: str, keys: Sequence[bytes], at: Height, /) -> list[Proven | Exception]:
        params = [
            {"path": f"store/{store}/key", "data": key.hex(), "height": str(at.height - 1), "prove": True}
            for key in keys
        ]
        found: list[Proven | Exception] = []
        for key, answer in zip(keys, await call_many(self.rpc, "abci_query", params), strict=True):
            try:
                if isinstance(answer, RpcError):
                    raise answer
                found.append(_proven(response_of(answer, f"store/{store}/key"), key, at))
            except (RpcError, BadAnswer) as error:
                found.append(error)
        return found

    async def find_events(
        self, kind: str, attribute: str, client: ClientId, sequences: set[int], accept: Callable[[Event], bool], /
    ) -> Found:
        return await EventSearch(self, kind, attribute, client, accept).find(sequences)

    async def update_message(self, client_id: ClientId, trusted: Height, target: Height, /) -> bytes:
        trusted_set, block = await asyncio.gather(self.validators(trusted.height + 1), self.light_block(target.height))
        header = encode_header(block.signed_header, block.validators, trusted, trusted_set)
        return AnyMessage(type_url=TENDERMINT_HEADER, value=header).SerializeToString(deterministic=True)

    async def follow(self, start: int, interval_s: float) -> AsyncIterator[int]:
        """Heights from `start` on, as they appear. Asks at least every `interval_s`, so no gap can be lost."""
        height = start
        while True:
            seen = self.beat
            try:
                tip = await self.tip()
            except RpcError:
                await asyncio.sleep(interval_s)
                continue
            while height <= tip.height.height:
                yield height
                height += 1
            await self.pause(seen, interval_s)

    def _height(self, height: int) -> Height:
        return Height(self.revision, height)


def _proven(response: dict[str, Any], key: bytes, at: Height) -> Proven:
    if number(response.get("height", 0)) != at.height - 1:
        raise BadAnswer("the node answered for another height", asked=at.height - 1)
    try:
        ops = [b64(op["data"]) for op in response["proofOps"]["ops"]]
    except (KeyError, TypeError) as error:
        raise BadAnswer("no proof in the answer", key=key) from error
    proof = b"".join(framing.message_field(b"\x0a", op) for op in ops)
    return Proven(b64(response.get("value")) or None, proof, at)
