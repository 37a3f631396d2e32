"""Joins two lab ledgers: clients both ways, counterparties, a lane, and relaying by hand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from google.protobuf.any_pb2 import Any as AnyMessage

from lockgate.codec import type_urls as urls
from lockgate.codec.wire import ibc_client_pb2 as client_wire
from lockgate.ibc import host
from lockgate.ibc import wire as ibc_wire
from lockgate.ibc.packet import Acknowledgement, Packet
from lockgate.lab.ledgers import LabAccount, LabLedger, responses
from lockgate.lightclients.cometbft.commit import Fraction
from lockgate.lightclients.tendermint import states
from lockgate.lightclients.tendermint.messages import frame_header
from lockgate.machine import keys
from lockgate.machine.genesis import LedgerClass
from lockgate.machine.machine import TxResult
from lockgate.machine.records import LaneOrder
from lockgate.machine.transaction import Message
from lockgate.merkle.specs import IAVL_SPEC_BYTES, TENDERMINT_SPEC_BYTES
from lockgate.primitives.errors import Refused
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.state import Event
from lockgate.primitives.time import DurationNanos, seconds

TRUSTING: DurationNanos = seconds(14 * 86_400)
UNBONDING: DurationNanos = seconds(21 * 86_400)
DRIFT: DurationNanos = seconds(40)


class StepFailed(Refused):
    code = "lab.step_failed"
    summary = "A transaction of the lab's own set-up was refused."
    next_step = "Read the log in the error."


def expect(result: TxResult) -> TxResult:
    if result.code:
        raise StepFailed(result.log, code=result.code, codespace=result.codespace)
    return result


@dataclass(slots=True)
class End:
    """One side of a path: a ledger, the account that acts there, and its client of the other side."""

    ledger: LabLedger
    account: LabAccount
    client: ClientId = ClientId("")
    trusted: int = 0  # newest height of the other ledger that `client` knows


def client_state(ledger: LabLedger, height: int, trusting: DurationNanos = TRUSTING) -> states.ClientState:
    """Client state for a client of `ledger`, as a careful relayer creates it."""
    return states.ClientState(
        chain_id=ledger.genesis.chain_id,
        trust_level=Fraction(1, 3),
        trusting_period=trusting,
        unbonding_period=UNBONDING,
        max_clock_drift=DRIFT,
        frozen_height=Height(0, 0),
        latest_height=ledger.at(height),
        proof_specs=(IAVL_SPEC_BYTES, TENDERMINT_SPEC_BYTES),
        upgrade_path=("upgrade", "upgradedIBCState"),
    )


def create_client_message(ledger: LabLedger, signer: str, trusting: DurationNanos = TRUSTING) -> Message:
    """MsgCreateClient for a client that follows `ledger` from its newest header."""
    header = ledger.chain.signed_header(ledger.height).header
    consensus = states.ConsensusState(header.time, header.app_hash, header.next_validators_hash)
    message = client_wire.MsgCreateClient(
        client_state=AnyMessage.FromString(states.encode_client_state(client_state(ledger, ledger.height, trusting))),
        consensus_state=AnyMessage.FromString(states.encode_consensus_state(consensus)),
        signer=signer,
    )
    return urls.MSG_CREATE_CLIENT, message.SerializeToString(deterministic=True)


def create_client(on: End, of: LabLedger, trusting: DurationNanos = TRUSTING) -> ClientId:
    height = of.height
    result = expect(on.ledger.transact(on.account, create_client_message(of, on.account.id, trusting)))
    on.client = ClientId(client_wire.MsgCreateClientResponse.FromString(responses(result)[0]).client_id)
    on.trusted = height
    return on.client


def register(on: End, counterparty: ClientId) -> None:
    message = client_wire.MsgRegisterCounterparty(
        client_id=on.client,
        counterparty_merkle_prefix=[b"ibc", b""],
        counterparty_client_id=counterparty,
        signer=on.account.id,
    )
    expect(on.ledger.transact(on.account, (urls.MSG_REGISTER_COUNTERPARTY, message.SerializeToString())))


def update_message(on: End, of: LabLedger, height: int) -> Message:
    """MsgUpdateClient that brings `on`'s client of `of` to `height`."""
    stored = of.chain.store.block(height)
    assert stored is not None, "a ledger keeps the blocks that are relayed"
    signing, trusted = of.chain.validators_at(height), of.chain.validators_at(on.trusted + 1)
    header = frame_header(stored.signed, signing, of.at(on.trusted), trusted)
    message = client_wire.MsgUpdateClient(
        client_id=on.client,
        client_message=AnyMessage(type_url=urls.TENDERMINT_HEADER, value=header),
        signer=on.account.id,
    )
    return urls.MSG_UPDATE_CLIENT, message.SerializeToString(deterministic=True)


