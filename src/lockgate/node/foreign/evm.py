"""An EVM of the deployment, opened: its nodes, the host on it, the relayer's account there."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from lockgate.crypto.recoverable import EvmKey
from lockgate.hosting.work import Report
from lockgate.node.folder import Folder, NotInitialised, read_json
from lockgate.node.foreign.keys import account_scalar
from lockgate.node.foreign.records import alone
from lockgate.node.foreign.spec import EvmSpec
from lockgate.primitives.errors import Refused
from lockgate.relay.chains.evm.account import EvmAccount
from lockgate.relay.chains.evm.answers import hexed, quantity
from lockgate.relay.chains.evm.chain import EvmChain
from lockgate.relay.chains.evm.fees import GWEI, FeeRules
from lockgate.relay.chains.evm.history import Finality
from lockgate.relay.chains.evm.journal import Journal
from lockgate.relay.chains.evm.memory import Memory
from lockgate.relay.chains.evm.node import EvmCalls, EvmNode, ask
from lockgate.relay.chains.evm.nodes import EvmNodes
from lockgate.relay.chains.evm.refusals import FundsMissing
from lockgate.relay.http import origin

NO_HOST = bytes(20)  # while there is none yet


class NotDeployedYet(Refused):
    code = "evm.not_deployed_yet"
    summary = "No host contract is known on this chain."
    untouched = "Nothing was signed and nothing was paid."
    next_step = "Run `lockgate evm deploy FILE`, or name the host's address in the deployment file."


def open_nodes(spec: EvmSpec, report: Report) -> EvmCalls:
    """Raises ChainUnavailable for an address that is none."""
    nodes = [(origin(address), EvmNode(address)) for address in spec.rpc]
    return nodes[0][1] if len(nodes) == 1 else EvmNodes(nodes, spec.agreeing, report)


def deployed(folder: Folder, spec: EvmSpec) -> dict[str, object]:
    """What stands on the chain, as the folder recorded it; nothing for nothing."""
    with contextlib.suppress(NotInitialised):
        return read_json(folder.chain(spec.name) / "deployed.json")
    return {}


def host_of(folder: Folder, spec: EvmSpec) -> bytes:
    """The host contract's address. Raises NotDeployedYet."""
    found = spec.host or str(deployed(folder, spec).get("host", ""))
    if not found:
        raise NotDeployedYet(chain=spec.name)
    return bytes.fromhex(found[2:])


def open_chain(
    node: EvmCalls,
    spec: EvmSpec,
    host: bytes,
    report: Report,
    *,
    first: int = 0,
    followed: str = "",
    memory: Path | None = None,
) -> EvmChain:
    """`memory` is where the newest released block is kept; none for who derives nothing from it."""
    kept = None if memory is None else Memory(memory, spec.network, host)
    finality = Finality.parse(str(spec.finality))
    return EvmChain(node, spec.network, host, finality, report, first=first, followed=followed, memory=kept)


def open_account(folder: Folder, spec: EvmSpec, chain: EvmChain, report: Report) -> EvmAccount:
    key = EvmKey(account_scalar(folder, spec))
    journal = Journal(folder.chain(spec.name) / "journal.json", spec.network, key.address)
    return EvmAccount(chain, key, FeeRules(spec.ceiling, spec.max_tip_gwei * GWEI), journal, report)


@asynccontextmanager
async def opened(folder: Folder, spec: EvmSpec, host: bytes, report: Report) -> AsyncIterator[EvmAccount]:
    """The relayer's account on a chain for one command. Raises AccountInUse, BadAnswer for another chain."""
    with alone(folder, spec.name):
        node = open_nodes(spec, report)
        chain = open_chain(node, spec, host, report)
        account = open_account(folder, spec, chain, report)
        try:
            await chain.heads()
            await account.resume()
            yield account
        finally:
            await account.close()
            await node.close()


async def balance(account: EvmAccount) -> int:
    """Wei that the account holds."""
    return quantity(await ask(account.chain.node, "eth_getBalance", hexed(account.address), "latest"), 256)


async def require_funds(account: EvmAccount) -> None:
    """Raises FundsMissing, with the address that should be sent something."""
    if not await balance(account):
        raise FundsMissing("the account holds nothing", address=hexed(account.address), chain=account.chain.chain_id)


async def code_at(chain: EvmChain, address: bytes) -> bool:
    """Is a contract there, at the newest block?"""
    return len(str(await ask(chain.node, "eth_getCode", hexed(address), "latest"))) > len("0x")


__all__ = (
    "NO_HOST",
    "NotDeployedYet",
    "balance",
    "code_at",
    "deployed",
    "host_of",
    "open_account",
    "open_chain",
    "open_nodes",
    "opened",
    "require_funds",
)
