"""`lockgate doctor`: is everything here that a deployment needs, and does what runs run well?

Each check says what it found in one sentence and, where something is wrong, what to do. Nothing is changed, no key
is opened, and a check that cannot be made says why.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from pathlib import Path
from typing import Any, Final

from lockgate.node import cometbft, relay_record, schedule
from lockgate.node.clock import SystemClock
from lockgate.node.config import load as load_config
from lockgate.node.custody import HARDWARE, custody
from lockgate.node.equipment import Check, Level, basics, tools
from lockgate.node.folder import Folder
from lockgate.node.issuing import NoOperator
from lockgate.node.keys import last_rotation
from lockgate.node.keystores import Party, parties
from lockgate.node.ledgers import Ledger, Ledgers
from lockgate.node.passes import BadPass
from lockgate.node.provision import described
from lockgate.node.rotating import rotates
from lockgate.node.socket import RemoteRefusal, call
from lockgate.node.sources import Nodes, nodes_of
from lockgate.node.suites import endings
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos
from lockgate.relay.kinds import KINDS, OtherKind
from lockgate.session.tokens import AGE_S
from lockgate.storage.signstate import SignState

LITTLE_DISK: Final = 1 << 30  # a day of a busy ledger
NO_DISK: Final = 100 << 20  # below it a block may not fit any more
DRIFT_S: Final = 40  # how far a client lets a ledger's clock run ahead of its own
HALTED_S: Final = 60
REFRESH_FRACTION: Final = 3  # relayers refresh a client at a third of its trusting period
OVERDUE_S: Final = 3_600


async def examine(folder: Folder) -> list[Check]:
    """Make every check; one that breaks down is a finding itself."""
    checks = [*basics(), _data_folder(folder), _disk(folder.root)]
    async with Ledgers(folder) as ledgers:
        for name in folder.names("ledgers"):
            ledger = ledgers.found.get(name)
            checks += (
                [Check(f"ledger {name}", Level.NOTE, "It does not run.", "Start it with `lockgate up`.")]
                if (ledger is None)
                else await _ledger(ledger, ledgers)
            )
            checks.append(_sign_state(folder, name, await _height(folder, name, ledger)))
        for name in folder.names("hosts"):
            checks += await _suites(folder, name, ledgers)
    for name in folder.names("hosts"):
        checks += [await _host(folder, name), *_kept(folder, name)]
    for kind in ("hosts", "relays"):
        for name in folder.names(kind):
            checks += _sources(folder, kind, name)
    for party in parties(folder):
        checks += [*_keys(folder, party), *_overdue(party, SystemClock().now())]
    clusters = [name for name in folder.names("ledgers") if cometbft.is_cluster(folder, name)]
    return [*checks, *tools(clusters)]


# The data folder.


def _data_folder(folder: Folder) -> Check:
    root = folder.root
    if not root.is_dir():
        return Check("data folder", Level.NOTE, f"There is none at {root}.", "`lockgate up` makes it.")
    private = [
        root,
        root / "passphrase",
        *root.glob("*/*/keys"),
        *root.glob("*/*/tpm"),
        *root.glob("hosts/*/host.sqlite"),
    ]
    open_ones = [path for path in private if path.exists() and path.stat().st_mode & 0o077]
    if open_ones:
        names = ", ".join(str(path.relative_to(root.parent)) for path in open_ones[:3])
        return Check("data folder", Level.FAIL, f"Others on this machine may read {names}.", "Run chmod go= on them.")
    return Check("data folder", Level.OK, "Only its owner can read it.")


def _disk(root: Path) -> Check:
    place = next(path for path in (root, *root.parents) if path.exists())
    free = shutil.disk_usage(place).free
    found = f"{free / (1 << 30):.1f} GiB are free."
    if free < NO_DISK:
        return Check("disk", Level.FAIL, found, "Make room; a ledger stops at a block that it cannot store.")
    if free < LITTLE_DISK:
        return Check("disk", Level.WARN, found, "Make room before the ledgers need it.")
    return Check("disk", Level.OK, found)


def _sign_state(folder: Folder, name: str, height: int | None) -> Check:
    """P12: the sign-state may be a height ahead of the store, never behind it."""
    label, paths = f"sign-state {name}", folder.sign_states(name)
    if not paths:
        if not height:
            return Check(label, Level.NOTE, "Nothing was signed yet.")
        return Check(label, Level.FAIL, "It is missing.", "Put the file back, or start under a new revision.")
    signed = 0  # under the newest key that has signed: each file ends where the next one goes on
    for path in paths:
        state = SignState.open(path, fresh=True)
        signed = max(signed, state.height)
        state.close()
    if height is None:
        return Check(label, Level.NOTE, f"Signed up to height {signed}; the store is in use and was not compared.")
    if signed > height + 1:
        return Check(
            label,
            Level.FAIL,
            f"Height {signed} was signed and the store ends at {height}: blocks are lost or a backup was restored.",
            "Start the ledger again under a new revision; it refuses to sign under this one.",
        )
    if signed < height:
        return Check(label, Level.FAIL, f"It ends at {signed}, the store at {height}.", "Put back the newest file.")
    return Check(label, Level.OK, f"Signed up to height {signed}, stored up to {height}.")


async def _height(folder: Folder, name: str, ledger: Ledger | None) -> int | None:
    """Newest stored height: of a running ledger as it says, of a stopped one from its file."""
    if ledger is not None:
        return (await ledger.chain.tip()).height.height
    path = folder.ledger(name) / "ledger.sqlite"
    if not path.exists():
        return 0
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
            return int(connection.execute("SELECT coalesce(max(height), 0) FROM block").fetchone()[0])
    except sqlite3.Error:
        return None


def _keys(folder: Folder, party: Party) -> list[Check]:
    """Where each half of a party's keys lies, and for which thief that is enough (P22)."""
    found = custody(folder, party)
    if not found:
        return [Check(f"keys of {party.label}", Level.NOTE, "In a file; it was made before places were recorded.")]
    kept = [each.kind in HARDWARE and not each.warning for each in found]
    levels = [Level.OK if good else Level.NOTE for good in kept]
    return [Check(f"keys of {party.label}", level, each.sentence()) for level, each in zip(levels, found, strict=True)]


