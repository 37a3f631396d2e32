"""Forms that client modules share: the Any around a state, heights, and what no root may be."""

from __future__ import annotations

from typing import Any, Final

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError

from lockgate.codec import cbor
from lockgate.codec.errors import Malformed
from lockgate.lightclients.cometbft.framing import bytes_field, number_field
from lockgate.lightclients.cometbft.types import HASH_BYTES
from lockgate.lightclients.standing import MalformedState
from lockgate.primitives.ids import Height

MAX_STATE_BYTES: Final = 32_768  # ibc-go's bound on client and consensus states in messages
UNSET_ROOT: Final = bytes(HASH_BYTES)  # the root of nothing; proofs against it mean nothing (A1)


def wrap_any(type_url: str, value: bytes) -> bytes:
    """Encode google.protobuf.Any: the form in which IBC stores keep states."""
    return bytes_field(b"\x0a", type_url.encode()) + bytes_field(b"\x12", value)


def unwrap_any(raw: bytes, type_url: str) -> bytes:
    """Return the value of an Any of this type. Raises `MalformedState`."""
    if len(raw) > MAX_STATE_BYTES:
        raise MalformedState("too long", length=len(raw), most=MAX_STATE_BYTES)
    try:
        outer = AnyMessage.FromString(raw)
    except DecodeError as fault:
        raise MalformedState("not protobuf", type_url=type_url) from fault
    if outer.type_url != type_url:
        raise MalformedState("type", expected=type_url, found=outer.type_url)
    return outer.value


def encode_height(height: Height) -> bytes:
    """Encode ibc.core.client.v1.Height."""
    return number_field(b"\x08", height.revision) + number_field(b"\x10", height.height)


def is_root(root: bytes) -> bool:
    """Whether anything can be proven against a root: 32 bytes, not all zero."""
    return len(root) == HASH_BYTES and root != UNSET_ROOT


def decoded(raw: bytes) -> Any:
    """Return one item of our CBOR profile. Raises `MalformedState`."""
    try:
        return cbor.decode(raw)
    except Malformed as fault:
        raise MalformedState(fault.code) from fault


def items(value: Any, *kinds: type) -> tuple[Any, ...]:
    """Return the items of an array that has exactly these kinds; integers are not negative.

    Raises `MalformedState`.
    """
    if type(value) is not tuple or [type(item) for item in value] != list(kinds):
        raise MalformedState("not the array that stands here", kinds=[kind.__name__ for kind in kinds])
    if any(type(item) is int and item < 0 for item in value):
        raise MalformedState("a negative number")
    return value


__all__ = (
    "HASH_BYTES",
    "MAX_STATE_BYTES",
    "UNSET_ROOT",
    "decoded",
    "encode_height",
    "is_root",
    "items",
    "unwrap_any",
    "wrap_any",
)
