"""From bytes to the array of a COSE message, and back.

Two kinds of sender. Ours write the strict profile of `codec.cbor`; any other encoding is refused, so a
message has one byte string. Foreign ones may use any well-formed CBOR (RFC 9052 §9 demands determinism
of the signed structures only): `codec.cbor_modes` reads those, and duplicate map keys are still refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from lockgate.codec import cbor, cbor_modes
from lockgate.envelope.cose.labels import MessageTag
from lockgate.envelope.errors import CoseMalformed
from lockgate.primitives.errors import LockgateError

LIMITS: Final = cbor.Limits(size=1 << 20, items=1 << 12, depth=12)
# size: CometBFT's default for one transaction. items: a message with all headers has below 200.
# depth: COSE_Encrypt with recipients three deep that are countersigned has 10.


class Wire(Enum):
    """Who wrote the bytes."""

    OURS = "ours"
    FOREIGN = "foreign"


def decode_item(data: bytes, wire: Wire) -> Any:
    """One CBOR item with the tags of COSE messages and no other. Raises a codec error."""
    if wire is Wire.OURS:
        return cbor.decode(data, limits=LIMITS, tags=_TAGS)
    return cbor_modes.decode(data, limits=LIMITS)


def open_array(data: bytes, tag: MessageTag, count: int, wire: Wire) -> tuple[Any, ...]:
    """Return the `count` elements of a tagged or untagged message. Raises CoseMalformed.

    An untagged message is what its context says it is (RFC 9052 §2): the caller names it by `tag`.
    """
    try:
        item = decode_item(data, wire)
    except LockgateError as error:
        raise CoseMalformed("not a CBOR item") from error
    if isinstance(item, cbor.Tag):
        if item.number != tag:
            raise CoseMalformed("another tag", expected=int(tag), got=item.number)
        item = item.value
    return array_of(item, count)


def array_of(item: Any, count: int) -> tuple[Any, ...]:
    if type(item) is not tuple or len(item) != count:
        raise CoseMalformed("not an array of the expected length", expected=count)
    return item


def bytes_of(item: Any, what: str) -> bytes:
    if type(item) is not bytes:
        raise CoseMalformed("not a byte string", field=what)
    return item


def bytes_or_nil(item: Any, what: str) -> bytes | None:
    if item is not None and type(item) is not bytes:
        raise CoseMalformed("not a byte string or nil", field=what)
    return item


def encode_message(tag: MessageTag, elements: list[Any], *, tagged: bool) -> bytes:
    return cbor.encode(cbor.Tag(int(tag), elements) if tagged else elements)


def map_of(item: Any, what: str) -> Mapping[Any, Any]:
    if not isinstance(item, Mapping):
        raise CoseMalformed("not a map", field=what)
    return item


_TAGS: Final = frozenset(map(int, MessageTag))

__all__ = (
    "LIMITS",
    "Wire",
    "array_of",
    "bytes_of",
    "bytes_or_nil",
    "decode_item",
    "encode_message",
    "map_of",
    "open_array",
)
