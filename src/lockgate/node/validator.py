"""One validator's process: the application, and CometBFT's node as its child.

Either ends with the other: a node whose application is gone stops by itself, and the process stops with its node.
Where the ledger says that the validator's next key signs the next block, the process ends its node, puts that key in
the place of the last, and starts both again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import tempfile
import tomllib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from lockgate.engines.cometbft.application import CometBftApplication
from lockgate.engines.cometbft.server import AbciServer
from lockgate.engines.cometbft.statesync import SNAPSHOT_EVERY
from lockgate.hosting.work import Report
from lockgate.ibc.ports import Application
from lockgate.machine import keys as stores
from lockgate.machine.validators import signing
from lockgate.merkle.multistore import MultiStore
from lockgate.node import collector, cometbft, leftover, validator_keys
from lockgate.node.cometbft import Node, NodeEnded
from lockgate.node.cometbft_binary import find_binary
from lockgate.node.folder import Folder, NotInitialised, read_json, write_json
from lockgate.node.kept import genesis_of, kept
from lockgate.node.ports import listen
from lockgate.primitives.errors import LockgateError
from lockgate.relay.rpc import Rpc
from lockgate.storage.ledger import LedgerStore
from lockgate.storage.nodes import SqliteNodes
from lockgate.storage.snapshots import SnapshotFiles

START_S: Final = 60.0
STOP_S: Final = 10.0
POLL_S: Final = 0.05
LOOK_S: Final = 0.5  # between two looks for a next key

Prepare = Callable[[Node, tuple[Node, ...]], Awaitable[object]]


async def run(
    folder: Folder,
    name: str,
    index: int,
    report: Report,
    links: Mapping[int, int] | None = None,
    prepare: Prepare | None = None,
    applications: Mapping[str, Application] | None = None,
) -> None:
    """Run one validator until cancelled; where its next key is to sign, end the node and start it again with that.

    Raises NodeEnded, NoCometBft, NotInitialised, TooFewBlocks, or what the store refuses.

    `links`: at which port each other validator is reached, where that is not its own (`node.links`). `prepare` is
    asked before a node starts that has nothing yet. `applications` are bound to ports beside the endpoints; every
    validator must name the same ones.
    """
    nodes = cometbft.nodes_of(folder, name)
    if not 0 <= index < len(nodes):
        raise NotInitialised("no such validator", ledger=name, validator=index, validators=len(nodes))
    while True:
        await _run(folder, name, nodes, index, report, links, prepare, applications)
        validator_keys.follow(nodes[index].home)
        report(
            "validator_key",
            {"ledger": name, "validator": index, "public_key": validator_keys.public_key(nodes[index].home).hex()},
        )


async def _run(
    folder: Folder,
    name: str,
    nodes: tuple[Node, ...],
    index: int,
    report: Report,
    links: Mapping[int, int] | None,
    prepare: Prepare | None,
    applications: Mapping[str, Application] | None,
) -> None:
    """Application and node until the next key is to sign."""
    node, binary = nodes[index], find_binary()
    through = ("--p2p.persistent_peers", _peers(node, nodes, links)) if links else ()
    genesis, (versions, blocks) = genesis_of(folder, name), kept(folder, name)
    store = LedgerStore.open(node.home / "application.sqlite")
    try:
        await leftover.gone(node)  # the store is this process's alone, so no application is behind that node
        state = MultiStore(stores.STORES, SqliteNodes(store.connection))
        if empty := prepare is not None and not state.version:
            await prepare(node, tuple(other for other in nodes if other is not node))
        application = CometBftApplication(
            genesis,
            store,
            state,
            keep_versions=versions,
            keep_blocks=blocks,
            snapshots=SnapshotFiles(node.home / "snapshots"),
            snapshot_every=int(read_json(folder.ledger(name) / "cluster.json").get("snapshot_every", SNAPSHOT_EVERY)),
            applications=applications,
        )
        collector.settle()
        with tempfile.TemporaryDirectory(prefix="lockgate-") as short:  # a socket's path has 107 bytes at most
            path = Path(short) / "app"
            server = AbciServer(application, path, lambda error: _tell(report, error))
            await server.start()
            try:
                within_s = cometbft.SYNC_S if empty else START_S
                await _run_node(binary, node, path, folder.ledger(name), application, report, through, within_s)
            finally:
                await server.stop()
    finally:
        store.close()


def _peers(node: Node, nodes: Sequence[Node], links: Mapping[int, int]) -> str:
    """The peers of a node's configuration, each at the port where it is to be reached."""
    config = tomllib.loads((node.home / "config" / "config.toml").read_text())
    ports = {str(other.p2p): str(links.get(other.index, other.p2p)) for other in nodes}
    apart = (peer.rpartition(":") for peer in str(config["p2p"]["persistent_peers"]).split(","))
    return ",".join(f"{where}:{ports.get(port, port)}" for where, _, port in apart)


