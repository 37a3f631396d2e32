"""RLP: the one encoding of a value, and every other one refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.codec import rlp
from lockgate.codec.errors import RlpMalformed

VALUES = st.recursive(st.binary(max_size=70), lambda inner: st.lists(inner, max_size=5).map(tuple), max_leaves=20)


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (b"", "80"),
        (b"\x0f", "0f"),
        (b"\x80", "8180"),
        (b"dog", "83646f67"),
        ((b"cat", b"dog"), "c88363617483646f67"),
        (((), ((),), ((), ((),))), "c7c0c1c0c3c0c1c0"),
        (b"x" * 56, "b838" + "78" * 56),
        ((b"x" * 60,), "f83eb83c" + "78" * 60),
    ],
)
def test_the_examples_of_the_paper(value: rlp.Rlp, encoded: str) -> None:
    assert rlp.encode(value).hex() == encoded
    assert rlp.decode(bytes.fromhex(encoded)) == value


@given(VALUES)
def test_what_is_encoded_is_read_again(value: rlp.Rlp) -> None:
    assert rlp.decode(rlp.encode(value)) == value


@given(st.binary(max_size=80))
def test_what_is_read_is_the_one_encoding(data: bytes) -> None:
    try:
        value = rlp.decode(data)
    except RlpMalformed:
        return
    assert rlp.encode(value) == data


@pytest.mark.parametrize(
    "encoded",
    [
        "",
        "8000",
        "8101",
        "83646f",
        "b80161",
        "b8",
        "b90038" + "78" * 56,
        "b837" + "78" * 55,
        "c483646f67ff",
        "c5836464",
        "c283646f67",
        "f80180",
        "bf" + "ff" * 8,
        "c1" * 20,
    ],
)
def test_what_no_encoder_writes(encoded: str) -> None:
    with pytest.raises(RlpMalformed):
        rlp.decode(bytes.fromhex(encoded))


def test_nesting_and_size_end() -> None:
    nested: rlp.Rlp = ()
    for _ in range(rlp.MAX_DEPTH):
        nested = (nested,)
    with pytest.raises(RlpMalformed):
        rlp.decode(rlp.encode((nested,)))
    with pytest.raises(RlpMalformed):
        rlp.decode(rlp.encode(bytes(rlp.MAX_BYTES)))


def test_numbers_have_no_leading_zero() -> None:
    assert rlp.number(b"") == 0
    assert rlp.number(b"\x01\x00") == 256
    assert rlp.encode_number(0) == b"\x80"
    for value in (b"\x00", b"\x00\x01", ()):
        with pytest.raises(RlpMalformed):
            rlp.number(value)
    with pytest.raises(RlpMalformed):
        rlp.decode_list(b"\x80")
