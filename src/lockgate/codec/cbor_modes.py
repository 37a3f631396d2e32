"""All of CBOR, and its two deterministic profiles, for third-party formats and test cases.

Our own messages use `cbor`. Here are the generic decoder of RFC 8949, its preferred serialisation,
Common Deterministic Encoding (draft-ietf-cbor-cde) and dCBOR (draft-mcnally-deterministic-cbor-11).
A checking decoder decodes and compares the re-encoding, so that each rule is written once.

Values are those of `cbor`, and `float` (a NaN keeps its payload bits), `Simple` for every simple
value but `false`, `true`, `null`, `int` of any size for bignums (tags 2 and 3), and `Pairs` for a map
with keys that are no integer, string or simple value. Nothing else is made of a tag than a `Tag`.
"""

from __future__ import annotations

import math
import struct
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lockgate.codec.cbor import DEFAULT_LIMITS, INT_MAX, INT_MIN, Limits, Tag, head
from lockgate.codec.errors import CborIllFormed, CborNotAllowed, CborNotDeterministic, TooLarge, Unencodable

POSITIVE_BIGNUM: Final = 2
NEGATIVE_BIGNUM: Final = 3


@dataclass(frozen=True, slots=True)
class Simple:
    """A simple value other than false, true and null; 23 is `undefined`. Source: RFC 8949 section 3.3."""

    number: int


@dataclass(frozen=True, slots=True)
class Pairs:
    """A map with keys Python could not hold apart (1, 1.0 and true) or not hash, in wire order."""

    items: tuple[tuple[Any, Any], ...]


def decode(data: bytes, *, limits: Limits = DEFAULT_LIMITS) -> Any:
    """Return the value of one well-formed, valid item: any widths, indefinite lengths, any tag.

    Raises CborIllFormed, CborNotAllowed for a map key that appears twice, or TooLarge.
    Source: RFC 8949 sections 3, 5.3 and appendix C.
    """
    if len(data) > limits.size:
        raise TooLarge("a CBOR item is too long", size=len(data), limit=limits.size)
    reader = _Reader(bytes(data), limits.items)
    value = reader.item(limits.depth)
    if reader.pos != len(data):
        raise CborIllFormed("bytes follow the item", at=reader.pos, size=len(data))
    return value


def encode_preferred(value: Any) -> bytes:
    """Return the preferred serialisation; maps keep their order. Source: RFC 8949 section 4.1."""
    return _Encoder(sort=False, reduce=False).encoded(value)


def encode_cde(value: Any) -> bytes:
    """Return the deterministic encoding: preferred, with map keys in bytewise order.

    A NaN keeps its payload, in the shortest width that holds it. Source: draft-ietf-cbor-cde.
    """
    return _Encoder(sort=True, reduce=False).encoded(value)


def encode_dcbor(value: Any) -> bytes:
    """Return the dCBOR encoding: CDE, with whole floats as integers, one NaN, and no simple values.

    Raises Unencodable for text that is not NFC, `Simple` values and 65-bit negative integers.
    Source: draft-mcnally-deterministic-cbor-11 section 2.
    """
    return _Encoder(sort=True, reduce=True).encoded(value)


def decode_cde(data: bytes, *, limits: Limits = DEFAULT_LIMITS) -> Any:
    """Return the value of `data` if `data` is its deterministic encoding, else raise a Malformed."""
    return _checked(data, encode_cde, limits)


def decode_dcbor(data: bytes, *, limits: Limits = DEFAULT_LIMITS) -> Any:
    """Return the value of `data` if `data` is its dCBOR encoding, else raise a Malformed."""
    return _checked(data, encode_dcbor, limits)


def _checked(data: bytes, encode: Callable[[Any], bytes], limits: Limits) -> Any:
    value = decode(data, limits=limits)
    try:
        again = encode(value)
    except Unencodable as error:
        raise CborNotAllowed(error.detail) from error
    if again != data:
        raise CborNotDeterministic("the value encodes to other bytes", given=data, expected=again)
    return value


