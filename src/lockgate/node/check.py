"""Checks that need no running process: proof bundles, and a ledger's whole store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lockgate.engines.cometbft.checking import check
from lockgate.engines.embedded.recovery import check_blocks
from lockgate.engines.embedded.replay import audit, replay, stored_state
from lockgate.engines.shared.audit import StoreTampered
from lockgate.machine.genesis import Genesis
from lockgate.node import applications
from lockgate.node.bundle import MAX_BUNDLE, BadBundle
from lockgate.node.cometbft import is_cluster, nodes_of
from lockgate.node.findings import Finding, header_hashes, verify
from lockgate.node.folder import Folder, NotInitialised
from lockgate.storage.ledger import LedgerStore
from lockgate.storage.memory import MemoryNodes
from lockgate.storage.nodes import SqliteNodes


def bundle(path: Path, trusted: Sequence[str]) -> Finding:
    """Verify a bundle file. Raises BadBundle, BadTrust, UntrustedStart, or what its proofs violate."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BUNDLE + 1)
    except OSError as error:
        raise BadBundle("the file cannot be read", file=str(path)) from error
    return verify(data, header_hashes(trusted))


def store(folder: Folder, name: str) -> dict[str, Any]:
    """Walk every block and the stored state of a stopped ledger, then run the blocks again and compare every root.

    Raises StoreTampered with the first bad height. Of a cluster it is each validator's application (`_cluster`).
    """
    path = folder.ledger(name) / "genesis.cbor"
    if not path.exists():
        raise NotInitialised("no such ledger", name=name)
    genesis = Genesis.from_bytes(path.read_bytes())
    if is_cluster(folder, name):
        return _cluster(folder, name, genesis)
    opened = LedgerStore.open(path.parent / "ledger.sqlite")
    try:
        tip = opened.tip()
        height = 0 if tip is None else tip.height
        first = max(opened.base_height(), 1)
        state = stored_state(SqliteNodes(opened.connection))
        check_blocks(genesis, opened, state, range(first, height + 1))
        if height:
            audit(opened, state)
        if first == 1:
            replay(
                genesis, opened, MemoryNodes(), height, applications.of(path.parent)
            )  # else the blocks to run again are pruned
    finally:
        opened.close()
    blocks = height - first + 1 if height else 0
    return {"ledger": name, "blocks": blocks, "verified": True, "app_hash": tip.app_hash.hex() if tip else ""}


def _cluster(folder: Folder, name: str, genesis: Genesis) -> dict[str, Any]:
    """The stores of a cluster's stopped validators, each against itself, and their roots against each other's.

    Raises StoreTampered with validator and height, StoreInUse for a validator that runs.
    """
    found: dict[int, dict[int, bytes]] = {}
    for node in nodes_of(folder, name):
        path = node.home / "application.sqlite"
        if not path.exists():
            continue
        opened = LedgerStore.open(path)
        try:
            found[node.index] = check(genesis, opened, stored_state(SqliteNodes(opened.connection)))
        except StoreTampered as failure:
            raise StoreTampered(failure.detail, validator=node.index, **failure.fields) from failure
        finally:
            opened.close()
    heights = sorted(set().union(*found.values())) if found else []
    for height in heights:
        said = {number: roots[height] for number, roots in found.items() if height in roots}
        if len(set(said.values())) > 1:
            raise StoreTampered("the validators have unlike roots", height=height, validators=sorted(said))
    newest = next((roots[heights[-1]].hex() for roots in found.values() if heights and heights[-1] in roots), "")
    return {"ledger": name, "validators": sorted(found), "roots": len(heights), "verified": True, "app_hash": newest}
