"""BLS signatures and Keccak: a good one, and each way in which one is not."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from py_arkworks_bls12381 import G1Point, G2Point

from lockgate.crypto import bls12381 as bls
from lockgate.crypto.errors import BadKey
from lockgate.crypto.keccak import keccak256

MESSAGE = b"the signing root"
KEYS = [bls.SigningKey(bytes(31) + bytes([number])) for number in (7, 8, 9)]
OFF_SUBGROUP = bytes([0x80]) + bytes(46) + b"\x04"  # x = 4 is on the curve, whose order has a cofactor


def loaded() -> list[G1Point]:
    return [bls.load_public(key.public_key) for key in KEYS]


def signed() -> bytes:
    return bls.aggregate([key.sign(MESSAGE) for key in KEYS])


def test_a_committee_signs_one_message() -> None:
    assert bls.fast_aggregate_verify(loaded(), MESSAGE, signed())
    assert bls.encode_public(bls.add_keys(loaded())) == bls.SigningKey(bytes(31) + bytes([24])).public_key


def test_a_key_may_stand_twice_in_a_committee() -> None:
    twice = bls.aggregate([KEYS[0].sign(MESSAGE), KEYS[0].sign(MESSAGE)])
    assert bls.fast_aggregate_verify([loaded()[0]] * 2, MESSAGE, twice)
    assert not bls.fast_aggregate_verify([loaded()[0]], MESSAGE, twice)


@pytest.mark.parametrize(
    ("keys", "message", "signature"),
    [
        (lambda: loaded()[:2], MESSAGE, signed),
        (loaded, MESSAGE + b"\0", signed),
        (list, MESSAGE, signed),
        (list, MESSAGE, lambda: G2Point.identity().to_compressed_bytes()),
        (loaded, MESSAGE, lambda: G2Point.identity().to_compressed_bytes()),
        (lambda: [loaded()[0], -loaded()[0]], MESSAGE, lambda: G2Point.identity().to_compressed_bytes()),
        (loaded, MESSAGE, lambda: signed()[:-1]),
        (loaded, MESSAGE, lambda: bytes(96)),
    ],
    ids=["one-less", "other-message", "nobody", "identity-by-nobody", "identity", "keys-cancel-out", "cut", "zeros"],
)
def test_what_is_not_signed_by_all(
    keys: Callable[[], list[G1Point]], message: bytes, signature: Callable[[], bytes]
) -> None:
    assert not bls.fast_aggregate_verify(keys(), message, signature())


@pytest.mark.parametrize(
    "encoded",
    [
        b"",
        bytes(48),
        G1Point.identity().to_compressed_bytes(),
        KEYS[0].public_key[:-1],
        KEYS[0].public_key + b"\0",
        bytes([KEYS[0].public_key[0] & 0x7F]) + KEYS[0].public_key[1:],
        bytes([KEYS[0].public_key[0] | 0x40]) + KEYS[0].public_key[1:],
        b"\x9f" + b"\xff" * 47,
        bytes([0x80]) + bytes(46) + b"\x03",
        OFF_SUBGROUP,
    ],
    ids=[
        "empty",
        "zeros",
        "identity",
        "cut",
        "longer",
        "uncompressed",
        "infinite",
        "above-prime",
        "off-curve",
        "off-subgroup",
    ],
)
def test_what_is_no_key(encoded: bytes) -> None:
    with pytest.raises(BadKey):
        bls.load_public(encoded)
    assert not bls.verify(encoded, MESSAGE, KEYS[0].sign(MESSAGE))


def test_the_key_off_the_subgroup_is_on_the_curve() -> None:
    assert not G1Point.from_compressed_bytes_unchecked(OFF_SUBGROUP).is_in_subgroup()


def test_a_signature_outside_the_subgroup_is_none() -> None:
    candidates = (bytes([0x80]) + bytes(47) + x.to_bytes(48) for x in range(1, 50))
    encoded = next(point for point in candidates if _on_curve_only(point))
    assert bls._load_signature(encoded) is None
    with pytest.raises(BadKey):
        bls.aggregate([encoded])


def _on_curve_only(encoded: bytes) -> bool:
    try:
        return not G2Point.from_compressed_bytes_unchecked(encoded).is_in_subgroup()
    except ValueError:
        return False


def test_the_basic_suite_wants_messages_that_differ() -> None:
    keys, suite = [key.public_key for key in KEYS[:2]], bls.BASIC_SUITE
    same = bls.aggregate([key.sign(MESSAGE, suite) for key in KEYS[:2]])
    other = bls.aggregate([KEYS[0].sign(MESSAGE, suite), KEYS[1].sign(b"another", suite)])
    assert not bls.aggregate_verify(keys, [MESSAGE, MESSAGE], same, suite)
    assert bls.aggregate_verify(keys, [MESSAGE, b"another"], other, suite)
    assert not bls.aggregate_verify(keys, [MESSAGE], other, suite)
    assert not bls.aggregate_verify([], [], other, suite)


@pytest.mark.parametrize("secret", [b"", bytes(32), bls.ORDER.to_bytes(32), bytes(31)])
def test_what_is_no_private_key(secret: bytes) -> None:
    with pytest.raises(BadKey):
        bls.SigningKey(secret)


def test_a_private_key_is_not_printed() -> None:
    assert repr(KEYS[0]) == f"bls12381.SigningKey(public_key={KEYS[0].public_key.hex()})"


@pytest.mark.parametrize("size", [0, 8161])
def test_messages_expand_within_limits(size: int) -> None:
    with pytest.raises(BadKey):
        bls.expand_message_xmd(b"", b"tag", size)


def test_a_long_tag_is_hashed_first() -> None:
    """RFC 9380 §5.3.3."""
    long = b"t" * 256
    short = hashlib.sha256(b"H2C-OVERSIZE-DST-" + long).digest()
    assert bls.expand_message_xmd(b"m", long, 40) == bls.expand_message_xmd(b"m", short, 40)
    assert bls.hash_to_g2(b"m", long) == bls.hash_to_g2(b"m", short)


def test_nothing_is_added_up_to_no_signature() -> None:
    with pytest.raises(BadKey):
        bls.aggregate([])


@given(st.binary(min_size=47, max_size=49), st.binary(min_size=95, max_size=97))
def test_no_bytes_raise(key: bytes, signature: bytes) -> None:
    assert not bls.verify(key, MESSAGE, signature)
    assert not bls.fast_aggregate_verify(loaded(), MESSAGE, signature)


@pytest.mark.parametrize(
    ("data", "digest"),
    [
        (b"", "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"),
        (b"abc", "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"),
    ],
)
def test_keccak_of_the_reference(data: bytes, digest: str) -> None:
    assert keccak256(data).hex() == digest


@pytest.mark.parametrize("length", [0, 1, 135, 136, 137, 271, 272, 1000])
def test_keccak_is_not_sha3(length: int) -> None:
    assert len(keccak256(bytes(length))) == 32
    assert keccak256(bytes(length)) != hashlib.sha3_256(bytes(length)).digest()
