"""AEAD, MAC, KDF, key wrap, key commitment."""

from __future__ import annotations

import dataclasses

import pytest

from lockgate.crypto import aead, keywrap, mac
from lockgate.crypto.commitment import key_commitment, require_key_commitment
from lockgate.crypto.errors import KeyCommitmentMismatch, OpenFailed, UnwrapFailed, WrongLength
from lockgate.crypto.hashes import SHA256, SHA384, SHA512, equal
from lockgate.crypto.kdf import HKDF_SHA256, SHAKE128, SHAKE256, hkdf, hkdf_expand, hkdf_extract

CIPHERS = [
    aead.AES_128_GCM,
    aead.AES_192_GCM,
    aead.AES_256_GCM,
    aead.CHACHA20_POLY1305,
    aead.aes_ccm(16, 13, 8),
    aead.aes_ccm(32, 7, 16),
]


@pytest.mark.parametrize("cipher", CIPHERS, ids=lambda c: c.name)
def test_sealed_opens_and_spoiled_does_not(cipher):
    key, nonce = bytes(range(cipher.key_bytes)), bytes(range(cipher.nonce_bytes))
    keyed = cipher.keyed(key)
    sealed = keyed.seal(nonce, b"body", b"aad")
    assert sealed == cipher.seal(key, nonce, b"body", b"aad")
    assert len(sealed) == 4 + cipher.tag_bytes
    assert keyed.open(nonce, sealed, b"aad") == b"body"
    for spoiled in (b"", sealed[:-1], sealed + b"\x00", bytes([sealed[0] ^ 1]) + sealed[1:]):
        with pytest.raises(OpenFailed):
            keyed.open(nonce, spoiled, b"aad")
    with pytest.raises(OpenFailed):
        keyed.open(nonce, sealed, b"")
    with pytest.raises(OpenFailed):
        cipher.open(key[::-1], nonce, sealed, b"aad")
    for bad in (b"", nonce[:-1], nonce + b"\x00"):
        with pytest.raises(WrongLength):
            keyed.seal(bad, b"", b"")
        with pytest.raises(WrongLength):
            keyed.open(bad, sealed, b"aad")
    with pytest.raises(WrongLength):
        cipher.keyed(key + b"\x00")


@pytest.mark.parametrize("lengths", [(15, 12), (16, 7), (16, 129), (33, 12)])
def test_aes_gcm_lengths(lengths):
    with pytest.raises(WrongLength):
        aead.aes_gcm(*lengths)


@pytest.mark.parametrize("lengths", [(15, 13, 8), (16, 6, 8), (16, 14, 8), (16, 13, 5), (16, 13, 18), (16, 13, 2)])
def test_aes_ccm_lengths(lengths):
    with pytest.raises(WrongLength):
        aead.aes_ccm(*lengths)


def test_ccm_message_longer_than_its_length_field():
    short = aead.aes_ccm(16, 13, 8)  # 2-byte length: 65,535 bytes at most
    with pytest.raises(WrongLength):
        short.seal(bytes(16), bytes(13), bytes(1 << 16), b"")
    with pytest.raises(OpenFailed):
        short.open(bytes(16), bytes(13), bytes((1 << 16) + 8), b"")
    sealed = short.seal(bytes(16), bytes(13), bytes((1 << 16) - 1), b"")
    assert short.open(bytes(16), bytes(13), sealed, b"") == bytes((1 << 16) - 1)


def test_a_cipher_has_a_longest_message():
    small = dataclasses.replace(aead.AES_256_GCM, max_bytes=3)
    key, nonce = bytes(32), bytes(12)
    assert small.open(key, nonce, small.seal(key, nonce, b"abc", b""), b"") == b"abc"
    with pytest.raises(WrongLength):
        small.seal(key, nonce, b"abcd", b"")
    with pytest.raises(OpenFailed):
        small.open(key, nonce, aead.AES_256_GCM.seal(key, nonce, b"abcd", b""), b"")


def test_hmac_is_cut_to_what_the_verifier_expects():
    tag = mac.hmac(SHA256, b"key", b"data")
    assert mac.hmac_verify(SHA256, b"key", b"data", tag)
    assert mac.hmac_verify(SHA256, b"key", b"data", tag[:8], 8)
    assert not mac.hmac_verify(SHA256, b"key", b"data", tag[:8])  # a shorter tag is not asked for
    assert not mac.hmac_verify(SHA256, b"key", b"data", b"")
    for length in (0, 7, 33):
        with pytest.raises(WrongLength):
            mac.hmac(SHA256, b"key", b"data", length)


def test_aes_cbc_mac():
    key = bytes(16)
    full = mac.aes_cbc_mac(key, b"data", 16)
    assert mac.aes_cbc_mac(key, b"data", 8) == full[:8]
    assert full == mac.aes_cbc_mac(key, b"data" + bytes(12), 16)  # zero padding, by definition
    assert mac.aes_cbc_mac_verify(key, b"data", full[:8], 8)
    assert not mac.aes_cbc_mac_verify(key, b"data", full[:8], 16)
    assert not mac.aes_cbc_mac_verify(key, b"dato", full, 16)
    assert len(mac.aes_cbc_mac(key, b"", 16)) == 16
    for bad_key, tag_bytes in ((bytes(24), 8), (key, 7), (key, 17)):
        with pytest.raises(WrongLength):
            mac.aes_cbc_mac(bad_key, b"", tag_bytes)


