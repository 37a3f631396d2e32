"""Replacing the keys of parties that are no hosts: a relayer's account, a ledger's operator (S11).

A rotation that stopped on the way, by a refusal or a kill, is finished by the next one: what is done stands on the
ledgers and in the key file, and nothing else remembers it.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from typing import Any, Final

from lockgate.node import schedule
from lockgate.node.clock import SystemClock
from lockgate.node.folder import Folder, read_json
from lockgate.node.keystores import Party
from lockgate.node.ledger import operator
from lockgate.node.provision import RELAY_KEYS, RELAY_LANE, LedgerAccess
from lockgate.node.recover import operators
from lockgate.node.relay_record import max_gas_prices
from lockgate.node.sources import nodes_of, open_ledger
from lockgate.node.wallet import Rotated, Wallet, rotate
from lockgate.primitives.errors import Refused

ROTATION_LANE: Final = RELAY_LANE + 32  # nonce lanes of a running relayer and of `relay clear` lie below
ACCOUNT: Final = "account"
OPERATOR: Final = "operator"
ROTATES: Final = {"relays": (ACCOUNT,), "ledgers": (OPERATOR,)}  # keys by kind of party
Row = dict[str, Any]


class NotCovered(Refused):
    code = "keys.not_covered"
    summary = "Keys of this kind are not rotated, revoked or scheduled by this command."
    untouched = "The keys are what they were."
    next_step = "Do what the refusal says for this kind."


@dataclass(frozen=True, slots=True)
class Rotation:
    """One key of a party, which rotates by a period or when somebody asks. Meets `schedule.Rotates`."""

    folder: Folder
    party: Party
    key: str

    async def rotate(self) -> Row:
        """Raises NotCovered, NotRunning, AccountTaken, NotRotated, and what a ledger refuses."""
        by = {ACCOUNT: _relay_account, OPERATOR: _operator}[self.key]
        done = await by(self.folder, self.party.name)
        schedule.Memory(self.party.home, self.key).note(SystemClock().now())
        return {"party": self.party.path, "key": self.key, "on": [asdict(each) for each in done]}


async def _relay_account(folder: Folder, name: str) -> list[Rotated]:
    home = folder.relay(name)
    record = read_json(home / "relay.json")
    if "chain" in record:
        raise NotCovered("its account is one on another chain as well: make another relayer, and stop this one")
    wallet, prices = Wallet(folder, home, RELAY_KEYS, ACCOUNT), max_gas_prices(record)
    accesses: list[LedgerAccess] = []
    try:
        for ledger in record["between"]:
            chain = await open_ledger(folder, ledger, nodes_of(record, ledger), _unheard)
            accesses.append(await LedgerAccess.over(ledger, chain, wallet, ROTATION_LANE, prices.get(ledger, 0)))
        return await rotate(wallet, {each.name: (each.submitter, each.genesis.domain_id) for each in accesses})
    finally:
        await asyncio.gather(*(access.chain.rpc.close() for access in accesses))


async def _operator(folder: Folder, name: str) -> list[Rotated]:
    async with operators(folder, [name]) as accesses:
        access = accesses[name]
        return await rotate(operator(folder, name), {name: (access.submitter, access.genesis.domain_id)})


def _unheard(kind: str, fields: dict[str, object]) -> None:
    """What is not agreed on is raised."""


__all__ = ("ACCOUNT", "OPERATOR", "ROTATES", "NotCovered", "Rotation")
