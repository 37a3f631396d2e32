"""A whole deployment in one process tree: ledgers, hosts, a relayer, attestors where a client needs some (I18)."""

from __future__ import annotations

import asyncio
import os
import shutil
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final

from lockgate.courier.batches import BATCH_MOST
from lockgate.engines.embedded.retention import KEEP
from lockgate.hosting.config import BULK_BYTES, HostConfig, LedgerRef, PeerRef
from lockgate.machine.genesis import Parameters
from lockgate.machine.records import Lane, LaneOrder
from lockgate.node import cometbft, company, net, parameters
from lockgate.node import ledger as ledger_node
from lockgate.node.cluster import Cluster
from lockgate.node.config import load as load_config
from lockgate.node.config import save as save_config
from lockgate.node.engine import Engine
from lockgate.node.folder import DiskFull, Folder, read_json, write_json, writing
from lockgate.node.identity import inception, open_keys
from lockgate.node.parameters import BadParameters
from lockgate.node.processes import Deployment, OnReport
from lockgate.node.profiles import Profile, named
from lockgate.node.provision import HOST_LANE, LedgerAccess, has_endpoint, lane_between
from lockgate.node.recover import expired, operators
from lockgate.node.spawner import Spawner
from lockgate.primitives.errors import LockgateError, Refused
from lockgate.primitives.ids import EndpointId, Hash32
from lockgate.relay.pairing_kinds import HEADERS, KINDS
from lockgate.storage.ledger import StoreInUse, take_lock

Say = Callable[[str], None]
RECORD: Final = "up.json"  # who runs the deployment, and where; there while it runs
EXPIRED_POLL_S: Final = 0.5
NEEDED_MB: Final = 64  # logs, stores and journals of a day's use


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
    engine: str = Engine.EMBEDDED
    validators: int = 4  # on CometBFT
    sources: tuple[str, ...] = ()  # further nodes it is read through
    required_sources: int = 0  # how many of all must agree; 0: two where there are several
    client: str = HEADERS  # the kind of client by which this ledger follows the other
    attestors: int = 4  # of the other ledger, where that client rests on some
    quorum: int = 3  # how many of them it needs
    parameters: Parameters | None = None  # of its genesis; None: the defaults, or what it was made with


@dataclass(frozen=True, slots=True)
class HostSpec:
    name: str
    ledger: str
    guest: str
    peers: tuple[str, ...]  # names of other hosts, by which this host's guest knows them
    bulk_bytes: int = BULK_BYTES  # the longest bulk body it sends or takes
    bulk_total: int = 4 * BULK_BYTES  # of received bodies together


@dataclass(frozen=True, slots=True)
class RelaySpec:
    batch_most: int = BATCH_MOST  # packets of one transaction


@dataclass(frozen=True, slots=True)
class Spec:
    """A deployment as one TOML file says it; the default has two ledgers and two hosts."""

    ledgers: tuple[LedgerSpec, ...] = (LedgerSpec("alpha", "alpha-1"), LedgerSpec("beta", "beta-1"))
    hosts: tuple[HostSpec, ...] = (
        HostSpec("sender", "alpha", "quote-sender", ("solver",)),
        HostSpec("solver", "beta", "iv-solver", ("sender",)),
    )
    order: LaneOrder = LaneOrder.UNORDERED  # of the lane, when it is opened
    relay: RelaySpec = RelaySpec()

    def __post_init__(self) -> None:
        names = {spec.name for spec in self.ledgers}
        hosts = {spec.name for spec in self.hosts}
        for ledger in self.ledgers:
            if ledger.engine not in set(Engine):
                raise BadConfig(f"an engine is one of {', '.join(Engine)}", ledger=ledger.name, given=ledger.engine)
            if ledger.client not in KINDS:
                raise BadConfig(f"a client is one of {', '.join(KINDS)}", ledger=ledger.name, given=ledger.client)
        if len(self.ledgers) != 2 or len(names) != 2 or len(hosts) != len(self.hosts):
            raise BadConfig("a deployment has two ledgers and hosts of different names")
        if type(self.relay.batch_most) is not int or not 1 <= self.relay.batch_most <= BATCH_MOST:
            raise BadConfig(f"batch_most is 1 to {BATCH_MOST}", given=str(self.relay.batch_most)[:100])
        for host in self.hosts:
            if host.ledger not in names or not set(host.peers) <= hosts - {host.name}:
                raise BadConfig("a host names a ledger or peer that is not there", host=host.name)


ORDERS: Final = {order.name.lower(): order for order in LaneOrder}


