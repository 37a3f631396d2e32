"""A whole deployment in one process tree: ledgers, hosts, a relayer (I18)."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lockgate.engines.embedded.retention import KEEP
from lockgate.hosting.config import HostConfig, LedgerRef, PeerRef
from lockgate.machine.records import Lane
from lockgate.node import ledger as ledger_node
from lockgate.node.config import save as save_config
from lockgate.node.folder import Folder, account_signer, make_keys, read_json, write_json
from lockgate.node.identity import HostKeys, inception, open_keys
from lockgate.node.processes import Deployment
from lockgate.node.provision import HOST_LANE, OPERATOR_LANE, LedgerAccess, has_endpoint, lane_between
from lockgate.primitives.errors import Refused
from lockgate.primitives.ids import EndpointId

Say = Callable[[str], None]


class BadConfig(Refused):
    code = "config.malformed"
    summary = "The configuration file does not describe a deployment."
    untouched = "Nothing was started."
    next_step = "Compare it with docs/reference/configuration.md."


@dataclass(frozen=True, slots=True)
class LedgerSpec:
    name: str
    chain_id: str
    port: int = 0
    heartbeat: float = 5.0
    durable: bool = False
    keep_versions: int = KEEP.versions
    keep_blocks: int = KEEP.blocks


@dataclass(frozen=True, slots=True)
class HostSpec:
    name: str
    ledger: str
    guest: str
    peers: tuple[str, ...]  # names of other hosts, by which this host's guest knows them


@dataclass(frozen=True, slots=True)
class Spec:
    """A deployment as one TOML file says it; the default has two ledgers and two hosts."""

    ledgers: tuple[LedgerSpec, ...] = (LedgerSpec("alpha", "alpha-1"), LedgerSpec("beta", "beta-1"))
    hosts: tuple[HostSpec, ...] = (
        HostSpec("sender", "alpha", "quote-sender", ("solver",)),
        HostSpec("solver", "beta", "iv-solver", ("sender",)),
    )

    def __post_init__(self) -> None:
        names = {spec.name for spec in self.ledgers}
        hosts = {spec.name for spec in self.hosts}
        if len(self.ledgers) != 2 or len(names) != 2 or len(hosts) != len(self.hosts):
            raise BadConfig("a deployment has two ledgers and hosts of different names")
        for host in self.hosts:
            if host.ledger not in names or not set(host.peers) <= hosts - {host.name}:
                raise BadConfig("a host names a ledger or peer that is not there", host=host.name)


def read_spec(path: Path | None) -> Spec:
    """Read a TOML file; no file gives the default. Raises BadConfig."""
    if path is None:
        return Spec()
    try:
        value = tomllib.loads(path.read_text())
    except OSError as error:
        raise BadConfig("the file cannot be read", file=str(path)) from error
    except ValueError as error:
        raise BadConfig(str(error), file=str(path)) from error
    try:
        ledgers = tuple(LedgerSpec(**item) for item in value.pop("ledger", []))
        hosts = tuple(HostSpec(**{**item, "peers": tuple(item.get("peers", ()))}) for item in value.pop("host", []))
    except TypeError as error:
        raise BadConfig(str(error), file=str(path)) from error
    if value:
        raise BadConfig("unknown table", table=sorted(value)[0], file=str(path))
    return Spec(ledgers or Spec().ledgers, hosts or Spec().hosts)


@dataclass(slots=True)
class Running:
    """A started deployment."""

    folder: Folder
    spec: Spec
    processes: Deployment
    addresses: dict[str, str] = field(default_factory=dict)


async def start(folder: Folder, spec: Spec, say: Say, on_report: Callable[[str, str, dict[str, Any]], None]) -> Running:
    """Create what is missing, start every process, and return when all are ready."""
    processes = Deployment(folder.root, on_report)
    running = Running(folder, spec, processes)
    try:
        say("ledgers")
        for ledger in spec.ledgers:
            ledger_node.create(folder, ledger.name, ledger.chain_id)
        await asyncio.gather(*(_start_ledger(processes, ledger) for ledger in spec.ledgers))
        for ledger in spec.ledgers:
            running.addresses[ledger.name] = str(read_json(folder.ledger(ledger.name) / "address.json")["rpc"])
        await provision(running, say)
        say("hosts and relayer")
        name = "-".join(ledger.name for ledger in spec.ledgers)
        write_json(folder.relay(name) / "relay.json", {"between": [ledger.name for ledger in spec.ledgers]})
        await asyncio.gather(
            processes.start(f"relay {name}", "relay", "run", name),
            *(processes.start(f"host {host.name}", "host", "run", host.name) for host in spec.hosts),
        )
    except BaseException:
        await processes.stop()
        raise
    return running


async def _start_ledger(processes: Deployment, spec: LedgerSpec) -> None:
    options = ["--port", str(spec.port), "--heartbeat", str(spec.heartbeat)] + (["--durable"] if spec.durable else [])
    options += ["--keep-versions", str(spec.keep_versions), "--keep-blocks", str(spec.keep_blocks)]
    await processes.start(f"ledger {spec.name}", "ledger", "run", spec.name, *options)


async def provision(running: Running, say: Say) -> None:
    """Clients, lane, endpoints, grants: what is missing of them."""
    folder, spec = running.folder, running.spec
    accesses: dict[str, LedgerAccess] = {}
    for ledger in spec.ledgers:
        keys = make_keys(folder.ledger(ledger.name) / "keys", ledger_node.VALIDATOR_KEYS, folder.passphrase())
        signer = account_signer(keys, "authority")
        accesses[ledger.name] = await LedgerAccess.connect(
            ledger.name, running.addresses[ledger.name], signer, OPERATOR_LANE
        )
    try:
        one, other = (accesses[ledger.name] for ledger in spec.ledgers)
        lanes = dict(zip(accesses, await lane_between(one, other, say), strict=True))
        say("endpoints")
        keys_of = {host.name: open_keys(folder, host.name) for host in spec.hosts}
        refs = {name: await access.ref() for name, access in accesses.items()}
        await asyncio.gather(*(_endpoint(folder, spec, host, keys_of, accesses, lanes, refs) for host in spec.hosts))
    finally:
        for access in accesses.values():
            await access.chain.rpc.close()


async def _endpoint(
    folder: Folder,
    spec: Spec,
    host: HostSpec,
    keys_of: dict[str, HostKeys],
    accesses: dict[str, LedgerAccess],
    lanes: dict[str, Lane],
    refs: dict[str, LedgerRef],
) -> None:
    """Register one endpoint with its grants and write its host's configuration."""
    keys = keys_of[host.name]
    record, signed = inception(keys)
    endpoint = record.endpoint_id
    access, lane = accesses[host.ledger], lanes[host.ledger]
    path = folder.host(host.name) / "endpoint.json"
    if path.exists() and await has_endpoint(access, endpoint):
        return
    by = access.as_account(keys.account, HOST_LANE)
    others = {other.name: other for other in spec.hosts}
    peers = {}
    grants = []
    for alias in host.peers:
        remote = endpoint_of(keys_of[alias])
        peers[alias] = PeerRef(
            remote.hex(), others[alias].ledger, lane.lane_id.hex(), lane.local_client, lane.remote_client
        )
        grant = {"endpoint": endpoint, "lane": lane.lane_id, "remote": remote, "most_open": 256}
        grants.append(("endpoint.grant", grant))
    messages = [] if await has_endpoint(access, endpoint) else [("endpoint.register", {"record": signed.to_bytes()})]
    await access.do(*messages, *grants, by=by)
    remotes = tuple(ref for name, ref in refs.items() if name != host.ledger)
    config = HostConfig(
        name=host.name,
        guest=host.guest,
        endpoint=endpoint.hex(),
        records=(signed.to_bytes().hex(),),
        local=refs[host.ledger],
        remotes=remotes,
        peers=peers,
    )
    save_config(config, path)


def endpoint_of(keys: HostKeys) -> EndpointId:
    return inception(keys)[0].endpoint_id
