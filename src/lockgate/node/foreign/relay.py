"""One relayer process between a ledger of ours and a chain that is not ours.

`relays/LEDGER-CHAIN/relay.json`: {"between": ["alpha", "anvil"], "chain": "anvil"}, and what `node.relay` says of
`sources`, `required_sources`, `max_gas_price`, `batch_most`; `"attestors": {"anvil": [address, …]}`, who attests both.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from lockgate.courier.ports import Updater
from lockgate.hosting.work import Report
from lockgate.keystore.software import OsEntropy
from lockgate.lightclients.attested.states import CLIENT_TYPE
from lockgate.node import relay_record
from lockgate.node.folder import Folder, write_json
from lockgate.node.foreign import cosmos
from lockgate.node.foreign.beacons import network_of, open_beacons
from lockgate.node.foreign.evm import deployed, host_of, open_account, open_chain, open_nodes
from lockgate.node.foreign.records import alone, lane_of, relay_signer
from lockgate.node.foreign.rotation import carrying
from lockgate.node.foreign.rules import saying
from lockgate.node.foreign.spec import SYNC_COMMITTEES, ChainSpec, CosmosSpec, EvmSpec, kept
from lockgate.node.provision import LedgerAccess, SetupFailed
from lockgate.node.relay_record import batch_most, max_gas_prices
from lockgate.node.sources import Nodes, nodes_of, open_ledger
from lockgate.primitives.ids import ClientId
from lockgate.relay.attestors import Attestor, Attestors
from lockgate.relay.chains.evm.clients import KIND
from lockgate.relay.chains.evm.submitter import EvmSubmitter
from lockgate.relay.driver import EndPoint, Relayer, Step
from lockgate.relay.evm_attestors import EvmAttestors, SocketAttestor
from lockgate.relay.evm_guard import EvmGuard
from lockgate.relay.guard import KeepEvidence
from lockgate.relay.updaters.attested_evm import AttestedEvmUpdater
from lockgate.relay.updaters.ethereum import EthereumUpdater
from lockgate.relay.updaters.evm_attested import EvmAttestedUpdater

Waits = Callable[[Callable[[], Awaitable[Any]], Report], Awaitable[Any]]


class Held:
    """What a relayer holds, closed at its end: connections, and the account on the chain."""

    def __init__(self) -> None:
        self.stack = ExitStack()
        self.open: list[Any] = []

    async def close(self) -> None:
        for each in reversed(self.open):
            await each.close()
        self.stack.close()


@dataclass(frozen=True, slots=True)
class Asked:
    """Which relayer is made: `record` is its relay.json, `more` are nodes by ledger beside the recorded ones."""

    folder: Folder
    name: str
    record: dict[str, Any]
    report: Report
    nonce_lane: int
    waits: Waits
    more: dict[str, Nodes]
    signs: bool  # it moves packets: another of this folder must not at the same time


async def make(asked: Asked) -> tuple[Relayer, list[Any]]:
    """A relayer of the lane to the record's chain; what it returns beside is the caller's to close.

    Raises SetupFailed where there is no lane, AccountInUse, NotInitialised, BadChain.
    """
    folder, record = asked.folder, asked.record
    spec = kept(folder, str(record["chain"]))
    lane = lane_of(folder, spec.name)
    if not {"client", "far_client"} <= lane.keys():
        raise SetupFailed("there is no lane to the chain: `lockgate lane open FILE`", chain=spec.name)
    held = Held()
    try:
        if asked.signs:
            held.stack.enter_context(alone(folder, spec.name))
        ours = await asked.waits(partial(_connect, asked, spec), asked.report)
        held.open.append(ours.chain.rpc)
        one, other = await _ENDS[type(spec)](asked, spec, ours, lane, held)
    except BaseException:
        await held.close()
        raise

    def keep(what: str, evidence: dict[str, object]) -> None:
        write_json(folder.relay(asked.name) / "evidence" / f"{what}.json", evidence)

    if asked.signs and isinstance(other.submitter, EvmSubmitter):
        beside = _beside(asked, spec, ours, (one, other), keep)
    else:
        beside = ()
    return Relayer(one, other, asked.report, OsEntropy(), keep, batch_most(record), beside), [held]


def _beside(
    asked: Asked, spec: Any, ours: LedgerAccess, ends: tuple[EndPoint, EndPoint], keep: KeepEvidence
) -> tuple[tuple[str, Step], ...]:
    """What is done for the contract beside its packets: rotations, conflicting words, its guardian's words."""
    one, other = ends
    assert isinstance(other.submitter, EvmSubmitter), "it is an EVM"
    account, source = other.submitter.account, ours.genesis.domain_id
    attestors = EvmAttestors([SocketAttestor(each) for each in _addresses(asked, spec)], asked.report)
    guard = EvmGuard(one, other, account, source, attestors, asked.report, keep)
    carried = carrying(asked.folder, spec, account, other, asked.report)
    said = saying(asked.folder, spec, account, other.client, asked.report)
    return (("rotation", carried), ("words to the contract", guard.step), ("the guardian's words", said))


