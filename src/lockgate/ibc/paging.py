"""Pages over a key range, as Cosmos query services give them.

A page starts at a key or after a number of entries, never both; it ends after `limit` entries and
names the key the next one starts at. Source: cosmos.base.query.v1beta1 PageRequest and PageResponse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from lockgate.codec.wire import ibc_query_pb2 as q
from lockgate.ibc import host
from lockgate.ibc.errors import BadQuery
from lockgate.primitives.state import View

DEFAULT_LIMIT: Final = 100  # the Cosmos SDK's; a request without a limit also asks for the total
MAX_LIMIT: Final = 10_000  # entries in one response, about a megabyte; larger askers page on

Pair = tuple[bytes, bytes]


def page(
    view: View, prefix: bytes, request: q.PageRequest, keep: Callable[[bytes], bool] | None = None
) -> tuple[list[Pair], q.PageResponse]:
    """Return one page of the `ibc` store's entries under `prefix`, keys without it, and what follows.

    `keep` leaves entries out by their key; they count for nothing. Raises BadQuery.
    """
    if request.key and request.offset:
        raise BadQuery("a page starts at a key or an offset, not both")
    limit = min(request.limit or DEFAULT_LIMIT, MAX_LIMIT)
    count_all = not request.key and (request.count_total or not request.limit)
    pairs: list[Pair] = []
    next_key, seen = b"", 0
    for key, value in _entries(view, prefix, request.key, backwards=request.reverse):
        if keep is not None and not keep(key):
            continue
        seen += 1
        if seen <= request.offset:
            continue
        if len(pairs) < limit:
            pairs.append((key, value))
        else:
            next_key = next_key or key
            if not count_all:
                break
    return pairs, q.PageResponse(next_key=next_key, total=seen if count_all else 0)


def _entries(view: View, prefix: bytes, start: bytes, *, backwards: bool) -> Iterator[Pair]:
    first, last = prefix, prefix[:-1] + bytes((prefix[-1] + 1,))
    if start and backwards:
        last = prefix + start + b"\x00"
    elif start:
        first = prefix + start
    found: Iterator[Pair] = view.scan(host.STORE, first, last)
    if backwards:
        # A view scans upwards only; a range is as long as the packets that are under way.
        found = reversed(list(found))
    return ((key[len(prefix) :], value) for key, value in found)
