"""Deterministic CBOR, Lockgate's profile of it on the wire (I12), small enough for a guest.

Definite lengths, shortest heads, NFC text, map keys (integers, text, bytes) ascending by their
encoding, no floats, no tags, integers of -2^63..2^64-1. Decoding accepts exactly what encoding makes.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Final

MAX_DEPTH: Final = 16
_HEADS: Final = {24: 1, 25: 2, 26: 4, 27: 8}
_SIMPLE: Final[Mapping[int, bool | None]] = {20: False, 21: True, 22: None}


class Malformed(ValueError):
    """The bytes are not deterministic CBOR."""


def encode(value: Any) -> bytes:
    """Encode integers, bytes, text, booleans, None, sequences and maps; TypeError for anything else,
    an integer out of range and text that is not in NFC included.
    """
    if value is None or isinstance(value, bool):
        return b"\xf6" if value is None else b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        return _head(0, value, 64) if value >= 0 else _head(1, -1 - value, 63)
    if isinstance(value, bytes):
        return _head(2, len(value)) + value
    if isinstance(value, str):
        if not _is_nfc(value):
            raise TypeError("text that is not in NFC")
        text = value.encode()
        return _head(3, len(text)) + text
    if isinstance(value, Mapping):
        if not all(_is_key(key) for key in value):
            raise TypeError("a map key is an integer, text or bytes")
        pairs = sorted((encode(key), encode(item)) for key, item in value.items())
        return _head(5, len(pairs)) + b"".join(key + item for key, item in pairs)
    if isinstance(value, Sequence):
        return _head(4, len(value)) + b"".join(map(encode, value))
    raise TypeError(f"no CBOR for {type(value).__name__}")


def decode(data: bytes) -> Any:
    """Decode one item that fills `data`; raises Malformed."""
    value, end = _item(data, 0, 0)
    if end != len(data):
        raise Malformed("bytes after the item")
    return value


def _head(major: int, number: int, bits: int = 64) -> bytes:
    if number < 24:
        return bytes((major << 5 | number,))
    if number >> bits:
        raise TypeError("an integer beyond -2^63..2^64-1")
    info, size = next((info, size) for info, size in _HEADS.items() if number < 1 << 8 * size)
    return bytes((major << 5 | info,)) + number.to_bytes(size, "big")


def _item(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    major, number, at = _read_head(data, at)
    if major == 0:
        return number, at
    if major == 1:
        if number >> 63:
            raise Malformed("an integer below -2^63")
        return -1 - number, at
    if major in (2, 3):
        end = at + number
        if end > len(data):
            raise Malformed("a string is cut off")
        return (data[at:end], end) if major == 2 else (_text(data[at:end]), end)
    if depth == MAX_DEPTH:
        raise Malformed("nested too deeply")
    if major == 4:
        return _array(data, at, number, depth)
    if major == 5:
        return _map(data, at, number, depth)
    if major == 7 and number in _SIMPLE:
        return _SIMPLE[number], at
    raise Malformed("a tag, a float or an unassigned value")


def _read_head(data: bytes, at: int) -> tuple[int, int, int]:
    if at >= len(data):
        raise Malformed("the item is cut off")
    major, info = data[at] >> 5, data[at] & 31
    if info < 24:
        return major, info, at + 1
    size = _HEADS.get(info, 0)
    end = at + 1 + size
    if not size or major == 7 or end > len(data):
        raise Malformed("a head that is cut off, indefinite, reserved or a float's")
    number = int.from_bytes(data[at + 1 : end], "big")
    if number < (24 if size == 1 else 1 << 4 * size):
        raise Malformed("a head that is not the shortest")
    return major, number, end


def _text(raw: bytes) -> str:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise Malformed("text that is not UTF-8") from None
    if not _is_nfc(text):
        raise Malformed("text that is not in NFC")
    return text


def _is_nfc(text: str) -> bool:
    return text.isascii() or unicodedata.is_normalized("NFC", text)


def _is_key(key: object) -> bool:
    return isinstance(key, (int, str, bytes)) and not isinstance(key, bool)


def _array(data: bytes, at: int, count: int, depth: int) -> tuple[list[Any], int]:
    items = []
    for _ in range(count):  # a false count ends at the end of the data
        item, at = _item(data, at, depth + 1)
        items.append(item)
    return items, at


def _map(data: bytes, at: int, count: int, depth: int) -> tuple[dict[Any, Any], int]:
    items: dict[Any, Any] = {}
    last = b""
    for _ in range(count):
        start = at
        key, at = _item(data, at, depth + 1)
        if not _is_key(key) or not last < data[start:at]:
            raise Malformed("map keys are plain, ascending and different")
        last = data[start:at]
        items[key], at = _item(data, at, depth + 1)
    return items, at
