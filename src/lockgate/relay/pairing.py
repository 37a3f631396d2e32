"""Makes two ledgers clients of each other: what P9 calls a pair, before any lane is spoken of.

The ledgers need not be of one kind: what both have in common is the RPC, the light client and the messages of
IBC v2. A client starts from the header its creator saw on the node he asked; whoever does not trust that node
compares the header first (P11).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from google.protobuf.any_pb2 import Any as AnyMessage

from lockgate.codec import type_urls as urls
from lockgate.codec.protobuf import parse, serialize
from lockgate.codec.wire import ibc_client_pb2 as client_wire
from lockgate.courier.ports import Submitted, Submitter, Updater
from lockgate.ibc import host
from lockgate.lightclients.cometbft.commit import Fraction
from lockgate.lightclients.cometbft.types import Header
from lockgate.lightclients.tendermint import states
from lockgate.machine.transaction import Message
from lockgate.merkle.specs import IAVL_SPEC_BYTES, TENDERMINT_SPEC_BYTES
from lockgate.primitives.errors import Refused
from lockgate.primitives.ids import ClientId, Height, client_id
from lockgate.primitives.time import DurationNanos, seconds
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.kinds import Updaters, kind_of
from lockgate.relay.rpc import BadAnswer

TRUSTING: Final = seconds(14 * 86_400)
UNBONDING: Final = seconds(21 * 86_400)
DRIFT: Final = seconds(40)  # clocks of both machines, and the longest block (digest §9)
PREFIX: Final = (b"ibc", b"")  # of a Cosmos SDK chain's proofs, and of ours


class PairingRefused(Refused):
    code = "relay.pairing_refused"
    summary = "A ledger refused a step of making two ledgers clients of each other."
    untouched = "Clients made before stand, without a counterparty; no packet can use them."
    next_step = "Read the ledger's own words in the error; then pair again, which makes new clients."


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a new client judges by. The unbonding period is the followed chain's own, and must not be longer."""

    trusting: DurationNanos = TRUSTING
    unbonding: DurationNanos = UNBONDING
    drift: DurationNanos = DRIFT
    trust_level: Fraction = Fraction(1, 3)


async def create_message(of: CometBftChain, signer: str, terms: Terms | None = None) -> Message:
    """MsgCreateClient for a client that follows `of` from its newest header."""
    tip = await of.header_at_least(2)
    header = (await of.signed_header(tip.height.height)).header
    return header_client(of.chain_id, tip.height, header, signer, terms or Terms())


def header_client(chain_id: str, height: Height, header: Header, signer: str, judged: Terms) -> Message:
    """MsgCreateClient for a client that follows a chain's headers from this one."""
    state = states.ClientState(
        chain_id=chain_id,
        trust_level=judged.trust_level,
        trusting_period=judged.trusting,
        unbonding_period=judged.unbonding,
        max_clock_drift=judged.drift,
        frozen_height=Height(0, 0),
        latest_height=height,
        proof_specs=(IAVL_SPEC_BYTES, TENDERMINT_SPEC_BYTES),
        upgrade_path=("upgrade", "upgradedIBCState"),
    )
    consensus = states.ConsensusState(header.time, header.app_hash, header.next_validators_hash)
    message = client_wire.MsgCreateClient(
        client_state=AnyMessage.FromString(states.encode_client_state(state)),
        consensus_state=AnyMessage.FromString(states.encode_consensus_state(consensus)),
        signer=signer,
    )
    return urls.MSG_CREATE_CLIENT, serialize(message)


def register_message(client: ClientId, counterparty: ClientId, signer: str) -> Message:
    """MsgRegisterCounterparty: once, by the client's creator."""
    message = client_wire.MsgRegisterCounterparty(
        client_id=client,
        counterparty_merkle_prefix=PREFIX,
        counterparty_client_id=counterparty,
        signer=signer,
    )
    return urls.MSG_REGISTER_COUNTERPARTY, serialize(message)


