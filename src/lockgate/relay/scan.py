"""Finds the events of many packets with few questions: pages of transactions, each block read once.

A scan knows the sequences it wants. It asks for the lowest one alone, which gives a height, and pages
on from there through every transaction with events of that client. Where a page holds nothing that is
wanted it jumps to the next one wanted in the same way. What block-level events hold is asked for after.
So the work grows with the packets that are wanted, whatever the ledger's length.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from lockgate.courier.ports import BlockEvents
from lockgate.ibc import events as ibc_events
from lockgate.primitives.ids import Height
from lockgate.primitives.state import Event
from lockgate.relay.events import event_of
from lockgate.relay.pages import MOST_HITS, check_hits
from lockgate.relay.rpc import BadAnswer, Calls, number

PER_PAGE: Final = 30  # transactions in one answer; each may hold hundreds of packets in hex
Found = dict[int, tuple[Event, Height]]


class Searched(Protocol):
    """What is needed of a chain that is searched over the CometBFT RPC."""

    rpc: Calls
    revision: int

    async def block_events(self, height: int, /) -> BlockEvents: ...


@dataclass(slots=True)
class EventSearch:
    """Looks for events `kind` of `client` on one ledger; `accept` decides which of them are believed."""

    chain: Searched
    kind: str
    attribute: str  # that names the client: packet_source_client or packet_dest_client
    client: str
    accept: Callable[[Event], bool]
    found: Found = field(default_factory=dict)
    pages: int = 0
    _wanted: set[int] = field(default_factory=set)

    async def find(self, wanted: set[int]) -> Found:
        """Events of the wanted sequences, with their heights; what no node remembers is left out."""
        self._wanted = set(wanted)
        for by_block in (False, True):
            skipped: set[int] = set()
            while missing := sorted(self._wanted - skipped):
                height = await self._height_of(missing[0], by_block=by_block)
                if height is None:
                    skipped.add(missing[0])
                else:
                    await self._page_on(height, by_block=by_block)
                    skipped.add(missing[0])
        return self.found

    async def _height_of(self, sequence: int, *, by_block: bool) -> int | None:
        terms = f"{self._client_term} AND {self.kind}.{ibc_events.SEQUENCE}='{sequence}'"
        heights = self._heights(await self._ask(terms, 1, by_block=by_block), by_block=by_block)
        return heights[0] if heights else None

    async def _page_on(self, height: int, *, by_block: bool) -> None:
        """Read pages from `height` on, until one holds nothing that is wanted, or there are no more."""
        bound = "block.height" if by_block else "tx.height"
        terms = f"{self._client_term} AND {bound}>={height}"
        page, seen = 1, 0
        while self._wanted:
            answer = await self._ask(terms, page, by_block=by_block)
            items = answer.get("blocks" if by_block else "txs") or ()
            before = len(self._wanted)
            if by_block:
                for each in self._heights(answer, by_block=True):
                    block = await self.chain.block_events(each)
                    self._take(block.events, each)
            else:
                for item in items:
                    self._take_transaction(item)
            seen += len(items)
            if not items or seen >= number(answer.get("total_count", 0)) or len(self._wanted) == before:
                return
            page += 1

    async def _ask(self, terms: str, page: int, *, by_block: bool) -> dict[str, Any]:
        method = "block_search" if by_block else "tx_search"
        self.pages += 1
        answer = await self.chain.rpc.call(method, query=terms, page=str(page), per_page=str(PER_PAGE), order_by="asc")
        check_hits(len(answer.get("blocks" if by_block else "txs") or ()), MOST_HITS, method)
        return answer

    @property
    def _client_term(self) -> str:
        return f"{self.kind}.{self.attribute}='{self.client}'"

    def _take_transaction(self, item: Any) -> None:
        try:
            result, height = item["tx_result"], number(item["height"])
            code, events = number(result.get("code", 0)), result.get("events") or ()
        except (KeyError, TypeError, AttributeError) as error:
            raise BadAnswer("a transaction has another shape") from error
        if code == 0:
            self._take(tuple(map(event_of, events)), height)

    def _take(self, events: tuple[Event, ...], height: int) -> None:
        for event in events:
            sequence = sequence_of(event)
            if (
                event.type == self.kind
                and event.get(self.attribute) == self.client
                and sequence in self._wanted
                and self.accept(event)
            ):
                self.found[sequence] = (event, Height(self.chain.revision, height))
                self._wanted.discard(sequence)

    def _heights(self, answer: dict[str, Any], *, by_block: bool) -> list[int]:
        try:
            if by_block:
                return [number(item["block"]["header"]["height"]) for item in answer.get("blocks") or ()]
            return [number(item["height"]) for item in answer.get("txs") or ()]
        except (KeyError, TypeError) as error:
            raise BadAnswer("a search result has another shape") from error


def sequence_of(event: Event) -> int:
    """The packet's sequence; 0, which no packet has, where the event names none."""
    text = event.get(ibc_events.SEQUENCE) or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else 0


__all__ = ("EventSearch", "Found", "sequence_of")
