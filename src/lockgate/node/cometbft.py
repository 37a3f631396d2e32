"""A CometBFT ledger of this folder: its binary, its nodes' homes, and one node with its application.

A cluster lies under `ledgers/NAME`: `genesis.cbor`, `cluster.json` with every node's ports, and `validators/I` with
the node's home and the application's store. `node.validator` runs one.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from lockgate.engines.embedded.rpc_values import consensus_params_json
from lockgate.engines.shared.document import genesis_document
from lockgate.machine.genesis import Genesis, GenesisValidator, LedgerClass, Parameters
from lockgate.node import validator_keys
from lockgate.node.clock import SystemClock
from lockgate.node.cometbft_binary import INSTALL, NoCometBft, find_binary, version_of
from lockgate.node.engine import OtherEngine
from lockgate.node.folder import Folder, NotInitialised, read_json, write_json
from lockgate.node.kept import genesis_of
from lockgate.node.ledger import authority_signer, ledger_keys
from lockgate.node.parameters import check_same
from lockgate.node.ports import free_ports
from lockgate.primitives.errors import LockgateError, Refused, Unavailable
from lockgate.primitives.ids import ChainId

FEWEST: Final = 4  # of a ledger of class bft
POWER: Final = 10
START_S: Final = 60.0
SYNC_S: Final = 3_600.0  # for a node that takes the state from others first
CONNECT_S: Final = 0.5
STOP_S: Final = 10.0
COMMAND_S: Final = 60.0  # keys and a configuration are made in milliseconds
POLL_S: Final = 0.05
LOOK_S: Final = 0.5  # between two looks for a next key
HEARTBEAT_S: Final = 5.0


Prepare = Callable[["Node", tuple["Node", ...]], Awaitable[object]]


class NodeEnded(Unavailable):
    code = "cometbft.node_ended"
    summary = "The CometBFT node of a ledger ended, or did not begin to answer."
    untouched = "What was committed is kept; the next start goes on from there."
    next_step = "Read the end of `node.log` beside the node's home."


class BadCluster(Refused):
    code = "cometbft.cluster"
    summary = "A ledger on CometBFT has one validator, or four and more."
    untouched = "Nothing was written."
    next_step = "Choose 1 (one operator signs) or at least 4 (Byzantine fault tolerant)."


@dataclass(frozen=True, slots=True)
class Node:
    """One validator of a cluster: where it lives, and where it listens on the loopback address."""

    index: int
    home: Path
    rpc: int
    p2p: int

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.rpc}"


def is_cluster(folder: Folder, name: str) -> bool:
    """Does CometBFT order this ledger's blocks?"""
    return (folder.ledger(name) / "cluster.json").exists()


def nodes_of(folder: Folder, name: str) -> tuple[Node, ...]:
    """The validators of a ledger. Raises NotInitialised."""
    home = folder.ledger(name)
    try:
        rows = read_json(home / "cluster.json")["nodes"]
        if not rows:
            raise LookupError("no node")
        return tuple(
            Node(index, home / "validators" / str(index), int(row["rpc"]), int(row["p2p"]))
            for index, row in enumerate(rows)
        )
    except (LookupError, TypeError, ValueError) as error:
        raise NotInitialised("cluster.json is damaged", ledger=name) from error


def processes_of(node: Node) -> dict[str, int]:
    """Process ids of a validator's `application` and `node` as they recorded them; empty while it is down."""
    try:
        return {half: int(pid) for half, pid in read_json(node.home / "process.json").items()}
    except (LockgateError, AttributeError, TypeError, ValueError):
        return {}


def address_now(folder: Folder, name: str) -> str:
    """A node of a ledger that listens now, for the operator's own tools. Raises NotRunning, NotInitialised.

    Hosts and relayers do not ask here: they read several nodes and compare.
    """
    if not is_cluster(folder, name):
        return folder.ledger_address(name)
    nodes = nodes_of(folder, name)
    for node in nodes:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", node.rpc), CONNECT_S):
            return node.address
    return nodes[0].address


def create(folder: Folder, name: str, chain_id: str, count: int, parameters: Parameters | None = None) -> Genesis:
    """Make a cluster's keys, genesis and homes, once; returns the genesis that is there.

    Raises BadCluster, NoCometBft, OtherEngine, OtherParameters.
    """
    home = folder.ledger(name)
    if (home / "cluster.json").exists():
        return check_same(genesis_of(folder, name), parameters)
    if (home / "genesis.cbor").exists() and not (home / "validators").exists():
        raise OtherEngine("it runs on the embedded engine", ledger=name, folder=str(folder.root))
    if count != 1 and count < FEWEST:
        raise BadCluster("another number", validators=count)
    binary = find_binary()
    keys = ledger_keys(folder, name)
    ports = free_ports(2 * count)  # kept for the cluster's life, so that its nodes find each other
    pairs = enumerate(zip(ports[::2], ports[1::2], strict=True))
    nodes = [Node(index, home / "validators" / str(index), rpc, p2p) for index, (rpc, p2p) in pairs]
    for node in nodes:
        _command(binary, "init", "--home", str(node.home))
    genesis = Genesis(
        chain_id=ChainId(chain_id),
        ledger_class=LedgerClass.OPERATED if count == 1 else LedgerClass.BFT,
        time=SystemClock().now(),
        validators=tuple(GenesisValidator(public_key(node), POWER) for node in nodes),
        accounts=(),
        authority=(authority_signer(keys).key,),
        parameters=replace(parameters or Parameters(), header_trail=True),  # so that nodes can take the state in
    )
    document = genesis_document(genesis, consensus_params_json(genesis.parameters.max_block_bytes))
    ids = [_command(binary, "show-node-id", "--home", str(node.home)).strip() for node in nodes]
    peers = [f"{ident}@127.0.0.1:{node.p2p}" for ident, node in zip(ids, nodes, strict=True)]
    for node in nodes:
        write_json(node.home / "config" / "genesis.json", document)
        path = node.home / "config" / "config.toml"
        others = ",".join(peer for peer, other in zip(peers, nodes, strict=True) if other is not node)
        path.write_text(configured(path.read_text(), _settings(node, others)))
    (home / "genesis.cbor").write_bytes(genesis.to_bytes())
    write_json(home / "cluster.json", {"nodes": [{"rpc": node.rpc, "p2p": node.p2p} for node in nodes]})
    return genesis


