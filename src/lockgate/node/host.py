"""Runs one host process: keys, store, sandbox, ledgers, socket."""

from __future__ import annotations

import asyncio
import os
from functools import partial
from pathlib import Path

from lockgate.host.staging import GuestTree
from lockgate.hosting.config import LedgerRef
from lockgate.hosting.host import Host
from lockgate.hosting.peers import prove_records
from lockgate.hosting.reader import ProvenReader
from lockgate.hosting.rules import require_pins
from lockgate.hosting.work import Report
from lockgate.keystore.software import OsEntropy
from lockgate.node import schedule
from lockgate.node.bulk import LateAcquaintances, open_bulk
from lockgate.node.clock import SystemClock
from lockgate.node.config import load as load_config
from lockgate.node.desk import Desk
from lockgate.node.door import Door
from lockgate.node.folder import Folder
from lockgate.node.identity import Cabinet
from lockgate.node.patience import patiently
from lockgate.node.provision import HOST_LANE
from lockgate.node.revoked import Watch
from lockgate.node.socket import serve
from lockgate.node.sources import Nodes, open_ledger
from lockgate.primitives.ids import DomainId, EndpointId, Hash32
from lockgate.relay.rpc import Calls
from lockgate.relay.submitter import AccountSubmitter
from lockgate.runtime.wasm import Sandbox, component_bytes, shipped
from lockgate.storage.archive import Archive
from lockgate.storage.evidence import EvidenceFolder
from lockgate.storage.host import HostStore
from lockgate.storage.nodes import SqliteNodes
from lockgate.storage.sessions import SessionVault


async def run(folder: Folder, name: str, report: Report, more: dict[str, Nodes] | None = None) -> None:
    """Run until cancelled or fenced off. `more` are nodes of ledgers beside the configured ones."""
    home = folder.host(name)
    config = load_config(home / "endpoint.json")
    require_pins(config)
    endpoint = EndpointId(Hash32(bytes.fromhex(config.endpoint)))
    entropy, rpcs = OsEntropy(), list[Calls]()
    archive = Archive.open(home, config.archive_s, entropy)
    store = HostStore.open(home / "host.sqlite", archive)
    cabinet = _cabinet(folder, name, store)
    sandbox = Sandbox(cache=shipped.code_cache())
    vault = SessionVault.open(home, entropy)
    try:
        guest = sandbox.load(load_component(config.guest)).guest
        clock = SystemClock()
        readers = {}
        for ref in (config.local, *config.remotes):
            readers[ref.name] = await _reader(folder, ref, (more or {}).get(ref.name, Nodes()), clock, report)
            rpcs.append(readers[ref.name].chain.rpc)
        domain = DomainId(Hash32(bytes.fromhex(config.local.domain)))
        own = readers[config.local.name]
        records, _, _ = await patiently(partial(prove_records, own, endpoint), report)
        ring, account = cabinet.ring(records), cabinet.account(records[-1].index)
        submitter = AccountSubmitter(
            own.chain, domain, account.public_key, account.sign, HOST_LANE, config.max_gas_price
        )
        tree = GuestTree(SqliteNodes(store.connection))
        evidence = EvidenceFolder(home / "evidence")
        acquaintances = LateAcquaintances(report)
        async with open_bulk(folder, config, entropy, report, acquaintances) as bulk:
            acquaintances.host = host = Host(
                config, store, tree, guest, ring, entropy, readers, submitter, clock, entropy, evidence, report, bulk,
                cabinet=cabinet, vault=vault,
            )  # fmt: skip
            revoked = Watch(own, endpoint)
            door = Door.of(folder, home, lambda: revoked.seen, clock, report)
            server = await serve(home / "host.sock", door, Desk(host, lambda: revoked.status(clock.now())).handle)
            report("ready", {"host": name, "endpoint": config.endpoint, "pid": os.getpid()})
            beside = [
                asyncio.create_task(schedule.keep(home, host, store, lambda: own.newest.header.time, report)),
                asyncio.create_task(revoked.keep()),
            ]
            try:
                async with server:
                    await patiently(host.run, report)
            finally:
                for task in beside:
                    task.cancel()
                await asyncio.gather(*beside, return_exceptions=True)
    finally:
        (home / "host.sock").unlink(missing_ok=True)
        sandbox.close()
        vault.close()
        store.close()
        cabinet.close()
        await asyncio.gather(*(rpc.close() for rpc in rpcs), return_exceptions=True)


def _cabinet(folder: Folder, name: str, store: HostStore) -> Cabinet:
    """Under the lock of the store: a key file that was read before it may have changed since (`keys apart`)."""
    try:
        return Cabinet(folder, name)
    except BaseException:
        store.close()
        raise


async def _reader(folder: Folder, ref: LedgerRef, said: Nodes, clock: SystemClock, report: Report) -> ProvenReader:
    """Follow a ledger, through the nodes that are configured and those that were named beside them."""
    nodes = Nodes(ref.sources, ref.required).with_more(said.further, said.required)
    chain_id = ref.chain_id if nodes.further or nodes.required > 1 else None
    chain = await patiently(partial(open_ledger, folder, ref.name, nodes, report, chain_id), report)
    reader = ProvenReader(chain, ref.follower(), clock)
    try:
        await patiently(reader.latest, report)
    except BaseException:
        await chain.rpc.close()
        raise
    return reader


def load_component(name: str) -> bytes:
    """A shipped guest by name, or a component file by path."""
    if name in shipped.NAMES:
        return shipped.component(name)
    return component_bytes(Path(name).read_bytes())
