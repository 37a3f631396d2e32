"""A whole deployment in one process tree: ledgers, hosts, a relayer, attestors where a client needs some (I18)."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from lockgate.hosting.config import HostConfig, LedgerRef, PeerRef
from lockgate.machine.genesis import Genesis
from lockgate.machine.records import Lane
from lockgate.node import cometbft, company, issuing, kept, net, schedule
from lockgate.node import ledger as ledger_node
from lockgate.node.clock import SystemClock
from lockgate.node.cluster import Cluster
from lockgate.node.config import change as change_config
from lockgate.node.config import load as load_config
from lockgate.node.config import save as save_config
from lockgate.node.engine import Engine
from lockgate.node.folder import DiskFull, Folder, read_json, write_json, writing
from lockgate.node.foreign import start as foreign
from lockgate.node.identity import HostKeys, inception, open_keys
from lockgate.node.keystores import Party, choose
from lockgate.node.patience import together
from lockgate.node.processes import Deployment, OnReport
from lockgate.node.provision import HOST_LANE, LedgerAccess, has_endpoint, lane_between
from lockgate.node.recover import expired, operators
from lockgate.node.rotating import ACCOUNT, ROTATES
from lockgate.node.rotating import keep as keep_rotating
from lockgate.node.spawner import Spawner
from lockgate.node.spec import HostSpec, LedgerSpec, RelaySpec, Spec
from lockgate.primitives.errors import LockgateError, Refused
from lockgate.primitives.ids import EndpointId, Hash32
from lockgate.storage.ledger import StoreInUse, take_lock

Say = Callable[[str], None]
RECORD: Final = "up.json"  # who runs the deployment, and where; there while it runs
EXPIRED_POLL_S: Final = 0.5
PAIR: Final = 2  # ledgers, with a lane between them
NEEDED_MB: Final = 64  # logs, stores and journals of a day's use


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
    rotating: list[asyncio.Task[None]] = field(default_factory=list)  # the ledgers' keys, when they are due

    @property
    def addresses(self) -> dict[str, str]:
        """Where each ledger listens now; another port after it was started again."""
        return {ledger.name: self.folder.ledger_address(ledger.name) for ledger in self.spec.ledgers}

    async def stop(self) -> None:
        """End every process, and let the folder go."""
        for task in self.rotating:
            task.cancel()
        await asyncio.gather(*self.rotating, return_exceptions=True)
        try:
            await self.processes.stop()
            for cluster in self.clusters:
                await cluster.stop()
        finally:
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
        running.spec = spec = replace(
            spec, ledgers=tuple(ENGINES[ledger.engine].read(folder, ledger) for ledger in spec.ledgers)
        )
        await together(*(start_ledger(running, ledger, accept_clock, say) for ledger in spec.ledgers))
        write_json(folder.root / RECORD, {"pid": os.getpid(), "ledgers": running.addresses})
        if len(spec.ledgers) == PAIR:
            await _start_pair(running, say)
        for ledger in spec.ledgers:
            running.rotating.append(_rotating(running, ledger, on_report))
        await foreign.start(folder, spec.chains, spec.ledgers, spec.relay.batch_most, running.processes, say)
    except BaseException:
        await running.stop()
        raise
    return running


def _rotating(running: Running, spec: LedgerSpec, on_report: OnReport) -> asyncio.Task[None]:
    """Keep a ledger's keys to their schedule."""
    folder, home = running.folder, running.folder.ledger(spec.name)
    own = ROTATES["ledgers"]
    if spec.rotate_every:
        for key in own:
            schedule.write(home, schedule.parse(spec.rotate_every, key), SystemClock().now(), key)
    party, label = Party("ledgers", spec.name, home), f"ledger {spec.name}"
    return asyncio.create_task(
        keep_rotating(folder, party, own, lambda kind, fields: on_report(label, kind, dict(fields)))
    )


async def _start_pair(running: Running, say: Say) -> None:
    """The lane between two ledgers, its hosts and its relayer."""
    folder, spec, processes = running.folder, running.spec, running.processes
    attested = await company.start(folder, spec.ledgers, processes, say)
    await provision(running, say, attested)
    say("hosts and relayer")
    name = "-".join(ledger.name for ledger in spec.ledgers)
    _place(folder.relay(name), spec.relay.keystore)
    write_json(folder.relay(name) / "relay.json", _relay(spec, attested))
    issuing.ensure(folder)
    if spec.relay.rotate_every:
        period = schedule.parse(spec.relay.rotate_every, ACCOUNT)
        schedule.write(folder.relay(name), period, SystemClock().now(), ACCOUNT)
    await together(
        processes.start(f"relay {name}", "relay", "run", name),
        *(processes.start(f"host {host.name}", "host", "run", host.name) for host in spec.hosts),
    )


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


def create_ledger(folder: Folder, spec: LedgerSpec) -> Genesis:
    """Make a ledger's keys and genesis where they are not there.

    Raises NoCometBft, BadCluster, OtherParameters, OtherKeystore.
    """
    _place(folder.ledger(spec.name), spec.keystore)
    return ENGINES[spec.engine].make(folder, spec)


async def start_ledger(running: Running, spec: LedgerSpec, accept_clock: bool, say: Say) -> None:
    """Start a ledger's processes; a cluster that runs already, by `net up`, is taken as it is."""
    await ENGINES[spec.engine].start(running, spec, accept_clock, say)


def _make_cluster(folder: Folder, spec: LedgerSpec) -> Genesis:
    return cometbft.create(folder, spec.name, spec.chain_id, spec.validators, spec.parameters)