def join(folder: Folder, name: str) -> Node:
    """Make one more node of a cluster, with a key of its own. It follows until the authority makes it a validator.

    Raises NotInitialised, NoCometBft, NodeEnded.
    """
    others, binary, home = nodes_of(folder, name), find_binary(), folder.ledger(name)
    rpc, p2p = _apart_from(others)
    node = Node(len(others), home / "validators" / str(len(others)), rpc, p2p)
    _command(binary, "init", "--home", str(node.home))
    shutil.copy(others[0].home / "config" / "genesis.json", node.home / "config" / "genesis.json")
    ids = [_command(binary, "show-node-id", "--home", str(other.home)).strip() for other in others]
    peers = ",".join(f"{ident}@127.0.0.1:{other.p2p}" for ident, other in zip(ids, others, strict=True))
    path = node.home / "config" / "config.toml"
    path.write_text(configured(path.read_text(), _settings(node, peers)))
    record = read_json(home / "cluster.json")
    write_json(home / "cluster.json", {**record, "nodes": [*record["nodes"], {"rpc": rpc, "p2p": p2p}]})
    return node


def _settings(node: Node, peers: str) -> dict[tuple[str, str], str]:
    return {
        ("rpc", "laddr"): f'"tcp://127.0.0.1:{node.rpc}"',
        ("rpc", "max_request_batch_size"): "1000",  # hosts and relayers ask for a block's proofs at once
        ("p2p", "laddr"): f'"tcp://127.0.0.1:{node.p2p}"',
        ("p2p", "persistent_peers"): f'"{peers}"',
        ("p2p", "addr_book_strict"): "false",  # every address is a loopback one
        ("p2p", "allow_duplicate_ip"): "true",
        ("p2p", "pex"): "false",
        # Blocks on demand and a heartbeat, as the embedded engine makes them (I5): one with transactions, one
        # that carries the root it left, and one every few seconds so that timeouts happen.
        ("consensus", "create_empty_blocks"): "false",
        ("consensus", "create_empty_blocks_interval"): f'"{HEARTBEAT_S:g}s"',
        ("consensus", "timeout_commit"): '"200ms"',
        ("consensus", "skip_timeout_commit"): "true",
    }


def configured(text: str, settings: dict[tuple[str, str], str]) -> str:
    """A config.toml with some values changed. Raises NoCometBft when it lacks one of them: another version's."""
    left, section, lines = dict(settings), "", []
    for line in text.splitlines():
        head = re.match(r"\[(\S+)\]", line)
        section = head[1] if head else section
        key = line.partition(" = ")[0]
        value = left.pop((section, key), None)
        lines.append(line if value is None else f"{key} = {value}")
    if left:
        raise NoCometBft("its configuration has another form", lacks=", ".join(".".join(key) for key in left))
    return "\n".join(lines) + "\n"


def _command(binary: Path, *arguments: str) -> str:
    command = [str(binary), *arguments]
    try:
        done = subprocess.run(  # noqa: S603  # a program found by name, arguments of our own
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=COMMAND_S
        )
    except subprocess.TimeoutExpired as error:
        raise NodeEnded("a command does not end", command=arguments[0], within_s=COMMAND_S) from error
    if done.returncode:
        raise NodeEnded("a command failed", command=arguments[0], said=done.stderr.strip()[-200:])
    return done.stdout


def public_key(node: Node) -> bytes:
    """The Ed25519 key that a node's validator signs with. Raises BadValidatorKey."""
    return validator_keys.public_key(node.home)


def _apart_from(others: Sequence[Node]) -> tuple[int, int]:
    """Two ports that are free now and no other node's, for that may not be running."""
    taken = {port for node in others for port in (node.rpc, node.p2p)}
    rpc, p2p, *_ = (port for port in free_ports(2 + len(taken)) if port not in taken)
    return rpc, p2p


__all__ = (
    "INSTALL",
    "BadCluster",
    "NoCometBft",
    "Node",
    "NodeEnded",
    "address_now",
    "configured",
    "create",
    "find_binary",
    "is_cluster",
    "join",
    "nodes_of",
    "processes_of",
    "public_key",
    "version_of",
)
