"""Whole packet messages under altered bytes, random packets through the codecs, and hashes against the formula."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.codec import type_urls as urls
from lockgate.codec.errors import Malformed
from lockgate.ibc import wire
from lockgate.ibc.commitment import commit_packet
from lockgate.ibc.packet import Acknowledgement, Packet, Payload
from lockgate.ibc.solidity import decode_packet, encode_packet
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.time import NANOS_PER_SECOND, UnixSeconds
from tests.support.ibc_fakes import RELAYER
from tests.support.ibc_world import Pair, World, update_client
from tests.support.values import replace
from tests.unit.ibc.test_commitment import written_out

texts = st.text(max_size=40).filter(lambda text: not any("\ud800" <= c <= "\udfff" for c in text))
numbers = st.integers(0, 2**64 - 1)
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


@given(packets, st.binary(max_size=50), numbers, numbers, texts)
def test_messages_read_back_as_written(packet: Packet, proof: bytes, revision: int, height: int, signer: str) -> None:
    at = Height(revision, height)
    expected = (packet, wire.encode_packet(packet), proof, at, signer)
    assert wire.read_receive(wire.encode_receive(packet, proof, at, signer)) == expected
    assert wire.read_timeout(wire.encode_timeout(packet, proof, at, signer)) == expected
    acknowledgement = Acknowledgement((b"", b"x", proof))
    message = wire.read_acknowledge(wire.encode_acknowledge(packet, acknowledgement, proof, at, signer))
    assert message == (*expected, acknowledgement)
    assert wire.read_acknowledgement(wire.encode_acknowledgement(acknowledgement)) == acknowledgement


@given(packets)
def test_the_abi_form_reads_back_as_written(packet: Packet) -> None:
    assert decode_packet(encode_packet(packet)) == packet


@given(packets)
def test_remembered_hashes_are_those_of_the_formula(packet: Packet) -> None:
    assert commit_packet(packet) == written_out(packet)
    assert commit_packet(packet) == written_out(packet)  # once more, with the memo warm


CODECS: list[tuple[Callable[[bytes], Any], Callable[[Any], bytes]]] = [
    (wire.read_packet, wire.encode_packet),
    (wire.read_acknowledgement, wire.encode_acknowledgement),
    (wire.read_send, wire.encode_send),
    (wire.read_receive, lambda message: wire.encode_receive(message[0], *message[2:])),
    (wire.read_timeout, lambda message: wire.encode_timeout(message[0], *message[2:])),
]


@given(st.binary(max_size=200))
def test_any_bytes_read_canonically_or_not_at_all(data: bytes) -> None:
    for read, write in CODECS:
        try:
            value = read(data)
        except Malformed:
            continue
        assert write(value) == data


def alterations(data: bytes) -> st.SearchStrategy[bytes]:
    """Another byte somewhere, a byte less, or a byte more."""

    def flip(at: int, bits: int) -> bytes:
        return data[:at] + bytes((data[at] ^ bits,)) + data[at + 1 :]

    spots = st.integers(0, len(data) - 1)
    return st.one_of(
        st.builds(flip, spots, st.integers(1, 255)),
        st.builds(lambda at: data[:at] + data[at + 1 :], spots),
        st.builds(lambda at, byte: data[:at] + bytes((byte,)) + data[at:], spots, st.integers(0, 255)),
    ).filter(lambda altered: altered != data)


def receiving() -> tuple[World, str, bytes]:
    pair = Pair.connected()
    return pair.b, urls.MSG_RECV_PACKET, pair.receive_message(pair.in_flight())


def acknowledging() -> tuple[World, str, bytes]:
    pair = Pair.connected()
    return pair.a, urls.MSG_ACKNOWLEDGEMENT, pair.acknowledge_message(pair.delivered())


def timing_out() -> tuple[World, str, bytes]:
    pair = Pair.connected()
    packet = pair.in_flight()
    pair.b.time = packet.timeout * NANOS_PER_SECOND
    pair.b.commit()
    update_client(pair.a, pair.b.height)
    return pair.a, urls.MSG_TIMEOUT, pair.timeout_message(packet)


SCENES = [receiving, acknowledging, timing_out]


@pytest.mark.parametrize("scene", SCENES)
def test_every_flipped_bit_of_a_message_is_refused(scene: object) -> None:
    world, url, data = scene()  # type: ignore[operator]
    before = world.state.snapshot()
    for at in range(len(data)):
        for bit in range(8):
            altered = data[:at] + bytes((data[at] ^ 1 << bit,)) + data[at + 1 :]
            try:
                done = world.deliver(url, altered, RELAYER)
            except LockgateError:
                continue
            # Another sequence or client may name a packet that ended or never was: nothing happens.
            assert done.is_noop, (at, bit)
            assert not done.outcome.writes
    assert world.state.snapshot() == before
    assert not world.deliver(url, data).is_noop


@pytest.mark.parametrize("scene", SCENES)
@given(data=st.data())
@settings(max_examples=150)
def test_an_altered_message_is_refused(scene: object, data: st.DataObject) -> None:
    world, url, message = scene()  # type: ignore[operator]
    altered = data.draw(alterations(message))
    before = world.state.snapshot()
    try:
        done = world.deliver(url, altered, RELAYER)
    except LockgateError:
        pass
    else:
        assert done.is_noop
    assert world.state.snapshot() == before


@given(st.data())
@settings(max_examples=100)
def test_an_altered_packet_has_another_commitment(data: st.DataObject) -> None:
    packet = data.draw(packets)
    other = data.draw(packets)
    same = replace(other, sequence=packet.sequence, source_client=packet.source_client) == packet
    assert (commit_packet(packet) == commit_packet(other)) == same