def _overdue(party: Party, now: UnixNanos) -> list[Check]:
    """Keys whose rotation was due an hour ago and more: whoever makes it looks every minute, where it runs."""
    found = []
    for key in ("",) if party.kind == "hosts" else rotates(party):
        label = f"rotation of {party.label} {key}".rstrip()
        try:
            due = schedule.read(party.home, key).due(last_rotation(party, key))
        except LockgateError as error:
            found.append(Check(label, Level.FAIL, "Its schedule does not read.", error.next_step))
            continue
        late = 0 if due is None else (now - due) // NANOS_PER_SECOND
        if late > OVERDUE_S:
            ask = f"`lockgate keys rotate {party.path} {key}".rstrip() + "`, and read its log for why it was not made."
            found.append(Check(label, Level.WARN, f"It was due {late // 3_600} h ago.", ask))
    return found


# What runs.


async def _ledger(ledger: Ledger, ledgers: Ledgers) -> list[Check]:
    try:
        tip, now = await ledger.chain.tip(), SystemClock().now()
        checks = [_clock(ledger.name, tip.height.height, tip.time, now)]
        clients = {row[0]: row for row in await described(ledger.chain)}
        for lane in ledger.lanes:
            row = clients[lane.local_client]
            checks.append(_client(ledger.name, row, ledgers.name_of(lane.remote_domain), now))
            open_ = lane.phase.name == "OPEN"
            found = f"The lane to {ledgers.name_of(lane.remote_domain)} is {lane.phase.name.lower()}."
            ask = "" if open_ else f"Ask the ledger's authority: {lane.note or 'no reason is recorded'}."
            checks.append(
                Check(f"lane {ledger.name} {lane.local_client}", Level.OK if open_ else Level.WARN, found, ask)
            )
        return checks
    except LockgateError as error:
        return [Check(f"ledger {ledger.name}", Level.FAIL, "It stopped answering.", error.next_step)]


async def _suites(folder: Folder, name: str, ledgers: Ledgers) -> list[Check]:
    """Suites of a host's current keys that its ledger has ended, or will end before long (S61)."""
    label = f"suites of {name}"
    try:
        config = load_config(folder.host(name) / "endpoint.json")
        ledger = ledgers.found.get(config.local.name)
        ending = [] if ledger is None else await endings(ledger, bytes.fromhex(config.endpoint))
    except LockgateError as error:
        return [Check(label, Level.NOTE, f"They were not read: {error}.", error.next_step)]
    found = []
    for suite, left in ending:
        said = f"ends in {left} blocks" if left else "is not active"
        step = f"Rotate to keys of another suite: `lockgate keys rotate host/{name} --seal-suite NUMBER`."
        said = f"Its {suite} {said} on {config.local.name}."
        found.append(Check(label, Level.WARN if left else Level.FAIL, said, step))
    return found


def _clock(name: str, height: int, time: UnixNanos, now: UnixNanos) -> Check:
    ahead = (time - now) // NANOS_PER_SECOND
    label = f"ledger {name}"
    if ahead > DRIFT_S:
        return Check(label, Level.FAIL, f"Its newest block is {ahead} s ahead of this clock.", "Set the clock right.")
    if -ahead > HALTED_S:
        return Check(label, Level.FAIL, f"It has made no block for {-ahead} s.", "Read its log; start it again.")
    return Check(label, Level.OK, f"Runs, at height {height}; its clock and this one agree.")


