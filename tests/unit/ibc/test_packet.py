"""Stateless validation of packets and acknowledgements, and their protobuf forms."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lockgate.codec.errors import Malformed
from lockgate.ibc import wire
from lockgate.ibc.errors import (
    AcknowledgementCount,
    BadAcknowledgement,
    BadHostIdentifier,
    BadPacket,
    BadPayload,
)
from lockgate.ibc.packet import (
    ERROR_ACKNOWLEDGEMENT,
    MAX_PAYLOAD_BYTES,
    SENTINEL,
    Acknowledgement,
    Packet,
    Payload,
    check_acknowledgement,
    check_count,
    check_packet,
)
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.time import UnixSeconds
from tests.support.values import replace

PAYLOAD = Payload(
    source_port="transfer", destination_port="transfer", version="ics20-1", encoding="application/json", value=b"{}"
)
PACKET = Packet(
    sequence=1,
    source_client=ClientId("07-tendermint-0"),
    destination_client=ClientId("07-tendermint-1"),
    timeout=UnixSeconds(100),
    payloads=(PAYLOAD,),
)


def with_payload(**fields: object) -> Packet:
    return replace(PACKET, payloads=(replace(PAYLOAD, **fields),))  # type: ignore[arg-type]


def test_a_good_packet_passes() -> None:
    check_packet(PACKET, 1)
    check_packet(replace(PACKET, payloads=(PAYLOAD,) * 3), 3)
    check_packet(with_payload(value=bytes(MAX_PAYLOAD_BYTES)), 1)
    check_packet(replace(PACKET, sequence=2**64 - 1, timeout=UnixSeconds(2**64 - 1)), 1)


@pytest.mark.parametrize(
    ("packet", "refusal"),
    [
        (replace(PACKET, payloads=()), BadPayload),
        (replace(PACKET, payloads=(PAYLOAD, PAYLOAD)), BadPayload),
        (with_payload(source_port="x"), BadHostIdentifier),
        (with_payload(destination_port="a/b"), BadHostIdentifier),
        (with_payload(version=""), BadPayload),
        (with_payload(version=" \t\u2003"), BadPayload),
        (with_payload(encoding="\u3000"), BadPayload),
        (with_payload(value=b""), BadPayload),
        (with_payload(value=bytes(MAX_PAYLOAD_BYTES + 1)), BadPayload),
        (replace(PACKET, source_client=ClientId("short")), BadHostIdentifier),
        (replace(PACKET, destination_client=ClientId("with/slash")), BadHostIdentifier),
        (replace(PACKET, sequence=0), BadPacket),
        (replace(PACKET, timeout=UnixSeconds(0)), BadPacket),
        (replace(PACKET, sequence=2**64), BadPacket),
    ],
)
def test_a_packet_out_of_range_is_refused(packet: Packet, refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        check_packet(packet, 1)


def test_payload_sizes_count_together() -> None:
    half = replace(PAYLOAD, value=bytes(MAX_PAYLOAD_BYTES // 2))
    check_packet(replace(PACKET, payloads=(half, half)), 2)
    with pytest.raises(BadPayload):
        check_packet(replace(PACKET, payloads=(half, half, PAYLOAD)), 3)


def test_a_version_of_a_control_character_is_not_blank() -> None:
    check_packet(with_payload(version="\x1c"), 1)  # Python would strip it; Go does not


@pytest.mark.parametrize("elements", [(), (b"",), (b"a", b""), (b"a", SENTINEL), (SENTINEL, SENTINEL), (b"a",) * 3])
def test_acknowledgement_lists_no_receiver_writes_are_refused(elements: tuple[bytes, ...]) -> None:
    with pytest.raises(BadAcknowledgement):
        check_acknowledgement(Acknowledgement(elements), 2)


def test_the_error_acknowledgement_stands_for_any_number_of_payloads() -> None:
    check_acknowledgement(ERROR_ACKNOWLEDGEMENT, 1)
    assert not ERROR_ACKNOWLEDGEMENT.success
    check_count(replace(PACKET, payloads=(PAYLOAD,) * 3), ERROR_ACKNOWLEDGEMENT)


def test_a_success_has_one_element_per_payload() -> None:
    check_count(PACKET, Acknowledgement((b"a",)))
    with pytest.raises(AcknowledgementCount):
        check_count(replace(PACKET, payloads=(PAYLOAD,) * 2), Acknowledgement((b"a",)))


def test_messages_round_trip() -> None:
    height = Height(1, 20)
    assert wire.read_packet(wire.encode_packet(PACKET)) == PACKET
    assert wire.read_receive(wire.encode_receive(PACKET, b"p", height, "me")) == (
        PACKET, wire.encode_packet(PACKET), b"p", height, "me",
    )  # fmt: skip
    assert wire.read_timeout(wire.encode_timeout(PACKET, b"p", height, "me")).proof_height == height
    acknowledgement = Acknowledgement((b"one", b"two" * 100))
    data = wire.encode_acknowledge(PACKET, acknowledgement, b"p", height, "me")
    assert wire.read_acknowledge(data).acknowledgement == acknowledgement
    assert wire.read_acknowledgement(wire.encode_acknowledgement(acknowledgement)) == acknowledgement
    send = wire.SendMessage("07-tendermint-0", UnixSeconds(7), (PAYLOAD,), "me")
    assert wire.read_send(wire.encode_send(send)) == send


def test_the_packet_has_the_bytes_of_the_worked_example() -> None:
    assert (
        wire.encode_packet(PACKET)
        .hex()
        .startswith("0801120f30372d74656e6465726d696e742d301a0f30372d74656e6465726d696e742d3120642a")
    )


NON_CANONICAL: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("unknown field", lambda data: data + b"\x78\x01"),
    ("repeated scalar", lambda data: data + b"\x22\x02me"),
    ("long varint", lambda data: data.replace(b"\x0a", b"\x8a\x00", 1)),
    ("cut short", lambda data: data[:-1]),
    ("empty", lambda data: b""),
    ("zero height written", lambda data: data.replace(b"\x08\x01\x10\x14", b"\x10\x14\x08\x01")),
]


@pytest.mark.parametrize("spoil", [case for _, case in NON_CANONICAL], ids=[name for name, _ in NON_CANONICAL])
def test_another_encoding_of_a_message_is_refused(spoil: Callable[[bytes], bytes]) -> None:
    data = wire.encode_receive(PACKET, b"proof", Height(1, 20), "me")
    wire.read_receive(data)
    with pytest.raises(Malformed):
        wire.read_receive(spoil(data))


def test_a_message_without_its_packet_is_refused() -> None:
    with pytest.raises(Malformed):
        wire.read_receive(b"\x12\x01p\x1a\x02\x10\x01\x22\x02me")
