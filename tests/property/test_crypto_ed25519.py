"""Ed25519: the fast ways equal the plain ones, and no bytes raise."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.bindings import crypto_sign

from lockgate.crypto import ed25519
from lockgate.crypto import edwards25519 as curve

SCALARS = st.integers(0, curve.L - 1) | st.integers(0, 300) | st.integers(curve.L - 300, curve.L - 1)
ENCODINGS = st.binary(min_size=32, max_size=32) | st.integers(0, 40).map(lambda y: y.to_bytes(32, "little"))
BASE = curve.decompress((4 * pow(5, -1, curve.P) % curve.P).to_bytes(32, "little"))
assert BASE is not None


def plain_multiply(scalar: int, point: curve.Point) -> curve.Point:
    total: curve.Point = (0, 1, 1, 0)
    for bit in bin(scalar)[2:]:
        total = curve.double(total)
        if bit == "1":
            total = curve.add(total, point)
    return total


def affine(point: curve.Point) -> tuple[int, int]:
    inverse = pow(point[2], -1, curve.P)
    return point[0] * inverse % curve.P, point[1] * inverse % curve.P


@settings(max_examples=60, deadline=None)
@given(SCALARS, SCALARS, ENCODINGS)
def test_the_windowed_sum_equals_the_plain_one(s: int, k: int, encoding: bytes) -> None:
    point = curve.decompress(encoding) or BASE
    fast = curve._multiply_two(s, k, point)
    plain = curve.add(plain_multiply(s, BASE), plain_multiply(k, point))
    assert affine(fast) == affine(plain)
    assert fast[0] * fast[1] % curve.P == fast[2] * fast[3] % curve.P


@settings(max_examples=200, deadline=None)
@given(ENCODINGS)
def test_decoding_and_encoding_agree(encoding: bytes) -> None:
    point = curve.decompress(encoding)
    if point is not None:
        again = (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")
        assert (again == encoding) == curve.is_canonical(encoding)
        assert curve.decompress(again) == point


@pytest.mark.parametrize("verify", [ed25519.verify_strict, ed25519.verify_zip215])
@settings(max_examples=60, deadline=None)
@given(key=st.binary(max_size=40) | ENCODINGS, signature=st.binary(max_size=70), message=st.binary(max_size=40))
def test_no_bytes_raise(verify, key: bytes, signature: bytes, message: bytes) -> None:  # type: ignore[no-untyped-def]
    assert verify(key, signature, message) in (True, False)


@settings(max_examples=80, deadline=None)
@given(ENCODINGS, ENCODINGS, SCALARS, st.binary(max_size=20))
def test_strict_lies_inside_zip215_and_the_library_inside_the_formula(
    key: bytes, r: bytes, s: int, message: bytes
) -> None:
    signature = r + s.to_bytes(32, "little")
    formula = ed25519.equation_holds(key, signature, message)
    assert ed25519.verify_zip215(key, signature, message) == formula
    assert formula or not ed25519.verify_strict(key, signature, message)
    assert formula or not ed25519._library_accepts(key, signature, message)


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=60), st.integers(0, 511))
def test_an_honest_signature_holds_and_any_flipped_bit_breaks_it(seed: bytes, message: bytes, bit: int) -> None:
    key = ed25519.SigningKey(seed)
    signature = key.sign(message)
    assert ed25519.equation_holds(key.public_key, signature, message)
    assert ed25519.verify_strict(key.public_key, signature, message)
    flipped = bytearray(signature)
    flipped[bit // 8] ^= 1 << bit % 8
    assert not ed25519.verify_zip215(key.public_key, bytes(flipped), message)


@settings(max_examples=40, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.integers(-2, 2), st.binary(min_size=1, max_size=8))
def test_both_libraries_sign_alike_and_accept_each_other(seed: bytes, beside: int, fill: bytes) -> None:
    """At the length where the library changes: same bytes, same verdicts, whatever side it falls on (P7)."""
    key = ed25519.SigningKey(seed)
    message = (fill * ed25519.LONG_MESSAGE)[: ed25519.LONG_MESSAGE + beside]
    signature = key.sign(message)
    assert signature == key._key.sign(message) == crypto_sign(message, key._sodium_key)[:64]
    for signed in (message, message[:-3], message + fill):
        assert ed25519.verify_strict(key.public_key, signature, signed) == (signed == message)
    assert ed25519.equation_holds(key.public_key, signature, message)
