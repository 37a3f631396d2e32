"""Protobuf at the border: typed refusals, canonical originals, varints, `google.protobuf.Any`.

Foreign headers and proofs keep protobuf semantics (`parse`: unknown fields ignored, last value of a
singular field wins). Packets, acknowledgements and messages that we originate, or that anything
hashes, are held to one encoding (`parse_own`, `serialize`): fields ascending and once, zero values
left out, no unknown fields, and the sub-messages our schemas mark `always` written even when empty, as
the Go types of the standards do. Source: I12; ibc-v2.md section 2; protobuf encoding guide.
"""

from __future__ import annotations

from functools import cache
from typing import Final, TypeVar

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError, EncodeError, Message

from lockgate.codec.errors import ProtobufMalformed, ProtobufNotCanonical, TooLarge, Unencodable, UnknownTypeUrl
from lockgate.codec.type_urls import MESSAGES
from lockgate.codec.wire import options_pb2

M = TypeVar("M", bound=Message)

DEFAULT_LIMIT: Final = 1 << 20  # bytes; CometBFT's default for one transaction
MAX_UVARINT: Final = (1 << 64) - 1
MAX_VARINT_BYTES: Final = 10  # 64 bits in groups of 7


def parse(kind: type[M], data: bytes, *, limit: int = DEFAULT_LIMIT) -> M:
    """Return the `kind` that `data` holds, by protobuf's own forgiving rules.

    Raises TooLarge above `limit` bytes, ProtobufMalformed for whatever does not parse, invalid UTF-8
    and nesting beyond 100 levels included.
    """
    if len(data) > limit:
        raise TooLarge("a protobuf message is too long", size=len(data), limit=limit)
    message = kind()
    try:
        message.ParseFromString(data)
    except DecodeError:
        raise ProtobufMalformed("no such message", message=kind.DESCRIPTOR.name, size=len(data)) from None
    return message


def parse_own(kind: type[M], data: bytes, *, limit: int = DEFAULT_LIMIT) -> M:
    """Return the `kind` whose only encoding is `data`: `serialize` of the result gives `data` again.

    Raises ProtobufNotCanonical for unknown fields, fields out of order or twice, written zero values,
    long varints and missing `always` sub-messages; else as `parse`. Bytes inside an Any are opaque.
    """
    message = parse(kind, data, limit=limit)
    message.DiscardUnknownFields()
    if serialize(message) != data:
        raise ProtobufNotCanonical("the message re-encodes to other bytes", message=kind.DESCRIPTOR.name)
    return message


def serialize(message: Message) -> bytes:
    """Return the canonical bytes of `message`, in which `complete` sets what must be written."""
    complete(message)
    try:
        return message.SerializeToString(deterministic=True)
    except EncodeError as error:
        raise Unencodable("a message does not serialise", message=message.DESCRIPTOR.name) from error


def complete(message: M) -> M:
    """Mark every unset sub-message that is always written as present, at all levels; return `message`.

    An empty Timestamp set this way is the Unix epoch; Go's zero time is -62135596800 s and must be
    set by who means it. Source: ibc-v2.md section 2 (emission rule).
    """
    for name, repeated, always, deeper in _sub_messages(message.DESCRIPTOR):
        if repeated:
            for item in getattr(message, name):
                complete(item)
        elif always:
            sub = getattr(message, name)
            sub.SetInParent()
            if deeper:
                complete(sub)
        elif message.HasField(name):
            complete(getattr(message, name))
    return message


@cache
def _sub_messages(kind: Descriptor) -> tuple[tuple[str, bool, bool, bool], ...]:
    """Return (name, repeated, always, deeper) of the fields `complete` must visit. Types do not recur."""
    visits = []
    for field in kind.fields:
        if field.message_type is None:
            continue
        # The generated stub calls the extension a plain descriptor.
        always = bool(field.GetOptions().Extensions[options_pb2.always])  # type: ignore[index]
        deeper = bool(_sub_messages(field.message_type))
        if always or deeper:
            visits.append((field.name, field.is_repeated, always, deeper))
    return tuple(visits)


