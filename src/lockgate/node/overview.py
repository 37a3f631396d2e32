"""What connects the ledgers of a deployment, as rows: ledgers, lanes, light clients."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from lockgate.ibc.ports import ACTIVE
from lockgate.lightclients.cometbft.rfc3339 import format_time
from lockgate.machine.lanes import FOREIGN
from lockgate.node.clock import SystemClock
from lockgate.node.folder import Folder
from lockgate.node.foreign.records import lane_of
from lockgate.node.ledgers import Ledger, LedgerDown, Ledgers
from lockgate.node.prove import fingerprint
from lockgate.node.provision import described
from lockgate.primitives.ids import ClientId
from lockgate.primitives.time import NANOS_PER_SECOND

Row = dict[str, Any]


async def ledgers(opened: Ledgers) -> list[Row]:
    """Every ledger that answers, with the header trust in it starts from here. Raises LedgerDown."""
    return list(await asyncio.gather(*(_ledger(ledger, opened.folder) for ledger in _reachable(opened))))


async def lanes(opened: Ledgers) -> list[Row]:
    """Every lane, as the ledger of each side records it, and those to EVMs, of which a ledger keeps no record."""
    recorded = [
        {
            "ledger": ledger.name,
            "lane": lane.lane_id.hex(),
            "kind": lane.kind.name.lower(),
            "phase": lane.phase.name.lower(),
            "order": lane.order.name.lower(),
            "client": lane.local_client,
            "remote": opened.name_of(lane.remote_domain),
            "remote_domain": lane.remote_domain.hex(),
            "remote_client": lane.remote_client,
            "remote_class": lane.remote_class,
            "grace_s": lane.grace // NANOS_PER_SECOND,
            "note": lane.note,
        }
        for ledger in _reachable(opened)
        for lane in ledger.lanes
    ]
    return recorded + ([] if opened.folder is None else await _contracted(opened, opened.folder))


async def _contracted(opened: Ledgers, folder: Folder) -> list[Row]:
    """Lanes whose bounds are the contract's: what stands of each in the folder, and the ledger's client of it."""
    found = []
    for name in folder.names("chains"):
        lane = lane_of(folder, name)
        ledger = opened.found.get(str(lane.get("ledger")))
        if ledger is None or ledger.lane(str(lane.get("client"))) is not None or "far_client" not in lane:
            continue
        status = (await ledger.chain.client(ClientId(str(lane["client"])))).status
        found.append(
            {
                "ledger": ledger.name,
                "lane": "",
                "kind": "foreign",
                "phase": "open" if status == ACTIVE else status.lower(),
                "order": "unordered",
                "client": lane["client"],
                "remote": name,
                "remote_domain": "",
                "remote_client": lane["far_client"],
                "remote_class": FOREIGN,
                "grace_s": 0,
                "note": "bounded by the contract",
            }
        )
    return found


async def clients(opened: Ledgers) -> list[Row]:
    """The client of every lane: how old its newest header is, and how old it may become."""
    now = SystemClock().now()
    rows = []
    for ledger in _reachable(opened):
        known = {row[0]: row for row in await described(ledger.chain)}
        for lane in ledger.lanes:
            _, kind, status, _, height, at, period, _, _ = known[lane.local_client]
            age = max(now - at, 0)
            rows.append(
                {
                    "ledger": ledger.name,
                    "client": lane.local_client,
                    "kind": kind,
                    "of": opened.name_of(lane.remote_domain),
                    "status": status,
                    "height": f"{height[0]}-{height[1]}",
                    "age": _duration(age),
                    "age_s": age // NANOS_PER_SECOND,
                    "trusting_period": _duration(period),
                    "trusting_period_s": period // NANOS_PER_SECOND,
                }
            )
    return rows


async def explained(opened: Ledgers, client: str | None = None) -> list[Row]:
    """Every light client, or the ones of one id: what it needs to believe a header, and who could forge one."""
    return [
        {
            "ledger": ledger.name,
            "client": name,
            "kind": kind,
            "follows": chain_id,
            "status": status,
            "needs": needs,
            "forged_by": forged_by,
        }
        for ledger in _reachable(opened)
        for name, kind, status, chain_id, _, _, _, needs, forged_by in await described(ledger.chain)
        if client in (None, name)
    ]


async def _ledger(ledger: Ledger, folder: Folder | None) -> Row:
    tip, start = await asyncio.gather(ledger.chain.tip(), fingerprint(ledger, folder))
    return {
        "ledger": ledger.name,
        "chain_id": ledger.chain.chain_id,
        "domain": ledger.domain.hex(),
        "class": ledger.ledger_class,
        "height": tip.height.height,
        "time": format_time(tip.time),
        "trusted_height": start.height,
        "trusted_hash": start.header_hash,
    }


def _reachable(opened: Ledgers) -> list[Ledger]:
    if not opened.found:
        raise LedgerDown("no ledger answers", known=", ".join(opened.down.values()) or "none")
    return list(opened.found.values())


def _duration(nanoseconds: int) -> str:
    return str(timedelta(seconds=nanoseconds // NANOS_PER_SECOND))


__all__ = ("clients", "explained", "lanes", "ledgers")
