"""A cluster as the process sees it that runs it: its validators, the links between them, and what people ask of it.

Whoever starts a ledger on CometBFT (`up`, `demo`, `net up`) holds one `Cluster` for it. It leaves a record
beside the ledger (`net.json`) that says where its socket is, and goes by what comes there: kill one, start it again,
cut the links, heal them. The record of a process that was killed stays; nobody listens behind it then.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Self

from lockgate.node import cometbft, kept, leftover, socket, statesync
from lockgate.node.folder import Folder, write_json
from lockgate.node.links import Links
from lockgate.node.net import RECORD, NetRefused, answers
from lockgate.node.powers import powers_of
from lockgate.node.processes import Child, Deployment, OnReport
from lockgate.node.spawner import Spawner
from lockgate.primitives.errors import LockgateError, Refused
from lockgate.relay.rpc import Rpc, number
from lockgate.storage.ledger import StoreInUse, take_lock
from lockgate.storage.snapshots import SnapshotFiles

VALIDATORS: Final = 4
ASK_S: Final = 2.0  # a node of this machine that has not answered by then is said not to answer
CATCH_UP_S: Final = 120.0
POLL_S: Final = 0.1
Say = Callable[[str], None]
SIGN_STATE: Final = "priv_validator_state.json"


class Half(enum.StrEnum):
    """What of a validator is killed; either ends with the other."""

    NODE = "node"
    APPLICATION = "application"
    BOTH = "both"


class Source(enum.StrEnum):
    """What an emptied validator gets its state back from."""

    SNAPSHOT = "snapshot"
    BLOCKS = "blocks"


class NetRunning(Refused):
    code = "net.already_running"
    summary = "This ledger's cluster runs already."
    untouched = "Nothing was started, and the running one goes on."
    next_step = "Look at it with `lockgate net status`, or end it with `lockgate net down`."


class Cluster:
    """The validators of one ledger, run as children of this process."""

    def __init__(self, folder: Folder, name: str, processes: Deployment, by: str) -> None:
        self.folder = folder
        self.name = name
        self.by = by
        self.nodes = cometbft.nodes_of(folder, name)
        self.links = Links([node.p2p for node in self.nodes])
        self.asked_to_end = asyncio.Event()
        self._processes = processes
        self._rpcs = [Rpc(node.address, timeout_s=ASK_S) for node in self.nodes]
        self._killed: dict[int, Half] = {}
        self._turns = asyncio.Lock()  # one change after the other
        self._server: asyncio.Server | None = None
        self._socket_folder: Path | None = None
        self._lock: int | None = None

    @property
    def record(self) -> Path:
        return self.folder.ledger(self.name) / RECORD

    async def start(self, say: Say = lambda _: None) -> Self:
        """Start every validator, and return when all have a block. Raises ProcessEnded, PortBusy."""
        genesis = kept.genesis_of(self.folder, self.name)
        try:
            self._lock = take_lock(self.record.with_suffix(".lock"))
        except StoreInUse as error:
            raise NetRefused("another process starts or ends it just now", ledger=self.name) from error
        await self.links.start()
        # In a folder of its own: a socket's path has 107 bytes at most, and a data folder may lie deep.
        self._socket_folder = Path(tempfile.mkdtemp(prefix="lockgate-net-"))
        path = self._socket_folder / "socket"
        self._server = await socket.serve(path, None, self._answer)
        fields = {"pid": os.getpid(), "socket": str(path), "by": self.by, "validators": len(self.nodes)}
        write_json(self.record, {**fields, "ledger": self.name, "chain_id": genesis.chain_id})
        begun = [asyncio.create_task(self._start(node.index)) for node in self.nodes]
        try:
            for count, task in enumerate(asyncio.as_completed(begun), 1):
                await task
                say(f"validators of {self.name}: {count} of {len(self.nodes)} answer")
        finally:
            for each in begun:
                each.cancel()
            await asyncio.gather(*begun, return_exceptions=True)
        return self

    async def stop(self) -> None:
        """Let the links and the socket go, and wait for the nodes, whose applications have ended with the deployment.

        A node that lost its application ends by itself, a moment later; the next cluster needs its files.
        """
        if self._server is not None:
            self._server.close()
        if self._socket_folder is not None:
            shutil.rmtree(self._socket_folder, ignore_errors=True)
        if self._lock is not None:
            await asyncio.gather(*(leftover.gone(node) for node in self.nodes))
        await self.links.stop()
        await asyncio.gather(*(rpc.close() for rpc in self._rpcs))
        if self._server is not None:
            self.record.unlink(missing_ok=True)
        if self._lock is not None:
            os.close(self._lock)

    def child(self, index: int) -> str:
        """Name of a validator's process. Raises NetRefused."""
        if not 0 <= index < len(self.nodes):
            most = len(self.nodes) - 1
            raise NetRefused(f"there is no validator {index}: this cluster has those from 0 to {most}")
        return f"validator {self.name} {index}"

    async def kill(self, index: int, half: Half = Half.BOTH) -> dict[str, Any]:
        """Kill a validator (SIGKILL); it stays down until `restart`. Raises NetRefused."""
        name = self.child(index)
        async with self._turns:
            if self._is_down(index):
                raise NetRefused(f"validator {index} is down already")
            node = leftover.node_pid(self.nodes[index])
            self._killed[index] = half

            def end(child: Child) -> None:
                pids = {Half.NODE: [node], Half.APPLICATION: [child.pid], Half.BOTH: [child.pid, node]}[half]
                for pid in filter(None, pids):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)

            await self._processes.hold(name, end)
            await leftover.gone(self.nodes[index])
        up = len(self.nodes) - sum(self._is_down(each.index) for each in self.nodes)
        return {"validator": index, "killed": half, "up": up, "validators": len(self.nodes)}

    async def restart(self, index: int, *, empty: bool = False, wait: bool = True) -> dict[str, Any]:
        """Start a validator that is down, or end one politely and start it again.

        `empty`: without its blocks and its application's store, which it gets back from the others: by state sync
        where one of them has a snapshot, else by playing every block; `from` says which. What it has
        signed last stays: a validator that forgot it could sign a height twice. `wait` until it has caught up.
        Raises NetRefused, ProcessEnded.
        """
        name = self.child(index)
        begun = asyncio.get_running_loop().time()
        async with self._turns:
            await self._processes.hold(name)
            await leftover.gone(self.nodes[index])
            found: dict[str, Any] = {"validator": index, "caught_up": False}
            once: tuple[str, ...] = ()
            within_s = None
            if empty:
                found["from"] = source = await self._source(index)
                self._empty(index)
                if source is Source.SNAPSHOT:
                    once, within_s = ("--state-sync",), cometbft.SYNC_S
                else:
                    statesync.play_blocks(self.nodes[index])
            self._killed.pop(index, None)
            await self._processes.resume(name, once=once, within_s=within_s)
        if wait:
            found["caught_up"] = await self._caught_up(index)
        found["height"] = (await self._seen(index))["height"]
        return {**found, "seconds": round(asyncio.get_running_loop().time() - begun, 2)}

    def partition(self, group: Sequence[int]) -> dict[str, Any]:
        """Cut a group of validators off from the others; a partition that was there is replaced. Raises NetRefused."""
        for index in group:
            self.child(index)
        cut = set(group)
        if not cut or len(cut) == len(self.nodes) or len(cut) != len(group):
            raise NetRefused("a partition names some of the validators, each once, and leaves some on the other side")
        self.links.partition(cut)
        return {"groups": self._groups()}

    def heal(self) -> dict[str, Any]:
        """Make every link whole. Raises NetRefused when all are."""
        if not self.links.cut:
            raise NetRefused("no link is cut")
        self.links.heal()
        return {"groups": self._groups()}

    async def status(self) -> dict[str, Any]:
        """Every validator's state and height, the links, and whether blocks can be made."""
        rows = await asyncio.gather(*(self._seen(node.index) for node in self.nodes))
        groups = self._groups()
        standing = {row["validator"] for row in rows if row["state"] in {"up", "catching up"}}
        genesis = kept.genesis_of(self.folder, self.name)
        powers, total = await powers_of(self.nodes, genesis, [self._rpcs[index] for index in sorted(standing)])
        most = max(sum(powers[index] for index in standing & set(group)) for group in groups)
        return {
            "ledger": self.name,
            "by": self.by,
            "pid": os.getpid(),
            "nodes": [{**row, "power": powers[row["validator"]]} for row in rows],
            "groups": groups,
            "cut": [list(pair) for pair in self.links.cut],
            "height": max(row["height"] for row in rows),
            "quorum": 3 * most > 2 * total,  # CometBFT decides with more than two thirds of the power
            **await self._roots(rows),
        }

    def _groups(self) -> list[list[int]]:
        """Validators that reach each other, in one list each."""
        cut, groups = set(self.links.cut), list[list[int]]()
        for node in self.nodes:
            home = next((group for group in groups if (group[0], node.index) not in cut), None)
            if home is None:
                groups.append([node.index])
            else:
                home.append(node.index)
        return groups

    async def _start(self, index: int) -> None:
        links = [f"--link={far}={port}" for far, port in self.links.ports_from(index).items()]
        arguments = ("ledger", "run", self.name, "--validator", str(index), *links)
        await self._processes.start(self.child(index), *arguments)

    def _is_down(self, index: int) -> bool:
        child = self._processes.children.get(self.child(index))
        return child is None or child.run.ended.done()

    async def _source(self, index: int) -> Source:
        """Where a validator with nothing begins: at a snapshot, if one that it reaches has some and enough answer."""
        group = next(group for group in self._groups() if index in group)
        rows = await asyncio.gather(*(self._seen(each) for each in group if each != index))
        there = [self.nodes[row["validator"]].home for row in rows if row["state"] == "up"]
        kept = any(SnapshotFiles(home / "snapshots").listed() for home in there)
        return Source.SNAPSHOT if kept and len(there) >= statesync.AGREE else Source.BLOCKS

    def _empty(self, index: int) -> None:
        home = self.nodes[index].home
        shutil.rmtree(home / "snapshots", ignore_errors=True)
        for path in home.glob("application.sqlite*"):
            path.unlink()
        for path in (home / "data").iterdir():
            if path.name != SIGN_STATE:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    async def _caught_up(self, index: int) -> bool:
        """Wait until a validator has the newest block of those it reaches; False where that takes too long."""
        ends = asyncio.get_running_loop().time() + CATCH_UP_S
        while asyncio.get_running_loop().time() < ends:
            group = next(group for group in self._groups() if index in group)
            rows = {each: await self._seen(each) for each in group}
            newest = max(row["height"] for row in rows.values())
            if rows[index]["state"] == "up" and rows[index]["height"] >= newest - 1:
                return True
            await asyncio.sleep(POLL_S)
        return False

    async def _seen(self, index: int) -> dict[str, Any]:
        node, child = self.nodes[index], self._processes.children.get(self.child(index))
        row: dict[str, Any] = {"validator": index, "state": "up", "height": 0, "peers": 0, "rpc": node.address}
        row |= {"application": child.pid if child is not None else 0, "node": leftover.node_pid(node), "time": ""}
        if self._is_down(index):
            half = self._killed.get(index)
            return {**row, "state": "killed" if half is not None else "down", "application": 0}
        try:
            # A node that is away is not waited for as a reader would.
            async with asyncio.timeout(ASK_S):
                status, net = await asyncio.gather(self._rpcs[index].call("status"), self._rpcs[index].call("net_info"))
            sync = status["sync_info"]
            row |= {"height": number(sync["latest_block_height"]), "time": str(sync["latest_block_time"])}
            row["peers"] = number(net["n_peers"])
            return {**row, "state": "catching up" if sync["catching_up"] else "up"}
        except (LockgateError, TimeoutError, LookupError, TypeError):
            return {**row, "state": "starting"}

    async def _roots(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """The state root that each node shows at the newest height that all of them have, and whether it is one."""
        there = [row for row in rows if row["height"]]
        height = min((row["height"] for row in there), default=0)
        roots = await asyncio.gather(*(self._root(row["validator"], height) for row in there)) if height else []
        known = {root for root in roots if root}
        return {"compared_at": height, "app_hash": min(known, default=""), "agree": len(known) <= 1}

    async def _root(self, index: int, height: int) -> str:
        with contextlib.suppress(LockgateError, TimeoutError, LookupError, TypeError):
            async with asyncio.timeout(ASK_S):
                found = await self._rpcs[index].call("header", height=str(height))
            return str(found["header"]["app_hash"])
        return ""

    async def _answer(self, verb: str, given: dict[str, Any]) -> dict[str, Any]:
        match verb:
            case "status":
                return await self.status()
            case "kill":
                return await self.kill(int(given["validator"]), Half(given.get("half", Half.BOTH)))
            case "restart":
                empty, wait = bool(given.get("empty")), bool(given.get("wait", True))
                return await self.restart(int(given["validator"]), empty=empty, wait=wait)
            case "partition":
                return self.partition([int(index) for index in given["validators"]])
            case "heal":
                return self.heal()
            case "down":
                if self.by != "net up":
                    raise NetRefused(f"this cluster ends with `lockgate {self.by}`, process {os.getpid()}: stop that")
                self.asked_to_end.set()
                return {"pid": os.getpid()}
            case _:
                raise socket.BadCall(f"no verb {verb}")


async def prepare(folder: Folder, name: str, chain_id: str, validators: int | None) -> int:
    """Make a cluster's keys and homes where they are not there; returns how many validators it has.

    Raises NetRunning, NetRefused, BadCluster, NoCometBft.
    """
    running = await answers(folder, name)
    if running is not None:
        raise NetRunning("it runs already", ledger=name, pid=running.pid, by=f"lockgate {running.by}")
    if cometbft.is_cluster(folder, name):
        count = len(cometbft.nodes_of(folder, name))
        if validators not in {None, count}:
            raise NetRefused(f"the cluster {name} of this folder has {count} validators, and keeps them")
        cometbft.find_binary()
        return count
    count = VALIDATORS if validators is None else validators
    cometbft.create(folder, name, chain_id, count)
    return count


async def run(
    folder: Folder,
    name: str,
    chain_id: str,
    validators: int | None,
    say: Say,
    on_report: OnReport,
    ready: Callable[[], None],
    spawner: Spawner,
    keep_blocks: int | None = None,
) -> None:
    """Prepare a cluster and run it until cancelled or asked to end.

    Raises ProcessEnded, PortBusy, DiskFull, TooFewBlocks.
    """
    try:
        count = await prepare(folder, name, chain_id, validators)
        kept.keep(folder, name, blocks=keep_blocks)
    except BaseException:
        spawner.stop()
        raise
    say(f"{count} validators of {name}, on CometBFT")
    processes = Deployment(folder, on_report, spawner)
    cluster = Cluster(folder, name, processes, "net up")
    try:
        await cluster.start(say)
        ready()
        await cluster.asked_to_end.wait()
    finally:
        await processes.stop()
        await cluster.stop()


__all__ = ("Cluster", "Half", "NetRunning", "Source", "prepare", "run")
