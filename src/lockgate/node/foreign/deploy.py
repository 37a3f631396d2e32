"""Deploys host, attested client and example application on an EVM, once.

What stands is written down after each step, and what is about to be sent before it, with the account's sequence then. A
run that was cut off between the two looks at what its account has created since: what stands there is taken, and not
deployed again. A record that is whole is shown and nothing is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from lockgate.machine.genesis import Genesis
from lockgate.node.folder import Folder, write_json
from lockgate.node.foreign import sets
from lockgate.node.foreign.evm import NO_HOST, balance, code_at, deployed, opened, require_funds
from lockgate.node.foreign.spec import EvmSpec
from lockgate.primitives.errors import Refused
from lockgate.relay.chains.evm import deployment
from lockgate.relay.chains.evm.account import EvmAccount
from lockgate.relay.chains.evm.answers import hexed, quantity
from lockgate.relay.chains.evm.node import ask
from lockgate.relay.chains.evm.transactions import created_address

PENDING: Final = "pending"
WAIT_S: Final = 300.0  # for a transaction that an earlier run left under way
POLL_S: Final = 0.5
Say = Callable[[str], None]
Row = dict[str, Any]


class DeployedOtherwise(Refused):
    code = "evm.deployed_otherwise"
    summary = "The folder records contracts of this chain that are not what the deployment file asks for, or are gone."
    untouched = "Nothing was signed and nothing was paid."
    next_step = (
        "Name the chain's folder another way, or deploy anew with `--again`, which keeps the old record beside it."
    )


async def deploy(
    folder: Folder,
    spec: EvmSpec,
    genesis: Genesis,
    say: Say,
    report: Callable[[str, dict[str, object]], None],
    *,
    echo: bool = False,
    again: bool = False,
) -> Row:
    """What stands on the chain, deployed where it did not. Raises DeployedOtherwise, and why it cannot be done."""
    home = folder.chain(spec.name)
    async with opened(folder, spec, NO_HOST, report) as account:
        record = deployed(folder, spec)
        if again and record:
            _aside(home, record)
            record = {}
        steps = _Steps(home / "deployed.json", account, record or _head(spec, genesis, account), say)
        await steps.check(spec, genesis)
        host = bytes.fromhex(spec.host[2:]) if spec.host else await steps.step("host", deployment.deploy, "host")
        if spec.host:
            steps.note("host", host)
        # An earlier run may have sent a set whose expiry is another second's.
        signing = sets.read(steps.record["set"])[1] if "set" in steps.record else sets.first_set(folder, spec)
        steps.record["set"] = sets.to_json(1, signing)
        await steps.step("attested", deployment.deploy_attested, host, bytes(genesis.domain_id), signing)
        if echo:
            await steps.step("echo", deployment.deploy, "echo", int.from_bytes(host))
        shown = {name: value for name, value in steps.record.items() if name != PENDING}
        return {**shown, "balance_wei": await balance(account), "sent": steps.sent}


class _Steps:
    """One deployment's steps, each written down."""

    def __init__(self, path: Path, account: EvmAccount, record: Row, say: Say) -> None:
        self.record = record
        self.sent = 0
        self._path = path
        self._account = account
        self._say = say

    async def check(self, spec: EvmSpec, genesis: Genesis) -> None:
        """Raise DeployedOtherwise where the record is another chain's or ledger's, or what it names is not there."""
        asked = _head(spec, genesis, self._account)
        for name in ("network", "ledger_domain"):
            if self.record.get(name) != asked[name]:
                raise DeployedOtherwise(name, recorded=self.record.get(name), asked=asked[name])
        if spec.host and self.record.get("host", spec.host.lower()) != spec.host.lower():
            raise DeployedOtherwise("host", recorded=self.record.get("host"), asked=spec.host)
        for name in ("host", "attested", "echo"):
            address = spec.host if name == "host" and spec.host else self.record.get(name)
            if address and not await code_at(self._account.chain, bytes.fromhex(str(address)[2:])):
                raise DeployedOtherwise("nothing stands at the address", contract=name, address=address)

    def note(self, name: str, address: bytes) -> None:
        self.record[name] = hexed(address)
        self.record.pop(PENDING, None)
        write_json(self._path, self.record)

    async def step(self, name: str, work: Callable[..., Any], *arguments: Any) -> bytes:
        """Deploy a contract, unless it stands."""
        if name in self.record:
            self._say(f"{name} stands at {self.record[name]}")
            return bytes.fromhex(str(self.record[name])[2:])
        found = await self._left(name)
        if found is None:
            await require_funds(self._account)
            self._say(f"deploying {name}")
            self.record[PENDING] = {"contract": name, "nonce": await self._count()}
            self.record.setdefault("first_block", (await self._account.chain.heads())[1].number)
            write_json(self._path, self.record)
            found = await work(self._account, *arguments)
            self.sent += 1
        self.note(name, found)
        self._say(f"{name} stands at {hexed(found)}")
        return found

    async def _left(self, name: str) -> bytes | None:
        """What an earlier run sent of this step and did not come to write down."""
        pending: Any = self.record.get(PENDING)
        if not isinstance(pending, dict) or pending.get("contract") != name:
            return None
        self._say(f"looking for {name}, which an earlier run was about to deploy")
        first, deadline = int(pending["nonce"]), asyncio.get_running_loop().time() + WAIT_S
        while True:
            for nonce in range(first, await self._count()):
                address = created_address(self._account.address, nonce)
                if await code_at(self._account.chain, address):
                    return address
            if not self._account.waiting or asyncio.get_running_loop().time() > deadline:
                return None
            await asyncio.sleep(POLL_S)

    async def _count(self) -> int:
        found = await ask(self._account.chain.node, "eth_getTransactionCount", hexed(self._account.address), "latest")
        return quantity(found)


def _head(spec: EvmSpec, genesis: Genesis, account: EvmAccount) -> Row:
    return {
        "network": spec.network,
        "ledger": spec.ledger,
        "ledger_domain": genesis.domain_id.hex(),
        "account": hexed(account.address),
    }


def _aside(home: Path, record: Row) -> None:
    """Keep an old record. Raises DeployedOtherwise where a lane rests on it."""
    if (home / "lane.json").exists():
        raise DeployedOtherwise("a lane rests on what is recorded", folder=str(home))
    number = 1
    while (home / f"deployed.{number}.json").exists():
        number += 1
    write_json(home / f"deployed.{number}.json", record)
    (home / "deployed.json").unlink()


__all__ = ("DeployedOtherwise", "deploy")
