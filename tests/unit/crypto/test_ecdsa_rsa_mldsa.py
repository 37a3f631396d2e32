"""ECDSA, RSA and ML-DSA: one encoding, ranges, lengths."""

from __future__ import annotations

import functools

import pytest
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric import rsa as library_rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from dilithium_py.ml_dsa import ML_DSA_44, ML_DSA_65, ML_DSA_87

from lockgate.crypto import ecdsa, rsa
from lockgate.crypto.ec import CURVES, P256, P384, P521, SECP256K1, encode_point
from lockgate.crypto.errors import BadKey
from lockgate.crypto.hashes import SHA256, SHA384, SHA512
from lockgate.crypto.mldsa import MLDSA44, MLDSA65, MLDSA87

KEYS = {
    name: ecdsa.SigningKey(curve, hash_, (7).to_bytes(curve.coordinate_bytes))
    for name, curve, hash_ in (
        ("P-256", P256, SHA256),
        ("P-384", P384, SHA384),
        ("P-521", P521, SHA512),
        ("secp256k1", SECP256K1, SHA256),
    )
}


def split(signature):
    half = len(signature) // 2
    return int.from_bytes(signature[:half]), int.from_bytes(signature[half:])


@pytest.mark.parametrize("name", CURVES)
def test_ecdsa_round_trip_and_determinism(name):
    key = KEYS[name]
    signature = key.sign(b"m")
    assert signature == key.sign(b"m")
    assert ecdsa.verify(key.curve, key.hash, key.public_key, signature, b"m")
    assert not ecdsa.verify(key.curve, key.hash, key.public_key, signature, b"n")
    assert ecdsa.verify_der(key.curve, key.hash, key.public_key, encode_dss_signature(*split(signature)), b"m")
    size = key.curve.coordinate_bytes
    x, y = key.public_key[1 : 1 + size], key.public_key[1 + size :]
    assert encode_point(key.curve, x, y) == key.public_key
    compressed = encode_point(key.curve, x, bool(y[-1] & 1))
    assert ecdsa.verify(key.curve, key.hash, compressed, signature, b"m")
    assert not ecdsa.verify(key.curve, key.hash, encode_point(key.curve, x, not y[-1] & 1), signature, b"m")


def test_rfc6979_appendix_a_2_5():
    scalar = bytes.fromhex("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721")
    signature = ecdsa.SigningKey(P256, SHA256, scalar).sign(b"sample")
    assert signature.hex() == (
        "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
        "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
    )


def test_ecdsa_has_a_range_and_low_s_one_twin():
    key, order = KEYS["P-256"], P256.order
    r, s = split(key.sign(b"m"))
    raw = lambda a, b: a.to_bytes(32) + b.to_bytes(32)  # noqa: E731 - four uses below
    twins = [raw(r, s), raw(r, order - s)]
    assert all(ecdsa.verify(P256, SHA256, key.public_key, twin, b"m") for twin in twins)
    assert sum(ecdsa.verify(P256, SHA256, key.public_key, twin, b"m", low_s=True) for twin in twins) == 1
    for bad in (
        raw(0, s),
        raw(r, 0),
        raw(order, s),
        raw(r, order),
        raw(0, 0),
        b"",
        twins[0][:-1],
        twins[0] + b"\x00",
        twins[0][:32] + b"\x00" + twins[0][32:],
    ):
        assert not ecdsa.verify(P256, SHA256, key.public_key, bad, b"m")


@pytest.mark.parametrize("name", CURVES)
def test_a_key_that_signs_low_never_signs_high(name):
    high = KEYS[name]
    low = ecdsa.SigningKey(high.curve, high.hash, (7).to_bytes(high.curve.coordinate_bytes), low_s=True)
    mirrored = 0
    for number in range(16):
        message = bytes((number,))
        signature = low.sign(message)
        assert ecdsa.verify(low.curve, low.hash, low.public_key, signature, message, low_s=True)
        mirrored += signature != high.sign(message)
    assert 0 < mirrored < 16


