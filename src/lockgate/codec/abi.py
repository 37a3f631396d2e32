"""Solidity ABI in strict canonical form: one value, one encoding.

A type is a small value: `UINT256`, `STRING`, `Tuple((UINT64, Array(BYTES)))`. `decode` accepts exactly
what `encode` makes: heads in order, tails in the order of their heads without gaps or overlaps, zero
padding, clean high bytes. Solidity's own decoder follows any offset and skips what nothing points at,
so that one value has many encodings and a small input can unfold into a large value; packet data that
is hashed, compared and re-encoded (ICS-20, ICS-27) cannot have that.
Source: Solidity ABI specification, formal specification of the encoding; ibc-v2.md sections 10, 11.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from lockgate.codec.errors import AbiMalformed, TooLarge, Unencodable
from lockgate.primitives.errors import Misuse

WORD: Final = 32
DEFAULT_LIMIT: Final = 1 << 19  # bytes; a packet's payloads hold at most half of it (ICS-04: 262144)


@dataclass(frozen=True, slots=True)
class Uint:
    """`uint8`..`uint256`, right-aligned in its word. Python value: int."""

    bits: int


@dataclass(frozen=True, slots=True)
class Dynamic:
    """`string` (str) when `text`, else `bytes`: a length word, then the content padded to whole words."""

    text: bool


@dataclass(frozen=True, slots=True)
class Array:
    """`T[]`: a length word, then the items like those of a tuple. Python value: tuple."""

    item: Type


@dataclass(frozen=True, slots=True)
class Tuple:
    """A struct or an argument list. Python value: a tuple with one item per type."""

    items: tuple[Type, ...]

    def __post_init__(self) -> None:
        if not self.items:
            raise Misuse("an empty tuple takes no bytes, so an array of them would have no bound")


Type: TypeAlias = Uint | Dynamic | Array | Tuple

UINT64: Final = Uint(64)
UINT256: Final = Uint(256)
STRING: Final = Dynamic(text=True)
BYTES: Final = Dynamic(text=False)

# source port, destination port, version, encoding, value
PAYLOAD: Final = Tuple((STRING, STRING, STRING, STRING, BYTES))
# sequence, source client, destination client, timeout in Unix seconds, payloads
PACKET: Final = Tuple((UINT64, STRING, STRING, UINT64, Array(PAYLOAD)))
# denom, sender, receiver, amount, memo: not the order of the JSON and protobuf forms
FUNGIBLE_TOKEN_PACKET_DATA: Final = Tuple((STRING, STRING, STRING, UINT256, STRING))
# sender, receiver, salt, payload, memo
GMP_PACKET_DATA: Final = Tuple((STRING, STRING, BYTES, BYTES, STRING))
# result
GMP_ACKNOWLEDGEMENT: Final = Tuple((BYTES,))


def encode(kind: Type, value: Any) -> bytes:
    """Return `abi.encode(value)` for one argument of type `kind`.

    Raises Unencodable when `value` is not of the type, out of range, or text with lone surrogates.
    """
    return _encoded_items((kind,), (value,))


def decode(kind: Type, data: bytes, *, limit: int = DEFAULT_LIMIT) -> Any:
    """Return the value of which `encode(kind, value)` is `data`.

    Raises TooLarge above `limit` bytes and AbiMalformed, with the offset as field `at`, for every
    other byte string.
    """
    if len(data) > limit:
        raise TooLarge("an ABI encoding is too long", size=len(data), limit=limit)
    (value,), end = _items((kind,), bytes(data), 0)
    if end != len(data):
        raise AbiMalformed("bytes follow the value", at=end, size=len(data))
    return value


def _is_dynamic(kind: Type) -> bool:
    if isinstance(kind, Tuple):
        return any(map(_is_dynamic, kind.items))
    return not isinstance(kind, Uint)


def _head_size(kind: Type) -> int:
    if isinstance(kind, Tuple) and not _is_dynamic(kind):
        return sum(map(_head_size, kind.items))
    return WORD


def _items(kinds: tuple[Type, ...], data: bytes, at: int) -> tuple[tuple[Any, ...], int]:
    """Read the items whose heads start at `at`; return them and the offset after their last tail."""
    base = at
    tail = base + sum(map(_head_size, kinds))
    values = []
    for kind in kinds:
        if _is_dynamic(kind):
            offset = _word(data, at)
            if offset != tail - base:
                raise AbiMalformed("an offset is not where the next tail starts", at=at, expected=tail - base)
            value, tail = _value(kind, data, tail)
            at += WORD
        else:
            value, at = _value(kind, data, at)
        values.append(value)
    return tuple(values), tail


def _value(kind: Type, data: bytes, at: int) -> tuple[Any, int]:
    if isinstance(kind, Tuple):
        return _items(kind.items, data, at)
    number = _word(data, at)
    if isinstance(kind, Uint):
        if number >> kind.bits:
            raise AbiMalformed("an integer exceeds its type", at=at, bits=kind.bits)
        return number, at + WORD
    if isinstance(kind, Array):
        if number * _head_size(kind.item) > len(data) - at - WORD:
            raise AbiMalformed("an array is longer than the bytes", at=at)
        return _items((kind.item,) * number, data, at + WORD)
    return _content(kind, number, data, at + WORD)


def _content(kind: Dynamic, length: int, data: bytes, at: int) -> tuple[bytes | str, int]:
    if length > len(data) - at:
        raise AbiMalformed("a string is longer than the bytes", at=at)
    end = at + length
    padded = end + -length % WORD
    if data[end:padded] != bytes(padded - end):  # unequal as well when the input ends inside the padding
        raise AbiMalformed("padding is cut short or not zero", at=end)
    content = data[at:end]
    if not kind.text:
        return content, padded
    try:
        return content.decode(), padded
    except UnicodeDecodeError:
        raise AbiMalformed("text is not UTF-8", at=at) from None


def _word(data: bytes, at: int) -> int:
    if len(data) - at < WORD:
        raise AbiMalformed("the encoding ends early", at=at)
    return int.from_bytes(data[at : at + WORD])


def _encoded_items(kinds: tuple[Type, ...], values: tuple[Any, ...]) -> bytes:
    heads: list[bytes] = []
    tails: list[bytes] = []
    tail = sum(map(_head_size, kinds))
    for kind, value in zip(kinds, values, strict=True):
        encoded = _encoded(kind, value)
        if _is_dynamic(kind):
            heads.append(tail.to_bytes(WORD))
            tails.append(encoded)
            tail += len(encoded)
        else:
            heads.append(encoded)
    return b"".join(heads + tails)


def _encoded(kind: Type, value: Any) -> bytes:
    if isinstance(kind, Uint):
        if type(value) is not int or value < 0 or value >> kind.bits:
            raise Unencodable("not an integer of the ABI type", bits=kind.bits)
        return value.to_bytes(WORD)
    if isinstance(kind, Dynamic):
        content = _bytes_of(kind, value)
        return len(content).to_bytes(WORD) + content + bytes(-len(content) % WORD)
    if not isinstance(value, (tuple, list)):
        raise Unencodable("not a sequence", type=type(value).__name__)
    if isinstance(kind, Array):
        return len(value).to_bytes(WORD) + _encoded_items((kind.item,) * len(value), tuple(value))
    if len(value) != len(kind.items):
        raise Unencodable("a tuple has another length", length=len(value), expected=len(kind.items))
    return _encoded_items(kind.items, tuple(value))


def _bytes_of(kind: Dynamic, value: Any) -> bytes:
    if kind.text and isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError:
            raise Unencodable("text holds a lone surrogate") from None
    if not kind.text and isinstance(value, bytes):
        return value
    raise Unencodable("not text or bytes, as the ABI type asks", type=type(value).__name__)


__all__ = (
    "BYTES",
    "FUNGIBLE_TOKEN_PACKET_DATA",
    "GMP_ACKNOWLEDGEMENT",
    "GMP_PACKET_DATA",
    "PACKET",
    "PAYLOAD",
    "STRING",
    "UINT64",
    "UINT256",
    "WORD",
    "Array",
    "Dynamic",
    "Tuple",
    "Type",
    "Uint",
    "decode",
    "encode",
)
