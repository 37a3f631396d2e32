"""Messages that make clients of other kinds than headers follow a ledger: a quorum's, and a rule's over both."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from google.protobuf.any_pb2 import Any as AnyMessage

from lockgate.codec import type_urls as urls
from lockgate.codec.protobuf import parse, serialize
from lockgate.codec.wire import ibc_client_pb2 as client_wire
from lockgate.courier.ports import Submitted
from lockgate.lightclients.attested import SignerSet
from lockgate.lightclients.attested import states as attested
from lockgate.lightclients.composite import parse as parse_rule
from lockgate.lightclients.composite import states as composite
from lockgate.lightclients.tendermint import CLIENT_TYPE as HEADERS
from lockgate.machine.transaction import Message
from lockgate.primitives.errors import Misuse
from lockgate.primitives.ids import ClientId, Height
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.pairing import Terms, header_client

Submit = Callable[..., Awaitable[Submitted]]


@dataclass(frozen=True, slots=True)
class Following:
    """How one ledger follows another: by its headers, on the word of signers, or by both together."""

    kind: str = HEADERS
    signers: SignerSet | None = None  # who attests, where somebody does

    def __post_init__(self) -> None:
        if self.kind not in KINDS or (self.signers is None) != (self.kind == HEADERS):
            raise Misuse("a client of headers has no signers, and every other kind has some", kind=self.kind)


KINDS = (HEADERS, attested.CLIENT_TYPE, composite.CLIENT_TYPE)


async def create(
    do: Submit, of: CometBftChain, domain: bytes, signer: str, following: Following, terms: Terms | None = None
) -> ClientId:
    """Make a client that follows `of`, whose genesis hashes to `domain`, from its newest header.

    `do` submits messages on the ledger the client is for, and raises what it refuses.
    """
    judged = terms or Terms()
    tip = await of.header_at_least(2)
    header = (await of.signed_header(tip.height.height)).header
    header_message = header_client(of.chain_id, tip.height, header, signer, judged)
    signers = following.signers
    if signers is None:
        return created(await do(header_message))[0]
    state = attested.ClientState(
        domain=domain,
        chain_id=of.chain_id,
        signers=signers,
        trusting_period=judged.trusting,
        max_clock_drift=judged.drift,
        latest_height=tip.height,
    )
    first = attested.encode_consensus_state(attested.ConsensusState(header.time, header.app_hash))
    quorum_message = _create(attested.encode_client_state(state), first, signer)
    if following.kind == attested.CLIENT_TYPE:
        return created(await do(quorum_message))[0]
    by_headers, by_quorum = created(await do(header_message, quorum_message))
    rule = f"{by_headers} AND {by_quorum}({signers.operators_needed}/{len(signers.operators)})"
    joined = composite.ClientState(
        domain=domain,
        chain_id=of.chain_id,
        rule=parse_rule(rule),
        trusting_period=judged.trusting,
        latest_height=Height(tip.height.revision, tip.height.height),
    )
    agreed = composite.encode_consensus_state(composite.ConsensusState(header.time, header.app_hash))
    return created(await do(_create(composite.encode_client_state(joined), agreed, signer)))[0]


def created(done: Submitted) -> Sequence[ClientId]:
    """The ids in the responses of a transaction of MsgCreateClients."""
    return [ClientId(parse(client_wire.MsgCreateClientResponse, raw).client_id) for raw in done.responses]


def _create(client_state: bytes, consensus_state: bytes, signer: str) -> Message:
    message = client_wire.MsgCreateClient(
        client_state=AnyMessage.FromString(client_state),
        consensus_state=AnyMessage.FromString(consensus_state),
        signer=signer,
    )
    return urls.MSG_CREATE_CLIENT, serialize(message)


__all__ = ("HEADERS", "KINDS", "Following", "create", "created")
