"""Packet messages between protobuf bytes and values, strictly: what is accepted re-encodes to itself.

A packet travels through three ledgers' worth of transactions and is hashed field by field, so two
encodings of one packet would be two transactions with one effect. Only the canonical form is read:
fields ascending, no zero scalars, no unknown fields (I12). What comes in the usual form is read without
the protobuf library (`packet_bytes`); everything else, and every refusal, is the library's.
Source: specs/ibc-v2.md §2.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from lockgate.codec.protobuf import DEFAULT_LIMIT, parse_own
from lockgate.codec.wire import ibc_channel_pb2 as channel
from lockgate.codec.wire import ibc_client_pb2 as client
from lockgate.ibc import packet_bytes
from lockgate.ibc.packet import Acknowledgement, Packet, Payload
from lockgate.ibc.packet_bytes import Unusual, field, length, number, packet_at, payloads_at, size_at, tail_of, text_at
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.quick import make
from lockgate.primitives.time import UnixSeconds

REMEMBERED_BYTES: Final = 512  # of a message that is not read twice; the memo takes some megabytes
NOOP: Final = b"\x08\x01"  # Msg…Response {1 result: NOOP}
SUCCESS: Final = b"\x08\x02"  # Msg…Response {1 result: SUCCESS}
FAILURE: Final = b"\x08\x03"  # Msg…Response {1 result: FAILURE}


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
    try:
        return _remembered_send(data) if len(data) <= REMEMBERED_BYTES else _send_of(data)
    except (Unusual, IndexError):
        return _parse_send(data)


def _parse_send(data: bytes) -> SendMessage:
    message = parse_own(channel.MsgSendPacket, data)
    return SendMessage(
        message.source_client,
        UnixSeconds(message.timeout_timestamp),
        tuple([_payload(payload) for payload in message.payloads]),
        message.signer,
    )


def read_receive(data: bytes) -> RelayMessage:
    """Read a MsgRecvPacket. Raises codec.Malformed."""
    try:
        return _relay_of(data, 0x22)
    except (Unusual, IndexError):
        return _parse_receive(data)


def _parse_receive(data: bytes) -> RelayMessage:
    message = parse_own(channel.MsgRecvPacket, data)
    return RelayMessage(*_relayed(message, message.proof_commitment))


def read_timeout(data: bytes) -> RelayMessage:
    """Read a MsgTimeout. Raises codec.Malformed."""
    try:
        return _relay_of(data, 0x2A)
    except (Unusual, IndexError):
        return _parse_timeout(data)


def _parse_timeout(data: bytes) -> RelayMessage:
    message = parse_own(channel.MsgTimeout, data)
    return RelayMessage(*_relayed(message, message.proof_unreceived))


def read_acknowledge(data: bytes) -> AcknowledgeMessage:
    """Read a MsgAcknowledgement. Raises codec.Malformed."""
    try:
        return _acknowledge_of(data)
    except (Unusual, IndexError):
        return _parse_acknowledge(data)


def _parse_acknowledge(data: bytes) -> AcknowledgeMessage:
    message = parse_own(channel.MsgAcknowledgement, data)
    return AcknowledgeMessage(
        *_relayed(message, message.proof_acked),
        Acknowledgement(tuple(message.acknowledgement.app_acknowledgements)),
    )


def read_packet(data: bytes) -> Packet:
    """Read a Packet, as events carry it. Raises codec.Malformed."""
    try:
        return packet_at(data, 0, _usual_size(data))
    except (Unusual, IndexError):
        return _parse_packet(data)


def _parse_packet(data: bytes) -> Packet:
    return _packet(parse_own(channel.Packet, data))


def read_acknowledgement(data: bytes) -> Acknowledgement:
    """Read an Acknowledgement list, as events carry it. Raises codec.Malformed."""
    try:
        return _acknowledgement_at(data, 0, _usual_size(data))
    except (Unusual, IndexError):
        return _parse_acknowledgement(data)


def _parse_acknowledgement(data: bytes) -> Acknowledgement:
    return Acknowledgement(tuple(parse_own(channel.Acknowledgement, data).app_acknowledgements))


def encode_packet(packet: Packet) -> bytes:
    return packet_bytes.encode_packet(packet)


def encode_acknowledgement(acknowledgement: Acknowledgement) -> bytes:
    elements = acknowledgement[0]
    if len(elements) == 1:
        return packet_bytes.message(b"\x0a", elements[0])
    return b"".join([packet_bytes.message(b"\x0a", element) for element in elements])


def encode_send(message: SendMessage) -> bytes:
    """Build a MsgSendPacket."""
    payloads = [packet_bytes.message(b"\x1a", packet_bytes.encode_payload(payload)) for payload in message.payloads]
    return b"".join(
        (
            field(b"\x0a", message.source_client.encode()),
            number(b"\x10", message.timeout),
            *payloads,
            field(b"\x22", message.signer.encode()),
        )
    )


def encode_receive(packet: Packet, proof: bytes, proof_height: Height, signer: str) -> bytes:
    """Build a MsgRecvPacket."""
    return _encode_relayed(packet, b"", (b"\x12", proof), (b"\x1a", proof_height), (b"\x22", signer))


def encode_acknowledge(
    packet: Packet, acknowledgement: Acknowledgement, proof: bytes, proof_height: Height, signer: str
) -> bytes:
    """Build a MsgAcknowledgement."""
    elements = packet_bytes.message(b"\x12", encode_acknowledgement(acknowledgement))
    return _encode_relayed(packet, elements, (b"\x1a", proof), (b"\x22", proof_height), (b"\x2a", signer))


def encode_timeout(packet: Packet, proof: bytes, proof_height: Height, signer: str) -> bytes:
    """Build a MsgTimeout."""
    return _encode_relayed(packet, b"", (b"\x12", proof), (b"\x1a", proof_height), (b"\x2a", signer))


def _encode_relayed(
    packet: Packet, between: bytes, proof: tuple[bytes, bytes], height: tuple[bytes, Height], signer: tuple[bytes, str]
) -> bytes:
    """Frame a relayed message: packet, what stands between, and three tagged fields."""
    encoded, (tag, proven) = packet_bytes.encode_packet(packet), proof
    head = tag + length(len(proven)) if proven else b""
    tail = packet_bytes.encode_tail(height, signer)
    return b"".join((b"\x0a", length(len(encoded)), encoded, between, head, proven, tail))


def wire_height(height: Height) -> client.Height:
    """The protobuf message of a height, for query responses."""
    return client.Height(revision_number=height.revision, revision_height=height.height)


def send_response(sequence: int) -> bytes:
    """Build a MsgSendPacketResponse."""
    return number(b"\x08", sequence)


def _usual_size(data: bytes) -> int:
    size = len(data)
    if size > DEFAULT_LIMIT:
        raise Unusual
    return size


def _send_of(data: bytes) -> SendMessage:
    end = _usual_size(data)
    source, at = text_at(data, 0, 0x0A)
    if data[at] != 0x10:
        raise Unusual
    timeout, begin = packet_bytes.number_at(data, at + 1)
    at = begin
    while data[at] == 0x1A:
        size, at = size_at(data, at + 1)
        at += size
    signer, last = text_at(data, at, 0x22)
    if last != end:
        raise Unusual
    return make(SendMessage, (source, timeout, payloads_at(data, begin, at, 0x1A), signer))


# A mempool's check reads a message, and then the block that it stands in: the same bytes, whose hash Python keeps.
_remembered_send: Final = lru_cache(4_096)(_send_of)


def _relay_of(data: bytes, signer_tag: int) -> RelayMessage:
    packet, encoded, at = _packet_first(data)
    proof, at = proof_at(data, at, 0x12)
    height, signer = tail_of(data, at, 0x1A, signer_tag)
    return make(RelayMessage, (packet, encoded, proof, height, signer))


def _acknowledge_of(data: bytes) -> AcknowledgeMessage:
    packet, encoded, at = _packet_first(data)
    if data[at] != 0x12:
        raise Unusual
    size, at = size_at(data, at + 1)
    acknowledgement = _acknowledgement_at(data, at, at + size)
    proof, at = proof_at(data, at + size, 0x1A)
    height, signer = tail_of(data, at, 0x22, 0x2A)
    return make(AcknowledgeMessage, (packet, encoded, proof, height, signer, acknowledgement))


def _packet_first(data: bytes) -> tuple[Packet, bytes, int]:
    """Read the packet that a relayed message begins with: value, bytes, and the position after it."""
    if data[0] != 0x0A or len(data) > DEFAULT_LIMIT:
        raise Unusual
    size, at = size_at(data, 1)
    end = at + size
    return packet_at(data, at, end), data[at:end], end


def proof_at(data: bytes, at: int, tag: int) -> tuple[bytes, int]:
    """Read a proof under `tag`; return it and the position after it. Raises Unusual or IndexError."""
    if data[at] != tag:
        raise Unusual
    size, at = size_at(data, at + 1)
    end = at + size
    if not size or end > len(data):
        raise Unusual
    return data[at:end], end


def _acknowledgement_at(data: bytes, at: int, end: int) -> Acknowledgement:
    elements = []
    while at < end:
        if data[at] != 0x0A:
            raise Unusual
        size = data[at + 1]
        if size < 0x80:
            at += 2
        else:
            size, at = size_at(data, at + 1)
        elements.append(data[at : at + size])
        at += size
    if at != end or end > len(data):
        raise Unusual
    return make(Acknowledgement, (tuple(elements),))


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
