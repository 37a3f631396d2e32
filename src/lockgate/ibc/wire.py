"""Packet messages between protobuf bytes and values, strictly: what is accepted re-encodes to itself.

A packet travels through three ledgers' worth of transactions and is hashed field by field, so two
encodings of one packet would be two transactions with one effect. Only the canonical form is read:
fields ascending, no zero scalars, no unknown fields (I12). Source: specs/ibc-v2.md §2.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from lockgate.codec.protobuf import length_prefixed, parse_own
from lockgate.codec.wire import ibc_channel_pb2 as channel
from lockgate.codec.wire import ibc_client_pb2 as client
from lockgate.ibc.packet import Acknowledgement, Packet, Payload
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.time import UnixSeconds

NOOP: Final = b"\x08\x01"  # Msg…Response {1 result: NOOP}
SUCCESS: Final = b"\x08\x02"  # Msg…Response {1 result: SUCCESS}


class SendMessage(NamedTuple):
    """A MsgSendPacket."""

    source_client: str
    timeout: UnixSeconds
    payloads: tuple[Payload, ...]
    signer: str


class RelayMessage(NamedTuple):
    """A MsgRecvPacket or MsgTimeout: a packet and what is proven of it on the other ledger."""

    packet: Packet
    encoded: bytes  # the packet's protobuf form
    proof: bytes
    proof_height: Height
    signer: str


class AcknowledgeMessage(NamedTuple):
    """A MsgAcknowledgement: as a RelayMessage, and the acknowledgement that is proven."""

    packet: Packet
    encoded: bytes
    proof: bytes
    proof_height: Height
    signer: str
    acknowledgement: Acknowledgement


def read_send(data: bytes) -> SendMessage:
    """Read a MsgSendPacket. Raises codec.Malformed."""
    message = parse_own(channel.MsgSendPacket, data)
    return SendMessage(
        message.source_client,
        UnixSeconds(message.timeout_timestamp),
        tuple([_payload(payload) for payload in message.payloads]),
        message.signer,
    )


def read_receive(data: bytes) -> RelayMessage:
    """Read a MsgRecvPacket. Raises codec.Malformed."""
    message = parse_own(channel.MsgRecvPacket, data)
    return RelayMessage(*_relayed(message, message.proof_commitment))


def read_timeout(data: bytes) -> RelayMessage:
    """Read a MsgTimeout. Raises codec.Malformed."""
    message = parse_own(channel.MsgTimeout, data)
    return RelayMessage(*_relayed(message, message.proof_unreceived))


def read_acknowledge(data: bytes) -> AcknowledgeMessage:
    """Read a MsgAcknowledgement. Raises codec.Malformed."""
    message = parse_own(channel.MsgAcknowledgement, data)
    return AcknowledgeMessage(
        *_relayed(message, message.proof_acked),
        Acknowledgement(tuple(message.acknowledgement.app_acknowledgements)),
    )


def read_packet(data: bytes) -> Packet:
    """Read a Packet, as events carry it. Raises codec.Malformed."""
    return _packet(parse_own(channel.Packet, data))


def read_acknowledgement(data: bytes) -> Acknowledgement:
    """Read an Acknowledgement list, as events carry it. Raises codec.Malformed."""
    return Acknowledgement(tuple(parse_own(channel.Acknowledgement, data).app_acknowledgements))


def encode_packet(packet: Packet) -> bytes:
    return _wire_packet(packet).SerializeToString()


def encode_acknowledgement(acknowledgement: Acknowledgement) -> bytes:
    return b"".join([b"\n" + length_prefixed(element) for element in acknowledgement.elements])


def encode_send(message: SendMessage) -> bytes:
    """Build a MsgSendPacket."""
    return channel.MsgSendPacket(
        source_client=message.source_client,
        timeout_timestamp=message.timeout,
        payloads=[_wire_payload(payload) for payload in message.payloads],
        signer=message.signer,
    ).SerializeToString()


def encode_receive(packet: Packet, proof: bytes, proof_height: Height, signer: str) -> bytes:
    """Build a MsgRecvPacket."""
    return channel.MsgRecvPacket(
        packet=_wire_packet(packet),
        proof_commitment=proof,
        proof_height=wire_height(proof_height),
        signer=signer,
    ).SerializeToString()


def encode_acknowledge(
    packet: Packet, acknowledgement: Acknowledgement, proof: bytes, proof_height: Height, signer: str
) -> bytes:
    """Build a MsgAcknowledgement."""
    return channel.MsgAcknowledgement(
        packet=_wire_packet(packet),
        acknowledgement=channel.Acknowledgement(app_acknowledgements=acknowledgement.elements),
        proof_acked=proof,
        proof_height=wire_height(proof_height),
        signer=signer,
    ).SerializeToString()


def encode_timeout(packet: Packet, proof: bytes, proof_height: Height, signer: str) -> bytes:
    """Build a MsgTimeout."""
    return channel.MsgTimeout(
        packet=_wire_packet(packet),
        proof_unreceived=proof,
        proof_height=wire_height(proof_height),
        signer=signer,
    ).SerializeToString()


def send_response(sequence: int) -> bytes:
    return channel.MsgSendPacketResponse(sequence=sequence).SerializeToString()


def _relayed(
    message: channel.MsgRecvPacket | channel.MsgTimeout | channel.MsgAcknowledgement, proof: bytes
) -> tuple[Packet, bytes, bytes, Height, str]:
    packet, height = message.packet, message.proof_height
    return (
        _packet(packet),
        packet.SerializeToString(),
        proof,
        Height(height.revision_number, height.revision_height),
        message.signer,
    )


def _packet(message: channel.Packet) -> Packet:
    return Packet(
        sequence=message.sequence,
        source_client=ClientId(message.source_client),
        destination_client=ClientId(message.destination_client),
        timeout=UnixSeconds(message.timeout_timestamp),
        payloads=tuple([_payload(payload) for payload in message.payloads]),
    )


def _payload(message: channel.Payload) -> Payload:
    return Payload(
        source_port=message.source_port,
        destination_port=message.destination_port,
        version=message.version,
        encoding=message.encoding,
        value=message.value,
    )


def _wire_packet(packet: Packet) -> channel.Packet:
    return channel.Packet(
        sequence=packet.sequence,
        source_client=packet.source_client,
        destination_client=packet.destination_client,
        timeout_timestamp=packet.timeout,
        payloads=[_wire_payload(payload) for payload in packet.payloads],
    )


def _wire_payload(payload: Payload) -> channel.Payload:
    return channel.Payload(
        source_port=payload.source_port,
        destination_port=payload.destination_port,
        version=payload.version,
        encoding=payload.encoding,
        value=payload.value,
    )


def wire_height(height: Height) -> client.Height:
    return client.Height(revision_number=height.revision, revision_height=height.height)