DEFAULT_LEDGERS: Final = ({"name": "alpha", "chain_id": "alpha-1"}, {"name": "beta", "chain_id": "beta-1"})
DEFAULT_HOSTS: Final = (
    {"name": "sender", "ledger": "alpha", "guest": "quote-sender", "peers": ("solver",)},
    {"name": "solver", "ledger": "beta", "guest": "iv-solver", "peers": ("sender",)},
)


def read_spec(path: Path | None, profile: str | None = None) -> Spec:
    """Read a TOML file; no file gives the default. What it leaves open is a profile's, the file's own or `profile`.

    Raises BadConfig, NoSuchProfile.
    """
    try:
        value = {} if path is None else tomllib.loads(path.read_text())
    except OSError as error:
        raise BadConfig("the file cannot be read", file=str(path)) from error
    except ValueError as error:
        raise BadConfig(str(error), file=str(path)) from error
    chosen = named(value.pop("profile", profile or "balanced"))
    try:
        ledgers = tuple(_ledger_spec(item, chosen) for item in value.pop("ledger", DEFAULT_LEDGERS))
        hosts = tuple(_host_spec(item, chosen) for item in value.pop("host", DEFAULT_HOSTS))
        order = ORDERS[value.pop("order", chosen.deployment.get("order", "unordered"))]
        relay = RelaySpec(**{**chosen.relay, **value.pop("relay", {})})
    except KeyError as error:
        raise BadConfig(f"order is one of {', '.join(ORDERS)}", given=str(error), file=str(path)) from error
    except (TypeError, BadParameters) as error:
        raise BadConfig(str(error), file=str(path)) from error
    if value:
        raise BadConfig("unknown table", table=sorted(value)[0], file=str(path))
    return Spec(ledgers, hosts, order, relay)


def _ledger_spec(item: dict[str, Any], profile: Profile) -> LedgerSpec:
    given = item.get("parameters", {})
    if not isinstance(given, dict):
        raise TypeError("a ledger's parameters are a table")
    profile = named(item["profile"]) if "profile" in item else profile
    said = {**profile.ledger, **item, "sources": tuple(item.get("sources", ()))}
    values = {**profile.parameters, **given}
    said["parameters"] = parameters.read(values) if values else None
    said.pop("profile", None)
    return LedgerSpec(**said)


def _host_spec(item: dict[str, Any], profile: Profile) -> HostSpec:
    spec = HostSpec(**{**profile.host, **item, "peers": tuple(item.get("peers", ()))})
    if not all(type(size) is int and size > 0 for size in (spec.bulk_bytes, spec.bulk_total)):
        raise BadConfig("bulk_bytes and bulk_total are positive numbers of bytes", host=spec.name)
    return spec


def default_of(table: str, name: str) -> Any:
    """The default of a setting, by where it stands in a deployment file."""
    kinds: dict[str, Any] = {
        "ledger": LedgerSpec,
        "ledger.parameters": Parameters,
        "host": HostSpec,
        "relay": RelaySpec,
    }
    if table == "":
        return "unordered"
    return next(item.default for item in fields(kinds[table]) if item.name == name)


class AlreadyRunning(Refused):
    code = "node.already_running"
    summary = "This deployment runs already: its process, and where its ledgers listen, stand below."
    untouched = "Nothing was started, and the running one goes on."
    next_step = "Use the running one, stop it with ctrl-C or `kill PID`, or name another folder with --data."


@dataclass(slots=True)
class Running:
    """A started deployment."""

    folder: Folder
    spec: Spec
    processes: Deployment
    lock: int
    by: str  # the verb that runs it
    clusters: list[Cluster] = field(default_factory=list)  # those that run here

    @property
    def addresses(self) -> dict[str, str]:
        """Where each ledger listens now; another port after it was started again."""
        return {ledger.name: self.folder.ledger_address(ledger.name) for ledger in self.spec.ledgers}

    async def stop(self) -> None:
        """End every process, and let the folder go."""
        await self.processes.stop()
        for cluster in self.clusters:
            await cluster.stop()
        (self.folder.root / RECORD).unlink(missing_ok=True)
        os.close(self.lock)