class _Reader:
    __slots__ = ("data", "left", "pos")

    def __init__(self, data: bytes, items: int) -> None:
        self.data = data
        self.left = items
        self.pos = 0

    def item(self, depth: int) -> Any:
        at = self.pos
        initial = self.take(1)[0]
        major, info = initial >> 5, initial & 0x1F
        if major == 7:
            return self.special(info, at)
        if info == 31:
            return self.indefinite(major, depth, at)
        argument = self.argument(info, at)
        if major == 0:
            return argument
        if major == 1:
            return -1 - argument
        if major == 2:
            return self.take(argument)
        if major == 3:
            return self.text(argument, at)
        if depth == 0:
            raise TooLarge("CBOR items are nested too deep", at=at)
        if major == 4:
            self.spend(argument, at)
            return tuple([self.item(depth - 1) for _ in range(argument)])
        if major == 5:
            self.spend(argument, at)
            return _mapping([(self.item(depth - 1), self.item(depth - 1)) for _ in range(argument)], at)
        return _tagged(argument, self.item(depth - 1))

    def indefinite(self, major: int, depth: int, at: int) -> Any:
        if major in (0, 1, 6):
            raise CborIllFormed("an indefinite length on a type that has none", at=at)
        if major in (2, 3):
            return self.chunks(major, at)
        if depth == 0:
            raise TooLarge("CBOR items are nested too deep", at=at)
        items = []
        while not self.at_break():
            self.spend(1, at)
            items.append(self.item(depth - 1))
        if major == 4:
            return tuple(items)
        if len(items) % 2:
            raise CborIllFormed("a map ends after a key", at=at)
        return _mapping(list(zip(items[::2], items[1::2], strict=True)), at)

    def chunks(self, major: int, at: int) -> bytes | str:
        pieces: list[Any] = []
        while not self.at_break():
            start = self.pos
            initial = self.take(1)[0]
            if initial >> 5 != major:
                raise CborIllFormed("a chunk is no string of the same type", at=start)
            length = self.argument(initial & 0x1F, start)  # refuses another indefinite length
            self.spend(1, at)
            pieces.append(self.take(length) if major == 2 else self.text(length, start))
        return b"".join(pieces) if major == 2 else "".join(pieces)

    def special(self, info: int, at: int) -> Any:
        if info in _CONSTANTS:
            return _CONSTANTS[info]
        if info < 24:
            return Simple(info)
        if info == 24:
            number = self.take(1)[0]
            if number < 32:
                raise CborIllFormed("a simple value below 32 in two bytes", at=at, value=number)
            return Simple(number)
        if info in _FLOATS:
            return _widened(self.take(1 << (info - 24)))
        raise CborIllFormed("a break or a reserved value where an item should be", at=at)

    def argument(self, info: int, at: int) -> int:
        if info < 24:
            return info
        if info > 27:
            raise CborIllFormed("a reserved additional information value", at=at, info=info)
        return int.from_bytes(self.take(1 << (info - 24)))

    def text(self, length: int, at: int) -> str:
        try:
            return self.take(length).decode()
        except UnicodeDecodeError:
            raise CborIllFormed("text is not UTF-8", at=at) from None

    def at_break(self) -> bool:
        if self.data[self.pos : self.pos + 1] != b"\xff":
            return False
        self.pos += 1
        return True

    def take(self, count: int) -> bytes:
        start = self.pos
        if count > len(self.data) - start:
            raise CborIllFormed("the item ends early", at=start, wanted=count)
        self.pos = start + count
        return self.data[start : self.pos]

    def spend(self, count: int, at: int) -> None:
        self.left -= count
        if self.left < 0:
            raise TooLarge("too many items in one CBOR document", at=at, count=count)


def _mapping(items: list[tuple[Any, Any]], at: int) -> dict[Any, Any] | Pairs:
    if all(type(key) in _PLAIN_KEYS for key, _ in items):
        values = dict(items)
        if len(values) == len(items):
            return values
    elif len({encode_cde(key) for key, _ in items}) == len(items):
        return Pairs(tuple(items))
    raise CborNotAllowed("a map key appears twice", at=at)


def _tagged(number: int, content: Any) -> Any:
    if isinstance(content, bytes):
        if number == POSITIVE_BIGNUM:
            return int.from_bytes(content)
        if number == NEGATIVE_BIGNUM:
            return -1 - int.from_bytes(content)
    return Tag(number, content)


def _widened(body: bytes) -> float:
    """Return the float of 2, 4 or 8 bytes; a NaN is widened by its bits, which a cast might change."""
    number: float = struct.unpack(_FORMATS[len(body)], body)[0]
    if not math.isnan(number):
        return number
    bits = int.from_bytes(body)
    mantissa = _MANTISSA[len(body)]
    payload = (bits & ((1 << mantissa) - 1)) << (52 - mantissa)
    sign = bits >> (8 * len(body) - 1) << 63
    return _double((sign | _NAN_EXPONENT | payload).to_bytes(8))


def _double(body: bytes) -> float:
    number: float = struct.unpack(">d", body)[0]
    return number


