"""The wire profile: what is one value's one encoding, and which refusal each other byte string gets."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest

from lockgate.codec import cbor
from lockgate.codec.cbor import Limits, Tag
from lockgate.codec.errors import CborIllFormed, CborNotAllowed, CborNotDeterministic, TooLarge, Unencodable
from lockgate.primitives.errors import Misuse, PeerFault

# Appendix A of RFC 8949, and the two ends of the profile's integers.
ENCODINGS = [
    (0, "00"),
    (23, "17"),
    (24, "1818"),
    (255, "18ff"),
    (256, "190100"),
    (65535, "19ffff"),
    (65536, "1a00010000"),
    (1 << 32, "1b0000000100000000"),
    ((1 << 64) - 1, "1bffffffffffffffff"),
    (-1, "20"),
    (-256, "38ff"),
    (-(1 << 63), "3b7fffffffffffffff"),
    (False, "f4"),
    (True, "f5"),
    (None, "f6"),
    (b"", "40"),
    (b"\x01\x02\x03\x04", "4401020304"),
    ("", "60"),
    ("ü", "62c3bc"),
    ("水", "63e6b0b4"),
    ((), "80"),
    ((1, (2, 3), (4, 5)), "8301820203820405"),
    ({}, "a0"),
    ({1: 2, 3: 4}, "a201020304"),
    ({"a": 1, "b": (2, 3)}, "a26161016162820203"),
    ({10: 1, 100: 2, -1: 3, b"x": 4, "aa": 5, "z": 6}, "a60a011864022003417804617a0662616105"),
]


@pytest.mark.parametrize(("value", "encoding"), ENCODINGS)
def test_value_and_encoding_name_each_other(value: Any, encoding: str) -> None:
    data = bytes.fromhex(encoding)
    assert cbor.encode(value) == data
    decoded = cbor.decode(data)
    assert decoded == value
    assert type(decoded) is type(value)


@pytest.mark.parametrize(
    ("encoding", "refusal"),
    [
        ("", CborIllFormed),  # nothing
        ("0000", CborIllFormed),  # trailing byte
        ("18", CborIllFormed),  # argument missing
        ("1901", CborIllFormed),  # argument cut
        ("41", CborIllFormed),  # string cut
        ("5bffffffffffffffff00", CborIllFormed),  # length beyond the input
        ("61ff", CborIllFormed),  # not UTF-8
        ("63eda080", CborIllFormed),  # surrogate in UTF-8
        ("62c0af", CborIllFormed),  # overlong UTF-8
        ("8201", CborIllFormed),  # array cut
        ("a1", CborIllFormed),  # map without its pair
        ("a101", CborIllFormed),  # map without a value
        ("1c", CborIllFormed),  # reserved
        ("3d", CborIllFormed),
        ("fc", CborIllFormed),
        ("ff", CborIllFormed),  # break
        ("81ff", CborIllFormed),
        ("1817", CborNotDeterministic),  # long forms
        ("1900ff", CborNotDeterministic),
        ("1a0000ffff", CborNotDeterministic),
        ("1b00000000ffffffff", CborNotDeterministic),
        ("3817", CborNotDeterministic),
        ("580141", CborNotDeterministic),
        ("780141", CborNotDeterministic),
        ("980101", CborNotDeterministic),
        ("b8010101", CborNotDeterministic),
        ("5f4101ff", CborNotDeterministic),  # indefinite lengths
        ("7f6161ff", CborNotDeterministic),
        ("9f01ff", CborNotDeterministic),
        ("bf0101ff", CborNotDeterministic),
        ("a203040102", CborNotDeterministic),  # keys out of order
        ("a220010a02", CborNotDeterministic),  # -1 before 10, the order of RFC 7049
        ("a2616101616102", CborNotDeterministic),  # key twice
        ("a201010102", CborNotDeterministic),
        ("3b8000000000000000", CborNotAllowed),  # below -2^63
        ("f93c00", CborNotAllowed),  # floats
        ("fa3f800000", CborNotAllowed),
        ("fb3ff0000000000000", CborNotAllowed),
        ("f97e00", CborNotAllowed),
        ("f7", CborNotAllowed),  # undefined
        ("e0", CborNotAllowed),  # simple values
        ("f820", CborNotAllowed),
        ("c249010000000000000000", CborNotAllowed),  # bignum
        ("c000", CborNotAllowed),  # any tag
        ("d81c00", CborNotAllowed),  # shared value
        ("6345cc88", CborNotAllowed),  # E and a combining diaeresis: not NFC
        ("a1f501", CborNotAllowed),  # key true
        ("a1f601", CborNotAllowed),  # key null
        ("a18001", CborNotAllowed),  # key array
        ("a1a001", CborNotAllowed),  # key map
        ("a1c10101", CborNotAllowed),  # key tag
        ("a1f93c0001", CborNotAllowed),  # key float
    ],
)
def test_refuses(encoding: str, refusal: type[PeerFault]) -> None:
    with pytest.raises(refusal) as caught:
        cbor.decode(bytes.fromhex(encoding))
    assert type(caught.value) is refusal


def test_one_and_true_are_never_confused() -> None:
    values = cbor.decode(bytes.fromhex("8401f500f4"))
    assert [type(value) for value in values] == [int, bool, int, bool]
    with pytest.raises(Unencodable):
        cbor.encode({True: 1})
    with pytest.raises(CborNotAllowed):
        cbor.decode(bytes.fromhex("a20101f502"))


def test_tags_are_taken_only_where_named() -> None:
    data = bytes.fromhex("d2820102")
    assert cbor.decode(data, tags={18}) == Tag(18, (1, 2))
    assert cbor.encode(Tag(18, [1, 2])) == data
    with pytest.raises(CborNotAllowed):
        cbor.decode(data, tags={17})


def test_known_tag_stays_a_tag() -> None:
    assert cbor.decode(bytes.fromhex("c101"), tags={1}) == Tag(1, 1)
    assert cbor.decode(bytes.fromhex("d8236161"), tags={35}) == Tag(35, "a")


@pytest.mark.parametrize(
    ("value", "limits"),
    [
        (b"x" * 8, Limits(size=8)),
        ([1, 2, 3], Limits(items=2)),
        ([[1], [2], [3]], Limits(items=5)),
        ({1: 1, 2: 2}, Limits(items=1)),
        ([[[0]]], Limits(depth=2)),
        ({1: {1: {}}}, Limits(depth=2)),
        ([Tag(18, [])], Limits(depth=2)),
        (0, Limits(size=0)),
        ([], Limits(depth=0)),
    ],
)
def test_limits_are_exact(value: Any, limits: Limits) -> None:
    data = cbor.encode(value)
    with pytest.raises(TooLarge):
        cbor.decode(data, limits=limits, tags={18})
    wider = Limits(size=limits.size + 1, items=limits.items + 1, depth=limits.depth + 1)
    assert cbor.encode(cbor.decode(data, limits=wider, tags={18})) == data


def test_a_huge_count_costs_nothing() -> None:
    for head in ("9a7fffffff", "bb7fffffffffffffff"):
        with pytest.raises(TooLarge):
            cbor.decode(bytes.fromhex(head))


def test_nesting_ends_before_the_stack_does() -> None:
    deep = b"\x81" * 10_000 + b"\x00"
    with pytest.raises(TooLarge):
        cbor.decode(deep, limits=Limits(depth=cbor.MAX_DEPTH))
    with pytest.raises(Misuse):
        Limits(depth=cbor.MAX_DEPTH + 1)


def test_refusal_names_the_place() -> None:
    with pytest.raises(CborNotDeterministic) as caught:
        cbor.decode(bytes.fromhex("8301021800"))
    assert caught.value.fields["at"] == 3


def test_values_are_frozen_where_python_can() -> None:
    value = cbor.decode(bytes.fromhex("a1018101"))
    assert value == {1: (1,)}


def test_any_mapping_and_list_encode() -> None:
    assert cbor.encode(MappingProxyType({"a": [1]})) == cbor.encode({"a": (1,)})


class Count(int):
    pass


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        float("nan"),
        1 << 64,
        -(1 << 63) - 1,
        "e\u0308",
        "\ud800",
        "\U0001fae8",  # assigned in Unicode 15, unassigned in 14
        {None: 1},
        {1.5: 1},
        {(1,): 1},
        {1, 2},
        object(),
        bytearray(b"x"),
        Count(1),
        Tag(-1, 0),
        Tag(True, 0),
        Tag(1 << 64, 0),
    ],
)
def test_unencodable(value: Any) -> None:
    with pytest.raises(Unencodable):
        cbor.encode([value])


def test_cyclic_value_is_unencodable() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    with pytest.raises(Unencodable):
        cbor.encode(cycle)