async def start(
    folder: Folder,
    spec: Spec,
    say: Say,
    on_report: OnReport,
    spawner: Spawner | None = None,
    *,
    accept_clock: bool = False,
    by: str = "up",
) -> Running:
    """Create what is missing, start every process, and return when all are ready.

    `accept_clock` confirms, once, that the clock may be far ahead of what the ledgers remember.

    Raises AlreadyRunning, DiskFull, NotWritable, ProcessEnded, SetupFailed.
    """
    try:
        lock = take(folder)
    except LockgateError:
        if spawner is not None:
            spawner.stop()
        raise
    running = Running(folder, spec, Deployment(folder, on_report, spawner), lock, by)
    try:
        say("ledgers")
        for ledger in spec.ledgers:
            create_ledger(folder, ledger)
        running.spec = spec = replace(spec, ledgers=tuple(_with_nodes(folder, ledger) for ledger in spec.ledgers))
        await asyncio.gather(*(start_ledger(running, ledger, accept_clock, say) for ledger in spec.ledgers))
        write_json(folder.root / RECORD, {"pid": os.getpid(), "ledgers": running.addresses})
        attested = await company.start(folder, spec.ledgers, running.processes, say)
        await provision(running, say, attested)
        say("hosts and relayer")
        name = "-".join(ledger.name for ledger in spec.ledgers)
        write_json(folder.relay(name) / "relay.json", _relay(spec, attested))
        await asyncio.gather(
            running.processes.start(f"relay {name}", "relay", "run", name),
            *(running.processes.start(f"host {host.name}", "host", "run", host.name) for host in spec.hosts),
        )
    except BaseException:
        await running.stop()
        raise
    return running


def take(folder: Folder) -> int:
    """The folder for this process alone, with room to work in. Raises AlreadyRunning, DiskFull, NotWritable."""
    with writing(folder.root):
        folder.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        free_mb = shutil.disk_usage(folder.root).free // 2**20
        if free_mb < NEEDED_MB:
            raise DiskFull(f"{free_mb} MB are free and {NEEDED_MB} MB needed", folder=str(folder.root))
        try:
            return take_lock(folder.root / "up.lock")
        except StoreInUse:
            pass
    try:
        record = read_json(folder.root / RECORD)
        fields = {"pid": record["pid"], **record["ledgers"]}
    except (LockgateError, KeyError, TypeError):
        fields = {}  # it has not come that far yet
    raise AlreadyRunning("a deployment runs in this folder", folder=str(folder.root), **fields)


def create_ledger(folder: Folder, spec: LedgerSpec) -> None:
    """Make a ledger's keys and genesis where they are not there. Raises NoCometBft, BadCluster, OtherParameters."""
    if spec.engine == Engine.COMETBFT:
        cometbft.create(folder, spec.name, spec.chain_id, spec.validators, spec.parameters)
    else:
        ledger_node.create(folder, spec.name, spec.chain_id, parameters=spec.parameters)


def _with_nodes(folder: Folder, spec: LedgerSpec) -> LedgerSpec:
    """A cluster is read through all of its nodes: the first is the folder's own, the others are further ones."""
    if spec.engine != Engine.COMETBFT:
        return spec
    others = tuple(node.address for node in cometbft.nodes_of(folder, spec.name)[1:])
    return replace(spec, sources=(*others, *spec.sources))


async def start_ledger(running: Running, spec: LedgerSpec, accept_clock: bool, say: Say) -> None:
    """Start a ledger's processes; a cluster that runs already, by `net up`, is taken as it is."""
    folder, processes = running.folder, running.processes
    if spec.engine == Engine.COMETBFT:
        if await net.answers(folder, spec.name):
            say(f"the cluster of {spec.name} runs already")
            return
        cluster = Cluster(folder, spec.name, processes, running.by)
        running.clusters.append(cluster)
        await cluster.start(say)
        return
    options = ["--port", str(spec.port), "--heartbeat", str(spec.heartbeat)] + (["--durable"] if spec.durable else [])
    options += ["--keep-versions", str(spec.keep_versions), "--keep-blocks", str(spec.keep_blocks)]
    once = ("--accept-clock",) if accept_clock else ()
    await processes.start(f"ledger {spec.name}", "ledger", "run", spec.name, *options, once=once)


async def provision(running: Running, say: Say, attested: Mapping[str, company.Company]) -> None:
    """Clients, lane, endpoints, grants: what is missing of them. Waits while a client is expired.

    `attested` are the attestors of ledgers that have some.
    """
    folder, spec = running.folder, running.spec
    async with operators(folder, [ledger.name for ledger in spec.ledgers]) as accesses:
        one, other = accesses.values()
        kinds = {far.name: near.client for near, far in zip(spec.ledgers, spec.ledgers[::-1], strict=True)}
        followed = [company.followed(access, kinds[access.name], attested) for access in (one, other)]
        sides = await lane_between(one, other, say, spec.order, (followed[0], followed[1]))
        lanes = dict(zip(accesses, sides, strict=True))
        await _until_active(accesses, say)
        say("endpoints")
        refs = {ledger.name: _read_through(await accesses[ledger.name].ref(), ledger) for ledger in spec.ledgers}
        await asyncio.gather(*(_endpoint(folder, spec, host, accesses, lanes, refs) for host in spec.hosts))


