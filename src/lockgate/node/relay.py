"""Runs one relayer process between two ledgers."""

from __future__ import annotations

import asyncio
import os
from functools import partial

from lockgate.crypto.keys import KeyRole
from lockgate.hosting.work import Report
from lockgate.node.folder import SUITE_ED25519, Folder, account_signer, make_keys, read_json, write_json
from lockgate.node.patience import patiently
from lockgate.node.provision import RELAY_LANE, LedgerAccess, SetupFailed, find_lane
from lockgate.primitives.ids import ClientId
from lockgate.relay.driver import EndPoint, Relayer

RELAY_KEYS = {"account": (KeyRole.ACCOUNT, SUITE_ED25519)}
STATUS_EVERY_S = 2.0


async def make(folder: Folder, name: str, report: Report) -> tuple[Relayer, list[LedgerAccess]]:
    """A relayer for the pair recorded under `name`, connected."""
    home = folder.relay(name)
    between = read_json(home / "relay.json")["between"]
    signer = account_signer(make_keys(home / "keys", RELAY_KEYS, folder.passphrase()))
    accesses = []
    for ledger in between:
        connect = partial(LedgerAccess.connect, ledger, partial(folder.ledger_address, ledger), signer, RELAY_LANE)
        accesses.append(await patiently(connect, report))
    one, other = accesses
    mine = await patiently(partial(find_lane, one, other.genesis.domain_id), report)
    theirs = await patiently(partial(find_lane, other, one.genesis.domain_id), report)
    if mine is None or theirs is None:
        raise SetupFailed("there is no lane between the two ledgers", between=between)
    ends = [
        EndPoint(access.chain, access.submitter, ClientId(lane.local_client))
        for access, lane in zip(accesses, (mine, theirs), strict=True)
    ]
    return Relayer(ends[0], ends[1], report), accesses


async def run(folder: Folder, name: str, report: Report) -> None:
    """Relay until cancelled; the status is written to the data folder for `lockgate relay status`."""
    relayer, accesses = await make(folder, name, report)
    report("ready", {"relay": name, "pid": os.getpid()})
    relaying = asyncio.create_task(relayer.run())
    try:
        while not relaying.done():
            await asyncio.wait({relaying}, timeout=STATUS_EVERY_S)
            if all(end.tracked is not None for end in relayer.ends):
                write_json(folder.relay(name) / "status.json", {"pid": os.getpid(), "directions": relayer.status()})
        relaying.result()
    finally:
        relaying.cancel()
        await asyncio.gather(relaying, return_exceptions=True)
        for access in accesses:
            await access.chain.rpc.close()
