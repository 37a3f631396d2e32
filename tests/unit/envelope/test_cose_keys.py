"""COSE_Key: parsing, binding to one algorithm and use, and what is never shown (RFC 9052 §7)."""

from __future__ import annotations

from typing import Any

import pytest

from lockgate.codec import cbor
from lockgate.crypto import ecdsa
from lockgate.crypto.ec import P256
from lockgate.crypto.hashes import SHA256
from lockgate.envelope.cose.keys import CoseKey
from lockgate.envelope.cose.labels import KeyOp, KeyType
from lockgate.envelope.cose.wire import Wire
from lockgate.envelope.errors import CoseKeyMalformed, KeyNotForUse

SCALAR = bytes(31) + b"\x07"
POINT = ecdsa.SigningKey(P256, SHA256, SCALAR).public_key
X, Y = POINT[1:33], POINT[33:]
EC2 = {1: 2, 3: -7, -1: 1, -2: X, -3: Y, -4: SCALAR}


def test_round_trip_of_each_type() -> None:
    keys = [
        EC2,
        {1: 1, 2: b"kid", 3: -8, -1: 6, -2: bytes(32), -4: bytes(32)},
        {1: 4, 3: 3, 4: (3, 4), 5: b"base", -1: bytes(32)},
        {1: 7, 3: -49, -1: b"public", -2: b"seed"},
        {1: 3, 3: -37, -1: b"\x80" + bytes(255), -2: b"\x01\x00\x01"},
    ]
    for item in keys:
        data = cbor.encode(item)
        assert CoseKey.decode(data, Wire.OURS).encode() == data


def test_a_compressed_point_is_the_same_key() -> None:
    compressed = CoseKey.from_map({**EC2, -3: bool(Y[-1] & 1)})
    assert compressed.public_bytes == CoseKey.from_map(EC2).public_bytes == POINT


@pytest.mark.parametrize(
    "item",
    [
        {},
        [],
        {1: 99},
        {1: {}},
        {1: True, -1: 6, -2: bytes(32)},
        {**EC2, 3: "ES256"},
        {**EC2, 2: "kid"},
        {**EC2, 4: (True,)},
        {**EC2, -1: 6},
        {**EC2, -1: "P-256"},
        {**EC2, -2: X[1:]},
        {**EC2, -3: bytes(32)},  # off the curve
        {**EC2, -4: bytes(31)},
        {k: v for k, v in EC2.items() if k != -3},
        {1: 1, -1: 6, -2: bytes(31)},
        {1: 1, -1: 1, -2: bytes(32)},
        {1: 1, -1: 6},
        {1: 4},
        {1: 4, -1: b""},
        {1: 7, 3: -49},
        {1: 7, 3: -49, -1: b"x", -2: 5},
        {1: 3, -1: b"\x00\x80", -2: b"\x03"},  # leading zero
        {1: 3, -1: b"\x80"},
    ],
)
def test_malformed_keys_are_refused(item: Any) -> None:
    with pytest.raises(CoseKeyMalformed):
        CoseKey.from_map(item)


def test_bytes_that_are_no_key_are_refused() -> None:
    for data in (b"", b"\xff", b"\x01", bytes.fromhex("a2010201 02".replace(" ", ""))):
        with pytest.raises(CoseKeyMalformed):
            CoseKey.decode(data, Wire.FOREIGN)


def test_a_key_is_bound_to_one_algorithm_type_and_use() -> None:
    key = CoseKey.from_map({**EC2, 4: (2,)})
    key.require(-7, KeyOp.VERIFY, KeyType.EC2)
    for alg, op, kty in ((-35, KeyOp.VERIFY, 2), (-7, KeyOp.SIGN, 2), (-7, KeyOp.VERIFY, 1)):
        with pytest.raises(KeyNotForUse):
            key.require(alg, op, kty)
    with pytest.raises(KeyNotForUse):
        key.bound_to(-35)


def test_a_key_without_algorithm_does_nothing_until_it_is_bound() -> None:
    key = CoseKey.from_map({k: v for k, v in EC2.items() if k != 3})
    with pytest.raises(KeyNotForUse):
        key.require(-7, KeyOp.VERIFY, KeyType.EC2)
    key.bound_to(-7).require(-7, KeyOp.VERIFY, KeyType.EC2)


def test_secrets_are_not_shown_and_not_published() -> None:
    secret = b"\xa5" * 32
    symmetric = CoseKey.symmetric(secret, 3)
    private = CoseKey.from_map(EC2)
    assert secret.hex() not in repr(symmetric)
    assert str(SCALAR) not in repr(private)
    assert -4 not in private.public().to_map()
    assert private.public().public_bytes == POINT
    with pytest.raises(KeyNotForUse):
        symmetric.public()
    with pytest.raises(KeyNotForUse):
        _ = private.public().secret


def test_what_a_type_does_not_have_is_refused() -> None:
    rsa = CoseKey.from_map({1: 3, -1: b"\x80" + bytes(255), -2: b"\x03", -3: b"d"})
    for attribute in ("secret", "public_bytes", "group"):
        with pytest.raises(KeyNotForUse):
            getattr(rsa, attribute)
    with pytest.raises(KeyNotForUse):
        _ = CoseKey.okp(6, -8, bytes(32)).group  # Ed25519 agrees on nothing