def pack(type_url: str, message: Message) -> AnyMessage:
    """Return an Any of `message` in its canonical encoding, under the type URL of the standard."""
    return AnyMessage(type_url=type_url, value=serialize(message))


def unpack(wrapped: AnyMessage, type_url: str, kind: type[M], *, limit: int = DEFAULT_LIMIT) -> M:
    """Return the `kind` in `wrapped`, whose type URL must be `type_url`."""
    if wrapped.type_url != type_url:
        raise UnknownTypeUrl("an unexpected type", type_url=wrapped.type_url, expected=type_url)
    return parse(kind, wrapped.value, limit=limit)


def unpack_known(wrapped: AnyMessage, *, limit: int = DEFAULT_LIMIT) -> Message:
    """Return the message in `wrapped`, of the type `type_urls.MESSAGES` has for its type URL."""
    kind = MESSAGES.get(wrapped.type_url)
    if kind is None:
        raise UnknownTypeUrl("no such type", type_url=wrapped.type_url)
    return parse(kind, wrapped.value, limit=limit)


def uvarint(value: int) -> bytes:
    """Return the shortest base-128 encoding of 0..2^64-1."""
    if 0 <= value < 0x80:
        return _ONE_BYTE[value]
    if 0 < value < 0x4000:
        return bytes((value & 0x7F | 0x80, value >> 7))
    if not 0 <= value <= MAX_UVARINT:
        raise Unencodable("a varint holds 64 bits", value=value)
    groups = bytearray()
    while value >= 0x80:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def read_uvarint(data: bytes, at: int = 0) -> tuple[int, int]:
    """Return (value, offset after it) of the varint at `at`.

    Longer encodings than needed are taken, as protobuf and Go's `binary.Uvarint` do; raises
    ProtobufMalformed when the bytes end early or the value exceeds 64 bits.
    """
    value = shift = 0
    for pos in range(at, min(at + MAX_VARINT_BYTES, len(data))):
        byte = data[pos]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value > MAX_UVARINT:
                break
            return value, pos + 1
        shift += 7
    raise ProtobufMalformed("a varint ends early or exceeds 64 bits", at=at)


def varint(value: int) -> bytes:
    """Return the zigzag encoding of a signed 64-bit integer, as Go's `binary.PutVarint`."""
    return uvarint(zigzag(value))


def read_varint(data: bytes, at: int = 0) -> tuple[int, int]:
    """Return (value, offset after it) of the zigzag varint at `at`; raises as `read_uvarint`."""
    value, end = read_uvarint(data, at)
    return unzigzag(value), end


def zigzag(value: int) -> int:
    """Map -2^63..2^63-1 to 0..2^64-1, small magnitudes to small numbers."""
    if not -(1 << 63) <= value < 1 << 63:
        raise Unencodable("a signed varint holds 64 bits", value=value)
    return value << 1 if value >= 0 else (-value << 1) - 1


def unzigzag(value: int) -> int:
    """Undo `zigzag`."""
    return value >> 1 if not value & 1 else -(value >> 1) - 1


def length_prefixed(data: bytes) -> bytes:
    """Return uvarint(len(data)) and `data`: CometBFT's sign bytes and multistore leaves."""
    return uvarint(len(data)) + data


_ONE_BYTE: Final = tuple(bytes((value,)) for value in range(0x80))

__all__ = (
    "DEFAULT_LIMIT",
    "MAX_VARINT_BYTES",
    "AnyMessage",
    "complete",
    "length_prefixed",
    "pack",
    "parse",
    "parse_own",
    "read_uvarint",
    "read_varint",
    "serialize",
    "unpack",
    "unpack_known",
    "unzigzag",
    "uvarint",
    "varint",
    "zigzag",
)