def _client(ledger: str, row: tuple[Any, ...], of: str, now: UnixNanos) -> Check:
    client, _, status, _, _, at, period_ns, _, _ = row
    age, period = (now - at) // NANOS_PER_SECOND, period_ns // NANOS_PER_SECOND
    label = f"client {ledger} {client}"
    if status != "Active":
        return Check(
            label,
            Level.FAIL,
            f"It follows {of} and is {status.lower()}; packets are suspended.",
            "Packets go on when the ledger's authority has recovered the client.",
        )
    found = f"Its newest header of {of} is {age} s old; it expires at {period} s."
    if age * REFRESH_FRACTION > period:
        ask = "Start a relayer: it refreshes the client."
        return Check(label, Level.WARN, found, ask if client.rpartition("-")[0] in KINDS else OtherKind.next_step)
    return Check(label, Level.OK, found)


async def _host(folder: Folder, name: str) -> Check:
    try:
        async with asyncio.timeout(5):
            status = await call(folder.host(name) / "host.sock", "status")
    except (BadPass, NoOperator, RemoteRefusal) as refusal:
        return Check(f"host {name}", Level.WARN, f"It may not be asked: {refusal}.", refusal.next_step)
    except (LockgateError, TimeoutError):
        return Check(f"host {name}", Level.NOTE, "It does not run.", "Start it with `lockgate up`.")
    if status["fenced_off"]:
        return Check(f"host {name}", Level.FAIL, "Another copy of this endpoint acts.", "Stop this one for good.")
    if status["rules_changed"]:
        named = " and ".join(status["rules_changed"])
        return Check(
            f"host {name}", Level.FAIL, f"It waits: {named} changed its rules.", f"`lockgate host accept-rules {name}`"
        )
    age = status.get("tokens", {}).get("list_age_s")
    if age is None or age > AGE_S:
        old = "No list of revoked tokens is proven" if age is None else f"Its list of revoked tokens is {age} s old"
        ask = "See that it reaches its ledger, and that the ledger makes blocks."
        return Check(f"host {name}", Level.WARN, f"{old}: it refuses passes that are older than {AGE_S} s.", ask)
    return Check(f"host {name}", Level.OK, f"Runs, fence {status['fence']}, {status['waiting']} items wait.")


def _kept(folder: Folder, name: str) -> list[Check]:
    """What whoever gets the host's disk can read of its messages."""
    label = f"bodies of host {name}"
    try:
        config = load_config(folder.host(name) / "endpoint.json")
    except LockgateError:
        return []  # not made yet
    found = [Check(label, Level.OK, f"Erased {config.archive_s} s after their messages ended, and a quarter of it.")]
    if config.archive_s is None:
        said = "All that it sent and received lies in its database in the clear, for whoever gets the disk or a backup."
        found = [Check(label, Level.NOTE, said, "Set `archive_s` in its endpoint.json to the seconds you need them.")]
    if not config.sessions:
        said = "Its messages travel under long-term keys: who gets those later opens all that was recorded."
        found.append(Check(label, Level.WARN, said, "Set `sessions` to true, with its peers."))
    return found


def _sources(folder: Folder, kind: str, name: str) -> list[Check]:
    """How many nodes of each ledger must agree before one is believed in what is not proven."""
    label = f"sources of {kind[:-1]} {name}"
    try:
        if kind == "hosts":
            config = load_config(folder.host(name) / "endpoint.json")
            refs = (config.local, *config.remotes)
            nodes = {ref.name: Nodes(ref.sources, ref.required) for ref in refs}
        else:
            record = relay_record.read(folder.relay(name))
            nodes = {ledger: nodes_of(record, ledger) for ledger in relay_record.between(record)}
    except (LockgateError, KeyError, TypeError):
        return []  # not made yet; whoever starts it is told
    counts = {ledger: each.count(folder, ledger) for ledger, each in nodes.items()}
    alone = sorted(ledger for ledger, count in counts.items() if count == 1)
    found = [
        Check(label, Level.OK, f"{ledger} is read through {count} nodes; {nodes[ledger].least(count)} must agree.")
        for ledger, count in counts.items()
        if count > 1
    ]
    if alone:
        said = f"It reads {' and '.join(alone)} through one node, which can forge nothing proven, but hide and delay."
        found.append(Check(label, Level.NOTE, said, "Name independent nodes as `sources`, three to survive a bad one."))
    return found


__all__ = ("Check", "Level", "examine")
