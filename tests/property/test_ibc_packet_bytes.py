"""Packet messages read and written by hand are what the protobuf library reads and writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lockgate.codec.errors import Malformed
from lockgate.codec.wire import ibc_channel_pb2 as channel
from lockgate.codec.wire import ibc_client_pb2 as client
from lockgate.ibc import packet_bytes, wire
from lockgate.ibc.packet import Acknowledgement, Packet, Payload
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.time import UnixSeconds

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=140)
numbers = st.integers(0, 2**64 - 1) | st.integers(0, 300)
payloads = st.builds(
    Payload, source_port=texts, destination_port=texts, version=texts, encoding=texts, value=st.binary(max_size=300)
)
packets = st.builds(
    Packet,
    sequence=numbers,
    source_client=texts.map(ClientId),
    destination_client=texts.map(ClientId),
    timeout=numbers.map(UnixSeconds),
    payloads=st.lists(payloads, max_size=3).map(tuple),
)


def usual(value: bytes, sequence: int) -> Packet:
    payload = Payload(source_port="mock", destination_port="other", version="v1", encoding="raw", value=value)
    return Packet(
        sequence=sequence,
        source_client=ClientId("07-tendermint-0"),
        destination_client=ClientId("07-tendermint-1"),
        timeout=UnixSeconds(1_750_000_000),
        payloads=(payload,),
    )


def library_packet(packet: Packet) -> channel.Packet:
    return channel.Packet(
        sequence=packet.sequence,
        source_client=packet.source_client,
        destination_client=packet.destination_client,
        timeout_timestamp=packet.timeout,
        payloads=[library_payload(payload) for payload in packet.payloads],
    )


def library_payload(payload: Payload) -> channel.Payload:
    return channel.Payload(
        source_port=payload.source_port,
        destination_port=payload.destination_port,
        version=payload.version,
        encoding=payload.encoding,
        value=payload.value,
    )


@given(packets, st.binary(max_size=200), numbers, numbers, texts)
def test_what_is_written_is_what_the_library_writes(
    packet: Packet, proof: bytes, revision: int, height: int, signer: str
) -> None:
    at = Height(revision, height)
    whole, shown = library_packet(packet), client.Height(revision_number=revision, revision_height=height)
    assert wire.encode_packet(packet) == whole.SerializeToString()
    assert wire.send_response(height) == channel.MsgSendPacketResponse(sequence=height).SerializeToString()
    receive = channel.MsgRecvPacket(packet=whole, proof_commitment=proof, proof_height=shown, signer=signer)
    assert wire.encode_receive(packet, proof, at, signer) == receive.SerializeToString()
    time_out = channel.MsgTimeout(packet=whole, proof_unreceived=proof, proof_height=shown, signer=signer)
    assert wire.encode_timeout(packet, proof, at, signer) == time_out.SerializeToString()
    acknowledgement = channel.MsgAcknowledgement(
        packet=whole,
        acknowledgement=channel.Acknowledgement(app_acknowledgements=[proof, b""]),
        proof_acked=proof,
        proof_height=shown,
        signer=signer,
    )
    given_list = Acknowledgement((proof, b""))
    assert wire.encode_acknowledge(packet, given_list, proof, at, signer) == acknowledgement.SerializeToString()
    send = wire.SendMessage(packet.source_client, packet.timeout, packet.payloads, signer)
    expected = channel.MsgSendPacket(
        source_client=packet.source_client,
        timeout_timestamp=packet.timeout,
        payloads=[library_payload(payload) for payload in packet.payloads],
        signer=signer,
    )
    assert wire.encode_send(send) == expected.SerializeToString()


READERS: dict[str, tuple[Callable[[bytes], Any], Callable[[bytes], Any], Callable[[bytes], Any]]] = {
    "send": (wire.read_send, wire._send_of, wire._parse_send),
    "receive": (wire.read_receive, lambda data: wire._relay_of(data, 0x22), wire._parse_receive),
    "timeout": (wire.read_timeout, lambda data: wire._relay_of(data, 0x2A), wire._parse_timeout),
    "acknowledge": (wire.read_acknowledge, wire._acknowledge_of, wire._parse_acknowledge),
    "packet": (wire.read_packet, lambda data: packet_bytes.packet_at(data, 0, len(data)), wire._parse_packet),
    "acknowledgement": (
        wire.read_acknowledgement,
        lambda data: wire._acknowledgement_at(data, 0, len(data)),
        wire._parse_acknowledgement,
    ),
}


def message_of(name: str, packet: Packet, proof: bytes, signer: str) -> bytes:
    at, acknowledgement = Height(1, 77), Acknowledgement((b"result", b"", proof))
    return {
        "send": lambda: wire.encode_send(
            wire.SendMessage(packet.source_client, packet.timeout, packet.payloads * 2, signer)
        ),
        "receive": lambda: wire.encode_receive(packet, proof, at, signer),
        "timeout": lambda: wire.encode_timeout(packet, proof, at, signer),
        "acknowledge": lambda: wire.encode_acknowledge(packet, acknowledgement, proof, at, signer),
        "packet": lambda: wire.encode_packet(packet),
        "acknowledgement": lambda: wire.encode_acknowledgement(acknowledgement),
    }[name]()


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("size", [1, 100, 127, 128, 20_000])
def test_usual_messages_need_no_library(name: str, size: int) -> None:
    _, fast, plain = READERS[name]
    data = message_of(name, usual(bytes(size), 2**40 + size), b"proof" * size, "signer")
    assert fast(data) == plain(data)


def verdict(read: Callable[[bytes], Any], data: bytes) -> object:
    try:
        return read(data)
    except Malformed as refusal:
        return type(refusal)


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=300, deadline=None)
@given(
    st.data(),
    st.integers(1, 300),
    st.sampled_from([1, 40, 130, 17_000]),
    st.lists(st.tuples(st.integers(0, 400), st.sampled_from(["flip", "drop", "add"]), st.integers(0, 255)), max_size=3),
)
def test_altered_messages_get_the_librarys_verdict(
    name: str, data: st.DataObject, sequence: int, size: int, changes: list[tuple[int, str, int]]
) -> None:
    read, _, plain = READERS[name]
    message = bytearray(message_of(name, usual(b"x" * size, sequence), b"proof" * (size // 9 + 1), "signer"))
    for at, how, byte in changes:
        spot = at % max(len(message), 1)
        if how == "flip" and message:
            message[spot] ^= byte
        elif how == "drop":
            del message[spot : spot + 1]
        else:
            message.insert(spot, byte)
    altered = bytes(message)
    assert verdict(read, altered) == verdict(plain, altered)


LONG_ZERO = b"\x0a\x80\x00"


@pytest.mark.parametrize("name", READERS)
@given(st.binary(max_size=120))
@example(LONG_ZERO)
@example(b"\x08\x81\x00\x12\x01a\x1a\x01b\x20\x01")
@example(b"\x08\x01\x12\x01\xff\x1a\x01b\x20\x01")
@example(b"\x08\x01\x12\x01a\x1a\x01b\x20\x80\x00")
@example(b"\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02\x12\x01a\x1a\x01b\x20\x01")
def test_any_bytes_get_the_librarys_verdict(name: str, data: bytes) -> None:
    read, _, plain = READERS[name]
    assert verdict(read, data) == verdict(plain, data)
