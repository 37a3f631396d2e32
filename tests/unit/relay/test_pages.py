"""A node whose pages never end is left, by name, after a bounded number of questions."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import Any

import pytest

from lockgate.codec.wire import ibc_channel_pb2, ibc_client_pb2, ibc_query_pb2
from lockgate.primitives.ids import ClientId
from lockgate.relay import pages
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.chains.cometbft_state import CometBftState
from lockgate.relay.pages import MOST_HITS, EndlessAnswer, Walk
from lockgate.relay.scan import EventSearch
from lockgate.relay.search import search

CLIENT = ClientId("07-tendermint-0")
Key = Callable[[int], bytes]
LONGEST_S = 20.0


def rising(page: int) -> bytes:
    return page.to_bytes(8, "big")


class Node:
    """Answers every query for a page with one more item, and a key for the next page."""

    def __init__(self, key: Key = rising, items: int = 1) -> None:
        self.asked = 0
        self._key, self._items = key, items

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        assert method == "abci_query"
        self.asked += 1
        page = ibc_query_pb2.PageResponse(next_key=self._key(self.asked))
        answer: Any
        match params["path"].rpartition("/")[2]:
            case "PacketCommitments":
                state = ibc_channel_pb2.PacketState(sequence=self.asked, data=bytes(32))
                answer = ibc_query_pb2.QueryPacketCommitmentsResponse(
                    pagination=page, commitments=[state] * self._items
                )
            case "ConsensusStateHeights":
                height = ibc_client_pb2.Height(revision_number=1, revision_height=self.asked)
                answer = ibc_query_pb2.QueryConsensusStateHeightsResponse(
                    pagination=page, consensus_state_heights=[height] * self._items
                )
            case _:
                state = ibc_client_pb2.IdentifiedClientState(client_id=CLIENT)
                answer = ibc_query_pb2.QueryClientStatesResponse(pagination=page, client_states=[state] * self._items)
        return {"response": {"value": base64.b64encode(answer.SerializeToString()).decode()}}

    async def close(self) -> None: ...


WALKS: dict[str, Callable[[CometBftState], Any]] = {
    "outstanding": lambda chain: chain.outstanding(CLIENT),
    "heights": lambda chain: chain.consensus_heights(CLIENT),
    "clients": lambda chain: chain.clients_of("alpha-1"),
}


@pytest.mark.parametrize("walk", WALKS)
@pytest.mark.parametrize(
    ("node", "most"),
    [
        (Node(), pages.MOST_PAGES),
        (Node(items=0), 1),  # nothing on a page, and more to come
        (Node(key=lambda page: b"same"), 2),
        (Node(key=lambda page: (1 << 32 - page).to_bytes(8, "big")), 2),  # backwards
    ],
    ids=["rising", "empty", "in a circle", "backwards"],
)
def test_a_walk_that_does_not_end_is_left(walk: str, node: Node, most: int) -> None:
    node.asked = 0
    with pytest.raises(EndlessAnswer):
        asyncio.run(asyncio.wait_for(WALKS[walk](CometBftState(node)), LONGEST_S))
    assert node.asked == most


@pytest.mark.parametrize("walk", WALKS)
def test_a_walk_that_ends_is_whole(walk: str) -> None:
    node = Node(key=lambda page: rising(page) if page < 5 else b"")
    asyncio.run(WALKS[walk](CometBftState(node)))
    assert node.asked == 5


def test_a_walk_holds_no_more_than_a_ledger_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MOST_ITEMS", 10)
    walk = Walk("items")
    walk.took(10, b"1")
    with pytest.raises(EndlessAnswer):
        walk.took(1, b"")


class Hits:
    """Answers a search with more hits than anybody asked for."""

    def __init__(self, count: int) -> None:
        self._count = count

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        kind = {"tx_search": "txs", "block_search": "blocks"}[method]
        hit = {"height": "1", "block": {"header": {"height": "1"}}, "hash": "", "index": 0, "tx_result": {"code": 1}}
        return {kind: [hit] * self._count, "total_count": str(self._count)}

    async def close(self) -> None: ...


def test_more_hits_than_were_asked_for_are_not_read() -> None:
    chain = CometBftChain(Hits(MOST_HITS + 1), "alpha-1")
    with pytest.raises(EndlessAnswer):
        asyncio.run(search(chain, "send_packet", ("packet_sequence", "1")))
    with pytest.raises(EndlessAnswer):
        asyncio.run(EventSearch(chain, "send_packet", "packet_source_client", CLIENT, lambda _: True).find({1}))
