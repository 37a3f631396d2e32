"""Reading and writing packets straight from and to their one protobuf form.

What the packet messages of a batch look like is known: every field set, lengths in one to three bytes.
The readers here take exactly that form, checking all that makes it canonical, and raise `Unusual` on
whatever else; `wire` then asks the protobuf library, which alone refuses. Names, heights and timeouts repeat
from packet to packet, so their bytes are read once. Property tests hold both ways equal on mutated
messages. Source: specs/ibc-v2.md §2.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from lockgate.codec.protobuf import MAX_UVARINT, uvarint
from lockgate.ibc.packet import Packet, Payload
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.quick import make
from lockgate.primitives.time import UnixSeconds

MAX_TAIL: Final = 256  # bytes of a height and a signer; a longer signer is not remembered
_MEMO: Final = 4_096  # entries of some 700 bytes at most: lanes, relayers and heights in use are dozens
_MEMO_TEXT: Final = 128  # characters; version and encoding have no limit of their own
_SHORT: Final = 0x80  # lengths below take one byte
_LENGTHS: Final = tuple(map(uvarint, range(0x800)))  # of all but the largest fields and proofs


class Unusual(Exception):
    """Not the form that is read here; it may be canonical all the same."""


def size_at(data: bytes, at: int) -> tuple[int, int]:
    """Read a length of one to three bytes; return it and the position after it."""
    first = data[at]
    if first < _SHORT:
        return first, at + 1
    second = data[at + 1]
    if second < _SHORT:
        if not second:
            raise Unusual
        return first & 0x7F | second << 7, at + 2
    third = data[at + 2]
    if not 0 < third < _SHORT:
        raise Unusual
    return first & 0x7F | (second & 0x7F) << 7 | third << 14, at + 3


def number_at(data: bytes, at: int) -> tuple[int, int]:
    """Read a positive number in its shortest form; return it and the position after it."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < _SHORT:
            if not byte or value > MAX_UVARINT:
                raise Unusual
            return value, at
        shift += 7


def packet_at(data: bytes, at: int, end: int) -> Packet:
    """Read the Packet in data[at:end]. Raises Unusual or IndexError."""
    if data[at] != 0x08:
        raise Unusual
    sequence, at = number_at(data, at + 1)
    second = at + 2 + data[at + 1]
    third = second + 2 + data[second + 1]
    if data[third] != 0x20:
        raise Unusual
    third += 1
    while data[third] >= _SHORT:
        third += 1
    third += 1
    source, destination, timeout = _route(data[at:third])
    return make(Packet, (sequence, source, destination, timeout, payloads_at(data, third, end, 0x2A)))


def payloads_at(data: bytes, at: int, end: int, tag: int) -> tuple[Payload, ...]:
    """Read the Payload fields that fill data[at:end]."""
    payloads = []
    while at < end:
        if data[at] != tag:
            raise Unusual
        size = data[at + 1]
        if size < _SHORT:
            at += 2
        else:
            size, at = size_at(data, at + 1)
        payloads.append(_payload(data, at, at + size))
        at += size
    if at != end:
        raise Unusual
    return tuple(payloads)


def _payload(data: bytes, at: int, end: int) -> Payload:
    second = at + 2 + data[at + 1]
    third = second + 2 + data[second + 1]
    fourth = third + 2 + data[third + 1]
    value = fourth + 2 + data[fourth + 1]
    if data[value] != 0x2A:
        raise Unusual
    size = data[value + 1]
    if size < _SHORT:
        start = value + 2
    else:
        size, start = size_at(data, value + 1)
    if start + size != end or not size:
        raise Unusual
    return make(Payload, (*_names(data[at:value]), data[start:end]))


@lru_cache(_MEMO)
def _route(data: bytes) -> tuple[ClientId, ClientId, UnixSeconds]:
    """Fields 2, 3 and 4 of a packet."""
    source, at = text_at(data, 0, 0x12)
    destination, at = text_at(data, at, 0x1A)
    timeout, at = number_at(data, at + 1)
    if at != len(data):
        raise Unusual
    return ClientId(source), ClientId(destination), UnixSeconds(timeout)


@lru_cache(_MEMO)
def _names(data: bytes) -> tuple[str, str, str, str]:
    """Fields 1 to 4 of a payload."""
    source, at = text_at(data, 0, 0x0A)
    destination, at = text_at(data, at, 0x12)
    version, at = text_at(data, at, 0x1A)
    encoding, at = text_at(data, at, 0x22)
    if at != len(data):
        raise Unusual
    return source, destination, version, encoding


