"""Events as a node's JSON carries them. Raises BadAnswer for another shape."""

from __future__ import annotations

from typing import Any

from lockgate.primitives.state import Event
from lockgate.relay.rpc import BadAnswer, number


def events_of(results: dict[str, Any]) -> tuple[Event, ...]:
    """Events of a block's results: those of transactions that succeeded, then the block's own."""
    found: list[Event] = []
    for result in results.get("txs_results") or ():
        if not isinstance(result, dict):
            raise BadAnswer("a result has another shape")
        if number(result.get("code", 0)) == 0:
            found += map(event_of, result.get("events") or ())
    return (*found, *map(event_of, results.get("finalize_block_events") or ()))


def event_of(json: Any) -> Event:
    try:
        pairs = tuple((str(a["key"]), str(a.get("value") or "")) for a in json["attributes"])
        return Event(str(json["type"]), pairs)
    except (KeyError, TypeError, AttributeError) as error:
        raise BadAnswer("an event has another shape") from error


__all__ = ("event_of", "events_of")