def created(done: Submitted) -> ClientId:
    """The id in the first response to a MsgCreateClient. Raises BadAnswer, BadIdentifier."""
    if not done.responses:
        raise BadAnswer("a new client without a response")
    return client_id(parse(client_wire.MsgCreateClientResponse, done.responses[0]).client_id)


async def pair(
    one: tuple[CometBftChain, Submitter], other: tuple[CometBftChain, Submitter], terms: Terms | None = None
) -> tuple[ClientId, ClientId]:
    """Create a client on each ledger and register each as the other's counterparty. Raises PairingRefused.

    Returns the clients in the order of the ledgers.
    """
    created_on_one, created_on_other = await asyncio.gather(
        *(_create(on, of, terms) for on, of in ((one, other), (other, one)))
    )
    await asyncio.gather(
        _do(one, [register_message(created_on_one, created_on_other, one[1].signer)]),
        _do(other, [register_message(created_on_other, created_on_one, other[1].signer)]),
    )
    return created_on_one, created_on_other


async def facing(client: ClientId, far: CometBftChain, far_client: ClientId, at: Height) -> dict[str, object]:
    """The proofs, at a height of `far`, that its client follows our ledger and names our client (P9).

    They are fields of `lane.open` and all that `lane.foreign` needs. Raises PairingRefused for no such client.
    """
    state = await far.prove(host.STORE, host.client_state(far_client), at)
    if state.value is None:
        raise PairingRefused("no such client there", ledger=far.chain_id, client=far_client, height=at)
    latest = kind_of(far_client).client_state(state.value).latest_height
    counterparty, consensus = await asyncio.gather(
        far.prove(host.STORE, host.counterparty(far_client), at),
        far.prove(host.STORE, host.consensus_state(far_client, latest), at),
    )
    return {
        "local_client": client,
        "remote_client": far_client,
        "height": str(at),
        "client_state": state.value,
        "client_state_proof": state.proof,
        "counterparty_proof": counterparty.proof,
        "consensus_height": str(latest),
        "consensus_proof": consensus.proof,
    }


async def brought(
    on: CometBftChain,
    client: ClientId,
    far: CometBftChain,
    signer: str,
    updaters: Mapping[str, Updater] = MappingProxyType({}),
) -> tuple[Height, Sequence[Message]]:
    """The newest height of `far` and what brings our client to it: nothing where it is there already.

    `updaters` are those of kinds that need more than the ledger's node.
    """
    at, now = (await far.tip()).height, (await on.tip()).time
    ground = await Updaters(far, updaters).reach(await on.client(client), at, now)
    return ground.height, ground.updates(client, signer)


async def open_foreign_lane(
    on: tuple[CometBftChain, Submitter],
    client: ClientId,
    far: CometBftChain,
    far_client: ClientId,
    caps: Mapping[str, int] = MappingProxyType({}),
) -> None:
    """Have our ledger keep a lane to one that knows nothing of ours. Raises PairingRefused, NotYet.

    `caps` may name `max_packets` and `max_bytes`.
    """
    # What was written there a moment ago is proven by the header after it.
    await far.header_at_least((await far.tip()).height.height + 1)
    at, messages = await brought(on[0], client, far, on[1].signer)
    fields = await facing(client, far, far_client, at)
    await _do(on, [*messages, ("lane.foreign", {**fields, **caps})])


async def _create(
    on: tuple[CometBftChain, Submitter], of: tuple[CometBftChain, Submitter], terms: Terms | None
) -> ClientId:
    return created(await _do(on, [await create_message(of[0], on[1].signer, terms)]))


async def _do(on: tuple[CometBftChain, Submitter], messages: Sequence[Message]) -> Submitted:
    chain, submitter = on
    done = await submitter.submit(messages)
    if done.code:
        raise PairingRefused(done.log, ledger=chain.chain_id, refusal=f"{done.codespace}/{done.code}")
    return done


__all__ = (
    "DRIFT",
    "PREFIX",
    "TRUSTING",
    "UNBONDING",
    "PairingRefused",
    "Terms",
    "brought",
    "create_message",
    "created",
    "facing",
    "header_client",
    "open_foreign_lane",
    "pair",
    "register_message",
)
