"""Generic CBOR, CDE and dCBOR: examples of the documents beside the third-party sets."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest

from lockgate.codec import cbor_modes
from lockgate.codec.cbor import Limits, Tag
from lockgate.codec.cbor_modes import Pairs, Simple
from lockgate.codec.errors import CborIllFormed, CborNotAllowed, CborNotDeterministic, TooLarge, Unencodable


@pytest.mark.parametrize(
    ("encoding", "value"),
    [
        ("5f42010243030405ff", b"\x01\x02\x03\x04\x05"),
        ("7f657374726561646d696e67ff", "streaming"),
        ("9f018202039f0405ffff", (1, (2, 3), (4, 5))),
        ("bf61610161629f0203ffff", {"a": 1, "b": (2, 3)}),
        ("1b0000000000000001", 1),
        ("c249010000000000000000", 1 << 64),
        ("c349010000000000000000", -(1 << 64) - 1),
        ("c24100", 0),
        ("c26161", Tag(2, "a")),
        ("c074323031332d30332d32315432303a30343a30305a", Tag(0, "2013-03-21T20:04:00Z")),
        ("d81c80", Tag(28, ())),
        ("f7", Simple(23)),
        ("f8ff", Simple(255)),
        ("a1f83b01", {Simple(59): 1}),
        ("a2010af50b", Pairs(((1, 10), (True, 11)))),
        ("a1810102", Pairs((((1,), 2),))),
    ],
)
def test_generic_decoding(encoding: str, value: Any) -> None:
    assert cbor_modes.decode(bytes.fromhex(encoding)) == value


@pytest.mark.parametrize(
    ("encoding", "refusal"),
    [
        ("a201010102", CborNotAllowed),
        ("a2800180f5", CborNotAllowed),
        ("a201011801f5", CborNotAllowed),  # the same key in two widths
        ("f81f", CborIllFormed),
        ("5f6161ff", CborIllFormed),
        ("5f5f4101ffff", CborIllFormed),
        ("7f61ff", CborIllFormed),
        ("7f61c261bcff", CborIllFormed),  # a character split over two chunks
        ("bf01ff", CborIllFormed),
        ("1f", CborIllFormed),
        ("dfff", CborIllFormed),
        ("9f01", CborIllFormed),
        ("00ff", CborIllFormed),
    ],
)
def test_generic_refusal(encoding: str, refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        cbor_modes.decode(bytes.fromhex(encoding))


def test_generic_limits() -> None:
    with pytest.raises(TooLarge):
        cbor_modes.decode(b"\x9f" * 20, limits=Limits(depth=3))
    with pytest.raises(TooLarge):
        cbor_modes.decode(b"\x81" * 20, limits=Limits(depth=3))
    with pytest.raises(TooLarge):
        cbor_modes.decode(bytes.fromhex("83000000"), limits=Limits(items=2))
    with pytest.raises(TooLarge):
        cbor_modes.decode(bytes.fromhex("9f000000ff"), limits=Limits(items=2))
    with pytest.raises(TooLarge):
        cbor_modes.decode(bytes.fromhex("5f410041004100ff"), limits=Limits(items=2))
    with pytest.raises(TooLarge):
        cbor_modes.decode(bytes.fromhex("00"), limits=Limits(size=0))


@pytest.mark.parametrize("bits", ["7ff0000000000001", "fff8000000000000", "7ff8000000000001", "7ff4000000000000"])
def test_nan_payload_survives(bits: str) -> None:
    wide = bytes.fromhex("fb" + bits)
    value = cbor_modes.decode(wide)
    assert math.isnan(value)
    assert struct.pack(">d", value).hex() == bits
    again = cbor_modes.decode(cbor_modes.encode_cde(value))
    assert struct.pack(">d", again).hex() == bits


def test_cde_sorts_and_preferred_does_not() -> None:
    value = {"b": 1, "a": 2}
    assert cbor_modes.encode_preferred(value).hex() == "a2616201616102"
    assert cbor_modes.encode_cde(value).hex() == "a2616102616201"
    with pytest.raises(CborNotDeterministic):
        cbor_modes.decode_cde(cbor_modes.encode_preferred(value))


def test_dcbor_reduces_numbers() -> None:
    assert cbor_modes.encode_dcbor([2.0, -0.0, float(1 << 63), 2.0**64, -(2.0**63), float("nan")]).hex() == (
        "8602001b8000000000000000fa5f8000003b7ffffffffffffffff97e00"
    )


@pytest.mark.parametrize(
    "value", [Simple(23), "e\u0308", -(1 << 63) - 1, -(1 << 64), Pairs(((1, 1), (1.0, 1))), object()]
)
def test_dcbor_excludes(value: Any) -> None:
    with pytest.raises(Unencodable):
        cbor_modes.encode_dcbor(value)