def _narrowed(number: float) -> bytes:
    """Return the shortest encoding that decodes to the same bits."""
    wide = struct.pack(">d", number)
    if math.isnan(number):
        bits = int.from_bytes(wide)
        for size in (2, 4):
            mantissa = _MANTISSA[size]
            dropped = 52 - mantissa
            payload = (bits & ((1 << 52) - 1)) >> dropped
            if payload << dropped == bits & ((1 << 52) - 1):
                exponent = ((1 << (8 * size - 1 - mantissa)) - 1) << mantissa
                narrow = (bits >> 63) << (8 * size - 1) | exponent | payload
                return _FLOAT_HEADS[size] + narrow.to_bytes(size)
        return _FLOAT_HEADS[8] + wide
    for size in (2, 4):
        try:
            body = struct.pack(_FORMATS[size], number)
        except OverflowError:
            continue
        if struct.unpack(_FORMATS[size], body)[0] == number:
            return _FLOAT_HEADS[size] + body
    return _FLOAT_HEADS[8] + wide


@dataclass(frozen=True, slots=True)
class _Encoder:
    sort: bool  # map keys in bytewise order (CDE, dCBOR)
    reduce: bool  # dCBOR: numeric reduction, NFC, no simple values

    def encoded(self, value: Any) -> bytes:
        if isinstance(value, bool) or value is None:
            return {False: b"\xf4", True: b"\xf5", None: b"\xf6"}[value]
        if isinstance(value, int):
            return self.integer(value)
        if isinstance(value, float):
            return self.number(value)
        if isinstance(value, bytes):
            return head(0x40, len(value)) + value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, (tuple, list)):
            return head(0x80, len(value)) + b"".join([self.encoded(item) for item in value])
        if isinstance(value, Mapping):
            return self.mapping(tuple(value.items()))
        if isinstance(value, Pairs):
            return self.mapping(value.items)
        if isinstance(value, Tag):
            return head(0xC0, value.number) + self.encoded(value.value)
        if isinstance(value, Simple) and not self.reduce:
            return head(0xE0, value.number)
        raise Unencodable("a value that this CBOR mode excludes", type=type(value).__name__)

    def integer(self, value: int) -> bytes:
        if 0 <= value <= INT_MAX:
            return head(0x00, value)
        if -1 - INT_MAX <= value < 0:
            if self.reduce and value < INT_MIN:
                raise Unencodable("an integer below -2^63 has no dCBOR encoding", value=value)
            return head(0x20, -1 - value)
        number, magnitude = (POSITIVE_BIGNUM, value) if value > 0 else (NEGATIVE_BIGNUM, -1 - value)
        return head(0xC0, number) + self.encoded(magnitude.to_bytes((magnitude.bit_length() + 7) // 8))

    def number(self, value: float) -> bytes:
        if self.reduce:
            if math.isnan(value):
                return _NAN
            if value.is_integer() and INT_MIN <= value <= INT_MAX:
                return self.integer(int(value))
        return _narrowed(value)

    def text(self, value: str) -> bytes:
        if self.reduce and not unicodedata.is_normalized("NFC", value):
            raise Unencodable("text is not in Unicode normalisation form C")
        try:
            body = value.encode()
        except UnicodeEncodeError:
            raise Unencodable("text holds a lone surrogate") from None
        return head(0x60, len(body)) + body

    def mapping(self, items: tuple[tuple[Any, Any], ...]) -> bytes:
        pairs = [(self.encoded(key), self.encoded(item)) for key, item in items]
        if self.sort:
            pairs.sort()
        if len({key for key, _ in pairs}) != len(pairs):
            raise Unencodable("two map keys have one encoding")
        return head(0xA0, len(pairs)) + b"".join([key + item for key, item in pairs])


_CONSTANTS: Final = {20: False, 21: True, 22: None}
_FLOATS: Final = (25, 26, 27)
_FORMATS: Final = {2: ">e", 4: ">f", 8: ">d"}
_FLOAT_HEADS: Final = {2: b"\xf9", 4: b"\xfa", 8: b"\xfb"}
_MANTISSA: Final = {2: 10, 4: 23, 8: 52}  # bits of the fraction (IEEE 754)
_NAN_EXPONENT: Final = 0x7FF << 52
_NAN: Final = bytes.fromhex("f97e00")
_PLAIN_KEYS: Final = frozenset({int, str, bytes, Simple})

__all__ = (
    "Pairs",
    "Simple",
    "decode",
    "decode_cde",
    "decode_dcbor",
    "encode_cde",
    "encode_dcbor",
    "encode_preferred",
)
