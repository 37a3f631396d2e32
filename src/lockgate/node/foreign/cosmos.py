"""A Cosmos SDK chain of the deployment: opened, its lane made, and the relayer's end of it.

Both sides believe headers, so there are no attestors. Our ledger keeps a record of the lane from their proofs (P9).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from lockgate.hosting.work import Report
from lockgate.ibc import host as paths
from lockgate.lightclients.cometbft.commit import Fraction
from lockgate.machine.lanes import foreign_domain
from lockgate.node.folder import Folder
from lockgate.node.foreign.keys import account_scalar
from lockgate.node.foreign.records import LaneRecord, Row, alone, ledger_access
from lockgate.node.foreign.spec import CosmosSpec, keep
from lockgate.node.provision import LedgerAccess, SetupFailed, lanes_of
from lockgate.node.sources import Nodes
from lockgate.primitives.ids import ClientId
from lockgate.primitives.time import seconds
from lockgate.relay import pairing
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.chains.cosmos_end import CosmosChain, CosmosSubmitter, cosmos_account, cosmos_chain
from lockgate.relay.http import origin
from lockgate.relay.rpc import Rpc, b64

DAY_S: Final = 86_400
Say = Callable[[str], None]


def open_chain(spec: CosmosSpec, report: Report) -> CosmosChain:
    """Raises SourcesMisconfigured, ChainUnavailable. Closing `chain.rpc` closes all of it."""
    return cosmos_chain([(origin(each), Rpc(each)) for each in spec.rpc], spec.chain_id, spec.agreeing, report)


def open_account(folder: Folder, spec: CosmosSpec, chain: CosmosChain) -> CosmosSubmitter:
    price = spec.gas_price, spec.gas_per, spec.denom
    return cosmos_account(chain, account_scalar(folder, spec), spec.prefix, price)


async def open_lane(folder: Folder, spec: CosmosSpec, nodes: Nodes, say: Say, report: Report) -> Row:
    """Clients, counterparties and our record of the lane, each made where it is not there. The ledger runs.

    Raises AccountAbsent, with the address that must be sent something, PairingRefused, SetupFailed.
    """
    keep(folder, spec)
    lane = LaneRecord(folder, spec)
    with alone(folder, spec.name):
        chain = open_chain(spec, report)
        try:
            account = open_account(folder, spec, chain)
            say(f"the relayer's account on {spec.name} is {account.signer}")
            await chain.account(account.signer)
            async with ledger_access(folder, spec, nodes, report) as ours:
                await _open(spec, lane, ours, chain, account, say)
        finally:
            await chain.rpc.close()
    return lane.record


async def _open(
    spec: CosmosSpec, lane: LaneRecord, ours: LedgerAccess, chain: CosmosChain, account: CosmosSubmitter, say: Say
) -> None:
    terms = pairing.Terms(
        trusting=seconds(spec.trusting_days * DAY_S),
        unbonding=seconds(spec.unbonding_days * DAY_S),
        trust_level=Fraction(1, 3),
    )
    if not lane.client:
        say(f"a client of {spec.name} on {spec.ledger}")
        made = await ours.do(await pairing.create_message(chain, ours.submitter.signer, terms))
        lane.note(client=pairing.created(made))
    if not lane.far_client:
        say(f"a client of {spec.ledger} on {spec.name}")
        done = await account.submit([await pairing.create_message(ours.chain, account.signer)])
        lane.note(far_client=pairing.created(_taken(done, spec)))
    if not await _registered(ours.chain, lane.client):
        await ours.do(pairing.register_message(lane.client, lane.far_client, ours.submitter.signer))
    if not await _registered(chain, lane.far_client):
        _taken(await account.submit([pairing.register_message(lane.far_client, lane.client, account.signer)]), spec)
    domain = foreign_domain(spec.chain_id)
    if not any(each.remote_domain == domain for each in await lanes_of(ours.chain)):
        say(f"{spec.ledger} keeps a record of the lane")
        caps = {"max_packets": spec.max_packets}
        await pairing.open_foreign_lane((ours.chain, ours.submitter), lane.client, chain, lane.far_client, caps)


def _taken(done: Any, spec: CosmosSpec) -> Any:
    if done.code:
        raise SetupFailed(done.log, chain=spec.name, code=f"{done.codespace}/{done.code}")
    return done


async def _registered(chain: CometBftChain, client: ClientId) -> bool:
    found = await chain.query(f"/store/{paths.STORE}/key", paths.counterparty(client))
    return bool(b64(found.get("value")))


__all__ = ("open_account", "open_chain", "open_lane")
