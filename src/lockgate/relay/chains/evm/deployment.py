"""Deploys the contracts of `contracts/`, and opens a lane over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lockgate.lightclients.evm_attestation import SigningSet
from lockgate.primitives.errors import PeerFault
from lockgate.primitives.ids import ClientId
from lockgate.relay.chains.evm.account import EvmAccount
from lockgate.relay.chains.evm.answers import Receipt, hexed, logs_of
from lockgate.relay.chains.evm.artefacts import artefact
from lockgate.relay.chains.evm.chain import LOGS_AT_ONCE, EvmChain
from lockgate.relay.chains.evm.interface import interface
from lockgate.relay.chains.evm.node import ask
from lockgate.relay.chains.evm.packets import told_by


class NotDeployed(PeerFault):
    code = "evm.not_deployed"
    summary = "A deployment's receipt shows no contract, or no lane, where there should be one."
    next_step = "Look at the transaction with another node."


@dataclass(frozen=True, slots=True)
class LaneLimits:
    """Packets per window, each way, and its seconds: of each admitted port, and of all others together."""

    out_max: int = 1_000
    in_max: int = 1_000
    window_s: int = 3_600


async def deploy(account: EvmAccount, name: str, *arguments: Any) -> bytes:
    """Create `host`, `attested` or `echo`; returns its address. Raises what `EvmAccount.execute` does."""
    code = bytes.fromhex(artefact(name).bytecode.removeprefix("0x"))
    receipt = await account.execute(b"", code + interface(name).constructed(*arguments))
    if receipt.contract is None:
        raise NotDeployed(contract=name, transaction=receipt.transaction)
    return receipt.contract


async def deploy_attested(account: EvmAccount, host: bytes, source: bytes, first: SigningSet) -> bytes:
    """A client contract that believes a quorum of `first` about the ledger whose domain id is `source`."""
    return await deploy(account, "attested", int.from_bytes(host), int.from_bytes(source), first.fields())


async def add_client(
    account: EvmAccount, host: bytes, counterparty: str, client: bytes, limits: LaneLimits
) -> ClientId:
    """Open a lane; returns the id of its client."""
    arguments = (counterparty, int.from_bytes(client), limits.out_max, limits.in_max, limits.window_s)
    receipt = await invoke(account, host, "host", "addClient", *arguments)
    for log in receipt.logs:
        found = told_by(log) if log.address == host else None
        if found is not None and found[0] == "ClientAdded":
            return ClientId(found[1][0])
    raise NotDeployed("no lane was added", transaction=receipt.transaction)


async def client_of(chain: EvmChain, contract: bytes, first: int) -> ClientId | None:
    """The lane whose client a contract is, if one was opened from block `first` on; none for none. Raises BadAnswer."""
    own = interface("host")
    last = (await chain.heads())[1].number
    for low in range(first, last + 1, LOGS_AT_ONCE):
        asked = {
            "address": hexed(chain.host),
            "topics": [hexed(own.topic("ClientAdded"))],
            "fromBlock": hex(low),
            "toBlock": hex(min(last, low + LOGS_AT_ONCE - 1)),
        }
        for log in logs_of(await ask(chain.node, "eth_getLogs", asked)):
            found = told_by(log) if log.address == chain.host else None
            if found is not None and int(found[1][2]).to_bytes(20) == contract:
                return ClientId(found[1][0])
    return None


def port_of(application: bytes) -> str:
    """The port that an application's contract has by its address."""
    return "0x" + application.hex()


async def invoke(account: EvmAccount, to: bytes, name: str, function: str, *arguments: Any) -> Receipt:
    """Call a contract with the interface `name`."""
    return await account.execute(to, interface(name).call(function, *arguments))


async def read(account: EvmAccount, to: bytes, name: str, function: str, *arguments: Any) -> Sequence[Any]:
    """What a contract answers at the newest block."""
    found = await account.chain.call(to, interface(name).call(function, *arguments))
    return interface(name).result(function, found)


__all__ = (
    "LaneLimits",
    "NotDeployed",
    "add_client",
    "client_of",
    "deploy",
    "deploy_attested",
    "invoke",
    "port_of",
    "read",
)
