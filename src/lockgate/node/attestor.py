"""Runs one attestor process, and makes what it needs (`hosting.attestor` says what it signs).

```
<data>/attestors/NAME/keys            its hybrid key
<data>/attestors/NAME/attestor.json   the ledger it watches and from which header, how deep, where it listens
<data>/attestors/NAME/sets/*.json     signer sets its operator has accepted
<data>/signers/attestor-NAME.said     what it has signed; belongs into no backup
```
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from lockgate.courier.attesting import Known, Who
from lockgate.crypto.keys import IdentitySigner, KeyRole
from lockgate.hosting.attestor import AttestorService, Watched
from lockgate.hosting.attestor_server import AttestorServer, Serve
from lockgate.hosting.config import LedgerRef
from lockgate.hosting.reader import ProvenReader
from lockgate.hosting.work import Report
from lockgate.keystore.store import Keystore, Wanted
from lockgate.lightclients.attested import Signer, SignerSet
from lockgate.lightclients.attested.signers import check_set
from lockgate.lightclients.cometbft.hashing import header_hash
from lockgate.node.clock import SystemClock
from lockgate.node.config import ledger_ref
from lockgate.node.folder import Folder, read_json, write_json
from lockgate.node.keystores import open_keystore
from lockgate.node.patience import patiently
from lockgate.node.recover import operators
from lockgate.node.signer_sets import BadSignerSet, member_json, read_file, read_set, to_json
from lockgate.node.sources import Nodes, open_ledger
from lockgate.primitives.errors import LockgateError, Refused
from lockgate.primitives.ids import ClientId, revision_number
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos
from lockgate.relay import rotation
from lockgate.relay.attestors import ASK_S, Attestor, Attestors
from lockgate.storage.attested import AttestedState
from lockgate.transport.address import Address

SOCKET: Final = "attest.sock"
ANCHOR_EVERY_S: Final = 600.0  # trust ends a trusting period after the recorded header: a newer one is recorded
DAYS: Final = 365  # of a delegation, where nothing else is said


class BadAttestor(Refused):
    code = "attestor.misconfigured"
    summary = "An attestor's record is not one, or names what it cannot have."
    untouched = "Nothing was started."
    next_step = "Compare attestors/NAME/attestor.json with docs/how-to/attest.md."


def create(
    folder: Folder, name: str, ref: LedgerRef, *, depth: int = 0, listen: tuple[str, ...] = ()
) -> IdentitySigner:
    """Make an attestor of this ledger where there is none: its key, its empty record of what it signed, its file.

    `listen` are addresses beside the Unix socket in its folder: `tcp:127.0.0.1:PORT`. Raises BadAttestor.
    """
    home = folder.attestor(name)
    signer = own_signer(folder, name)
    for text in listen:
        _loopback(text)
    if not (home / "attestor.json").exists():
        with contextlib.suppress(FileExistsError):
            AttestedState.create(folder.said(name), bytes.fromhex(ref.domain))
        write_json(home / "attestor.json", {"ledger": asdict(ref), "depth": depth, "listen": list(listen)})
    return signer


def member(folder: Folder, name: str, operator: str, source: str, weight: int = 1, days: int = DAYS) -> Signer:
    """This attestor as a member of a signer set."""
    until = UnixNanos((int(time.time()) + days * 86_400) * NANOS_PER_SECOND)
    key = own_signer(folder, name).key
    return Signer(key=key, weight=weight, operator=operator, source=source, until=until)


def shown(folder: Folder, name: str, signer: Signer) -> dict[str, Any]:
    """What other operators and relayers are given of it."""
    record = watched_ledger(folder, name)
    return {"attestor": name, "address": address(folder, name), "ledger": record.chain_id, **member_json(signer)}


def address(folder: Folder, name: str) -> str:
    """Where a relayer of this machine asks it."""
    return f"unix:{folder.attestor(name) / SOCKET}"


def accept(folder: Folder, name: str, signers: SignerSet) -> Path:
    """Have an attestor sign for a set, and hand over to it. Raises BadAttestor, SignersRefused."""
    watched_ledger(folder, name)
    check_set(signers, UnixNanos(time.time_ns()))
    if own_signer(folder, name).key.hash not in signers.by_hash:
        raise BadAttestor("the set does not have this attestor's key", attestor=name)
    path = folder.attestor(name) / "sets" / f"{signers.epoch}-{signers.hash.hex()[:16]}.json"
    write_json(path, to_json(signers))
    return path


def accepted(folder: Folder, name: str) -> list[SignerSet]:
    """Sets that were accepted; a file that does not read is nobody's word."""
    found = []
    for path in sorted((folder.attestor(name) / "sets").glob("*.json")):
        with contextlib.suppress(BadSignerSet):
            found.append(read_set(read_file(path)))
    return found


