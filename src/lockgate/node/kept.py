"""How much of the past the validators of a cluster keep: `keep_versions` and `keep_blocks` in its `cluster.json`."""

from __future__ import annotations

from typing import Any

from lockgate.engines.cometbft import retention
from lockgate.engines.embedded.retention import KEEP
from lockgate.machine.genesis import Genesis
from lockgate.node.folder import Folder, NotInitialised, read_json, write_json


def genesis_of(folder: Folder, name: str) -> Genesis:
    return Genesis.from_bytes((folder.ledger(name) / "genesis.cbor").read_bytes())


def keep(folder: Folder, name: str, *, versions: int | None = None, blocks: int | None = None) -> None:
    """Say what they keep from their next start on; None leaves what was said. Raises TooFewBlocks, NotInitialised."""
    path = folder.ledger(name) / "cluster.json"
    said = {"keep_versions": versions, "keep_blocks": blocks}
    record = {**read_json(path), **{field: value for field, value in said.items() if value is not None}}
    retention.check(genesis_of(folder, name).parameters, *_of(record))
    write_json(path, record)


def kept(folder: Folder, name: str) -> tuple[int, int]:
    """Versions of the state, and blocks (0: all). Raises TooFewBlocks, NotInitialised."""
    versions, blocks = _of(read_json(folder.ledger(name) / "cluster.json"))
    retention.check(genesis_of(folder, name).parameters, versions, blocks)
    return versions, blocks


def _of(record: dict[str, Any]) -> tuple[int, int]:
    try:
        return int(record.get("keep_versions", KEEP.versions)), int(record.get("keep_blocks", KEEP.blocks))
    except (TypeError, ValueError) as error:
        raise NotInitialised("cluster.json is damaged", field="keep_versions or keep_blocks") from error


__all__ = ("genesis_of", "keep", "kept")
