"""Accepting the rules of a ledger for a host, as its operator (P16).

What is shown and pinned is what the host's own light client proves, from the fingerprint in its configuration:
the node decides nothing. The new pin is written whole or not at all, and a running host is told.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from typing import Any, Final

from lockgate.codec import cbor
from lockgate.hosting.config import HostConfig, LedgerRef
from lockgate.hosting.reader import ProvenReader
from lockgate.machine import keys
from lockgate.node.clock import SystemClock
from lockgate.node.config import change as change_config
from lockgate.node.config import load as load_config
from lockgate.node.folder import Folder, NotRunning
from lockgate.node.socket import call
from lockgate.node.sources import Nodes, open_ledger
from lockgate.primitives.errors import Refused

DIGEST: Final = re.compile(r"[0-9a-f]{64}")
Row = dict[str, Any]


class NoSuchRules(Refused):
    code = "node.no_such_rules"
    summary = "There are no rules to accept under that name."
    untouched = "The host's pins are what they were."
    next_step = "Name a ledger the host follows with --ledger, and digests of 64 hexadecimal digits with it."


async def accept(folder: Folder, name: str, ledger: str = "", ahead: tuple[str, ...] = ()) -> list[Row]:
    """Prove the rules of a host's ledgers and accept them; returns a row for each ledger: old pin, new pin, parameters.

    Without `ledger`, every ledger is looked at, and those at accepted rules are left as they are. `ahead` are digests
    of announced rules: they are accepted beside those in force, which then have to be accepted ones already or
    become so. Raises NoSuchRules, NotInitialised, NotRunning, and what proving raises.
    """
    path = folder.host(name) / "endpoint.json"
    config = load_config(path)
    refs = [ref for ref in (config.local, *config.remotes) if ledger in {"", ref.name}]
    if not refs or (ahead and not ledger) or not all(map(DIGEST.fullmatch, ahead)):
        raise NoSuchRules("no such ledger or digest", host=name, ledger=ledger, digests=" ".join(ahead))
    proven = {ref.name: await _proven(folder, ref) for ref in refs}
    rows: list[Row] = []

    def pinned(now: HostConfig) -> HostConfig:
        """Beside what was pinned while this proved."""
        refs = (now.local, *now.remotes)
        rows[:] = [_row(ref, proven[ref.name], ahead) for ref in refs if ref.name in proven]
        return _pinned(now, {row["ledger"]: tuple(row["accepted"]) for row in rows})

    change_config(path, pinned)
    changed = {row["ledger"]: row["accepted"] for row in rows if row["accepted"] != row["pinned"]}
    for each, digests in changed.items():
        with contextlib.suppress(NotRunning):  # it reads its pins when it starts
            await call(folder.host(name) / "host.sock", "accept_rules", ledger=each, digests=digests)
    return rows


def lines(row: Row) -> list[list[str]]:
    """A row as lines for a person."""
    found = [[name, str(row[name])] for name in ("proven", "height")]
    found[:0] = [["pinned before", " ".join(row["pinned"]) or "nothing"]]
    found += [["accepted now", " ".join(row["accepted"])]]
    return found + [[f"  {name}", str(value)] for name, value in row["parameters"].items()]


async def _proven(folder: Folder, ref: LedgerRef) -> Row:
    chain = await open_ledger(folder, ref.name, Nodes(ref.sources, ref.required), _unheard)
    try:
        reader = ProvenReader(chain, ref.follower(), SystemClock())
        height = await reader.latest()
        proven = (await reader.value(keys.RULES, keys.RULES_DIGEST, height) or b"").hex()
        parameters: Any = cbor.decode(await reader.value(keys.RULES, keys.RULES_PARAMETERS, height) or b"\xa0")
    finally:
        await chain.rpc.close()
    return {"ledger": ref.name, "proven": proven, "height": height, "parameters": parameters}


def _row(ref: LedgerRef, proven: Row, ahead: tuple[str, ...]) -> Row:
    digest = proven["proven"]
    kept = ref.rules if digest in ref.rules else (digest,)  # rules left behind are accepted no more
    return {**proven, "pinned": list(ref.rules), "accepted": list(dict.fromkeys((*kept, *ahead)))}


def _unheard(kind: str, fields: dict[str, object]) -> None:
    """What is not agreed on is raised; alarms are the running host's to tell."""


def _pinned(config: HostConfig, changed: dict[str, tuple[str, ...]]) -> HostConfig:
    local, *remotes = (
        dataclasses.replace(ref, rules=changed.get(ref.name, ref.rules)) for ref in (config.local, *config.remotes)
    )
    return dataclasses.replace(config, local=local, remotes=tuple(remotes))


__all__ = ("NoSuchRules", "accept", "lines")