async def _run_node(
    binary: Path,
    node: Node,
    path: Path,
    ledger: Path,
    application: CometBftApplication,
    report: Report,
    through: tuple[str, ...],
    within_s: float,
) -> None:
    with (node.home / "node.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            str(binary), "start", "--home", str(node.home), "--proxy_app", f"unix://{path}", *through,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    ended = asyncio.create_task(process.wait())
    try:
        write_json(node.home / "process.json", {"application": os.getpid(), "node": process.pid})
        await _answers(node, ended, within_s)
        if node.index == 0:
            record = {"rpc": node.address, "pid": os.getpid(), "chain_id": application.genesis.chain_id}
            write_json(ledger / "address.json", {**record, "domain": application.genesis.domain_id.hex()})
        report("ready", {"ledger": ledger.name, "validator": node.index})
        while not ended.done() and not _is_followed(node, application):
            await asyncio.wait((ended,), timeout=LOOK_S)
        if ended.done():
            log_file = str(node.home / "node.log")
            raise NodeEnded("it ended", validator=node.index, status=process.returncode, log=log_file)
    finally:
        try:
            if process.returncode is None:
                process.terminate()
                await asyncio.wait_for(asyncio.shield(ended), STOP_S)
        except TimeoutError:
            process.kill()
            await ended
        except asyncio.CancelledError:
            process.kill()  # told to end a second time: there is no waiting any more
            raise
        finally:
            (node.home / "process.json").unlink(missing_ok=True)


def _is_followed(node: Node, application: CometBftApplication) -> bool:
    """Does the node's next key sign the next block? A file of it that does not read is for who rotates to refuse."""
    with contextlib.suppress(validator_keys.BadValidatorKey):
        following = validator_keys.following(node.home)
        if following is not None:
            signers = signing(application.view(), application.genesis, application.height + 1)
            return following.public_key in dict(signers.members)
    return False


async def _answers(node: Node, ended: asyncio.Task[int], within_s: float) -> None:
    """Wait until the node serves its RPC and has a block: before that it does not know the ledger's time."""
    serving = asyncio.create_task(_serving(node))
    try:
        await asyncio.wait({serving, ended}, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            for port in (node.rpc, node.p2p):
                listen(port).close()  # where another program has it, that is why
            raise NodeEnded("it ended at once", validator=node.index, log=str(node.home / "node.log"))
        if not serving.done():
            raise NodeEnded("it does not answer", validator=node.index, within_s=within_s)
        await serving
    finally:
        serving.cancel()
        await asyncio.wait({serving})


async def _serving(node: Node) -> None:
    async with Rpc(node.address) as rpc:
        while True:
            with contextlib.suppress(LockgateError):
                if int((await rpc.call("status"))["sync_info"]["latest_block_height"]):
                    return
            await asyncio.sleep(POLL_S)


def _tell(report: Report, error: LockgateError) -> None:
    report("application", {"code": error.code, "detail": str(error)})


__all__ = ("run",)
