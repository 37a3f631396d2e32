"""Ed25519: what the two acceptance sets take and refuse (P7)."""

from __future__ import annotations

import hashlib

import pytest

from lockgate.crypto import ed25519
from lockgate.crypto import edwards25519 as curve
from lockgate.crypto.ed25519 import SMALL_ORDER, SigningKey, verify_strict, verify_zip215
from lockgate.crypto.errors import BadKey

KEY = SigningKey(bytes(range(32)))
MESSAGE = b"one message"
SIGNATURE = KEY.sign(MESSAGE)
BASE = curve.decompress((4 * pow(5, -1, curve.P) % curve.P).to_bytes(32, "little"))


def encode(point: curve.Point) -> bytes:
    inverse = pow(point[2], -1, curve.P)
    x, y = point[0] * inverse % curve.P, point[1] * inverse % curve.P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def times(scalar: int, point: curve.Point) -> curve.Point:
    """The plain form: one bit at a time."""
    total: curve.Point = (0, 1, 1, 0)
    for bit in bin(scalar)[2:]:
        total = curve.double(total)
        if bit == "1":
            total = curve.add(total, point)
    return total


def torsion_points() -> list[curve.Point]:
    """All eight points of small order, from any point outside the prime-order subgroup."""
    for number in range(2, 50):
        point = curve.decompress(number.to_bytes(32, "little"))
        if point is None:
            continue
        generator = times(curve.L, point)
        points = [times(n, generator) for n in range(8)]
        if len({encode(p) for p in points}) == 8:
            return points
    raise AssertionError("no point of order eight found")


def sign_by_hand(secret: int, public: bytes, message: bytes, nonce: int, r: bytes) -> bytes:
    k = int.from_bytes(hashlib.sha512(r + public + message).digest(), "little") % curve.L
    return r + ((nonce + k * secret) % curve.L).to_bytes(32, "little")


