"""Finding past events on a ledger by their attributes.

A node intersects the terms of a query, and an embedded ledger bounds the rows that one term may touch.
A client's name stands in every packet event of a lane, a sequence in a handful: so the one attribute that
narrows is sent, and the others are compared here. What a node leaves out is not found; nothing is decided
from an event without a proof.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from lockgate.primitives.ids import Height
from lockgate.primitives.state import Event
from lockgate.primitives.time import UnixNanos
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.pages import MOST_HITS, check_hits
from lockgate.relay.rpc import BadAnswer, number

PER_PAGE: Final = 100  # results asked for; a narrowing attribute leaves fewer


class Found(NamedTuple):
    """An event and the block it stands in."""

    event: Event
    height: Height
    time: UnixNanos


async def search(chain: CometBftChain, kind: str, narrow: tuple[str, str], **match: str) -> list[Found]:
    """Events of `kind` whose attributes have these values, oldest first, of transactions and of blocks."""
    name, value = narrow
    heights: set[int] = set()
    for method, field in (("tx_search", "txs"), ("block_search", "blocks")):
        answer = await chain.rpc.call(method, query=f"{kind}.{name}='{value}'", per_page=str(PER_PAGE))
        hits = answer.get(field) or ()
        check_hits(len(hits), MOST_HITS, method)
        heights |= set(_heights(hits))
    wanted = {name: value, **match}
    found: list[Found] = []
    for height in sorted(heights):
        block = await chain.block_events(height)
        found += [
            Found(event, block.height, block.time)
            for event in block.events
            if event.type == kind and all(event.get(key) == text for key, text in wanted.items())
        ]
    return found


def _heights(items: Iterable[Any]) -> list[int]:
    try:
        return [number(item.get("height") or item["block"]["header"]["height"]) for item in items]
    except (KeyError, TypeError, AttributeError) as error:
        raise BadAnswer("a search result has another shape") from error
