"""The CBOR profile on our wire (I12): one value has one encoding, and anything else is refused.

RFC 8949 core deterministic encoding, restricted until CDE and dCBOR agree with it: integers of
-2^63..2^64-1, byte strings, NFC text, arrays, maps with integer, text or byte keys in bytewise
order, `false`, `true`, `null`, and the tags a caller names. No floats, no bignums, no indefinite
lengths. `docs/reference/cbor-profile.md` is normative; `cbor_modes` has all of CBOR, for test cases.

Values in Python: `int`, `bytes`, `str`, `bool`, `None`, `tuple`, `Tag`, and `dict` in wire order. A
decoded dict counts as frozen: nobody changes one.

Decoder and encoder are our own, one pass each. cbor2 makes dates, patterns and cycles of tags nobody
asked for, hashes a peer's arrays as map keys (chosen collisions cost quadratic time), and leaves order,
NFC, minimal lengths and trailing bytes to a walk and a re-encoding; together these measure no faster on
a transaction than deciding while reading. The tests hold this module equal to cbor2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from lockgate.codec.errors import (
    CborIllFormed,
    CborNotAllowed,
    CborNotDeterministic,
    Malformed,
    TooLarge,
    Unencodable,
)
from lockgate.codec.text import is_stable_nfc
from lockgate.primitives.errors import Misuse

INT_MIN: Final = -(1 << 63)  # dCBOR excludes the 65-bit negatives that CBOR could hold
INT_MAX: Final = (1 << 64) - 1
MAX_DEPTH: Final = 64  # a frame of Python's stack each; far below its recursion limit of 1000


@dataclass(frozen=True, slots=True)
class Tag:
    """A tagged item. Source: RFC 8949 section 3.4."""

    number: int
    value: Any  # a Value of the profile, or of the mode that decoded it


Key: TypeAlias = int | str | bytes
Value: TypeAlias = "int | bytes | str | bool | tuple[Value, ...] | dict[Key, Value] | Tag | None"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one decoding. They are exact, so that every node refuses the same bytes."""

    size: int = 1 << 20  # bytes; CometBFT's default for one transaction
    items: int = 1 << 16  # array elements and map pairs, all levels together: 16 bytes of input each
    depth: int = 16  # nested arrays, maps and tags: twice what our own formats use

    def __post_init__(self) -> None:
        if not 0 <= self.depth <= MAX_DEPTH:
            raise Misuse("depth limit out of range", depth=self.depth, maximum=MAX_DEPTH)


DEFAULT_LIMITS: Final = Limits()
NO_TAGS: Final[Set[int]] = frozenset()


def decode(data: bytes, *, limits: Limits = DEFAULT_LIMITS, tags: Set[int] = NO_TAGS) -> Any:
    """Return the `Value` of exactly one item of the profile; `encode` of it gives `data` again.

    Raises a `Malformed` whatever the bytes: CborIllFormed, CborNotDeterministic, CborNotAllowed (each
    with the byte offset as field `at`) or TooLarge. Source: RFC 8949 sections 3, 4.2.1 and 5.3; I12.
    """
    if len(data) > limits.size:
        raise TooLarge("a CBOR item is too long", size=len(data), limit=limits.size)
    data = bytes(data)
    try:
        value, end = _item(data, 0, limits.depth, _Allowance(limits.items, tags))
    except IndexError:
        raise CborIllFormed("the item ends early", at=len(data)) from None
    if end != len(data):
        raise CborIllFormed("bytes follow the item", at=end, size=len(data))
    return value


def decode_some(
    data: bytes, at: int, count: int, *, limits: Limits = DEFAULT_LIMITS, tags: Set[int] = NO_TAGS
) -> tuple[list[Any], int]:
    """Return `count` items of the profile that stand one after the other from `at`, and the offset after them.

    For a reader that frames the rest itself. `limits.size` is not asked. Raises as `decode` does.
    """
    allowance = _Allowance(limits.items, tags)
    values = []
    try:
        for _ in range(count):
            value, at = _item(data, at, limits.depth, allowance)
            values.append(value)
    except IndexError:
        raise CborIllFormed("the item ends early", at=len(data)) from None
    return values, at