def test_rfc8032_section_7_1_test_2():
    key = SigningKey(bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"))
    assert key.public_key.hex() == "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    signature = key.sign(b"\x72")
    assert signature.hex().startswith("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da")
    assert verify_strict(key.public_key, signature, b"\x72")
    assert ed25519.equation_holds(key.public_key, signature, b"\x72")


def test_small_order_encodings_are_those_of_the_curve():
    points = torsion_points()
    assert {encode(p) for p in points} == SMALL_ORDER
    assert all(curve.double_scalar_is_torsion(0, 0, BASE, p) for p in points)


@pytest.mark.parametrize("verify", [verify_strict, verify_zip215])
@pytest.mark.parametrize("position", [0, 31, 32, 62])
def test_a_changed_byte_is_refused(verify, position):
    spoiled = bytearray(SIGNATURE)
    spoiled[position] ^= 1
    assert verify(KEY.public_key, SIGNATURE, MESSAGE)
    assert not verify(KEY.public_key, bytes(spoiled), MESSAGE)
    assert not verify(KEY.public_key, SIGNATURE, MESSAGE + b"!")
    assert not verify(SigningKey(bytes(32)).public_key, SIGNATURE, MESSAGE)


@pytest.mark.parametrize("verify", [verify_strict, verify_zip215])
@pytest.mark.parametrize(
    ("key", "signature"),
    [
        (b"", SIGNATURE),
        (KEY.public_key + b"\x00", SIGNATURE),
        (KEY.public_key, b""),
        (KEY.public_key, SIGNATURE[:-1]),
        (KEY.public_key, SIGNATURE + b"\x00"),
    ],
)
def test_a_wrong_length_is_refused(verify, key, signature):
    assert not verify(key, signature, MESSAGE)


@pytest.mark.parametrize("verify", [verify_strict, verify_zip215, ed25519.equation_holds])
def test_s_has_one_representation(verify):
    s = int.from_bytes(SIGNATURE[32:], "little") + curve.L
    assert not verify(KEY.public_key, SIGNATURE[:32] + s.to_bytes(32, "little"), MESSAGE)


# Other encodings of the points (0, 1), (0, −1) and of y = 0, which only ZIP-215 takes.
NON_CANONICAL_SMALL = [
    (curve.P + 1).to_bytes(32, "little"),
    (curve.P).to_bytes(32, "little"),
    (curve.P | 1 << 255).to_bytes(32, "little"),
    (1 | 1 << 255).to_bytes(32, "little"),
    (curve.P - 1 | 1 << 255).to_bytes(32, "little"),
]


@pytest.mark.parametrize("key", [*sorted(SMALL_ORDER), *NON_CANONICAL_SMALL])
def test_no_key_of_small_order_in_any_encoding_is_ours(key):
    nonce = 11
    signature = encode(times(nonce, BASE)) + nonce.to_bytes(32, "little")  # s = nonce, since [8]A = 0
    assert verify_zip215(key, signature, MESSAGE)
    assert not verify_strict(key, signature, MESSAGE)


@pytest.mark.parametrize("small", sorted(SMALL_ORDER))
def test_a_small_order_key_signs_anything_for_ledgers_and_nothing_for_us(small):
    signature = small + bytes(32)  # R of small order, s = 0
    assert verify_zip215(small, signature, MESSAGE)
    assert not verify_strict(small, signature, MESSAGE)


def test_a_small_order_r_is_refused_although_its_equation_holds():
    secret = int.from_bytes(hashlib.sha512(bytes(range(32))).digest()[:32], "little")
    secret = secret & ((1 << 254) - 8) | 1 << 254
    for r in (*SMALL_ORDER, *NON_CANONICAL_SMALL):
        signature = sign_by_hand(secret, KEY.public_key, MESSAGE, 0, r)
        assert ed25519.equation_holds(KEY.public_key, signature, MESSAGE)
        assert verify_zip215(KEY.public_key, signature, MESSAGE)
        assert not verify_strict(KEY.public_key, signature, MESSAGE)


@pytest.mark.parametrize(
    "encoding",
    [
        (curve.P + 3).to_bytes(32, "little"),  # y = 3, written as y + p
        (1 | 1 << 255).to_bytes(32, "little"),  # x = 0 with the sign bit
        (curve.P - 1 | 1 << 255).to_bytes(32, "little"),
        ((1 << 255) - 1).to_bytes(32, "little"),
    ],
)
def test_non_canonical_encodings_are_told_apart(encoding):
    assert not curve.is_canonical(encoding)
    assert not verify_strict(encoding, SIGNATURE, MESSAGE)
    assert not verify_strict(KEY.public_key, encoding + SIGNATURE[32:], MESSAGE)
    with pytest.raises(BadKey):
        ed25519.check_public_key(encoding)


@pytest.mark.parametrize("verify", [verify_strict, verify_zip215])
def test_a_key_with_a_torsion_part_verifies_whatever_equation_the_library_uses(verify, monkeypatch):
    # Cofactorless libraries refuse seven eighths of these, cofactored ones accept all. We accept all.
    torsion = torsion_points()[1]
    mixed = encode(curve.add(times(7, BASE), torsion))
    refused_by_library = 0
    for nonce in range(5, 21):
        signature = sign_by_hand(7, mixed, MESSAGE, nonce, encode(times(nonce, BASE)))
        refused_by_library += not ed25519._library_accepts(mixed, signature, MESSAGE)
        assert verify(mixed, signature, MESSAGE)
        monkeypatch.setattr(ed25519, "_library_accepts", lambda *_: False)
        assert verify(mixed, signature, MESSAGE)
        monkeypatch.undo()
    assert refused_by_library


@pytest.mark.parametrize("seed", [b"", bytes(31), bytes(33)])
def test_a_seed_has_32_bytes(seed):
    with pytest.raises(BadKey):
        SigningKey(seed)


def test_points_off_the_curve_decode_to_nothing():
    found = [curve.decompress(n.to_bytes(32, "little")) for n in range(40)]
    assert None in found
    for point in filter(None, found):
        x, y = point[0], point[1]
        assert (y * y - x * x - 1 - curve.D * x * x * y * y) % curve.P == 0
