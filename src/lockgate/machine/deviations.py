"""Deviating peers: a lane is degraded when its other ledger provably did what no ledger of ours does (S72).

Only a packet counts that the other ledger committed to and that no machine of ours lets anybody send: more than one
payload at an endpoint's port, or an endpoint's port at one end of a payload alone. The commitment is proven, so no
relayer can make one up; the sending machine refuses it, so no endpoint or account there can cause one. Whoever relays
such packets chooses their moment, and nothing else.

A lane is warned, slowed, quarantined, and frozen in the end. The first three pass with ledger time; frozen is a
stopped lane, which the authority's `lane.resume` alone opens. Other lanes never notice. How many and how long are
parameters of the ledger. Source: ADR 23.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from lockgate.ibc.packet import Packet
from lockgate.machine import endpoints, keys, lanes
from lockgate.machine.context import Context
from lockgate.machine.errors import CODESPACE
from lockgate.machine.genesis import Parameters
from lockgate.machine.records import DEVIATION, LanePhase, Record
from lockgate.primitives.errors import Refused
from lockgate.primitives.state import Outcome, View, fact
from lockgate.primitives.time import UnixNanos


class LaneQuarantined(Refused):
    code = "lane.quarantined"
    summary = "The lane's other ledger sent what no ledger of ours sends, so nothing is received over it for a while."
    untouched = "The packet is not received; it can be delivered again after that, or it times out at its sender."
    next_step = "Wait until the time that the refusal names, and ask the other ledger's operator what it runs."
    wire = (CODESPACE, 92)


class Level(enum.IntEnum):
    """How far a lane is degraded."""

    WARNED = 1
    SLOWED = 2
    QUARANTINED = 3
    FROZEN = 4


@dataclass(frozen=True, slots=True)
class Deviations(Record):
    """What a lane's other ledger did, and what follows from it until when."""

    level: Level
    until: UnixNanos  # of the level; of a warning: end of the window; 0 when frozen
    count: int  # in the window
    window_ends: UnixNanos
    quarantines: int  # with less than `deviation_clean_ns` between two deviations
    last: UnixNanos
    sequence: int  # the packet that was the last deviation, and its commitment
    commitment: bytes

    @classmethod
    def _convert(cls, values: list[Any]) -> list[Any]:
        values[0] = Level(values[0])
        return values


def of_lane(view: View, client: str) -> Deviations | None:
    """What is held against the lane over a local client; None when nothing ever was."""
    return fact(view, _of_lane, client)


def _of_lane(view: View, client: str) -> Deviations | None:
    data = view.get(keys.LANE, keys.deviations(client))
    return None if data is None else Deviations.from_bytes(data)


def check(view: View, client: str, now: UnixNanos) -> None:
    """Let a packet pass to its receiver unless its lane is in quarantine. Raises LaneQuarantined."""
    held = of_lane(view, client)
    if held is not None and held.level is Level.QUARANTINED and now < held.until:
        raise LaneQuarantined(
            "in quarantine", client=client, until=held.until, count=held.count, shown_by=held.sequence
        )


def room(view: View, context: Context, client: str, bound: int) -> int:
    """How many entries may wait over a lane: `bound`, or fewer while it is slowed."""
    held = of_lane(view, client)
    slowed = held is not None and held.level is Level.SLOWED and context.block.time < held.until
    return min(bound, context.parameters.deviation_slowed_room) if slowed else bound


def impossible(packet: Packet) -> bool:
    """Whether no machine of ours lets anybody send this packet over an own lane (P2).

    An envelope's version and encoding do not count: another release may know other ones.
    """
    ends = [(_endpoint(p.source_port), _endpoint(p.destination_port)) for p in packet.payloads]
    ours = [pair for pair in ends if any(pair)]
    return len(ours) > 1 or any(not all(pair) for pair in ours)


def _endpoint(port: str) -> bool:
    return len(port) == endpoints.ENDPOINT_PORT and endpoints.endpoint_of_port(port) is not None


def refused(view: View, context: Context, packet: Packet, commitment: bytes) -> Outcome:
    """Hold a proven packet, which was refused here, against its lane if no ledger of ours sends it."""
    outcome = Outcome()
    client = packet.destination_client
    lane = lanes.lane_of(view, client)
    if lane is None or not lane.own or lane.phase is not LanePhase.OPEN or not impossible(packet):
        return outcome
    held, rules, now = of_lane(view, client), context.parameters, context.block.time
    after = _next(held, rules, now, packet.sequence, commitment)
    outcome.set(keys.LANE, keys.deviations(client), after.to_bytes())
    name = after.level.name.lower()
    attributes = (("lane", lane.lane_id.hex()), ("client", client), ("level", name), ("until", str(after.until)))
    outcome.emit("lane_deviation", *attributes, ("count", str(after.count)), ("sequence", str(packet.sequence)))
    if after.level is Level.FROZEN:
        note = (
            f"packet {packet.sequence} and {after.count - 1} others no ledger of ours sends; quarantines did not help"
        )
        outcome.then(lanes.move(view, lane.lane_id, DEVIATION, note))
    return outcome


def _next(held: Deviations | None, rules: Parameters, now: UnixNanos, sequence: int, commitment: bytes) -> Deviations:
    fresh = held is None or now >= held.window_ends
    count = 1 if held is None or fresh else held.count + 1
    ends = UnixNanos(now + rules.deviation_window_ns) if held is None or fresh else held.window_ends
    quarantines = 0 if held is None or now >= held.last + rules.deviation_clean_ns else held.quarantines
    level, until = Level.WARNED, ends
    if count >= rules.deviation_quarantine_at:
        quarantines += 1
        # The quarantine outlasts what is left of the window, so that the next count starts from nothing.
        level, until = Level.QUARANTINED, UnixNanos(max(ends, now + rules.deviation_quarantined_ns))
        if quarantines >= rules.deviation_freeze_at:
            level, until = Level.FROZEN, UnixNanos(0)
    elif count >= rules.deviation_slow_at:
        level, until = Level.SLOWED, UnixNanos(now + rules.deviation_slowed_ns)
    return Deviations(level, until, count, ends, quarantines, now, sequence, bytes(commitment))


__all__ = ("Deviations", "LaneQuarantined", "Level", "check", "impossible", "of_lane", "refused", "room")
