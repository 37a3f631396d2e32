"""A host's configuration as a file of the data folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lockgate.hosting.config import BULK_BYTES, EpochLimits, HostConfig, LedgerRef, PeerRef
from lockgate.node.folder import NotInitialised, read_json, write_json


def save(config: HostConfig, path: Path) -> None:
    write_json(path, asdict(config))


def change(path: Path, changed: Callable[[HostConfig], HostConfig]) -> HostConfig:
    """Replace what the file says now by what `changed` makes of it: one process at a time, so that none undoes what
    another wrote while it looked something up. Raises NotInitialised."""
    lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = load(path)
        after = changed(before)
        if after != before:
            save(after, path)
    finally:
        os.close(lock)
    return after


def load(path: Path) -> HostConfig:
    """Read what `save` wrote. Raises NotInitialised."""
    value: dict[str, Any] = read_json(path)
    try:
        return HostConfig(
            name=value["name"],
            guest=value["guest"],
            endpoint=value["endpoint"],
            records=tuple(value["records"]),
            local=ledger_ref(value["local"]),
            remotes=tuple(map(ledger_ref, value["remotes"])),
            peers={
                alias: PeerRef(**{**peer, "blobs": tuple(peer.get("blobs", ()))})
                for alias, peer in value["peers"].items()
            },
            blobs=tuple(value.get("blobs", ())),
            sessions=bool(value.get("sessions", True)),
            bulk_bytes=int(value.get("bulk_bytes", BULK_BYTES)),
            bulk_total=int(value.get("bulk_total", 4 * BULK_BYTES)),
            epochs=EpochLimits(**value.get("epochs", {})),
            archive_s=_archive(value.get("archive_s")),  # a host made before there was the setting keeps all
            max_gas_price=int(value.get("max_gas_price", 0)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise NotInitialised("the host's record has another shape", file=str(path)) from error


def _archive(value: object) -> int | None:
    return None if value is None else int(str(value))


def ledger_ref(value: dict[str, Any]) -> LedgerRef:
    """Raises KeyError, TypeError, ValueError for a record of another shape."""
    lists = {name: tuple(map(str, value.get(name, ()))) for name in ("rules", "sources")}
    return LedgerRef(**{**value, **lists, "required": int(value.get("required", 0))})


__all__ = ("change", "ledger_ref", "load", "save")