def encode(value: Any) -> bytes:
    """Return the one encoding of `value`: any of `Value`, lists for tuples, any mapping for a dict.

    Tags are written as given. Raises Unencodable (our caller's bug) for everything else, subclasses of
    `int` and `str` included, so that an enumeration is converted where its meaning is known.
    """
    try:
        return _WRITERS[type(value)](value)
    except RecursionError:
        raise Unencodable("a value nested too deep to encode") from None


class _Allowance:
    __slots__ = ("items", "tags")

    def __init__(self, items: int, tags: Set[int]) -> None:
        self.items = items
        self.tags = tags

    def spend(self, count: int, at: int) -> None:
        self.items -= count
        if self.items < 0:
            raise TooLarge("too many items in one CBOR document", at=at, count=count)


def _item(data: bytes, at: int, depth: int, allowance: _Allowance) -> tuple[Any, int]:
    """Return (value, offset after it). Reading past the end raises IndexError; `decode` names it.

    The order of the branches is that of frequency in transactions; this is the hot loop.
    """
    initial = data[at]
    pos = at + 1
    if initial < 0x18:
        return initial, pos
    argument = initial & 0x1F
    major = initial >> 5
    if argument > 23 and major != 7:
        if argument > 27:
            raise _bad_head(argument, at)
        pos += 1 << (argument - 24)
        if pos > len(data):
            raise IndexError
        shortest = _SHORTEST[argument]
        argument = int.from_bytes(data[at + 1 : pos])
        if argument < shortest:
            raise CborNotDeterministic("a number or length is written longer than needed", at=at)
    if major == 2:
        end = pos + argument
        if end > len(data):
            raise CborIllFormed("a byte string is cut short", at=at, length=argument)
        return data[pos:end], end
    if major == 3:
        end = pos + argument
        if end > len(data):
            raise CborIllFormed("a text string is cut short", at=at, length=argument)
        return _text(data[pos:end], at), end
    if major == 0:
        return argument, pos
    if major == 1:
        if argument >> 63:
            raise CborNotAllowed("an integer below -2^63", at=at)
        return -1 - argument, pos
    if major == 7:
        return _simple(initial, at), pos
    if depth == 0:
        raise TooLarge("CBOR items are nested too deep", at=at)
    if major == 5:
        allowance.spend(argument, at)
        return _map(data, pos, argument, depth - 1, allowance)
    if major == 4:
        allowance.spend(argument, at)
        values = []
        for _ in range(argument):
            value, pos = _item(data, pos, depth - 1, allowance)
            values.append(value)
        return tuple(values), pos
    if argument not in allowance.tags:
        raise CborNotAllowed("a tag that is not expected here", at=at, tag=argument)
    value, pos = _item(data, pos, depth - 1, allowance)
    return Tag(argument, value), pos


def _map(data: bytes, pos: int, count: int, depth: int, allowance: _Allowance) -> tuple[dict[Key, Any], int]:
    values: dict[Key, Any] = {}
    previous = b""
    for _ in range(count):
        start = pos
        initial = data[pos]
        key: Key
        if initial < 0x18:
            key = initial
            pos += 1
        elif initial < 0x80:
            key, pos = _item(data, pos, 0, allowance)
        else:
            raise CborNotAllowed("a map key that is no integer, text or byte string", at=pos)
        encoded = data[start:pos]
        if encoded <= previous:
            what = "a map key appears twice" if encoded == previous else "map keys are not in bytewise order"
            raise CborNotDeterministic(what, at=start)
        previous = encoded
        initial = data[pos]
        if initial < 0x18:
            values[key] = initial
            pos += 1
        else:
            values[key], pos = _item(data, pos, depth, allowance)
    return values, pos


def _text(body: bytes, at: int) -> str:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise CborIllFormed("text is not UTF-8", at=at) from None
    if not (text.isascii() or is_stable_nfc(text)):
        raise CborNotAllowed("text is not NFC over the code points of Unicode 14.0", at=at)
    return text


def _simple(initial: int, at: int) -> bool | None:
    if initial in _SIMPLE_VALUES:
        return _SIMPLE_VALUES[initial]
    if 0xF9 <= initial <= 0xFB:
        raise CborNotAllowed("a floating-point number", at=at)
    if initial >= 0xFC:
        raise CborIllFormed("a break or a reserved value where an item should be", at=at)
    raise CborNotAllowed("a simple value other than false, true and null", at=at)