def _read_cluster(folder: Folder, spec: LedgerSpec) -> LedgerSpec:
    """A cluster is read through all of its nodes: the first is the folder's own, the others are further ones."""
    others = tuple(node.address for node in cometbft.nodes_of(folder, spec.name)[1:])
    return replace(spec, sources=(*others, *spec.sources))


async def _start_cluster(running: Running, spec: LedgerSpec, _: bool, say: Say) -> None:
    folder = running.folder
    if await net.answers(folder, spec.name):
        say(f"the cluster of {spec.name} runs already")
        return
    kept.keep(folder, spec.name, versions=spec.keep_versions, blocks=spec.keep_blocks)
    cluster = Cluster(folder, spec.name, running.processes, running.by)
    running.clusters.append(cluster)
    await cluster.start(say)


def _make_embedded(folder: Folder, spec: LedgerSpec) -> Genesis:
    return ledger_node.create(folder, spec.name, spec.chain_id, parameters=spec.parameters, ports=spec.applications)


async def _start_embedded(running: Running, spec: LedgerSpec, accept_clock: bool, _: Say) -> None:
    processes = running.processes
    options = ["--port", str(spec.port), "--heartbeat", str(spec.heartbeat)] + (["--durable"] if spec.durable else [])
    options += ["--keep-versions", str(spec.keep_versions), "--keep-blocks", str(spec.keep_blocks)]
    once = ("--accept-clock",) if accept_clock else ()
    await processes.start(f"ledger {spec.name}", "ledger", "run", spec.name, *options, once=once)


@dataclass(frozen=True, slots=True)
class Wiring:
    """How ledgers of one engine are made, read and started."""

    make: Callable[[Folder, LedgerSpec], Genesis]  # keys and genesis, where they are not there
    read: Callable[[Folder, LedgerSpec], LedgerSpec]  # with the nodes through which it is read
    start: Callable[[Running, LedgerSpec, bool, Say], Awaitable[None]]  # True: accept the clock, once


ENGINES: Final[Mapping[str, Wiring]] = {  # a new engine is one entry
    Engine.EMBEDDED: Wiring(_make_embedded, lambda _, spec: spec, _start_embedded),
    Engine.COMETBFT: Wiring(_make_cluster, _read_cluster, _start_cluster),
}


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
        for host in spec.hosts:  # all of them first: an endpoint's grants name the others, which makes their keys
            _place(folder.host(host.name), host.keystore)
            if host.rotate_every:
                schedule.write(folder.host(host.name), schedule.parse(host.rotate_every), SystemClock().now())
        refs = {ledger.name: _read_through(await accesses[ledger.name].ref(), ledger) for ledger in spec.ledgers}
        await together(*(_endpoint(folder, spec, host, accesses, lanes, refs) for host in spec.hosts))


def _place(home: Path, keystore: str) -> None:
    if keystore:
        choose(home, keystore)


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
    try:
        await _register(folder, spec, host, access, lane, refs, keys)
    finally:
        keys.close()  # the host opens them itself, and a device may have one user at a time


async def _register(
    folder: Folder,
    spec: Spec,
    host: HostSpec,
    access: LedgerAccess,
    lane: Lane,
    refs: dict[str, LedgerRef],
    keys: HostKeys,
) -> None:
    record, signed = inception(keys)
    endpoint = record.endpoint_id
    by = access.as_account(keys.account, HOST_LANE)
    others = {other.name: other for other in spec.hosts}
    peers = {}
    grants = []
    for alias in host.peers:
        remote = endpoint_of(folder, alias)
        peers[alias] = PeerRef(
            remote.hex(),
            others[alias].ledger,
            lane.lane_id.hex(),
            lane.local_client,
            lane.remote_client,
            others[alias].blobs,
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
        blobs=host.blobs,
        bulk_bytes=host.bulk_bytes,
        bulk_total=host.bulk_total,
        sessions=host.sessions,
        epochs=host.epochs,
        archive_s=None if isinstance(host.archive, str) else host.archive,
    )
    save_config(config, folder.host(host.name) / "endpoint.json")


def _relay(spec: Spec, attested: Mapping[str, company.Company]) -> dict[str, object]:
    """What the deployment's relayer is told."""
    record: dict[str, object] = {"between": [ledger.name for ledger in spec.ledgers]}
    if attested:
        record["attestors"] = {name: list(each.addresses) for name, each in attested.items()}
    if spec.relay.batch_most != RelaySpec().batch_most:
        record["batch_most"] = spec.relay.batch_most
    if any(ledger.sources for ledger in spec.ledgers):
        record["sources"] = {ledger.name: list(ledger.sources) for ledger in spec.ledgers}
        record["required_sources"] = {ledger.name: ledger.required_sources for ledger in spec.ledgers}
    return record


def _read_through(ref: LedgerRef, ledger: LedgerSpec) -> LedgerRef:
    return replace(ref, sources=ledger.sources, required=ledger.required_sources)


def _reread(path: Path, spec: Spec) -> None:
    """The nodes are the deployment file's to say, for a host that is there already as well."""
    ledgers = {ledger.name: ledger for ledger in spec.ledgers}

    def reread(config: HostConfig) -> HostConfig:
        local, *remotes = (
            _read_through(ref, ledgers[ref.name]) if ref.name in ledgers else ref
            for ref in (config.local, *config.remotes)
        )
        return replace(config, local=local, remotes=tuple(remotes))

    change_config(path, reread)


def endpoint_of(folder: Folder, name: str) -> EndpointId:
    """A host's endpoint: as its configuration says (first keys may be rotated away), else made of its keys."""
    path = folder.host(name) / "endpoint.json"
    if path.exists():
        return EndpointId(Hash32(bytes.fromhex(load_config(path).endpoint)))
    keys = open_keys(folder, name)
    try:
        return inception(keys)[0].endpoint_id
    finally:
        keys.close()