def _addresses(asked: Asked, spec: ChainSpec) -> Sequence[str]:
    return relay_record.attestors(asked.record, spec.name)


async def _connect(asked: Asked, spec: ChainSpec) -> LedgerAccess:
    further = asked.more.get(spec.ledger, Nodes())
    nodes = nodes_of(asked.record, spec.ledger).with_more(further.further, further.required)
    price = max_gas_prices(asked.record).get(spec.ledger, 0)
    chain = await open_ledger(asked.folder, spec.ledger, nodes, asked.report)
    signer = relay_signer(asked.folder, spec.ledger, spec.name)
    return await LedgerAccess.over(spec.ledger, chain, signer, asked.nonce_lane, price)


async def _evm_ends(
    asked: Asked, spec: Any, ours: LedgerAccess, lane: dict[str, Any], held: Held
) -> tuple[EndPoint, EndPoint]:
    folder, report = asked.folder, asked.report
    node = open_nodes(spec, report)
    held.open.append(node)
    theirs = open_chain(
        node,
        spec,
        host_of(folder, spec),
        report,
        first=int(str(deployed(folder, spec).get("first_block", 0))),
        followed=ours.chain.chain_id,
        memory=folder.chain(spec.name) / "released.json" if asked.signs else None,
    )
    account = open_account(folder, spec, theirs, report)
    held.open.append(account)
    if asked.signs:
        await asked.waits(account.resume, report)
    addresses = _addresses(asked, spec)
    to_contract = _to_contract(ours, spec, addresses, report)
    to_ledger: dict[str, Updater] = {}
    if spec.client == SYNC_COMMITTEES:
        beacons = open_beacons(spec, await asked.waits(partial(network_of, spec), report))
        held.open += beacons
        to_ledger[SYNC_COMMITTEES] = EthereumUpdater(theirs, beacons, report)
    else:
        attestors = Attestors([Attestor(each) for each in addresses], report)
        to_ledger[CLIENT_TYPE] = AttestedEvmUpdater(theirs, attestors)
    return (
        _end(ours.chain, ours.submitter, lane["client"], {KIND: to_contract}),
        _end(theirs, EvmSubmitter(account), lane["far_client"], to_ledger),
    )


async def _cosmos_ends(
    asked: Asked, spec: Any, ours: LedgerAccess, lane: dict[str, Any], held: Held
) -> tuple[EndPoint, EndPoint]:
    theirs = cosmos.open_chain(spec, asked.report)
    held.open.append(theirs.rpc)
    account = cosmos.open_account(asked.folder, spec, theirs)
    return (
        _end(ours.chain, ours.submitter, lane["client"], {}),
        _end(theirs, account, lane["far_client"], {}),
    )


def _end(chain: Any, submitter: Any, client: str, updaters: dict[str, Updater]) -> EndPoint:
    return EndPoint(chain, submitter, ClientId(client), own_lane=False, updaters=updaters)


def _to_contract(ours: LedgerAccess, spec: EvmSpec, addresses: Sequence[str], report: Report) -> Updater:
    asked = EvmAttestors([SocketAttestor(each) for each in addresses], report)
    return EvmAttestedUpdater(ours.chain, spec.network, ours.genesis.domain_id, asked)


_ENDS: Final = {EvmSpec: _evm_ends, CosmosSpec: _cosmos_ends}

__all__ = ("Asked", "make")
