"""Runs one relayer process between two ledgers, and answers what people ask about it.

`relay.json` names the pair, `{"between": ["alpha", "beta"]}`; it may hold more, by ledger:
- `"sources": {"alpha": ["http://…"]}`: nodes it is read through beside the folder's own
- `"required_sources": {"alpha": 2}`: how many of them must agree
- `"witnesses": {"alpha": ["http://…"]}`: nodes that must show the same before anything is called misbehaviour
- `"attestors": {"alpha": ["unix:/…/attest.sock"]}`: who attests it, for a client on the other ledger that rests on them
- `"max_gas_price": {"alpha": 2}`: what is paid for a unit of gas at most; nothing, unless it is named

And for both: `"batch_most": 16`, packets of one transaction.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from lockgate.courier.ports import Updater
from lockgate.hosting.work import Report
from lockgate.keystore.software import OsEntropy
from lockgate.lightclients.attested.states import CLIENT_TYPE
from lockgate.node import relay_record
from lockgate.node.folder import Folder, NotInitialised, read_json, write_json
from lockgate.node.foreign import relay as foreign
from lockgate.node.foreign.relay import Asked
from lockgate.node.keystores import Party
from lockgate.node.patience import patiently
from lockgate.node.provision import RELAY_KEYS, RELAY_LANE, LedgerAccess, SetupFailed, find_lane
from lockgate.node.relay_record import batch_most, max_gas_prices
from lockgate.node.rotating import ACCOUNT
from lockgate.node.rotating import keep as keep_rotating
from lockgate.node.sources import Nodes, nodes_of, open_ledger
from lockgate.node.wallet import Wallet
from lockgate.primitives.ids import ClientId
from lockgate.relay.attestors import Attestor, Attestors
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.driver import EndPoint, Relayer
from lockgate.relay.rpc import Rpc
from lockgate.relay.updaters.attested import AttestedUpdater

STATUS_EVERY_S: Final = 2.0
STATUS_OLD_S: Final = 10.0  # a status that was not written again by then is nobody's
CLEAR_LANE: Final = RELAY_LANE + 16  # a one-shot `clear` beside a running relayer: nonce lanes of its own

Waits = Callable[[Callable[[], Awaitable[Any]], Report], Awaitable[Any]]


async def make(
    folder: Folder,
    name: str,
    report: Report,
    nonce_lane: int = RELAY_LANE,
    waits: Waits = patiently,
    more: dict[str, Nodes] | None = None,
    *,
    signs: bool = True,
) -> tuple[Relayer, list[Any]]:
    """A relayer for the pair recorded under `name`, connected; the connections are the caller's to close.

    `waits` is what becomes of a ledger that does not answer yet; `more` are nodes beside the recorded ones; `signs`
    is false for one that only looks.
    """
    home = folder.relay(name)
    record = relay_record.read(home)
    if "chain" in record:
        return await foreign.make(Asked(folder, name, record, report, nonce_lane, waits, more or {}, signs))
    between = relay_record.between(record)
    most, witnesses = batch_most(record), {ledger: relay_record.witnesses(record, ledger) for ledger in between}
    wallet = Wallet(folder, home, RELAY_KEYS, "account")
    prices = max_gas_prices(record)
    accesses = []
    for ledger in between:
        said = (more or {}).get(ledger, Nodes())
        nodes = nodes_of(record, ledger).with_more(said.further, said.required)

        async def connect(ledger: str = ledger, nodes: Nodes = nodes) -> LedgerAccess:
            chain = await open_ledger(folder, ledger, nodes, report)
            return await LedgerAccess.over(ledger, chain, wallet, nonce_lane, prices.get(ledger, 0))

        accesses.append(await waits(connect, report))
    one, other = accesses
    mine = await waits(partial(find_lane, one, other.genesis.domain_id), report)
    theirs = await waits(partial(find_lane, other, one.genesis.domain_id), report)
    if mine is None or theirs is None:
        raise SetupFailed("there is no lane between the two ledgers", between=list(between))
    rpcs: list[Any] = [access.chain.rpc for access in accesses]
    ends = []
    for access, lane in zip(accesses, (mine, theirs), strict=True):
        others = [Rpc(address) for address in witnesses[access.name]]
        rpcs += others
        chains = tuple(CometBftChain(rpc, access.chain.chain_id) for rpc in others)
        updaters = attested_by(record, access.name, access.chain, report)
        client = ClientId(lane.local_client)
        ends.append(EndPoint(access.chain, access.submitter, client, chains, order=lane.order, updaters=updaters))

    def keep(what: str, evidence: dict[str, object]) -> None:
        write_json(home / "evidence" / f"{what}.json", evidence)

    return Relayer(ends[0], ends[1], report, OsEntropy(), keep, most), rpcs


def attested_by(record: dict[str, Any], ledger: str, chain: CometBftChain, report: Report) -> dict[str, Updater]:
    """What brings attested clients of a ledger forward, where its attestors are named. Raises NotInitialised."""
    addresses = relay_record.attestors(record, ledger)
    if not addresses:
        return {}
    return {CLIENT_TYPE: AttestedUpdater(chain, Attestors([Attestor(each) for each in addresses], report))}


async def run(folder: Folder, name: str, report: Report, more: dict[str, Nodes] | None = None) -> None:
    """Relay until cancelled; the status is written to the data folder for `lockgate relay status`."""
    relayer, rpcs = await make(folder, name, report, more=more)
    report("ready", {"relay": name, "pid": os.getpid()})
    relaying = asyncio.create_task(relayer.run())
    party = Party("relays", name, folder.relay(name))
    rotating = asyncio.create_task(keep_rotating(folder, party, [ACCOUNT], report))
    try:
        while not relaying.done():
            await asyncio.wait({relaying}, timeout=STATUS_EVERY_S)
            if relayer.ready.is_set():
                shown = {"pid": os.getpid(), "written": time.time(), **relayer.status()}
                write_json(folder.relay(name) / "status.json", shown, durable=False)
        relaying.result()
    finally:
        relaying.cancel()
        rotating.cancel()
        await asyncio.gather(relaying, rotating, return_exceptions=True)
        await _close(rpcs)


async def status(folder: Folder, name: str) -> dict[str, Any]:
    """What the running relayer shows; without one, what both ledgers show."""
    with contextlib.suppress(NotInitialised):
        shown = read_json(folder.relay(name) / "status.json")
        if time.time() - float(shown.get("written", 0)) < STATUS_OLD_S:
            return {"from": f"the running relayer (pid {shown['pid']})", **shown}
    relayer, rpcs = await make(folder, name, _silent, waits=_at_once, signs=False)
    try:
        await relayer.look()
        return {"from": "the ledgers; no relayer is running here", **relayer.status()}
    finally:
        await _close(rpcs)


async def clear(folder: Folder, name: str) -> dict[str, Any]:
    """Scan both ledgers, move all that can move, and say what is left and why."""
    relayer, rpcs = await make(folder, name, _silent, CLEAR_LANE, _at_once)
    try:
        left = await relayer.clear()
        return {"left": left, **relayer.status()}
    finally:
        await _close(rpcs)


def rows(shown: dict[str, Any]) -> list[list[str]]:
    """A status as lines of a table: packets by direction, who must act, both clients, what was done."""
    found = [["from", str(shown["from"])]] if "from" in shown else []
    if "left" in shown:
        found.append(["left", str(shown["left"])])
    for name, part in shown["directions"].items():
        age = part["oldest_pending_s"]
        oldest = "" if age is None else f", the oldest for {age:.1f} s"
        found.append([name, f"{part['in_flight']} in flight ({part['live']} live, {part['backlog']} backlog){oldest}"])
        waits = [*part.get("waiting", ()), *part.get("suspended", ())]
        for wait in waits:
            why = wait.get("why") or f"client {wait['client']} is {wait['status'].lower()}"
            if wait["count"] or "status" in wait:
                found.append(["", f"{wait['count']} wait on {wait['who']}: {why}"])
        found += [["", f"packet {sequence} is parked: {reason}"] for sequence, reason in part["parked"].items()]
        if part["unknown"]:
            found.append(["", f"packets {part['unknown']} are open, and no node remembers their bytes"])
    for name, end in shown["clients"].items():
        if "status" in end:
            share = 100 * end["age_of_trusting_period"]
            text = (
                f"{end['client']} {end['status']}, {share:.1f} % of its trusting period old, read to {end['read_to']}"
            )
            found.append([f"client on {name}", text])
        found += source_rows(name, end.get("sources"))
        for health in (end.get("attested_by") or {}).values():
            found += attestor_rows(name, health)
            if health is not None and "beacons" in health:
                found.append(
                    [f"beacons of {name}", f"{', '.join(health['beacons'])}; refuted {health['refuted']} times"]
                )
    found.append(["counters", ", ".join(f"{name} {count}" for name, count in shown["counters"].items() if count)])
    return found


def source_rows(ledger: str, sources: dict[str, Any] | None) -> list[list[str]]:
    """The nodes of a ledger that is read through several."""
    if sources is None:
        return []
    halted = f"; HALTED: {', '.join(sources['halted'])}" if sources["halted"] else ""
    text = f"{sources['required']} of {len(sources['nodes'])} must agree, {sources['alarms']} alarms{halted}"
    rows = [[f"sources of {ledger}", text]]
    for node in sources["nodes"]:
        again = f", asked again in {node['again_s']} s" if node["again_s"] else ""
        rows.append(["", f"{node['source']}: {node['state']}, at {node['height']}{again}"])
    return rows


def attestor_rows(ledger: str, health: dict[str, Any] | None) -> list[list[str]]:
    """The attestors of a ledger, and what its attested client waits for."""
    if health is None or "attestors" not in health:
        return []
    signing = sum(each["state"] == "signs" for each in health["attestors"])
    waits = f"; WAITS: {health['waits']}" if health["waits"] else ""
    rows = [[f"attestors of {ledger}", f"{signing} of {len(health['attestors'])} sign{waits}"]]
    return rows + [["", f"{each['attestor']}: {each['state']}"] for each in health["attestors"]]


async def _at_once(attempt: Callable[[], Awaitable[Any]], report: Report) -> Any:
    """One try: who asks on a terminal is told what is away, and not kept waiting for it."""
    return await attempt()


def _silent(kind: str, fields: dict[str, object]) -> None:
    """What happens on the way is in the status."""


async def _close(rpcs: list[Any]) -> None:
    for rpc in rpcs:
        await rpc.close()
