"""Opens the lane between a ledger of ours and a chain that is not: a client on each, each the other's counterparty.

Every step is written down in `chains/NAME/lane.json` when it is done, and a step that stands is not done again. The
relayer's own accounts do it, since only who created a client may register its counterparty.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

from google.protobuf.any_pb2 import Any as AnyMessage

from lockgate.codec import type_urls as urls
from lockgate.codec.protobuf import serialize
from lockgate.codec.wire import ibc_client_pb2 as client_wire
from lockgate.hosting.work import Report
from lockgate.ibc import host as paths
from lockgate.keystore.software import Ed25519Signer
from lockgate.lightclients.attested import ClientState, ConsensusState, SignerSet, states
from lockgate.lightclients.evm_storage import chain_name, domain_of
from lockgate.node.folder import Folder, NotInitialised, account_signer, make_keys, read_json, write_json
from lockgate.node.foreign import attestors, sets
from lockgate.node.foreign.deploy import ECHO_PORT, DeployedOtherwise
from lockgate.node.foreign.evm import NotDeployedYet, deployed, host_of, opened
from lockgate.node.foreign.spec import EvmSpec, keep
from lockgate.node.provision import RELAY_KEYS, RELAY_LANE, LedgerAccess
from lockgate.node.sources import Nodes, open_ledger
from lockgate.primitives.ids import ClientId
from lockgate.relay import pairing, pairing_kinds
from lockgate.relay.chains.evm import deployment
from lockgate.relay.chains.evm.refusals import Reverted
from lockgate.relay.rpc import b64

OPENING_LANE: Final = RELAY_LANE + 32  # a nonce lane of the relayer's account for this alone
PREFIX: Final = b""  # a host contract has no store names
Say = Callable[[str], None]
Row = dict[str, Any]


def relay_name(ledger: str, chain: str) -> str:
    """The relayer of a lane to a chain."""
    return f"{ledger}-{chain}"


def lane_of(folder: Folder, chain: str) -> Row:
    """What of a lane stands; nothing for nothing."""
    try:
        return read_json(folder.chain(chain) / "lane.json")
    except NotInitialised:
        return {}


def relay_signer(folder: Folder, ledger: str, chain: str) -> Ed25519Signer:
    """The relayer's account on our ledger, made where it is not there."""
    home = folder.relay(relay_name(ledger, chain))
    return account_signer(make_keys(home / "keys", RELAY_KEYS, folder.passphrase()))


@asynccontextmanager
async def ledger_access(folder: Folder, spec: EvmSpec, nodes: Nodes, report: Report) -> AsyncIterator[LedgerAccess]:
    """The ledger at the lane's other end, with the relayer's account on it."""
    chain = await open_ledger(folder, spec.ledger, nodes, report)
    signer = relay_signer(folder, spec.ledger, spec.name)
    access = await LedgerAccess.over(spec.ledger, chain, signer, OPENING_LANE, 0)
    try:
        yield access
    finally:
        await chain.rpc.close()


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
        lane = _Lane(folder, spec)
        async with opened(folder, spec, host, report) as account:
            if not lane.client:
                say(f"a client of {spec.name} on {spec.ledger}")
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


class _Lane:
    """`lane.json`."""

    def __init__(self, folder: Folder, spec: EvmSpec) -> None:
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


async def _register(ours: LedgerAccess, lane: _Lane) -> None:
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


async def _open_echo(account: Any, record: Row, lane: _Lane, say: Say) -> None:
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
    lane.note(echo=ECHO_PORT)


__all__ = ("OPENING_LANE", "lane_of", "ledger_access", "open_evm", "relay_name", "relay_signer")