def test_hkdf_composes_and_has_its_limit():
    prk = hkdf_extract(SHA384, b"", b"ikm")
    assert prk == hkdf_extract(SHA384, bytes(48), b"ikm")
    assert hkdf(SHA384, b"ikm", b"", b"info", 100) == hkdf_expand(SHA384, prk, b"info", 100)
    assert HKDF_SHA256.output_bytes == 32
    assert len(hkdf_expand(SHA512, b"k" * 64, b"", 255 * 64)) == 255 * 64
    for length in (0, -1, 255 * 64 + 1):
        with pytest.raises(WrongLength):
            hkdf_expand(SHA512, b"k" * 64, b"", length)


def test_shake_of_nothing():
    assert SHAKE128.derive(b"", 4).hex() == "7f9c2ba4"  # FIPS 202 example values
    assert SHAKE256.derive(b"", 4).hex() == "46b9dd2b"


@pytest.mark.parametrize(
    ("wrap", "unwrap"), [(keywrap.wrap, keywrap.unwrap), (keywrap.wrap_padded, keywrap.unwrap_padded)]
)
def test_key_wrap(wrap, unwrap):
    wrapping, key = bytes(32), bytes(range(32))
    wrapped = wrap(wrapping, key)
    assert unwrap(wrapping, wrapped) == key
    for spoiled in (b"", wrapped[:-1], wrapped[:-8], wrapped[:-1] + bytes([wrapped[-1] ^ 1])):
        with pytest.raises(UnwrapFailed):
            unwrap(wrapping, spoiled)
    with pytest.raises(UnwrapFailed):
        unwrap(b"\x01" * 32, wrapped)
    for bad in (b"", bytes(15)):
        with pytest.raises(WrongLength):
            wrap(bad, key)
        with pytest.raises(WrongLength):
            unwrap(bad, wrapped)


def test_key_wrap_lengths():
    for key in (b"", bytes(8), bytes(17)):
        with pytest.raises(WrongLength):
            keywrap.wrap(bytes(16), key)
    with pytest.raises(WrongLength):
        keywrap.wrap_padded(bytes(16), b"")


def test_p17_a_commitment_fits_one_key_and_one_context():
    key = b"k" * 32
    commitment = key_commitment(key, b"context")
    require_key_commitment(commitment, key, b"context")
    for wrong in (
        (commitment, b"l" * 32, b"context"),
        (commitment, key, b"other"),
        (commitment[:-1], key, b"context"),
        (b"", key, b"context"),
        (bytes(32), key, b"context"),
    ):
        with pytest.raises(KeyCommitmentMismatch):
            require_key_commitment(*wrong)


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(33), bytes(64)])
def test_p17_only_full_length_keys_are_committed_to(key):
    # HMAC pads and hashes keys, so keys of other lengths would share commitments.
    with pytest.raises(WrongLength):
        key_commitment(key)


def test_p17_the_cipher_alone_does_not_commit():
    """Why the commitment exists: one ciphertext and tag, valid under two AES-GCM keys."""
    nonce, keys = bytes(12), (b"a" * 32, b"b" * 32)
    ciphertext = two_key_ciphertext(keys, nonce)
    bodies = [aead.AES_256_GCM.open(key, nonce, ciphertext, b"") for key in keys]
    assert bodies[0] != bodies[1]
    assert key_commitment(keys[0]) != key_commitment(keys[1])


def two_key_ciphertext(keys, nonce):
    """Solve GHASH for one block that makes the tags of both keys equal. GCM, SP 800-38D §6.3–6.4."""
    lengths = (128).to_bytes(16)  # no associated data, one block of ciphertext
    hash_keys, masks = [], []
    for key in keys:
        hash_keys.append(gcm_block(key, bytes(16)))
        masks.append(gcm_block(key, nonce + b"\x00\x00\x00\x01"))
    # tag = C·H² + len·H + mask for each key: C = (len·(H1 + H2) + mask1 + mask2) / (H1² + H2²)
    h1, h2 = (int.from_bytes(block) for block in hash_keys)
    difference = multiply(int.from_bytes(lengths), h1 ^ h2) ^ int.from_bytes(masks[0]) ^ int.from_bytes(masks[1])
    block = multiply(difference, inverse(multiply(h1, h1) ^ multiply(h2, h2)))
    tag = multiply(block, multiply(h1, h1)) ^ multiply(int.from_bytes(lengths), h1) ^ int.from_bytes(masks[0])
    return block.to_bytes(16) + tag.to_bytes(16)


def gcm_block(key, block):
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(block)


def multiply(x, y):
    result = 0
    for bit in range(127, -1, -1):
        if x >> bit & 1:
            result ^= y
        y = y >> 1 ^ (0xE1 << 120 if y & 1 else 0)
    return result


def inverse(x):
    result = 1 << 127
    for _ in range(127):
        x = multiply(x, x)
        result = multiply(result, x)
    return result


def test_equal_compares_bytes():
    assert equal(b"abc", b"abc")
    assert not equal(b"abc", b"abd")
    assert not equal(b"abc", b"ab")
