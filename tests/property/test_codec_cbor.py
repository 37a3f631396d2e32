"""The CBOR profile for all values and all bytes, with cbor2 and the checking decoders as references."""

from __future__ import annotations

import math
import unicodedata
from typing import Any

import cbor2
from hypothesis import given
from hypothesis import strategies as st

from lockgate.codec import cbor, cbor_modes
from lockgate.codec.cbor import Limits, Tag
from lockgate.codec.cbor_modes import Pairs, Simple
from lockgate.codec.errors import Malformed

TAGS = {18, 61, 1 << 40}
WIDE = Limits(depth=40)

# Code points below 0x250 are in every Unicode version; normalising them makes NFC text.
texts = st.text(st.characters(max_codepoint=0x24F), max_size=20).map(lambda t: unicodedata.normalize("NFC", t))
integers = st.integers(cbor.INT_MIN, cbor.INT_MAX) | st.sampled_from(
    [0, 23, 24, 255, 256, 65535, 65536, (1 << 32) - 1, 1 << 32, -1, -24, -25, -256, -257]
)
scalars = integers | texts | st.binary(max_size=40) | st.booleans() | st.none()
keys = integers | texts | st.binary(max_size=8)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=5).map(tuple)
        | st.dictionaries(keys, inner, max_size=5)
        | st.builds(Tag, st.sampled_from(sorted(TAGS)), inner)
    ),
    max_leaves=20,
)
any_values = st.recursive(
    scalars
    | st.floats(allow_nan=True)
    | st.integers(-(1 << 70), 1 << 70)
    | st.builds(Simple, st.sampled_from([0, 19, 23, 32, 59, 255])),
    lambda inner: (
        st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(keys, inner, max_size=4)
        | st.builds(Tag, st.integers(4, 1 << 33), inner)
    ),
    max_leaves=12,
)


def plain(value: Any) -> Any:
    """Return `value` in the types cbor2 encodes."""
    if isinstance(value, Tag):
        return cbor2.CBORTag(value.number, plain(value.value))
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, tuple) else value


def typed(value: Any) -> Any:
    """Return a form in which 1, True and 1.0 differ, and a NaN equals itself."""
    if isinstance(value, dict):
        return "map", frozenset((typed(key), typed(item)) for key, item in value.items())
    if isinstance(value, Pairs):
        return "map", frozenset((typed(key), typed(item)) for key, item in value.items)
    if isinstance(value, tuple):
        return "array", tuple(map(typed, value))
    if isinstance(value, Tag):
        return "tag", value.number, typed(value.value)
    if isinstance(value, float):
        return "float", "nan" if math.isnan(value) else (value, math.copysign(1, value))
    return type(value).__name__, value


@given(values)
def test_round_trip(value: Any) -> None:
    data = cbor.encode(value)
    assert typed(cbor.decode(data, tags=TAGS, limits=WIDE)) == typed(value)


@given(values)
def test_cbor2_writes_the_same_when_keys_are_in_order(value: Any) -> None:
    decoded = cbor.decode(cbor.encode(value), tags=TAGS, limits=WIDE)
    assert cbor2.dumps(plain(decoded)) == cbor.encode(value)


@given(values, st.data())
def test_mutated_bytes_are_refused_or_re_encode(value: Any, data: st.DataObject) -> None:
    encoded = bytearray(cbor.encode(value))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(encoded) - 1))
        encoded[at] = data.draw(st.integers(0, 255))
    check_any_bytes(bytes(encoded[: data.draw(st.integers(0, len(encoded)))]))
    check_any_bytes(bytes(encoded))


@given(st.binary(max_size=60))
def test_any_bytes_are_refused_or_re_encode(data: bytes) -> None:
    check_any_bytes(data)


def check_any_bytes(data: bytes) -> None:
    try:
        value = cbor.decode(data, tags=TAGS)
    except Malformed:
        return
    assert cbor.encode(value) == data
    # Where the profile accepts, CDE and dCBOR agree with it (I12).
    assert typed(cbor_modes.decode_cde(data)) == typed(value)
    assert typed(cbor_modes.decode_dcbor(data)) == typed(value)


@given(st.binary(max_size=60))
def test_modes_refuse_or_re_encode(data: bytes) -> None:
    for decode, encode in (
        (cbor_modes.decode_cde, cbor_modes.encode_cde),
        (cbor_modes.decode_dcbor, cbor_modes.encode_dcbor),
    ):
        try:
            value = decode(data)
        except Malformed:
            continue
        assert encode(value) == data


@given(st.binary(max_size=60))
def test_generic_decoder_is_total(data: bytes) -> None:
    try:
        value = cbor_modes.decode(data)
    except Malformed:
        return
    assert typed(cbor_modes.decode(cbor_modes.encode_preferred(value))) == typed(value)


@given(any_values)
def test_cde_round_trip(value: Any) -> None:
    assert typed(cbor_modes.decode_cde(cbor_modes.encode_cde(value), limits=WIDE)) == typed(value)


@given(values)
def test_profile_encoding_is_cde_and_dcbor(value: Any) -> None:
    assert cbor.encode(value) == cbor_modes.encode_cde(value) == cbor_modes.encode_dcbor(value)
