"""Runs one host process: keys, store, sandbox, ledgers, socket."""

from __future__ import annotations

import asyncio
import os
from functools import partial
from pathlib import Path
from typing import Any, Final

from lockgate.host.staging import GuestTree
from lockgate.hosting.config import LedgerRef
from lockgate.hosting.host import Host
from lockgate.hosting.peers import prove_records
from lockgate.hosting.reader import ProvenReader
from lockgate.hosting.work import Report
from lockgate.keystore.software import OsEntropy
from lockgate.node.bulk import open_bulk
from lockgate.node.clock import SystemClock
from lockgate.node.config import load as load_config
from lockgate.node.folder import Folder
from lockgate.node.identity import Cabinet
from lockgate.node.patience import patiently
from lockgate.node.provision import HOST_LANE, open_chain
from lockgate.node.socket import BadCall, serve
from lockgate.primitives.errors import Refused
from lockgate.primitives.ids import DomainId, EndpointId, Hash32
from lockgate.relay.rpc import Rpc
from lockgate.relay.submitter import AccountSubmitter
from lockgate.runtime.wasm import Sandbox, component_bytes, shipped
from lockgate.storage.evidence import EvidenceFolder
from lockgate.storage.host import HostStore, Seen, Sent
from lockgate.storage.nodes import SqliteNodes

MAX_LISTED: Final = 1_000


class NoMessage(Refused):
    code = "inbox.no_message"
    summary = "The host has received no message under that packet."
    untouched = "Nothing was written."
    next_step = "List what it received with `lockgate inbox HOST`."


async def run(folder: Folder, name: str, report: Report) -> None:
    """Run until cancelled or fenced off."""
    home = folder.host(name)
    config = load_config(home / "endpoint.json")
    cabinet = Cabinet(folder, name)
    endpoint = EndpointId(Hash32(bytes.fromhex(config.endpoint)))
    store = HostStore.open(home / "host.sqlite")
    sandbox = Sandbox(cache=shipped.code_cache())
    rpcs: list[Rpc] = []
    try:
        guest = sandbox.load(load_component(config.guest)).guest
        clock = SystemClock()
        readers = {}
        for ref in (config.local, *config.remotes):
            rpc = await patiently(partial(_locate, folder, ref), report)
            rpcs.append(rpc)
            reader = ProvenReader(await patiently(partial(open_chain, rpc), report), ref.follower(), clock)
            await patiently(reader.latest, report)
            readers[ref.name] = reader
        domain = DomainId(Hash32(bytes.fromhex(config.local.domain)))
        own = readers[config.local.name]
        records, _ = await patiently(partial(prove_records, own, endpoint), report)
        ring, account = cabinet.ring(records), cabinet.account(records[-1].index)
        submitter = AccountSubmitter(own.chain, domain, account.public_key, account.sign, HOST_LANE)
        tree = GuestTree(SqliteNodes(store.connection))
        entropy, evidence = OsEntropy(), EvidenceFolder(home / "evidence")
        async with open_bulk(folder, config, entropy, report) as bulk:
            host = Host(
                config, store, tree, guest, ring, entropy, readers, submitter, clock, entropy, evidence, report, bulk,
                cabinet=cabinet,
            )  # fmt: skip
            server = await serve(home / "host.sock", Desk(host).handle)
            report("ready", {"host": name, "endpoint": config.endpoint, "pid": os.getpid()})
            async with server:
                await patiently(host.run, report)
    finally:
        (home / "host.sock").unlink(missing_ok=True)
        sandbox.close()
        store.close()
        await asyncio.gather(*(rpc.close() for rpc in rpcs), return_exceptions=True)


async def _locate(folder: Folder, ref: LedgerRef) -> Rpc:
    return Rpc(partial(folder.ledger_address, ref.name))


def load_component(name: str) -> bytes:
    """A shipped guest by name, or a component file by path."""
    if name in shipped.NAMES:
        return shipped.component(name)
    return component_bytes(Path(name).read_bytes())


class Desk:
    """The verbs of the host's socket."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def handle(self, verb: str, arguments: dict[str, Any]) -> dict[str, Any]:
        host = self._host
        match verb:
            case "status":
                return host.status()
            case "rotate":
                return await host.rotate()
            case "command":
                return await host.command(bytes.fromhex(arguments["input"]))
            case "send":
                body = bytes.fromhex(arguments["body"])
                return await host.send(
                    str(arguments["to"]), str(arguments["schema"]), body, int(arguments["timeout_s"])
                )
            case "send_file":
                path = Path(arguments["path"])
                return await host.send_file(
                    str(arguments["to"]), str(arguments["schema"]), path, int(arguments["timeout_s"])
                )
            case "body":
                return body_json(host, str(arguments["client"]), int(arguments["sequence"]))
            case "outbox":
                rows = host.store.all_sent(arguments.get("state"))
                return {"messages": [sent_json(row) for row in rows[-MAX_LISTED:]]}
            case "message":
                row = host.store.sent_by_packet(str(arguments["client"]), int(arguments["sequence"]))
                return {"message": None if row is None else sent_json(row)}
            case "inbox":
                limit = min(int(arguments.get("limit", 100)), MAX_LISTED)
                return {"messages": [seen_json(host, row) for row in host.store.all_seen(limit)]}
        raise BadCall("no such verb", verb=verb)


def sent_json(row: Sent) -> dict[str, Any]:
    return {
        "ref": row.ref.hex(),
        "client": row.client,
        "sequence": row.sequence,
        "peer": row.peer,
        "state": row.state,
        "body": row.body.hex(),
        "reply": None if row.reply is None else row.reply.hex(),
        "code": row.code,
        "detail": row.detail,
        "reason": row.reason,
    }


def file_of(host: Host, row: Seen) -> Path | None:
    """The file with a message's body, where it came as a bulk one."""
    return None if host.bulk is None else host.bulk.bodies.find(row.commitment.hex())


def body_json(host: Host, client: str, sequence: int) -> dict[str, Any]:
    """A received body whole: the path of its private file, or its bytes."""
    row = host.store.seen(client, sequence)
    if row is None:
        raise NoMessage(client=client, sequence=sequence)
    path = file_of(host, row)
    return {"body": row.body.hex(), "file": None if path is None else str(path)}


def seen_json(host: Host, row: Seen) -> dict[str, Any]:
    path = file_of(host, row)
    return {
        "file": None if path is None else str(path),
        "bytes": len(row.body) if path is None else path.stat().st_size,
        "client": row.client,
        "sequence": row.sequence,
        "peer": row.peer,
        "state": row.state,
        "body": row.body.hex(),
        "reply": None if row.reply is None else row.reply.hex(),
        "code": row.code,
        "detail": row.detail,
    }
