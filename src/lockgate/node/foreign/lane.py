"""Opens the lane between a ledger of ours and a chain that is not: a client on each, each the other's counterparty.

Every step is written down in `chains/NAME/lane.json` when it is done, and a step that stands is not done again. The
relayer's own accounts do it, since only who created a client may register its counterparty.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from google.protobuf.any_pb2 import Any as AnyMessage

from lockgate.codec import type_urls as urls
from lockgate.codec.protobuf import serialize
from lockgate.codec.wire import ibc_client_pb2 as client_wire
from lockgate.hosting.work import Report
from lockgate.ibc import host as paths
from lockgate.lightclients.attested import ClientState, ConsensusState, SignerSet, states
from lockgate.lightclients.evm_storage import chain_name, domain_of
from lockgate.node.folder import Folder
from lockgate.node.foreign import attestors, sets
from lockgate.node.foreign.beacons import client_message
from lockgate.node.foreign.deploy import DeployedOtherwise
from lockgate.node.foreign.evm import NotDeployedYet, deployed, host_of, opened
from lockgate.node.foreign.records import LaneRecord, Row, ledger_access
from lockgate.node.foreign.spec import SYNC_COMMITTEES, EvmSpec, keep
from lockgate.node.provision import LedgerAccess
from lockgate.node.sources import Nodes
from lockgate.primitives.ids import ClientId
from lockgate.relay import pairing, pairing_kinds
from lockgate.relay.chains.evm import deployment
from lockgate.relay.chains.evm.refusals import Reverted
from lockgate.relay.rpc import b64

PREFIX: Final = b""  # a host contract has no store names
Say = Callable[[str], None]


async def open_evm(folder: Folder, spec: EvmSpec, nodes: Nodes, say: Say, report: Report) -> Row:
    """Make the attestors' records and both clients, where they are not there; returns the lane.

    The ledger runs. Raises NotDeployedYet, DeployedOtherwise, SetupFailed, and what the account's transactions raise.
    """
    keep(folder, spec)
    host, record = host_of(folder, spec), deployed(folder, spec)
    contract = bytes.fromhex(str(record.get("attested", ""))[2:])
    if not contract:
        raise NotDeployedYet("no client contract is recorded", chain=spec.name)
    async with ledger_access(folder, spec, nodes, report) as ours:
        if record["ledger_domain"] != ours.genesis.domain_id.hex():
            raise DeployedOtherwise("the client contract follows another ledger", ledger=spec.ledger)
        ref = replace(await ours.ref(), sources=nodes.further, required=nodes.required)
        signers = attestors.company(folder, spec, ref)
        lane = LaneRecord(folder, spec)
        async with opened(folder, spec, host, report) as account:
            if not lane.client:
                say(f"a client of {spec.name} on {spec.ledger}")
                if spec.client == SYNC_COMMITTEES:
                    now = (await ours.chain.tip()).time
                    made = await ours.do(await client_message(spec, host, now, ours.submitter.signer))
                    lane.note(client=pairing_kinds.created(made)[0])
                else:
                    lane.note(client=await _follow(ours, account.chain, spec, host, signers))
            if not lane.far_client:
                say(f"a client of {spec.ledger} on {spec.name}")
                first = int(str(record.get("first_block", 0)))
                there = await deployment.client_of(account.chain, contract, first)
                if there is None:
                    limits = deployment.LaneLimits(spec.packets_per_window, spec.packets_per_window, spec.window_s)
                    there = await deployment.add_client(account, host, lane.client, contract, limits)
                lane.note(far_client=there)
            for name in sets.names_of(spec):
                attestors.accept_contract(folder, name, (spec.network, contract, lane.far_client))
            await _register(ours, lane)
            await _open_echo(account, record, lane, say)
    return lane.record


async def _follow(ours: LedgerAccess, chain: Any, spec: EvmSpec, host: bytes, signers: SignerSet) -> ClientId:
    """A client of ours that believes the attestors about the host's storage, from the newest final block."""
    tip = await chain.tip()
    judged = pairing.Terms()
    state = ClientState(
        domain=domain_of(spec.network, host),
        chain_id=chain_name(spec.network),
        signers=signers,
        trusting_period=judged.trusting,
        max_clock_drift=judged.drift,
        latest_height=tip.height,
    )
    first = ConsensusState(tip.time, await chain.storage_root(tip.height.height))
    message = client_wire.MsgCreateClient(
        client_state=AnyMessage.FromString(states.encode_client_state(state)),
        consensus_state=AnyMessage.FromString(states.encode_consensus_state(first)),
        signer=ours.submitter.signer,
    )
    done = await ours.do((urls.MSG_CREATE_CLIENT, serialize(message)))
    return pairing_kinds.created(done)[0]


async def _register(ours: LedgerAccess, lane: LaneRecord) -> None:
    """Register the contract's client as the counterparty of ours, once."""
    found = await ours.chain.query(f"/store/{paths.STORE}/key", paths.counterparty(lane.client))
    if b64(found.get("value")):
        return
    message = client_wire.MsgRegisterCounterparty(
        client_id=lane.client,
        counterparty_merkle_prefix=[PREFIX],
        counterparty_client_id=lane.far_client,
        signer=ours.submitter.signer,
    )
    await ours.do((urls.MSG_REGISTER_COUNTERPARTY, serialize(message)))


async def _open_echo(account: Any, record: Row, lane: LaneRecord, say: Say) -> None:
    """Have the example application listen to this lane, once."""
    if "echo" not in record or lane.record.get("echo"):
        return
    say(f"the example application listens to {lane.far_client}")
    echo = bytes.fromhex(str(record["echo"])[2:])
    try:
        await deployment.invoke(account, echo, "echo", "open", lane.far_client)
    except Reverted as refusal:
        if refusal.reason != "echo.owner":  # an earlier run has opened it
            raise
    lane.note(echo=deployment.port_of(echo))


__all__ = ("open_evm",)
