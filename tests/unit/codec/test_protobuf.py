"""Protobuf at the border: what parses, what is canonical, varints and Any."""

from __future__ import annotations

import pytest

from lockgate.codec import protobuf, type_urls
from lockgate.codec.errors import (
    ProtobufMalformed,
    ProtobufNotCanonical,
    TooLarge,
    Unencodable,
    UnknownTypeUrl,
)
from lockgate.codec.wire import ibc_channel_pb2 as channel
from lockgate.codec.wire import ibc_client_pb2 as client
from lockgate.codec.wire import ibc_tendermint_pb2 as tendermint

PAYLOAD = channel.Payload(source_port="a", destination_port="b", version="v", encoding="e", value=b"x")
PACKET = channel.Packet(
    sequence=1, source_client="c-0", destination_client="d-0", timeout_timestamp=300, payloads=[PAYLOAD]
)
DATA = protobuf.serialize(PACKET)
BODY = protobuf.serialize(PAYLOAD)


def test_own_message_round_trips() -> None:
    assert protobuf.parse_own(channel.Packet, DATA) == PACKET
    assert protobuf.serialize(protobuf.parse_own(channel.Packet, DATA)) == DATA


@pytest.mark.parametrize(
    "data",
    [
        DATA + b"\x3a\x01x",  # unknown field
        DATA + b"\x30\x00",  # unknown field of value zero
        DATA + DATA[:2],  # a field again
        DATA[2:] + DATA[:2],  # order
        b"\x08\x81\x00" + DATA[2:],  # long varint
        b"\x08\x00" + DATA[2:],  # a zero that is written
        DATA[: -len(BODY) - 1] + protobuf.length_prefixed(BODY + b"\x3a\x00"),  # one level down
    ],
)
def test_what_parses_and_is_not_canonical(data: bytes) -> None:
    protobuf.parse(channel.Packet, data)
    with pytest.raises(ProtobufNotCanonical):
        protobuf.parse_own(channel.Packet, data)


@pytest.mark.parametrize(
    "data",
    [
        DATA[:-1],
        b"\x08",
        b"\x00\x01",  # field number 0
        b"\x0f\x01",  # wire type 7
        b"\x12\x01\xff",  # text that is not UTF-8
        b"\x08" + b"\xff" * 10,  # varint too long
        b"\x12\xff\xff\xff\xff\x0f",  # length beyond the input
        b"\x3b" * 200,  # groups nested too deep
    ],
)
def test_malformed(data: bytes) -> None:
    with pytest.raises(ProtobufMalformed):
        protobuf.parse(channel.Packet, data)


def test_limit_is_exact() -> None:
    protobuf.parse(channel.Packet, DATA, limit=len(DATA))
    with pytest.raises(TooLarge):
        protobuf.parse(channel.Packet, DATA, limit=len(DATA) - 1)


def test_always_written_sub_messages() -> None:
    assert protobuf.serialize(channel.MsgRecvPacket()).hex() == "0a001a00"
    # ibc-v2.md section 2, MsgTimeout: 1, 3 always, signer is 5.
    assert protobuf.serialize(channel.MsgTimeout(signer="s")).hex() == "0a001a002a0173"
    # tendermint-light-client.md section 10: fields 2 to 7 of a client state.
    assert protobuf.serialize(tendermint.ClientState()).hex() == "12001a0022002a0032003a00"
    assert protobuf.serialize(tendermint.Header()).hex() == "1a00"
    assert protobuf.serialize(channel.Packet()) == b""


def test_always_reaches_repeated_and_nested_messages() -> None:
    states = client.ClientConsensusStates(consensus_states=[client.ConsensusStateWithHeight()])
    assert protobuf.serialize(states).hex() == "12020a00"
    header = tendermint.Header()
    header.signed_header.commit.height = 1
    # commit {height 1, block id {part set header {}}}, trusted height {}
    assert protobuf.serialize(header).hex() == "0a08120608011a0212001a00"


def test_own_message_without_an_always_field_is_refused() -> None:
    with pytest.raises(ProtobufNotCanonical):
        protobuf.parse_own(channel.MsgRecvPacket, bytes.fromhex("0a00"))
    protobuf.parse_own(channel.MsgRecvPacket, bytes.fromhex("0a001a00"))


def test_any() -> None:
    wrapped = protobuf.pack(type_urls.MSG_RECV_PACKET, channel.MsgRecvPacket(packet=PACKET))
    assert wrapped.type_url == "/ibc.core.channel.v2.MsgRecvPacket"
    message = protobuf.unpack(wrapped, type_urls.MSG_RECV_PACKET, channel.MsgRecvPacket)
    assert message.packet == PACKET
    assert protobuf.unpack_known(wrapped) == message
    with pytest.raises(UnknownTypeUrl):
        protobuf.unpack(wrapped, type_urls.MSG_TIMEOUT, channel.MsgTimeout)
    with pytest.raises(UnknownTypeUrl):
        protobuf.unpack_known(protobuf.AnyMessage(type_url="/nobody.Knows"))
    with pytest.raises(ProtobufMalformed):
        protobuf.unpack_known(protobuf.AnyMessage(type_url=type_urls.MSG_TIMEOUT, value=b"\x08"))


@pytest.mark.parametrize(
    ("value", "encoding"),
    [(0, "00"), (1, "01"), (127, "7f"), (128, "8001"), (300, "ac02"), ((1 << 64) - 1, "ff" * 9 + "01")],
)
def test_uvarint(value: int, encoding: str) -> None:
    data = bytes.fromhex(encoding)
    assert protobuf.uvarint(value) == data
    assert protobuf.read_uvarint(b"\xaa" + data + b"\x55", 1) == (value, 1 + len(data))


@pytest.mark.parametrize(
    ("value", "encoding"), [(0, "00"), (-1, "01"), (1, "02"), (15, "1e"), (-64, "7f"), (64, "8001")]
)
def test_varint(value: int, encoding: str) -> None:
    assert protobuf.varint(value) == bytes.fromhex(encoding)
    assert protobuf.read_varint(bytes.fromhex(encoding)) == (value, len(encoding) // 2)


def test_long_varint_is_taken_as_protobuf_takes_it() -> None:
    assert protobuf.read_uvarint(bytes.fromhex("8100")) == (1, 2)


@pytest.mark.parametrize("encoding", ["", "80", "ff" * 9 + "02", "80" * 10 + "00", "ff" * 10])
def test_bad_varint(encoding: str) -> None:
    with pytest.raises(ProtobufMalformed):
        protobuf.read_uvarint(bytes.fromhex(encoding))


def test_varint_range() -> None:
    for value in (-1, 1 << 64):
        with pytest.raises(Unencodable):
            protobuf.uvarint(value)
    for value in (1 << 63, -(1 << 63) - 1):
        with pytest.raises(Unencodable):
            protobuf.zigzag(value)


def test_length_prefix() -> None:
    assert protobuf.length_prefixed(b"abc") == b"\x03abc"