def update(on: End, of: LabLedger, height: int | None = None) -> int:
    target = of.height if height is None else height
    expect(on.ledger.transact(on.account, update_message(on, of, target)))
    on.trusted = max(on.trusted, target)
    return target


def open_lane_message(on: End, other: End, order: LaneOrder = LaneOrder.UNORDERED) -> Message:
    """`lane.open` on one side, with the four proofs read on the other at the client's newest height."""
    at = on.trusted
    far = other.ledger

    def proof(store: str, key: bytes) -> bytes:
        return far.prove(store, key, at).merkle_proof

    state_key = host.client_state(other.client)
    value = far.chain.view_at(at - 1).get("ibc", state_key)
    assert value is not None, "the remote client exists"
    own = far.chain.machine.packets.kinds.latest_height(far.chain.view_at(at - 1), other.client)
    return "lane.open", {
        "local_client": on.client,
        "remote_client": other.client,
        "remote_genesis": far.genesis.to_bytes(),
        "height": str(far.at(at)),
        "client_state": value,
        "client_state_proof": proof("ibc", state_key),
        "counterparty_proof": proof("ibc", host.counterparty(other.client)),
        "consensus_height": str(own),
        "consensus_proof": proof("ibc", host.consensus_state(other.client, own)),
        "domain_proof": proof("rules", b"domain"),
        "operated": far.genesis.ledger_class is not LedgerClass.BFT,
        **({"order": int(order)} if order else {}),
    }


def open_lane(one: End, other: End, order: LaneOrder = LaneOrder.UNORDERED) -> None:
    """Open the lane on both sides."""
    update(one, other.ledger)
    expect(one.ledger.transact(one.account, open_lane_message(one, other, order)))
    update(other, one.ledger)
    expect(other.ledger.transact(other.account, open_lane_message(other, one, order)))


def connect(
    one: End,
    other: End,
    *,
    lane: bool = True,
    trusting: DurationNanos = TRUSTING,
    order: LaneOrder = LaneOrder.UNORDERED,
) -> None:
    """Clients both ways, counterparties, and (for our own ledgers) the lane."""
    create_client(one, other.ledger, trusting)
    create_client(other, one.ledger, trusting)
    register(one, other.client)
    register(other, one.client)
    if lane:
        open_lane(one, other, order)


def receive_message(on: End, source: End, packet: Packet) -> Message:
    ledger, at = source.ledger, on.trusted
    proof = ledger.merkle_proof("ibc", host.packet_commitment(source.client, packet[0]), at)
    return urls.MSG_RECV_PACKET, ibc_wire.encode_receive(packet, proof, ledger.at(at), on.account.id)


def receive_in_order_message(on: End, source: End, packet: Packet) -> Message:
    """`lane.receive`: the packet, and its claim under the same header."""
    ledger, at = source.ledger, on.trusted
    key = keys.order_claim(source.client, packet.sequence)
    claim = ledger.chain.view_at(at - 1).get(keys.LANE, key)
    proof = ledger.merkle_proof(keys.LANE, key, at)
    received = receive_message(on, source, packet)[1]
    return "lane.receive", {"packet": received, "claim": claim or b"", "proof": proof}


def acknowledge_message(on: End, dest: End, packet: Packet, acknowledgement: Acknowledgement) -> Message:
    ledger, at = dest.ledger, on.trusted
    proof = ledger.merkle_proof("ibc", host.packet_acknowledgement(dest.client, packet[0]), at)
    content = ibc_wire.encode_acknowledge(packet, acknowledgement, proof, ledger.at(at), on.account.id)
    return urls.MSG_ACKNOWLEDGEMENT, content


def timeout_message(on: End, dest: End, packet: Packet) -> Message:
    key = host.packet_receipt(dest.client, packet.sequence)
    proof = dest.ledger.prove("ibc", key, on.trusted).merkle_proof
    return urls.MSG_TIMEOUT, ibc_wire.encode_timeout(packet, proof, dest.ledger.at(on.trusted), on.account.id)


def packets_of(result: TxResult, kind: str = "send_packet") -> list[Packet]:
    """Packets named by a transaction's events of one kind."""
    found = []
    for event in result.events:
        if event.type == kind:
            encoded = event.get("encoded_packet_hex")
            assert encoded is not None
            found.append(ibc_wire.read_packet(bytes.fromhex(encoded)))
    return found


def acknowledgements_of(events: Iterable[Event]) -> dict[int, Acknowledgement]:
    """Acknowledgements by packet sequence, out of write_acknowledgement events."""
    found = {}
    for event in events:
        if event.type == "write_acknowledgement":
            raw = bytes.fromhex(event.get("encoded_acknowledgement_hex") or "")
            found[int(event.get("packet_sequence") or 0)] = ibc_wire.read_acknowledgement(raw)
    return found