def tail_of(data: bytes, at: int, height_tag: int, signer_tag: int) -> tuple[Height, str]:
    """Read a proof height and a signer, which fill the rest of a message."""
    if len(data) - at > MAX_TAIL:
        raise Unusual
    return _tail(data[at:], height_tag, signer_tag)


@lru_cache(_MEMO)
def _tail(data: bytes, height_tag: int, signer_tag: int) -> tuple[Height, str]:
    if data[0] != height_tag or data[1] >= _SHORT or data[2] != 0x08:
        raise Unusual
    revision, at = number_at(data, 3)
    if data[at] != 0x10:
        raise Unusual
    height, at = number_at(data, at + 1)
    if at != 2 + data[1]:
        raise Unusual
    signer, at = text_at(data, at, signer_tag)
    if at != len(data):
        raise Unusual
    return Height(revision, height), signer


def text_at(data: bytes, at: int, tag: int) -> tuple[str, int]:
    """Read a text of 1 to 127 bytes; return it and the position after it."""
    size = data[at + 1]
    end = at + 2 + size
    if data[at] != tag or not 0 < size < _SHORT or end > len(data):
        raise Unusual
    try:
        return data[at + 2 : end].decode(), end
    except UnicodeDecodeError:
        raise Unusual from None


def encode_packet(packet: Packet) -> bytes:
    """Write a Packet. The tests hold it equal to the protobuf library."""
    sequence, source, destination, timeout, payloads = packet
    if len(payloads) == 1 and sequence:
        port, other_port, version, encoding, value = payloads[0]
        size = len(value)
        if 0 < size < 0x800 and len(version) <= _MEMO_TEXT and len(encoding) <= _MEMO_TEXT:
            route, names, before = _frames(source, destination, timeout, port, other_port, version, encoding)
            of_value = _LENGTHS[size]
            whole = length(before + len(of_value) + size)
            return b"".join((b"\x08", uvarint(sequence), route, whole, names, of_value, value))
    head = number(b"\x08", sequence) + frame_route(source, destination, timeout)
    return head + b"".join([message(b"\x2a", encode_payload(payload)) for payload in payloads])


@lru_cache(_MEMO)
def _frames(source: str, destination: str, timeout: int, *names: str) -> tuple[bytes, bytes, int]:
    """What stands before the length of a packet's one payload, then before that of its value, and the size of this."""
    framed = frame_names(*names) + b"\x2a"
    return frame_route(source, destination, timeout) + b"\x2a", framed, len(framed)


def encode_payload(payload: Payload) -> bytes:
    """Write a Payload."""
    source, destination, version, encoding, value = payload
    frame = _framed_names if len(version) <= _MEMO_TEXT and len(encoding) <= _MEMO_TEXT else frame_names
    return frame(source, destination, version, encoding) + field(b"\x2a", value)


@lru_cache(_MEMO)
def frame_route(source: str, destination: str, timeout: int) -> bytes:
    """Write fields 2 to 4 of a Packet."""
    return field(b"\x12", source.encode()) + field(b"\x1a", destination.encode()) + number(b"\x20", timeout)


def frame_names(source: str, destination: str, version: str, encoding: str) -> bytes:
    """Write fields 1 to 4 of a Payload."""
    names = zip((b"\x0a", b"\x12", b"\x1a", b"\x22"), (source, destination, version, encoding), strict=True)
    return b"".join([field(tag, name.encode()) for tag, name in names])


_framed_names: Final = lru_cache(_MEMO)(frame_names)


@lru_cache(_MEMO)
def encode_height(height: Height) -> bytes:
    """Write an ibc.core.client.v1.Height."""
    return number(b"\x08", height.revision) + number(b"\x10", height.height)


@lru_cache(_MEMO)  # one for each relayer and height in use
def encode_tail(height: tuple[bytes, Height], signer: tuple[bytes, str]) -> bytes:
    """Frame a proof height and a signer, each given with its tag."""
    return message(height[0], encode_height(height[1])) + field(signer[0], signer[1].encode())


def number(tag: bytes, value: int) -> bytes:
    """Frame a varint field; nothing when it is zero."""
    return tag + uvarint(value) if value else b""


def field(tag: bytes, value: bytes) -> bytes:
    """Frame a bytes or text field; nothing when it is empty."""
    return tag + length(len(value)) + value if value else b""


def message(tag: bytes, encoded: bytes) -> bytes:
    """Frame a sub-message that is always written."""
    return tag + length(len(encoded)) + encoded


def length(size: int) -> bytes:
    """Write the length of what follows."""
    return _LENGTHS[size] if size < 0x800 else uvarint(size)
