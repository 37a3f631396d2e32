"""What a relayer shows people: how much waits, for how long, on whom, and how old its clients are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lockgate.courier.plan import Lane
from lockgate.primitives.time import NANOS_PER_SECOND
from lockgate.relay.direction import Direction
from lockgate.relay.endpoint import EndPoint

SHOWN: Final = 20  # sequences listed of one group; the count is always whole


def direction_status(direction: Direction, now: float) -> dict[str, Any]:
    """Packets of one direction by what happens to them."""
    tracks = direction.watch.tracks
    found: dict[str, Any] = {
        "in_flight": len(tracks),
        "live": len(direction.watch.live),
        "backlog": sum(1 for track in tracks.values() if track.lane is Lane.BACKLOG),
        "unknown": sorted(direction.watch.unknown)[:SHOWN],  # outstanding; no node remembers their bytes
        "next_timeout_s": min((int(track.timeout) for track in tracks.values()), default=None),
        "oldest_pending_s": direction.oldest_age_s(),
        "parked": {str(sequence): mark.reason for sequence, mark in direction.quarantine.parked()},
    }
    if direction.source.tracked is None or direction.dest.tracked is None:
        return found
    made = direction.plan(None, now)
    found["waiting"] = [
        {
            "packets": [t.sequence for t in wait.packets[:SHOWN]],
            "count": len(wait.packets),
            "who": wait.who.value,
            "why": wait.why,
        }
        for wait in made.waits
    ]
    found["suspended"] = [
        {
            "client": held.client,
            "status": held.status,
            "who": held.who.value,
            "packets": [t.sequence for t in held.packets[:SHOWN]],
            "count": len(held.packets),
        }
        for held in made.suspended
    ]
    return found


def added(*counts: Mapping[str, int]) -> dict[str, int]:
    """Counts of several, by name."""
    return {name: sum(each.get(name, 0) for each in counts) for each in counts for name in each}


def end_status(end: EndPoint) -> dict[str, Any]:
    """One ledger: how far it was read, and its client of the other."""
    found: dict[str, Any] = {"height": str(end.height), "read_to": end.next_height - 1, "client": end.client}
    sources = end.chain.health()
    if sources is not None:
        found["sources"] = sources
    attestors = end.updater.health()
    if attestors is not None:
        found["attested_by"] = attestors
    if end.tracked is not None:
        side = end.side()
        found |= {
            "status": side.client_status,
            "client_height": str(side.client_height),
            "age_s": max(0, (side.time - side.client_time) // NANOS_PER_SECOND),
            "trusting_period_s": side.trusting_period // NANOS_PER_SECOND,
            "age_of_trusting_period": round(max(0.0, side.client_age), 4),
        }
    return found


__all__ = ("added", "direction_status", "end_status")
