"""Protobuf and ABI for all values and all bytes."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from lockgate.codec import abi, protobuf, type_urls
from lockgate.codec.errors import Malformed, ProtobufMalformed
from lockgate.codec.wire import ibc_channel_pb2 as channel

KINDS = sorted(type_urls.MESSAGES.values(), key=lambda kind: kind.DESCRIPTOR.full_name)
uint64 = st.integers(0, (1 << 64) - 1)
ascii_text = st.text(st.characters(max_codepoint=127), max_size=40)

payloads = st.builds(
    channel.Payload,
    source_port=ascii_text,
    destination_port=ascii_text,
    version=ascii_text,
    encoding=ascii_text,
    value=st.binary(max_size=80),
)
packets = st.builds(
    channel.Packet,
    sequence=uint64,
    source_client=ascii_text,
    destination_client=ascii_text,
    timeout_timestamp=uint64,
    payloads=st.lists(payloads, max_size=3),
)


@given(packets)
def test_packet_is_written_as_the_encoding_guide_says(packet: channel.Packet) -> None:
    """The plain form of the encoding, field by field, beside the library's."""

    def field(number: int, value: int | str | bytes) -> bytes:
        if not value:
            return b""
        if isinstance(value, int):
            return protobuf.uvarint(number << 3) + protobuf.uvarint(value)
        body = value.encode() if isinstance(value, str) else value
        return protobuf.uvarint(number << 3 | 2) + protobuf.length_prefixed(body)

    expected = (
        field(1, packet.sequence)
        + field(2, packet.source_client)
        + field(3, packet.destination_client)
        + field(4, packet.timeout_timestamp)
    )
    for payload in packet.payloads:
        texts = (payload.source_port, payload.destination_port, payload.version, payload.encoding)
        body = b"".join(field(number, text) for number, text in enumerate(texts, 1)) + field(5, payload.value)
        expected += b"\x2a" + protobuf.length_prefixed(body)
    assert protobuf.serialize(packet) == expected
    assert protobuf.parse_own(channel.Packet, expected) == packet


@given(packets, st.data())
def test_mutated_packet_is_refused_or_canonical(packet: channel.Packet, data: st.DataObject) -> None:
    encoded = bytearray(protobuf.serialize(packet) + data.draw(st.binary(max_size=3)))
    if encoded:
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    check_own(channel.Packet, bytes(encoded))


@given(st.sampled_from(KINDS), st.binary(max_size=60))
def test_any_bytes(kind: type[Message], data: bytes) -> None:
    check_own(kind, data)


def check_own(kind: type[Message], data: bytes) -> None:
    try:
        message = protobuf.parse_own(kind, data)
    except Malformed:
        return
    assert protobuf.serialize(message) == data
    assert protobuf.parse(kind, data) == message


@given(uint64)
def test_uvarint_round_trip(value: int) -> None:
    data = protobuf.uvarint(value)
    assert protobuf.read_uvarint(data) == (value, len(data))
    assert len(data) == max(1, -(-value.bit_length() // 7))


@given(st.integers(-(1 << 63), (1 << 63) - 1))
def test_varint_round_trip(value: int) -> None:
    assert protobuf.unzigzag(protobuf.zigzag(value)) == value
    assert protobuf.read_varint(protobuf.varint(value))[0] == value


@given(st.binary(max_size=12))
def test_reading_a_varint_is_total(data: bytes) -> None:
    try:
        value, end = protobuf.read_uvarint(data)
    except ProtobufMalformed:
        return
    assert value < 1 << 64
    assert len(protobuf.uvarint(value)) <= end <= len(data)


kinds: st.SearchStrategy[abi.Type] = st.recursive(
    st.sampled_from([abi.UINT64, abi.UINT256, abi.STRING, abi.BYTES]),
    lambda inner: (
        st.builds(abi.Array, inner) | st.builds(abi.Tuple, st.lists(inner, min_size=1, max_size=4).map(tuple))
    ),
    max_leaves=6,
)


def values_of(kind: abi.Type) -> st.SearchStrategy[Any]:
    if isinstance(kind, abi.Uint):
        return st.integers(0, (1 << kind.bits) - 1)
    if isinstance(kind, abi.Dynamic):
        return st.text(max_size=40) if kind.text else st.binary(max_size=70)
    if isinstance(kind, abi.Array):
        return st.lists(values_of(kind.item), max_size=3).map(tuple)
    return st.tuples(*map(values_of, kind.items))


@given(kinds, st.data())
def test_abi_round_trip_and_mutations(kind: abi.Type, data: st.DataObject) -> None:
    value = data.draw(values_of(kind))
    encoded = abi.encode(kind, value)
    assert len(encoded) % abi.WORD == 0
    assert abi.decode(kind, encoded) == value
    spoiled = bytearray(encoded)
    spoiled[data.draw(st.integers(0, len(spoiled) - 1))] ^= data.draw(st.integers(1, 255))
    check_abi(kind, bytes(spoiled))
    check_abi(kind, encoded[: data.draw(st.integers(0, len(encoded)))])


@given(kinds, st.binary(max_size=200))
def test_abi_any_bytes(kind: abi.Type, data: bytes) -> None:
    check_abi(kind, data)


def check_abi(kind: abi.Type, data: bytes) -> None:
    try:
        value = abi.decode(kind, data)
    except Malformed:
        return
    assert abi.encode(kind, value) == data


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.DESCRIPTOR.name)
def test_complete_is_a_fixed_point(kind: type[Message]) -> None:
    data = protobuf.serialize(kind())
    assert protobuf.serialize(protobuf.parse_own(kind, data)) == data
