"""One side of a lane in full: what its ledger holds of it, what keeps it back, and what brings it on again, and when.

Everything is read from the ledger's public queries and proven to nobody: it is for people. Times are those of the
ledger's blocks, as they are for the rules.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from lockgate.codec import cbor
from lockgate.ibc.ports import ACTIVE
from lockgate.lightclients.cometbft.rfc3339 import format_time
from lockgate.machine import keys
from lockgate.machine.deviations import Deviations, Level
from lockgate.machine.records import DEVIATION, Lane, LanePhase, OpenSends
from lockgate.node.ledgers import Ledger, LedgerDown, Ledgers
from lockgate.node.provision import described_one
from lockgate.node.suites import NoSuchLane, policy
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos
from lockgate.relay.rpc import b64

Row = dict[str, Any]
PASSES: Final = {
    Level.WARNED: "the warning is forgotten, which slows nothing",
    Level.SLOWED: "the lane has its full room again",
    Level.QUARANTINED: "packets are received again",
}


async def shown(opened: Ledgers, client: str, ledger: str | None = None) -> list[Row]:
    """The lane over a client, on the named ledger or on every one that has it. Raises NoSuchLane, LedgerDown."""
    if ledger is None and not opened.found:
        raise LedgerDown("no ledger answers", known=", ".join(opened.down.values()) or "none")
    asked = list(opened.found.values()) if ledger is None else [opened.named(ledger)]
    found = [(each, lane) for each in asked if (lane := each.lane(client)) is not None]
    if not found:
        raise NoSuchLane("no such lane", client=client, ledgers=", ".join(each.name for each in asked))
    return [await _side(opened, each, lane) for each, lane in found]


async def _side(opened: Ledgers, ledger: Ledger, lane: Lane) -> Row:
    chain, client = ledger.chain, lane.local_client
    tip, row, deviations, sends, waiting, rules = await asyncio.gather(
        chain.tip(),
        described_one(chain, client),
        _stored(ledger, keys.LANE, keys.deviations(client)),
        _stored(ledger, keys.LANE, keys.lane_sends(client)),
        _stored(ledger, keys.INBOX, keys.inbox_count(lane.lane_id)),
        chain.query("/lockgate/parameters", b""),
    )
    _, kind, status, _, height, at, period, needs, forged_by = row
    parameters: Any = cbor.decode(_value(rules))
    now = UnixNanos(tip.time)
    held = Deviations.from_bytes(deviations) if deviations else None
    out = OpenSends.from_bytes(sends) if sends else OpenSends(0, 0)
    return {
        "ledger": ledger.name,
        "client": client,
        "lane": lane.lane_id.hex(),
        "kind": lane.kind.name.lower(),
        "phase": lane.phase.name.lower(),
        "cause": lane.cause,
        "note": lane.note,
        "order": lane.order.name.lower(),
        "opened_at": lane.opened_at,
        "grace_s": lane.grace // NANOS_PER_SECOND,
        "time": format_time(now),
        "counterparty": {
            "ledger": opened.name_of(lane.remote_domain),
            "domain": lane.remote_domain.hex(),
            "client": lane.remote_client,
            "class": lane.remote_class,
        },
        "sent_packets": _against(out.packets, lane.caps.packets),
        "sent_bytes": _against(out.payload_bytes, lane.caps.payload_bytes),
        "waiting_packets": _against(int.from_bytes(waiting, "big"), _room(lane, held, now, parameters)),
        "value_cap": lane.caps.value,
        "suites": await policy(chain, lane.lane_id),
        "deviation": _deviation(lane, held, now, parameters),
        "client_status": {
            "kind": kind,
            "status": status,
            "height": f"{height[0]}-{height[1]}",
            "age_s": max(now - at, 0) // NANOS_PER_SECOND,
            "trusting_period_s": period // NANOS_PER_SECOND,
            "needs": needs,
            "forged_by": forged_by,
        },
        "back": _back(lane, held, status, now, int(parameters["authority_delay_blocks"])),
    }


def _room(lane: Lane, held: Deviations | None, now: UnixNanos, parameters: Mapping[str, Any]) -> int:
    """How many packets may wait for answers, as `machine.inbox` counts."""
    room = min(int(parameters["inbox_per_lane"]), lane.caps.packets)
    slowed = in_force(lane, held, now) is Level.SLOWED
    return min(room, int(parameters["deviation_slowed_room"])) if slowed else room


def _against(now: int, most: int) -> Row:
    return {"open": now, "most": most}


def _deviation(lane: Lane, held: Deviations | None, now: UnixNanos, parameters: Mapping[str, Any]) -> Row:
    """What is held against the lane now (S72)."""
    level = in_force(lane, held, now)
    counted = held is not None and now < held.window_ends
    remembered = held is not None and now < held.last + parameters["deviation_clean_ns"]
    return {
        "level": "none" if level is None else level.name.lower(),
        "until": "" if held is None or level in (None, Level.FROZEN) else format_time(held.until),
        "count": held.count if held is not None and counted else 0,
        "quarantines": held.quarantines if held is not None and remembered else 0,
        "last": "" if held is None else format_time(held.last),
        "shown_by": 0 if held is None else held.sequence,
        "slowed_at": parameters["deviation_slow_at"],
        "quarantined_at": parameters["deviation_quarantine_at"],
        "frozen_at_quarantine": parameters["deviation_freeze_at"],
    }


def in_force(lane: Lane, held: Deviations | None, now: UnixNanos) -> Level | None:
    """The level at which a lane is degraded at `now`; none when its time is over, or the authority has resumed it."""
    if held is None:
        return None
    stands = lane.cause == DEVIATION if held.level is Level.FROZEN else now < held.until
    return held.level if stands else None


def _back(lane: Lane, held: Deviations | None, status: str, now: UnixNanos, delay: int) -> str:
    """What ends whatever keeps the lane from its full speed, and when, in words; empty where nothing does."""
    if lane.phase is LanePhase.CLOSED:
        ends = "the authority's `packet.settle`, packet by packet" if lane.equivocated else "nothing"
        return f"{ends}: a closed lane stays closed"
    if lane.phase is LanePhase.STOPPED:
        why = "it froze, and no time opens it" if lane.cause == DEVIATION else "the authority stopped it"
        return f"the authority's `lane.resume`, {delay} blocks after it is announced: {why}"
    if status != ACTIVE:
        return f"the authority's `client.recover`: the client is {status.lower()}"
    level = in_force(lane, held, now)
    if held is None or level is None:
        return ""
    return f"time: at {format_time(held.until)} {PASSES[level]}, if no deviation follows"


async def _stored(ledger: Ledger, store: str, key: bytes) -> bytes:
    return _value(await ledger.chain.query(f"store/{store}/key", key))


def _value(response: Mapping[str, Any]) -> bytes:
    return b64(response.get("value"))


__all__ = ("NoSuchLane", "in_force", "shown")