def test_der_has_one_encoding():
    key = KEYS["P-256"]
    der = encode_dss_signature(*split(key.sign(b"m")))
    assert ecdsa.verify_der(P256, SHA256, key.public_key, der, b"m")
    long_form = b"\x30\x81" + der[1:]
    for bad in (der + b"\x00", der[:-1], long_form, b"", b"\x30\x00", bytes.fromhex("3006020180020101")):
        assert not ecdsa.verify_der(P256, SHA256, key.public_key, bad, b"m")


@pytest.mark.parametrize("point", [b"", b"\x00", b"\x04" + bytes(64), b"\x05" + bytes(64), b"\x02" + b"\xff" * 32])
def test_what_is_no_point_verifies_nothing(point):
    assert not ecdsa.verify(P256, SHA256, point, KEYS["P-256"].sign(b"m"), b"m")


@pytest.mark.parametrize("scalar", [b"", bytes(32), P256.order.to_bytes(32), bytes(31), b"\x01" * 33])
def test_a_scalar_is_below_the_order(scalar):
    with pytest.raises(BadKey):
        ecdsa.SigningKey(P256, SHA256, scalar)


@pytest.mark.parametrize(("x", "y"), [(b"", bytes(32)), (bytes(32), b""), (bytes(33), True)])
def test_coordinates_have_full_length(x, y):
    with pytest.raises(BadKey):
        encode_point(P256, x, y)


@pytest.mark.parametrize(
    ("ours", "oracle"), [(MLDSA44, ML_DSA_44), (MLDSA65, ML_DSA_65), (MLDSA87, ML_DSA_87)], ids=lambda p: str(p)[:9]
)
def test_mldsa_agrees_with_another_implementation(ours, oracle):
    seed = bytes(range(32))
    public, secret = oracle.key_derive(seed)
    assert ours.public_from_seed(seed) == public
    signature = oracle.sign(secret, b"m", ctx=b"context", deterministic=True)
    assert (len(public), len(signature)) == (ours.public_bytes, ours.signature_bytes)
    assert ours.verify(public, signature, b"m", b"context")
    assert not ours.verify(public, signature, b"m")
    assert not ours.verify(public, signature, b"n", b"context")
    assert not ours.verify(public, signature, b"m", bytes(256))
    for bad in (b"", signature[:-1], signature + b"\x00", bytes(len(signature))):
        assert not ours.verify(public, bad, b"m", b"context")
    for bad in (b"", public[:-1], public + b"\x00"):
        assert not ours.verify(bad, signature, b"m", b"context")
    with pytest.raises(BadKey):
        ours.public_from_seed(bytes(31))


@pytest.mark.parametrize(("bits", "accepted"), [(1024, False), (2048, True)])
def test_rsa_keys_below_2048_bits_verify_nothing(bits, accepted):
    key = library_rsa.generate_private_key(65537, bits)
    public = key.public_key().public_numbers()
    pss = padding.PSS(padding.MGF1(SHA256.algorithm), 32)
    for signature, check in (
        (key.sign(b"m", padding.PKCS1v15(), SHA256.algorithm), rsa.verify_pkcs1),
        (key.sign(b"m", pss, SHA256.algorithm), functools.partial(rsa.verify_pss, salt_bytes=32)),
    ):
        assert check(SHA256, public.n, public.e, signature, b"m") is accepted
        assert not check(SHA256, public.n, public.e, b"\x00" + signature, b"m")
        assert not check(SHA256, public.n, public.e, signature, b"n")
        assert not check(SHA384, public.n, public.e, signature, b"m")


@pytest.mark.parametrize(
    ("n", "e", "size"),
    [(1 << 1023 | 1, 65537, 128), (1 << 8192 | 1, 65537, 1025), (1 << 2047 | 1, 1, 256), (1 << 2047 | 1, 1 << 40, 256),
     (0, 65537, 0), (1 << 2047 | 1, 65537, 255), (1 << 2047, 65537, 256), (1 << 2047 | 1, 4, 256)],
)  # fmt: skip
def test_rsa_keys_outside_the_limits_verify_nothing(n, e, size):
    assert not rsa.verify_pss(SHA256, n, e, bytes(size), b"m", salt_bytes=32)
    assert not rsa.verify_pkcs1(SHA256, n, e, bytes(size), b"m")