def _bad_head(info: int, at: int) -> Malformed:
    if info == 31:
        return CborNotDeterministic("an indefinite length", at=at)
    return CborIllFormed("a reserved additional information value", at=at, info=info)


class _Writers(dict[type, Callable[[Any], bytes]]):
    """The encoder of each exact type; a look-up of any other type finds mappings, else refuses."""

    def __missing__(self, kind: type) -> Callable[[Any], bytes]:
        if issubclass(kind, Mapping):
            return _encoded_map
        raise Unencodable("a value of a type outside the CBOR profile", type=kind.__name__)


def _encoded_int(value: int) -> bytes:
    if 0 <= value < 24:
        return _HEADS[value]
    if value >= 0:
        if value > INT_MAX:
            raise Unencodable("an integer above 2^64-1", value=value)
        return head(0x00, value)
    if value < INT_MIN:
        raise Unencodable("an integer below -2^63", value=value)
    return head(0x20, -1 - value)


def _encoded_bytes(value: bytes) -> bytes:
    return head(0x40, len(value)) + value


def _encoded_text(value: str) -> bytes:
    if value.isascii():
        return head(0x60, len(value)) + value.encode()
    try:
        body = value.encode()
    except UnicodeEncodeError:
        raise Unencodable("text holds a lone surrogate") from None
    if not is_stable_nfc(value):
        raise Unencodable("text is not NFC over the code points of Unicode 14.0")
    return head(0x60, len(body)) + body


def _encoded_array(value: tuple[Any, ...] | list[Any]) -> bytes:
    return head(0x80, len(value)) + b"".join([_WRITERS[type(item)](item) for item in value])


def _encoded_map(value: Mapping[Any, Any]) -> bytes:
    pairs = []
    for key, item in value.items():
        if type(key) not in _KEY_TYPES:
            raise Unencodable("a map key that is no int, str or bytes", type=type(key).__name__)
        pairs.append((_WRITERS[type(key)](key), _WRITERS[type(item)](item)))
    pairs.sort()
    return head(0xA0, len(pairs)) + b"".join([key + item for key, item in pairs])


def _encoded_tag(value: Tag) -> bytes:
    if type(value.number) is not int or not 0 <= value.number <= INT_MAX:
        raise Unencodable("a tag number out of range", tag=value.number)
    return head(0xC0, value.number) + _WRITERS[type(value.value)](value.value)


def head(major: int, argument: int) -> bytes:
    """Return the shortest head of major type `major >> 5` with `argument` in 0..2^64-1."""
    if argument < 24:
        return _HEADS[major | argument]
    if argument < 1 << 8:
        return bytes((major | 24, argument))
    if argument < 1 << 16:
        return _HEADS[major | 25] + argument.to_bytes(2)
    if argument < 1 << 32:
        return _HEADS[major | 26] + argument.to_bytes(4)
    return _HEADS[major | 27] + argument.to_bytes(8)


_HEADS: Final = tuple(bytes((initial,)) for initial in range(256))
_SHORTEST: Final = {24: 24, 25: 1 << 8, 26: 1 << 16, 27: 1 << 32}  # least argument of each width
_SIMPLE_VALUES: Final = {0xF4: False, 0xF5: True, 0xF6: None}
_KEY_TYPES: Final = frozenset({int, str, bytes})
_WRITERS: Final = _Writers(
    {
        int: _encoded_int,
        bytes: _encoded_bytes,
        str: _encoded_text,
        tuple: _encoded_array,
        list: _encoded_array,
        dict: _encoded_map,
        bool: lambda value: b"\xf5" if value else b"\xf4",
        type(None): lambda _: b"\xf6",
        Tag: _encoded_tag,
    }
)

__all__ = (
    "DEFAULT_LIMITS",
    "INT_MAX",
    "INT_MIN",
    "MAX_DEPTH",
    "NO_TAGS",
    "Key",
    "Limits",
    "Malformed",
    "Tag",
    "Value",
    "decode",
    "decode_some",
    "encode",
    "head",
)
