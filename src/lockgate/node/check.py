"""Checks that need no running process: proof bundles, and a ledger's whole store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lockgate.engines.embedded.recovery import check_blocks
from lockgate.engines.embedded.replay import replay
from lockgate.machine.genesis import Genesis
from lockgate.node import bundle as bundles
from lockgate.node.folder import Folder, NotInitialised
from lockgate.storage.ledger import LedgerStore
from lockgate.storage.memory import MemoryNodes


def bundle(path: Path, trusted: str | None) -> bundles.Finding:
    """Verify a bundle file. Raises BadBundle, UntrustedStart, or what its proofs violate."""
    try:
        data = path.read_bytes()
        start = None if trusted is None else bytes.fromhex(trusted)
    except (OSError, ValueError) as error:
        raise bundles.BadBundle("the file or the trusted hash cannot be read", file=str(path)) from error
    return bundles.verify(data, start)


def store(folder: Folder, name: str) -> dict[str, Any]:
    """Walk every block of a stopped ledger, then run them all again and compare every root.

    Raises StoreTampered with the first bad height.
    """
    path = folder.ledger(name) / "genesis.cbor"
    if not path.exists():
        raise NotInitialised("no such ledger", name=name)
    genesis = Genesis.from_bytes(path.read_bytes())
    opened = LedgerStore.open(path.parent / "ledger.sqlite")
    try:
        tip = opened.tip()
        height = 0 if tip is None else tip.height
        check_blocks(genesis, opened, range(1, height + 1))
        replay(genesis, opened, MemoryNodes(), height)
    finally:
        opened.close()
    return {"ledger": name, "blocks": height, "verified": True, "app_hash": tip.app_hash.hex() if tip else ""}
