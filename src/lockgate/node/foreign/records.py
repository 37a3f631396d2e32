"""What every lane to a chain that is not ours has in the folder: its record, its accounts, and the lock on them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

from lockgate.crypto.ports import Signer
from lockgate.hosting.work import Report
from lockgate.node.folder import Folder, NotInitialised, read_json, write_json
from lockgate.node.foreign.spec import ChainSpec
from lockgate.node.keystores import open_keystore
from lockgate.node.provision import RELAY_KEYS, RELAY_LANE, LedgerAccess
from lockgate.node.sources import Nodes, open_ledger
from lockgate.primitives.errors import Refused
from lockgate.primitives.ids import ClientId
from lockgate.storage.ledger import StoreInUse, take_lock

OPENING_LANE: Final = RELAY_LANE + 32  # a nonce lane of the relayer's account for this alone
Row = dict[str, Any]


class AccountInUse(Refused):
    code = "chain.account_in_use"
    summary = "Another process of this folder signs for the account, and an account has one sequence."
    untouched = "Nothing was signed."
    next_step = "Stop the relayer of this chain first; it goes on from its journal afterwards."


class NoLaneThere(Refused):
    code = "evm.no_lane"
    summary = "No lane leads to this chain from this folder."
    untouched = "Nothing was signed and nothing was paid."
    next_step = "Open it with `lockgate lane open FILE`."


@contextmanager
def alone(folder: Folder, name: str) -> Iterator[None]:
    """Hold the account of a chain for this process. Raises AccountInUse."""
    home = folder.chain(name)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        lock = take_lock(home / "account.lock")
    except StoreInUse as error:
        raise AccountInUse(chain=name) from error
    try:
        yield
    finally:
        os.close(lock)


def relay_name(ledger: str, chain: str) -> str:
    """The relayer of a lane to a chain."""
    return f"{ledger}-{chain}"


def lane_of(folder: Folder, chain: str) -> Row:
    """What of a lane stands; nothing for nothing."""
    try:
        return read_json(folder.chain(chain) / "lane.json")
    except NotInitialised:
        return {}


def relay_signer(folder: Folder, ledger: str, chain: str) -> Signer:
    """The relayer's account on our ledger, made where it is not there."""
    return open_keystore(folder, folder.relay(relay_name(ledger, chain)), RELAY_KEYS).signer("account")


@asynccontextmanager
async def ledger_access(folder: Folder, spec: ChainSpec, nodes: Nodes, report: Report) -> AsyncIterator[LedgerAccess]:
    """The ledger at the lane's other end, with the relayer's account on it."""
    chain = await open_ledger(folder, spec.ledger, nodes, report)
    signer = relay_signer(folder, spec.ledger, spec.name)
    access = await LedgerAccess.over(spec.ledger, chain, signer, OPENING_LANE, 0)
    try:
        yield access
    finally:
        await chain.rpc.close()


class LaneRecord:
    """`lane.json`."""

    def __init__(self, folder: Folder, spec: ChainSpec) -> None:
        self._path = folder.chain(spec.name) / "lane.json"
        self.record = lane_of(folder, spec.name) or {"ledger": spec.ledger, "chain": spec.name}

    @property
    def client(self) -> ClientId:
        """On our ledger."""
        return ClientId(self.record.get("client", ""))

    @property
    def far_client(self) -> ClientId:
        return ClientId(self.record.get("far_client", ""))

    def note(self, **fields: object) -> None:
        self.record |= fields
        write_json(self._path, self.record)


__all__ = (
    "AccountInUse",
    "LaneRecord",
    "NoLaneThere",
    "alone",
    "lane_of",
    "ledger_access",
    "relay_name",
    "relay_signer",
)
