"""Whatever the bytes: verification answers, opening and loading raise typed errors, encodings are injective."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.crypto import aead, ecdsa, hpke, keywrap, rsa
from lockgate.crypto.ec import CURVES, load_public
from lockgate.crypto.errors import OpenFailed
from lockgate.crypto.hashes import SHA256
from lockgate.crypto.hybrid import Purpose, identity_hash, signing_bytes
from lockgate.crypto.kem import KEMS
from lockgate.crypto.keys import IdentityKey, KeyRole, SealingKey
from lockgate.crypto.signatures import ALGORITHMS
from lockgate.crypto.suites import SEAL_XWING_AES
from lockgate.keystore.sealed import open_keys
from lockgate.keystore.software import OsEntropy, identity_signer
from lockgate.keystore.stretch import Passphrase
from lockgate.primitives.errors import LockgateError

ANY = st.binary(max_size=200)
ENTROPY = OsEntropy()
HOLDER = SEAL_XWING_AES.kem.derive_key(b"k" * 32)
ENC, CIPHERTEXT = hpke.seal(SEAL_XWING_AES.hpke, HOLDER.public_key, b"info", ENTROPY, aad=b"aad", plaintext=b"body")
SIGNER = identity_signer(2, b"s" * 32, KeyRole.IDENTITY)
SIGNATURE = SIGNER.sign(b"message")


@pytest.mark.parametrize("algorithm", ALGORITHMS.values(), ids=lambda a: a.name)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_verification_always_answers(algorithm, data) -> None:  # type: ignore[no-untyped-def]
    key = data.draw(ANY | st.binary(min_size=algorithm.public_bytes, max_size=algorithm.public_bytes))
    signature = data.draw(ANY | st.binary(min_size=algorithm.signature_bytes, max_size=algorithm.signature_bytes))
    assert algorithm.verify(key, signature, b"m") is False
    with contextlib.suppress(LockgateError):
        algorithm.check_public_key(key)


@pytest.mark.parametrize("curve", CURVES.values(), ids=lambda c: c.name)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_curve_points_and_der_signatures_are_refused_by_name(curve, data) -> None:  # type: ignore[no-untyped-def]
    point = data.draw(ANY | st.binary(min_size=curve.public_bytes, max_size=curve.public_bytes))
    with contextlib.suppress(LockgateError):
        load_public(curve, point)
    assert not ecdsa.verify_der(curve, SHA256, point, data.draw(ANY), b"m")
    assert not ecdsa.verify(curve, SHA256, point, data.draw(ANY), b"m")


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1 << 2100), st.integers(0, 1 << 40), st.binary(max_size=264))
def test_rsa_always_answers(n: int, e: int, signature: bytes) -> None:
    assert not rsa.verify_pkcs1(SHA256, n, e, signature, b"m")
    assert not rsa.verify_pss(SHA256, n, e, signature, b"m", salt_bytes=32)


@pytest.mark.parametrize("kem", KEMS.values(), ids=lambda k: k.name)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_kems_refuse_by_name(kem, data) -> None:  # type: ignore[no-untyped-def]
    key = kem.derive_key(b"k" * 66)
    with contextlib.suppress(LockgateError):
        key.decapsulate(data.draw(ANY | st.binary(min_size=kem.enc_bytes, max_size=kem.enc_bytes)))
    with contextlib.suppress(LockgateError):
        kem.encapsulate(data.draw(ANY | st.binary(min_size=kem.public_bytes, max_size=kem.public_bytes)), ENTROPY)
    with contextlib.suppress(LockgateError):
        kem.private_key(data.draw(ANY | st.binary(min_size=kem.private_bytes, max_size=kem.private_bytes)))


@settings(max_examples=60, deadline=None)
@given(ANY, ANY, ANY, ANY)
def test_symmetric_openings_refuse_by_name(key: bytes, nonce: bytes, data: bytes, aad: bytes) -> None:
    for cipher in (aead.AES_256_GCM, aead.CHACHA20_POLY1305, aead.aes_ccm(16, 13, 8)):
        padded = (key + bytes(32))[: cipher.key_bytes], (nonce + bytes(32))[: cipher.nonce_bytes]
        with pytest.raises(OpenFailed):
            cipher.open(*padded, data, aad)
        with contextlib.suppress(LockgateError):
            cipher.open(key, nonce, data, aad)
    for unwrap in (keywrap.unwrap, keywrap.unwrap_padded):
        with pytest.raises(LockgateError):
            unwrap(key, data)


@settings(max_examples=60, deadline=None)
@given(ANY, st.integers(-5, 40), st.lists(ANY, max_size=3))
def test_records_and_files_refuse_by_name(data: bytes, suite_id: int, parts: list[bytes]) -> None:
    for build in (
        lambda: IdentityKey(suite_id, tuple(parts)),
        lambda: SealingKey(suite_id, data),
        lambda: open_keys(data, Passphrase("passphrase")),
    ):
        with contextlib.suppress(LockgateError):
            build()


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 8 * (len(ENC) + len(CIPHERTEXT)) - 1))
def test_any_flipped_bit_of_a_sealed_message_is_refused(bit: int) -> None:
    sealed = bytearray(ENC + CIPHERTEXT)
    sealed[bit // 8] ^= 1 << bit % 8
    enc, ciphertext = bytes(sealed[: len(ENC)]), bytes(sealed[len(ENC) :])
    # X25519 ignores the top bit of a point; X-Wing hashes the point, so even that flip is refused.
    with pytest.raises(LockgateError):
        hpke.open_(SEAL_XWING_AES.hpke, enc, HOLDER, b"info", aad=b"aad", ciphertext=ciphertext)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 8 * len(SIGNATURE) - 1))
def test_p6_any_flipped_bit_of_a_hybrid_signature_is_refused(bit: int) -> None:
    signature = bytearray(SIGNATURE)
    signature[bit // 8] ^= 1 << bit % 8
    assert not SIGNER.key.verify(b"message", bytes(signature))


ARGUMENTS = st.tuples(
    st.sampled_from(Purpose),
    st.integers(0, 3),
    st.sampled_from([bytes(32), b"\x01" * 32]),
    st.sampled_from([b"", bytes(32), b"\x20" * 32]),
    st.integers(0, 300),
    st.binary(max_size=45),
)


@settings(max_examples=300, deadline=None)
@given(ARGUMENTS, ARGUMENTS)
def test_p6_signing_bytes_are_injective(one, other) -> None:  # type: ignore[no-untyped-def]
    assert (signing_bytes(*one) == signing_bytes(*other)) == (one == other)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=6), max_size=3), st.lists(st.binary(max_size=6), max_size=3))
def test_p6_identity_hashes_are_injective(one: list[bytes], other: list[bytes]) -> None:
    assert (identity_hash(2, one) == identity_hash(2, other)) == (one == other)