async def run(folder: Folder, name: str, report: Report, more: dict[str, Nodes] | None = None) -> None:
    """Attest one ledger until cancelled. Raises BadAttestor, AttestedStateBroken, SaidOtherwise, StoreInUse."""
    home, ref = folder.attestor(name), watched_ledger(folder, name)
    value = read_json(home / "attestor.json")
    signer = own_signer(folder, name)
    state = AttestedState.open(folder.said(name), bytes.fromhex(ref.domain))
    rpcs = []
    try:
        said = (more or {}).get(ref.name, Nodes())
        nodes = Nodes(ref.sources, ref.required).with_more(said.further, said.required)
        chain = await patiently(partial(open_ledger, folder, ref.name, nodes, report, ref.chain_id), report)
        rpcs.append(chain.rpc)
        reader = ProvenReader(chain, ref.follower(), SystemClock())
        await patiently(reader.latest, report)
        watched = Watched(ref.chain_id, bytes.fromhex(ref.domain), revision_number(ref.chain_id), _depth(value))
        sets = partial(accepted, folder, name)
        service = AttestorService(watched, reader, signer, state, sets, SystemClock(), report)
        await service.check()
        report_ready = partial(report, "ready", {"attestor": name, "ledger": ref.chain_id, "pid": os.getpid()})
        await serve(folder, name, service.answer, report_ready, partial(anchor, home, ref, reader))
    finally:
        state.close()
        await asyncio.gather(*(rpc.close() for rpc in rpcs), return_exceptions=True)


async def serve(
    folder: Folder, name: str, answer: Serve, ready: Callable[[], None], remember: Callable[[], None]
) -> None:
    """Answer at an attestor's addresses until cancelled; `remember` is called now and then. Raises BadAttestor."""
    home = folder.attestor(name)
    server = AttestorServer(answer)
    listen = read_json(home / "attestor.json").get("listen", ())
    listeners = [Address.parse(address(folder, name)), *map(_loopback, listen)]
    await server.listen([listener for each in listeners if (listener := each.listen()) is not None])
    try:
        ready()
        while True:
            remember()
            await asyncio.sleep(ANCHOR_EVERY_S)
    finally:
        await server.close()
        (home / SOCKET).unlink(missing_ok=True)


async def rotate(
    folder: Folder, ledger: str, client: str, following: SignerSet, where: Sequence[str], report: Report
) -> dict[str, Any]:
    """Hand a client of a ledger of this folder over to the next set. Raises NotRotated, TooFewAttestors.

    `where` are the attestors of the present set; those of this folder without.
    """
    async with operators(folder, [ledger]) as accesses:
        access = accesses[ledger]
        addresses = where or [address(folder, name) for name in folder.names("attestors")]
        attestors = Attestors([Attestor(each) for each in addresses], report)
        done = await rotation.rotate(access.chain, access.submitter, ClientId(client), attestors, following)
    return {"client": client, "epoch": following.epoch, "height": str(done.height)}


async def status(folder: Folder, where: Sequence[str] = ()) -> list[dict[str, Any]]:
    """What attestors say of themselves: those at these addresses, or all of the folder."""
    asked = where or [address(folder, name) for name in folder.names("attestors")]
    return list(await asyncio.gather(*map(_status, asked)))


async def _status(where: str) -> dict[str, Any]:
    try:
        async with asyncio.timeout(ASK_S):
            said = await Attestor(where).ask(Who())
    except (LockgateError, TimeoutError) as failure:
        return {"attestor": where, "state": f"silent: {failure}"}
    if not isinstance(said, Known):
        return {"attestor": where, "state": f"refuses: {said}"}
    shown = {"ledger": said.chain_id, "newest": str(said.newest), "key": said.key_hash.hex()}
    return {"attestor": where, "state": "attests", **shown}


def anchor(home: Path, ref: LedgerRef, reader: ProvenReader) -> None:
    """Record the newest header that was verified: a later start goes on from there (P11)."""
    newest = reader.newest
    value = read_json(home / "attestor.json")
    fresh = replace(ref, height=newest.height, header_hash=header_hash(newest.header).hex())
    write_json(home / "attestor.json", {**value, "ledger": asdict(fresh)})


def watched_ledger(folder: Folder, name: str) -> LedgerRef:
    """The ledger that an attestor watches. Raises BadAttestor, NotInitialised."""
    try:
        return ledger_ref(read_json(folder.attestor(name) / "attestor.json")["ledger"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadAttestor(str(error)[:200], attestor=name) from error


def wanted_keys(keystore: Keystore) -> Wanted:
    return {"attester": (KeyRole.ATTESTER, keystore.identity_suite)}


def own_signer(folder: Folder, name: str) -> IdentitySigner:
    return open_keystore(folder, folder.attestor(name), wanted_keys).identity("attester")


def _depth(value: dict[str, Any]) -> int:
    depth = value.get("depth", 0)
    if type(depth) is not int or depth < 0:
        raise BadAttestor("depth is a number of blocks", given=str(depth))
    return depth


def _loopback(text: str) -> Address:
    """An address of this machine only. Raises BadAttestor."""
    try:
        found = Address.parse(str(text))
    except LockgateError as error:
        raise BadAttestor("an address is tcp:127.0.0.1:PORT or unix:PATH", given=str(text)) from error
    if found.linked:
        raise BadAttestor("it speaks without links", given=str(text))
    if found.kind == "folder" or (found.kind == "tcp" and found.where not in ("127.0.0.1", "::1")):
        raise BadAttestor("it listens on this machine alone; reach it from another through a tunnel", given=str(text))
    return found


__all__ = (
    "BadAttestor",
    "accept",
    "accepted",
    "address",
    "anchor",
    "create",
    "member",
    "own_signer",
    "rotate",
    "run",
    "serve",
    "shown",
    "status",
    "wanted_keys",
    "watched_ledger",
)
