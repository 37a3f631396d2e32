"""Finds the cluster that runs in a data folder, and asks it. Loads little: each `lockgate net` command starts anew."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lockgate.node import socket
from lockgate.node.folder import Folder, NotRunning, read_json
from lockgate.primitives.errors import LockgateError, Refused, Unavailable

RECORD: Final = "net.json"
END_S: Final = 60.0
POLL_S: Final = 0.05


class NetNotRunning(Unavailable):
    code = "net.not_running"
    summary = "No cluster runs in this data folder."
    untouched = "Nothing was changed."
    next_step = "Start one with `lockgate net up`, or name the folder of a running one with --data."


class NetRefused(Refused):
    code = "net.refused"
    summary = "The cluster cannot do that."
    untouched = "Nothing was changed."
    next_step = "`lockgate net status` shows its validators, which of them are down, and which links are cut."


class NetStays(Unavailable):
    code = "net.still_ending"
    summary = "The cluster was told to end and has not done so."
    untouched = "Its ledger is as it is; nothing else was stopped."
    next_step = "Wait and look with `lockgate net status`; its log is under `logs` in the data folder."


@dataclass(frozen=True, slots=True)
class Record:
    """What a running cluster says of itself beside its ledger."""

    ledger: str
    socket: Path
    pid: int
    by: str
    validators: int
    chain_id: str


def recorded(folder: Folder, name: str) -> Record | None:
    """A ledger's record, which may be one of a process that was killed; None where there is none that reads."""
    try:
        value = read_json(folder.ledger(name) / RECORD)
        return Record(
            name,
            Path(value["socket"]),
            int(value["pid"]),
            str(value["by"]),
            int(value["validators"]),
            str(value["chain_id"]),
        )
    except (LockgateError, LookupError, TypeError, ValueError):
        return None


async def answers(folder: Folder, name: str) -> Record | None:
    """The record of a cluster that runs."""
    found = recorded(folder, name)
    return found if found is not None and await _listens(found.socket) else None


async def find(folder: Folder, name: str | None = None) -> Record:
    """The cluster that runs in a folder. Raises NetNotRunning, and NetRefused where several do and none is named."""
    names = [name] if name else folder.names("ledgers")
    left = [record for record in (recorded(folder, each) for each in names) if record is not None]
    running = [record for record in left if await _listens(record.socket)]
    if len(running) > 1:
        raise NetRefused(f"several clusters run here, name one with --ledger: {', '.join(r.ledger for r in running)}")
    if running:
        return running[0]
    where = {"folder": str(folder.root)} | ({"ledger": name} if name else {})
    if left:
        gone = ", ".join(f"{record.ledger} (process {record.pid})" for record in left)
        raise NetNotRunning(f"what ran it is gone: {gone}", **where)
    raise NetNotRunning("nothing runs here", **where)


async def ask(record: Record, verb: str, **arguments: Any) -> dict[str, Any]:
    """Ask a running cluster. Raises NetNotRunning, and what it refuses as RemoteRefusal."""
    try:
        return await socket.call(record.socket, verb, **arguments)
    except NotRunning as error:
        raise NetNotRunning("it ended while it was asked", ledger=record.ledger, pid=record.pid) from error


async def down(folder: Folder, name: str | None = None) -> dict[str, Any]:
    """End the cluster that `net up` left running, and wait for it.

    Raises NetNotRunning, NetStays, and what it refuses.
    """
    record = await find(folder, name)
    await ask(record, "down")
    try:
        async with asyncio.timeout(END_S):
            # Its socket goes first and its record last: then every process has ended.
            while recorded(folder, record.ledger) is not None:
                await asyncio.sleep(POLL_S)
    except TimeoutError as error:
        raise NetStays("its record is still there", ledger=record.ledger, pid=record.pid, waited_s=END_S) from error
    return {"ledger": record.ledger, "pid": record.pid}


async def _listens(path: Path) -> bool:
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_unix_connection(str(path))
        writer.close()
        return True
    return False


__all__ = (
    "RECORD",
    "NetNotRunning",
    "NetRefused",
    "NetStays",
    "Record",
    "answers",
    "ask",
    "down",
    "find",
    "recorded",
)
