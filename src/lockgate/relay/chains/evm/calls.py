"""Messages of IBC v2 as calls of the host contract.

Messages of one kind and lane in a row that carry the same proof are one call: it is one proof for all of them
(`courier.ports.Submitter`). The contract takes timeouts one by one. An attestation without packets goes to the client.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from lockgate.codec import abi
from lockgate.codec import type_urls as urls
from lockgate.codec.protobuf import parse
from lockgate.codec.wire import ibc_client_pb2 as client_wire
from lockgate.ibc import wire
from lockgate.ibc.packet import Packet
from lockgate.ibc.wire import AcknowledgeMessage, RelayMessage
from lockgate.lightclients.evm_attestation import ATTESTATION, TYPE_URL
from lockgate.machine.transaction import Message
from lockgate.primitives.errors import Misuse, Refused
from lockgate.primitives.ids import ClientId
from lockgate.relay.chains.evm.interface import interface
from lockgate.relay.chains.evm.packets import host_interface, item_fields, packet_fields

MAX_BATCH: Final = 50  # contracts/host.vy


class OneAcknowledgement(Refused):
    code = "evm.one_acknowledgement"
    summary = "The host contract takes packets of one payload, and so acknowledgements of one part."
    untouched = "Nothing was signed."
    next_step = "Such a packet cannot have come from this contract: look at who shows it."


@dataclass(frozen=True, slots=True)
class PacketCall:
    """A call, and which packets it is about, in order. `client` is whose contract is called; the host's for none."""

    kind: str  # type URL of its messages
    data: bytes
    packets: tuple[Packet, ...]
    client: ClientId = ClientId("")


def calls_of(messages: Sequence[Message]) -> list[PacketCall]:
    """Raises Misuse for messages that a host contract has no call for, OneAcknowledgement, codec's Malformed."""
    updates = [content for kind, content in messages if kind == urls.MSG_UPDATE_CLIENT]
    calls = list(map(_update, updates))
    read = [(kind, _read(kind, content)) for kind, content in messages[len(updates) :]]
    for (kind, proof, height, _, _, one_payload), group in itertools.groupby(
        read, lambda one: (one[0], one[1].proof, one[1].proof_height, *_form(one[1].packet))
    ):
        ones = [message for _, message in group]
        most = 1 if kind == urls.MSG_TIMEOUT or not one_payload else MAX_BATCH
        for at in range(0, len(ones), most):
            some = ones[at : at + most]
            calls.append(PacketCall(kind, _data(kind, some, proof, tuple(height)), tuple(one.packet for one in some)))
    return calls


def _form(packet: Packet) -> tuple[ClientId, ClientId, bool]:
    """What packets of a batch have in common: a lane, and one payload each."""
    return packet.source_client, packet.destination_client, len(packet.payloads) == 1


def _update(content: bytes) -> PacketCall:
    message = parse(client_wire.MsgUpdateClient, content)
    if message.client_message.type_url != TYPE_URL:
        raise Misuse("no client of a host contract takes this", message=message.client_message.type_url)
    data = interface("attested").call("update", abi.decode(ATTESTATION, message.client_message.value))
    return PacketCall(urls.MSG_UPDATE_CLIENT, data, (), ClientId(message.client_id))


def _read(kind: str, content: Any) -> RelayMessage | AcknowledgeMessage:
    match kind:
        case urls.MSG_RECV_PACKET:
            return wire.read_receive(content)
        case urls.MSG_TIMEOUT:
            return wire.read_timeout(content)
        case urls.MSG_ACKNOWLEDGEMENT:
            return wire.read_acknowledge(content)
    raise Misuse("the host contract has no call for this message", message=kind)


def _data(kind: str, ones: Sequence[Any], proof: bytes, height: tuple[int, ...]) -> bytes:
    host, first = host_interface(), ones[0].packet
    single = packet_fields(first)
    if kind == urls.MSG_TIMEOUT:
        return host.call("timeoutPacket", (single, proof, height))
    answers = [_answer(one) for one in ones] if kind == urls.MSG_ACKNOWLEDGEMENT else []
    if len(ones) == 1:
        name, answer = ("ackPacket", answers) if answers else ("recvPacket", [])
        return host.call(name, (single, *answer, proof, height))
    batch = first.source_client, first.destination_client, [item_fields(one.packet) for one in ones]
    if answers:
        return host.call("ackPackets", *batch, answers, proof, height)
    return host.call("recvPackets", *batch, proof, height)


def _answer(message: AcknowledgeMessage) -> bytes:
    elements = message.acknowledgement[0]
    if len(elements) != 1:
        raise OneAcknowledgement(parts=len(elements))
    return bytes(elements[0])


__all__ = ("MAX_BATCH", "OneAcknowledgement", "PacketCall", "calls_of")
