"""Any ledger that answers the CometBFT RPC, as a courier's or a host's `Chain` (I10).

The node is not trusted. Light blocks are verified by whoever follows the ledger; a proof is checked
against the app hash of a header before it is handed on, so that a lying or confused node shows as a
typed failure here and not as a wasted transaction on the other ledger.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from typing import Any, Final

from google.protobuf.any_pb2 import Any as AnyMessage

from lockgate.codec import cbor
from lockgate.codec.type_urls import TENDERMINT_HEADER
from lockgate.codec.wire import ibc_query_pb2, ibc_tendermint_pb2
from lockgate.courier.ports import BlockEvents, NotYet, Proven, Tip, TrackedClient
from lockgate.lightclients.cometbft import framing, rpc_json
from lockgate.lightclients.cometbft.rfc3339 import parse_time
from lockgate.lightclients.cometbft.types import LightBlock, SignedHeader, ValidatorSet
from lockgate.lightclients.tendermint.messages import encode_header
from lockgate.primitives.ids import ClientId, Height, revision_number
from lockgate.primitives.state import Event
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos
from lockgate.relay.rpc import BadAnswer, Calls, RpcError, b64, number

POLL_S: Final = 0.05  # while waiting for a header that is due at once
PER_PAGE: Final = 100
MAX_PAGES: Final = 100  # 10,000 validators
LIGHT_BLOCKS_KEPT: Final = 256


class CometBftChain:
    """Reads one ledger over one node. Meets `courier.ports.Chain`."""

    def __init__(self, rpc: Calls, chain_id: str) -> None:
        self.rpc = rpc
        self.chain_id = chain_id
        self.revision = revision_number(chain_id)
        self._blocks: OrderedDict[int, LightBlock] = OrderedDict()

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

    async def genesis(self) -> bytes:
        """Our own genesis document, as embedded ledgers serve it."""
        document = await self.rpc.call("genesis")
        try:
            return b64(document["genesis"]["app_state"]["lockgate"])
        except (KeyError, TypeError) as error:
            raise BadAnswer("not a ledger of ours: its genesis carries no Lockgate document") from error

    async def block_events(self, height: int, /) -> BlockEvents:
        results, signed = await asyncio.gather(
            self.rpc.call("block_results", height=str(height)), self.signed_header(height)
        )
        found: list[Event] = []
        for result in results.get("txs_results") or ():
            if number(result.get("code", 0)) == 0:
                found += map(_event, result.get("events") or ())
        found += map(_event, results.get("finalize_block_events") or ())
        return BlockEvents(self._height(height), signed.header.time, tuple(found))

    async def transactions(self, height: int) -> tuple[bytes, ...]:
        """Transactions of a block that succeeded, in order."""
        block, results = await asyncio.gather(
            self.rpc.call("block", height=str(height)), self.rpc.call("block_results", height=str(height))
        )
        txs = rpc_json.txs_from_json(block["block"]["data"])
        outcomes = results.get("txs_results") or ()
        return tuple(tx for tx, outcome in zip(txs, outcomes, strict=False) if number(outcome.get("code", 0)) == 0)

    async def signed_header(self, height: int) -> SignedHeader:
        answer = await self.rpc.call("commit", height=str(height))
        return rpc_json.signed_header_from_json(answer.get("signed_header"))

    async def validators(self, height: int) -> ValidatorSet:
        """All pages of the validator set of a height."""
        members: list[Any] = []
        for page in range(1, MAX_PAGES + 1):
            answer = await self.rpc.call("validators", height=str(height), page=str(page), per_page=str(PER_PAGE))
            members += answer.get("validators") or ()
            if len(members) >= number(answer.get("total", 0)):
                break
        return ValidatorSet.of(rpc_json.validators_from_json(members))

    async def light_block(self, height: int) -> LightBlock:
        """Header, commit and both validator sets of a height. Cached; verification is the caller's."""
        known = self._blocks.get(height)
        if known is not None:
            return known
        signed, own, following = await asyncio.gather(
            self.signed_header(height), self.validators(height), self.validators(height + 1)
        )
        block = LightBlock(signed, own, following)
        self._blocks[height] = block
        while len(self._blocks) > LIGHT_BLOCKS_KEPT:
            self._blocks.popitem(last=False)
        return block

    async def header_at_least(self, height: int, deadline_s: float = 10.0) -> Tip:
        """Wait until the ledger has this height; raises NotYet when it does not come."""
        try:
            async with asyncio.timeout(deadline_s):
                while (tip := await self.tip()).height.height < height:
                    await asyncio.sleep(POLL_S)
                return tip
        except TimeoutError as error:
            raise NotYet("the header did not come", height=height) from error

    async def query(self, path: str, data: bytes, *, height: int = 0, prove: bool = False) -> dict[str, Any]:
        """abci_query; the `response` object, or RpcError with the ledger's own words."""
        answer = await self.rpc.call("abci_query", path=path, data=data.hex(), height=str(height), prove=prove)
        response = answer.get("response")
        if not isinstance(response, dict):
            raise BadAnswer("abci_query without a response")
        if number(response.get("code", 0)) != 0:
            raise RpcError(str(response.get("log", "")), path=path)
        return response

    async def prove(self, store: str, key: bytes, at: Height, /) -> Proven:
        response = await self.query(f"store/{store}/key", key, height=at.height - 1, prove=True)
        if number(response.get("height", 0)) != at.height - 1:
            raise BadAnswer("the node answered for another height", asked=at.height - 1)
        try:
            ops = [b64(op["data"]) for op in response["proofOps"]["ops"]]
        except (KeyError, TypeError) as error:
            raise BadAnswer("no proof in the answer", key=key) from error
        value = b64(response.get("value")) or None
        proof = b"".join(framing.message_field(b"\x0a", op) for op in ops)
        return Proven(value, proof, at)

    async def keys(self, store: str, start: bytes, end: bytes, /) -> tuple[bytes, ...]:
        response = await self.query("/lockgate/range", cbor.encode([store, start, end]))
        found: Any = cbor.decode(b64(response.get("value")))
        return tuple(found)

    async def client(self, client_id: ClientId, /) -> TrackedClient:
        state, status = await asyncio.gather(
            self._ask("client.v1", "ClientState", ibc_query_pb2.QueryClientStateRequest(client_id=client_id)),
            self._ask("client.v1", "ClientStatus", ibc_query_pb2.QueryClientStatusRequest(client_id=client_id)),
        )
        wrapped = ibc_query_pb2.QueryClientStateResponse.FromString(state).client_state
        client = ibc_tendermint_pb2.ClientState.FromString(wrapped.value)
        latest = Height(client.latest_height.revision_number, client.latest_height.revision_height)
        request = ibc_query_pb2.QueryConsensusStateRequest(
            client_id=client_id, revision_number=latest.revision, revision_height=latest.height
        )
        consensus = ibc_query_pb2.QueryConsensusStateResponse.FromString(
            await self._ask("client.v1", "ConsensusState", request)
        ).consensus_state
        stamp = ibc_tendermint_pb2.ConsensusState.FromString(consensus.value).timestamp
        period = client.trusting_period
        return TrackedClient(
            client_id,
            ibc_query_pb2.QueryClientStatusResponse.FromString(status).status,
            latest,
            UnixNanos(stamp.seconds * NANOS_PER_SECOND + stamp.nanos),
            period.seconds * NANOS_PER_SECOND + period.nanos,
        )

    async def update_message(self, client_id: ClientId, trusted: Height, target: Height, /) -> bytes:
        trusted_set, block = await asyncio.gather(self.validators(trusted.height + 1), self.light_block(target.height))
        header = encode_header(block.signed_header, block.validators, trusted, trusted_set)
        return AnyMessage(type_url=TENDERMINT_HEADER, value=header).SerializeToString(deterministic=True)

    async def follow(self, start: int, interval_s: float) -> AsyncIterator[int]:
        """Heights from `start` on, as they appear. Polls, so no gap can be lost."""
        height = start
        while True:
            try:
                tip = await self.tip()
            except RpcError:
                await asyncio.sleep(interval_s)
                continue
            while height <= tip.height.height:
                yield height
                height += 1
            await asyncio.sleep(interval_s)

    async def _ask(self, service: str, method: str, request: Any) -> bytes:
        path = f"/ibc.core.{service}.Query/{method}"
        return b64((await self.query(path, request.SerializeToString())).get("value"))

    def _height(self, height: int) -> Height:
        return Height(self.revision, height)


def _event(json: Any) -> Event:
    try:
        pairs = tuple((str(a["key"]), str(a.get("value") or "")) for a in json["attributes"])
        return Event(str(json["type"]), pairs)
    except (KeyError, TypeError, AttributeError) as error:
        raise BadAnswer("an event has another shape") from error
