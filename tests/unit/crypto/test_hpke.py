"""HPKE in its four modes, its refusals, and the library's own HPKE as the other side."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hpke as library
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x25519

from lockgate.crypto import hpke
from lockgate.crypto.aead import AES_128_GCM
from lockgate.crypto.dhkem import DHKEM_P256, DHKEM_X448, DHKEM_X25519
from lockgate.crypto.errors import (
    BadEncapsulation,
    BadKey,
    BadPsk,
    MessageLimitReached,
    OpenFailed,
    UnknownSuite,
    UnsupportedMode,
    WrongLength,
)
from lockgate.crypto.kem import KEMS, ClassicalEncapsulator
from lockgate.crypto.mlkem import MLKEM768
from lockgate.crypto.xwing import MLKEM768_P256, XWING
from lockgate.keystore.software import OsEntropy

ENTROPY = OsEntropy()
PSK = hpke.Psk(b"p" * 32, b"id")
INFO, AAD, BODY = b"info", b"aad", b"a sealed body"
SUITES = [hpke.suite(kem, 0x0001, 0x0002) for kem in KEMS]


def world(suite, *, psk=None, sender=None, info=INFO):
    key = suite.kem.derive_key(b"r" * 66)
    enc, seal = hpke.setup_sender(suite, key.public_key, info, ENTROPY, psk=psk, sender=sender)
    return key, enc, seal


@pytest.mark.parametrize("suite", SUITES, ids=lambda s: s.kem.name)
@pytest.mark.parametrize("psk", [None, PSK], ids=["base", "psk"])
def test_round_trip_with_every_kem(suite, psk):
    key, enc, sender = world(suite, psk=psk)
    receiver = hpke.setup_receiver(suite, enc, key, INFO, psk=psk)
    for number in range(3):
        assert receiver.open(AAD, sender.seal(AAD, BODY)) == BODY
        assert sender.sequence == receiver.sequence == number + 1
    assert sender.export(b"ctx", 48) == receiver.export(b"ctx", 48)
    assert sender.export(b"ctx", 48) != sender.export(b"other", 48)


@pytest.mark.parametrize("kem", [DHKEM_X25519, DHKEM_P256, DHKEM_X448], ids=lambda k: k.name)
@pytest.mark.parametrize("psk", [None, PSK], ids=["auth", "auth_psk"])
def test_authenticated_modes_know_their_sender(kem, psk):
    suite = hpke.suite(kem.id, 0x0001, 0x0003)
    me, other = kem.derive_key(b"s" * 66), kem.derive_key(b"o" * 66)
    key, enc, sender = world(suite, psk=psk, sender=me)
    sealed = sender.seal(AAD, BODY)
    good = hpke.setup_receiver(suite, enc, key, INFO, psk=psk, sender=me.public_key)
    assert good.open(AAD, sealed) == BODY
    for claimed in (other.public_key, None):
        with pytest.raises(OpenFailed):
            hpke.setup_receiver(suite, enc, key, INFO, psk=psk, sender=claimed).open(AAD, sealed)


def test_each_spoiled_input_is_refused_and_the_counter_stays():
    suite = SUITES[-1]
    key, enc, sender = world(suite, psk=PSK)
    sealed = sender.seal(AAD, BODY)
    receiver = hpke.setup_receiver(suite, enc, key, INFO, psk=PSK)
    for aad, ciphertext in (
        (AAD + b"!", sealed),
        (AAD, sealed[:-1]),
        (AAD, bytes([sealed[0] ^ 1]) + sealed[1:]),
        (AAD, b""),
    ):
        with pytest.raises(OpenFailed):
            receiver.open(aad, ciphertext)
    assert receiver.sequence == 0
    assert receiver.open(AAD, sealed) == BODY
    with pytest.raises(OpenFailed):  # the same message again is out of sequence
        receiver.open(AAD, sealed)
    for changed in (
        hpke.setup_receiver(suite, enc, key, INFO + b"!", psk=PSK),
        hpke.setup_receiver(suite, enc, key, INFO, psk=hpke.Psk(b"q" * 32, b"id")),
        hpke.setup_receiver(suite, enc, key, INFO, psk=hpke.Psk(b"p" * 32, b"other")),
        hpke.setup_receiver(suite, enc, key, INFO),
        hpke.setup_receiver(suite, enc[:-1] + bytes([enc[-1] ^ 1]), key, INFO, psk=PSK),
        hpke.setup_receiver(suite, bytes([enc[0] ^ 1]) + enc[1:], key, INFO, psk=PSK),
    ):
        with pytest.raises(OpenFailed):
            changed.open(AAD, sealed)


@pytest.mark.parametrize("kem", KEMS.values(), ids=lambda k: k.name)
def test_an_encapsulation_of_another_length_is_refused(kem):
    suite = hpke.suite(kem.id, 0x0001, 0x0001)
    key, enc, _ = world(suite)
    assert len(enc) == kem.enc_bytes
    assert len(key.public_key) == kem.public_bytes
    for bad in (b"", enc[:-1], enc + b"\x00"):
        with pytest.raises(BadEncapsulation):
            hpke.setup_receiver(suite, bad, key, INFO)
    for bad in (b"", key.public_key[:-1], key.public_key + b"\x00"):
        with pytest.raises(BadKey):
            hpke.setup_sender(suite, bad, INFO, ENTROPY)
    for bad in (b"", bytes(kem.private_bytes + 1)):
        with pytest.raises(BadKey):
            kem.private_key(bad)


@pytest.mark.parametrize("point", [bytes(32), bytes([1]) + bytes(31)])
def test_a_small_order_x25519_point_is_refused(point):
    suite = hpke.suite(DHKEM_X25519.id, 0x0001, 0x0001)
    key = DHKEM_X25519.derive_key(b"k" * 32)
    with pytest.raises(BadEncapsulation):
        hpke.setup_receiver(suite, point, key, INFO)
    with pytest.raises(BadKey):
        hpke.setup_sender(suite, point, INFO, ENTROPY)
    xwing = XWING.derive_key(b"k" * 32)
    with pytest.raises(BadEncapsulation):
        xwing.decapsulate(bytes(1088) + point)


def test_a_point_off_the_curve_is_refused():
    suite = hpke.suite(DHKEM_P256.id, 0x0001, 0x0001)
    key = DHKEM_P256.derive_key(b"k" * 32)
    bad = key.public_key[:-1] + bytes([key.public_key[-1] ^ 1])
    with pytest.raises(BadEncapsulation):
        hpke.setup_receiver(suite, bad, key, INFO)
    with pytest.raises(BadKey):
        hpke.setup_sender(suite, bad, INFO, ENTROPY)


@pytest.mark.parametrize("kem", [DHKEM_P256, MLKEM768_P256], ids=lambda k: k.name)
def test_a_point_has_one_encoding(kem):
    key, suite = kem.derive_key(b"k" * 32), hpke.suite(kem.id, 0x0001, 0x0001)
    enc, _ = hpke.setup_sender(suite, key.public_key, INFO, ENTROPY)
    for encoded, refusal, action in (
        (enc, BadEncapsulation, lambda short: hpke.setup_receiver(suite, short, key, INFO)),
        (key.public_key, BadKey, lambda short: hpke.setup_sender(suite, short, INFO, ENTROPY)),
    ):
        head, point = encoded[:-65], encoded[-65:]
        with pytest.raises(refusal):
            action(head + bytes([2 + point[-1] % 2]) + point[1:33])


@pytest.mark.parametrize("scalar", [0, DHKEM_P256.group.order, DHKEM_P256.group.order + 1])
def test_a_private_key_is_below_the_order(scalar):
    with pytest.raises(BadKey):
        DHKEM_P256.private_key(scalar.to_bytes(32))


def test_an_mlkem_key_with_coefficients_above_the_modulus_is_refused():
    with pytest.raises(BadKey):
        MLKEM768.encapsulate(b"\xff" * MLKEM768.public_bytes, ENTROPY)


@pytest.mark.parametrize(("key", "name"), [(b"", b"id"), (b"p" * 31, b"id"), (b"p" * 32, b""), (b"", b"")])
def test_a_psk_is_long_and_has_an_id(key, name):
    with pytest.raises(BadPsk):
        hpke.Psk(key, name)


def test_modes_a_kem_lacks_are_refused():
    xwing, x25519_suite = hpke.suite(XWING.id, 1, 2), hpke.suite(DHKEM_X25519.id, 1, 2)
    me = DHKEM_X25519.derive_key(b"s" * 32)
    key, enc, _ = world(xwing)
    with pytest.raises(UnsupportedMode):
        hpke.setup_sender(xwing, key.public_key, INFO, ENTROPY, sender=me)
    with pytest.raises(UnsupportedMode):
        hpke.setup_receiver(xwing, enc, key, INFO, sender=me.public_key)
    with pytest.raises(UnsupportedMode):  # a key of another KEM
        hpke.setup_receiver(x25519_suite, bytes(32), key, INFO)
    with pytest.raises(UnsupportedMode):
        hpke.setup_sender(xwing, key.public_key, INFO, ClassicalEncapsulator(ENTROPY))


def test_an_export_only_suite_exports_only():
    suite = hpke.suite(DHKEM_X25519.id, 0x0003, hpke.EXPORT_ONLY)
    key, enc, sender = world(suite)
    receiver = hpke.setup_receiver(suite, enc, key, INFO)
    assert sender.export(b"", 100) == receiver.export(b"", 100)
    with pytest.raises(UnsupportedMode):
        sender.seal(AAD, BODY)
    with pytest.raises(UnsupportedMode):
        receiver.open(AAD, BODY)


@pytest.mark.parametrize("length", [0, -1, 1 << 16])
def test_an_export_has_a_sensible_length(length):
    for kdf in (0x0001, 0x0003, 0x0011):
        _, _, sender = world(hpke.suite(DHKEM_X25519.id, kdf, 0x0001))
        with pytest.raises(WrongLength):
            sender.export(b"", length)


def test_the_last_sequence_number_is_never_used():
    key, enc, sender = world(SUITES[0])
    receiver = hpke.setup_receiver(SUITES[0], enc, key, INFO)
    last = (1 << 8 * AES_128_GCM.nonce_bytes) - 1
    sender._sequence = receiver._sequence = last - 1
    assert receiver.open(AAD, sender.seal(AAD, BODY)) == BODY
    with pytest.raises(MessageLimitReached):
        sender.seal(AAD, BODY)
    with pytest.raises(MessageLimitReached):
        receiver.open(AAD, BODY)
    assert sender.sequence == last


@pytest.mark.parametrize("ids", [(0, 1, 1), (0x20, 0, 1), (0x20, 1, 0)])
def test_unknown_algorithms_are_refused(ids):
    with pytest.raises(UnknownSuite):
        hpke.suite(*ids)


def test_the_same_inputs_give_the_same_bytes():
    class Fixed:
        def bytes(self, count):
            return b"e" * count

    suite = hpke.suite(DHKEM_X25519.id, 1, 3)
    key = suite.kem.derive_key(b"r" * 32)
    arguments = (suite, key.public_key, INFO, ClassicalEncapsulator(Fixed()))
    assert hpke.seal(*arguments, aad=AAD, plaintext=BODY) == hpke.seal(*arguments, aad=AAD, plaintext=BODY)


def x25519_pair():
    private = x25519.X25519PrivateKey.generate()
    return 0x0020, library.KEM.X25519, private, private.public_key(), private.private_bytes_raw()


def nist_pair(kem_id, kem, curve, size):
    private = ec.generate_private_key(curve)
    raw = private.private_numbers().private_value.to_bytes(size)
    return kem_id, kem, private, private.public_key(), raw


def xwing_pair():
    ours = XWING.private_key(ENTROPY.bytes(32))
    halves = ours._mlkem._key, ours._group._key
    private = library.MLKEM768X25519PrivateKey(*halves)
    return XWING.id, library.KEM.MLKEM768_X25519, private, private.public_key(), ours.reveal()


def mlkem_pair(kem_id, kem, kind):
    private = kind.generate()
    return kem_id, kem, private, private.public_key(), private.private_bytes_raw()


PAIRS = {
    "X25519": x25519_pair,
    "P-256": lambda: nist_pair(0x0010, library.KEM.P256, ec.SECP256R1(), 32),
    "P-384": lambda: nist_pair(0x0011, library.KEM.P384, ec.SECP384R1(), 48),
    "P-521": lambda: nist_pair(0x0012, library.KEM.P521, ec.SECP521R1(), 66),
    "ML-KEM-768": lambda: mlkem_pair(0x0041, library.KEM.MLKEM768, mlkem.MLKEM768PrivateKey),
    "ML-KEM-1024": lambda: mlkem_pair(0x0042, library.KEM.MLKEM1024, mlkem.MLKEM1024PrivateKey),
    "X-Wing": xwing_pair,
}
KDFS = {1: library.KDF.HKDF_SHA256, 2: library.KDF.HKDF_SHA384, 0x11: library.KDF.SHAKE256}
AEADS = {1: library.AEAD.AES_128_GCM, 2: library.AEAD.AES_256_GCM, 3: library.AEAD.CHACHA20_POLY1305}


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize(("kdf", "aead"), [(1, 1), (2, 2), (0x11, 3)])
def test_the_library_opens_ours_and_we_open_the_library(pair, kdf, aead):
    kem_id, kem, private, public, private_raw = PAIRS[pair]()
    theirs = library.Suite(kem, KDFS[kdf], AEADS[aead])
    ours = hpke.suite(kem_id, kdf, aead)
    key = ours.kem.private_key(private_raw)

    enc, sealed = hpke.seal(ours, key.public_key, INFO, ENTROPY, aad=b"", plaintext=BODY)
    assert theirs.decrypt(enc + sealed, private, info=INFO) == BODY

    combined = theirs.encrypt(BODY, public, info=INFO)
    enc, sealed = combined[: ours.kem.enc_bytes], combined[ours.kem.enc_bytes :]
    assert hpke.open_(ours, enc, key, INFO, aad=b"", ciphertext=sealed) == BODY