async def _until_active(accesses: dict[str, LedgerAccess], say: Say) -> None:
    """Hosts and relayer can do nothing over an expired client: say so, and wait for its recovery."""
    found = await expired(accesses)
    if not found:
        return
    for each in found:
        say(each.sentence())
    say("to recover: run `lockgate client recover` in another terminal; this command goes on by itself")
    while found:
        await asyncio.sleep(EXPIRED_POLL_S)
        found = await expired(accesses)


async def _endpoint(
    folder: Folder,
    spec: Spec,
    host: HostSpec,
    accesses: dict[str, LedgerAccess],
    lanes: dict[str, Lane],
    refs: dict[str, LedgerRef],
) -> None:
    """Register one endpoint with its grants and write its host's configuration."""
    access, lane = accesses[host.ledger], lanes[host.ledger]
    path = folder.host(host.name) / "endpoint.json"
    if path.exists() and await has_endpoint(access, endpoint_of(folder, host.name)):
        _reread(path, spec)
        return
    keys = open_keys(folder, host.name)
    record, signed = inception(keys)
    endpoint = record.endpoint_id
    by = access.as_account(keys.account, HOST_LANE)
    others = {other.name: other for other in spec.hosts}
    peers = {}
    grants = []
    for alias in host.peers:
        remote = endpoint_of(folder, alias)
        peers[alias] = PeerRef(
            remote.hex(), others[alias].ledger, lane.lane_id.hex(), lane.local_client, lane.remote_client
        )
        grant = {"endpoint": endpoint, "lane": lane.lane_id, "remote": remote, "most_open": 256}
        grants.append(("endpoint.grant", grant))
    messages = [] if await has_endpoint(access, endpoint) else [("endpoint.register", {"record": signed.to_bytes()})]
    done = await access.do(*messages, *grants, by=by)
    await access.chain.header_at_least(done.height.height + 1)  # the host looks for it under the newest header
    remotes = tuple(ref for name, ref in refs.items() if name != host.ledger)
    config = HostConfig(
        name=host.name,
        guest=host.guest,
        endpoint=endpoint.hex(),
        records=(signed.to_bytes().hex(),),
        local=refs[host.ledger],
        remotes=remotes,
        peers=peers,
        bulk_bytes=host.bulk_bytes,
        bulk_total=host.bulk_total,
    )
    save_config(config, path)


def _relay(spec: Spec, attested: Mapping[str, company.Company]) -> dict[str, object]:
    """What the deployment's relayer is told."""
    record: dict[str, object] = {"between": [ledger.name for ledger in spec.ledgers]}
    if attested:
        record["attestors"] = {name: list(each.addresses) for name, each in attested.items()}
    if spec.relay != RelaySpec():
        record["batch_most"] = spec.relay.batch_most
    if any(ledger.sources for ledger in spec.ledgers):
        record["sources"] = {ledger.name: list(ledger.sources) for ledger in spec.ledgers}
        record["required_sources"] = {ledger.name: ledger.required_sources for ledger in spec.ledgers}
    return record


def _read_through(ref: LedgerRef, ledger: LedgerSpec) -> LedgerRef:
    return replace(ref, sources=ledger.sources, required=ledger.required_sources)


def _reread(path: Path, spec: Spec) -> None:
    """The nodes are the deployment file's to say, for a host that is there already as well."""
    config, ledgers = load_config(path), {ledger.name: ledger for ledger in spec.ledgers}
    local, *remotes = (
        _read_through(ref, ledgers[ref.name]) if ref.name in ledgers else ref for ref in (config.local, *config.remotes)
    )
    changed = replace(config, local=local, remotes=tuple(remotes))
    if changed != config:
        save_config(changed, path)


def endpoint_of(folder: Folder, name: str) -> EndpointId:
    """A host's endpoint: as its configuration says (first keys may be rotated away), else made of its keys."""
    path = folder.host(name) / "endpoint.json"
    if path.exists():
        return EndpointId(Hash32(bytes.fromhex(load_config(path).endpoint)))
    return inception(open_keys(folder, name))[0].endpoint_id
