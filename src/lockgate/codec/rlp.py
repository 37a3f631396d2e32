"""RLP, Ethereum's encoding of nested byte strings: strict, so every accepted encoding is the only one of its value.

A value is `bytes` or a tuple of values. Source: Ethereum Yellow Paper, appendix B.
"""

from __future__ import annotations

from typing import Final

from lockgate.codec.errors import RlpMalformed

Rlp = bytes | tuple["Rlp", ...]

MAX_BYTES: Final = 1 << 20  # of one value: far above a trie node, a block header or a receipt
MAX_DEPTH: Final = 16  # of lists in lists: a trie node holds embedded nodes of under 32 bytes, at most 15 deep

_SHORT: Final = 0x80  # a string of up to 55 bytes follows
_LIST: Final = 0xC0  # a list of up to 55 bytes follows
_LONG: Final = 55


def encode(value: Rlp) -> bytes:
    """The one encoding of a value."""
    if isinstance(value, bytes):
        if len(value) == 1 and value[0] < _SHORT:
            return value
        return _head(_SHORT, len(value)) + value
    body = b"".join(map(encode, value))
    return _head(_LIST, len(body)) + body


def encode_number(number: int) -> bytes:
    """A number, not negative, as its big-endian bytes without leading zeros; zero is the empty string."""
    return encode(number.to_bytes((number.bit_length() + 7) // 8))


def decode(data: bytes) -> Rlp:
    """Read exactly one value. Raises RlpMalformed: longer, cut, not minimal, too large, nested too deeply."""
    if len(data) > MAX_BYTES:
        raise RlpMalformed("larger than any value read here", size=len(data), most=MAX_BYTES)
    value, end = _decode(data, 0, len(data), MAX_DEPTH)
    if end != len(data):
        raise RlpMalformed("bytes follow the value", more=len(data) - end)
    return value


def decode_list(data: bytes) -> tuple[Rlp, ...]:
    """Read exactly one list. Raises RlpMalformed."""
    value = decode(data)
    if isinstance(value, bytes):
        raise RlpMalformed("a list was expected")
    return value


def number(value: Rlp) -> int:
    """Read a number from its minimal bytes. Raises RlpMalformed for a list or a leading zero."""
    if not isinstance(value, bytes) or value[:1] == b"\0":
        raise RlpMalformed("a number is bytes without leading zeros")
    return int.from_bytes(value)


def _head(kind: int, size: int) -> bytes:
    if size <= _LONG:
        return bytes([kind + size])
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([kind + _LONG + len(length)]) + length


def _decode(data: bytes, at: int, end: int, depth: int) -> tuple[Rlp, int]:
    """Read the value at `at`; it may not reach past `end`. Returns it and where it ends."""
    if at >= end:
        raise RlpMalformed("the value is missing")
    first = data[at]
    if first < _SHORT:
        return data[at : at + 1], at + 1
    kind = _LIST if first >= _LIST else _SHORT
    start, stop = _extent(data, at, end, first - kind)
    if kind == _SHORT:
        if stop - start == 1 and data[start] < _SHORT:
            raise RlpMalformed("a byte below 0x80 stands for itself")
        return data[start:stop], stop
    if depth == 0:
        raise RlpMalformed("nested too deeply", most=MAX_DEPTH)
    items: list[Rlp] = []
    while start < stop:
        item, start = _decode(data, start, stop, depth - 1)
        items.append(item)
    return tuple(items), stop


def _extent(data: bytes, at: int, end: int, size: int) -> tuple[int, int]:
    start = at + 1
    if size > _LONG:
        width = size - _LONG
        length = data[start : min(start + width, end)]
        start += width
        size = int.from_bytes(length)
        if len(length) < width or length[0] == 0 or size <= _LONG:
            raise RlpMalformed("a length is cut or not minimal")
    if start + size > end:
        raise RlpMalformed("a value is cut", wanted=size, there=end - start)
    return start, start + size


__all__ = ("MAX_BYTES", "MAX_DEPTH", "Rlp", "decode", "decode_list", "encode", "encode_number", "number")
