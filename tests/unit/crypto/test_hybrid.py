"""What a signature says, and that both halves of a hybrid must hold (P6)."""

from __future__ import annotations

import pytest

from lockgate.crypto import hybrid
from lockgate.crypto.errors import BadKey, WrongLength
from lockgate.crypto.hybrid import Purpose, half_bytes, identity_hash, signing_bytes
from lockgate.crypto.keys import KeyRole
from lockgate.crypto.signatures import ED25519, ES256, ML_DSA_65
from lockgate.crypto.suites import SIGN_ED25519, SIGN_ED25519_MLDSA65, SIGN_P256_MLDSA65
from lockgate.keystore.software import identity_signer

ALICE = identity_signer(2, b"a" * 32, KeyRole.IDENTITY)
BOB = identity_signer(2, b"b" * 32, KeyRole.IDENTITY)
DOMAIN, OTHER_DOMAIN = b"D" * 32, b"E" * 32
MESSAGE = signing_bytes(Purpose.ENVELOPE, 2, ALICE.key.hash, DOMAIN, 1, b"body")
SIGNATURE = ALICE.sign(MESSAGE)


def test_p6_a_hybrid_signature_holds():
    assert ALICE.key.verify(MESSAGE, SIGNATURE)
    assert len(SIGNATURE) == SIGN_ED25519_MLDSA65.signature_bytes


@pytest.mark.parametrize("position", [0, 63, 64, 64 + 3308])
def test_p6_either_half_spoiled_refuses_the_whole(position):
    spoiled = bytearray(SIGNATURE)
    spoiled[position] ^= 1
    assert not ALICE.key.verify(MESSAGE, bytes(spoiled))


def test_p6_halves_of_two_pairs_do_not_mix():
    bobs = BOB.sign(MESSAGE)
    assert not ALICE.key.verify(MESSAGE, SIGNATURE[:64] + bobs[64:])
    assert not ALICE.key.verify(MESSAGE, bobs[:64] + SIGNATURE[64:])
    # Even the same Ed25519 key beside another partner signs something else.
    suite, mixed = SIGN_ED25519_MLDSA65, (ALICE.key.parts[0], BOB.key.parts[1])
    assert not hybrid.verify(suite, mixed, MESSAGE, SIGNATURE[:64] + bobs[64:])
    signed_as_pair = hybrid.sign(suite, (ALICE.signers[0], BOB.signers[1]), MESSAGE)
    assert hybrid.verify(suite, mixed, MESSAGE, signed_as_pair)


def test_p6_a_half_alone_verifies_nowhere():
    classical, post_quantum = ALICE.key.parts
    assert not ED25519.verify(classical, SIGNATURE[:64], MESSAGE)
    assert not hybrid.verify(SIGN_ED25519, (classical,), MESSAGE, SIGNATURE[:64])
    assert not ML_DSA_65.verify(post_quantum, SIGNATURE[64:], MESSAGE)
    # What each half does sign is bound to the pair.
    covered = half_bytes(SIGN_ED25519_MLDSA65, ALICE.key.hash, MESSAGE)
    assert ED25519.verify(classical, SIGNATURE[:64], covered)
    assert ML_DSA_65.verify(post_quantum, SIGNATURE[64:], covered)


def test_a_classical_signature_is_no_half():
    plain = ALICE.signers[0].sign(MESSAGE)
    assert hybrid.verify(SIGN_ED25519, ALICE.key.parts[:1], MESSAGE, plain)
    assert not ALICE.key.verify(MESSAGE, plain + SIGNATURE[64:])


@pytest.mark.parametrize("signature", [b"", SIGNATURE[:64], SIGNATURE[:-1], SIGNATURE + b"\x00"])
def test_a_signature_has_its_length(signature):
    assert not ALICE.key.verify(MESSAGE, signature)


@pytest.mark.parametrize("parts", [(), ALICE.key.parts[:1], ALICE.key.parts[::-1], (*ALICE.key.parts, b"")])
def test_parts_are_those_of_the_suite(parts):
    assert not hybrid.verify(SIGN_ED25519_MLDSA65, parts, MESSAGE, SIGNATURE)


def test_the_tpm_suite_signs_with_p256():
    tpm = identity_signer(3, b"t" * 32, KeyRole.IDENTITY)
    signature = tpm.sign(MESSAGE)
    assert tpm.key.verify(MESSAGE, signature)
    # The mirrored twin of an ECDSA signature is refused, so a record has one hash.
    s = int.from_bytes(signature[32:64])
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    assert not tpm.key.verify(MESSAGE, signature[:32] + (order - s).to_bytes(32) + signature[64:])
    point, covered = tpm.key.parts[0], half_bytes(SIGN_P256_MLDSA65, tpm.key.hash, MESSAGE)
    assert ES256.verify(point, signature[:64], covered)
    assert not ES256.verify(bytes([2 + point[-1] % 2]) + point[1:33], signature[:64], covered)
    assert SIGN_P256_MLDSA65.signature_bytes == len(signature)


def test_signers_in_another_order_are_refused():
    with pytest.raises(BadKey):
        hybrid.sign(SIGN_ED25519_MLDSA65, ALICE.signers[::-1], MESSAGE)


CHANGES = [
    (Purpose.KEY_RECORD, 2, ALICE.key.hash, DOMAIN, 1, b"body"),
    (Purpose.ENVELOPE, 1, ALICE.key.hash, DOMAIN, 1, b"body"),
    (Purpose.ENVELOPE, 2, BOB.key.hash, DOMAIN, 1, b"body"),
    (Purpose.ENVELOPE, 2, ALICE.key.hash, OTHER_DOMAIN, 1, b"body"),
    (Purpose.ENVELOPE, 2, ALICE.key.hash, b"", 1, b"body"),
    (Purpose.ENVELOPE, 2, ALICE.key.hash, DOMAIN, 2, b"body"),
    (Purpose.ENVELOPE, 2, ALICE.key.hash, DOMAIN, 1, b"bodz"),
    (Purpose.ENVELOPE, 2, ALICE.key.hash, DOMAIN, 1, b""),
]


@pytest.mark.parametrize("arguments", CHANGES)
def test_p6_every_field_is_covered(arguments):
    changed = signing_bytes(*arguments)
    assert changed != MESSAGE
    assert not ALICE.key.verify(changed, SIGNATURE)


def test_signing_bytes_have_the_documented_layout():
    assert (
        b"lockgate/signed/1\x00\x03\x00\x02" + ALICE.key.hash + b"\x20" + DOMAIN + bytes(7) + b"\x01body"
    ) == MESSAGE


@pytest.mark.parametrize(
    "arguments",
    [
        (Purpose.ENVELOPE, 2, b"short", DOMAIN, 1, b""),
        (Purpose.ENVELOPE, 2, ALICE.key.hash, b"short", 1, b""),
        (Purpose.ENVELOPE, 1 << 16, ALICE.key.hash, DOMAIN, 1, b""),
        (Purpose.ENVELOPE, 2, ALICE.key.hash, DOMAIN, -1, b""),
        (Purpose.ENVELOPE, 2, ALICE.key.hash, DOMAIN, 1 << 64, b""),
    ],
)
def test_signing_bytes_refuse_what_does_not_fit(arguments):
    with pytest.raises(WrongLength):
        signing_bytes(*arguments)


def test_identity_hash_tells_suites_and_borders_apart():
    assert identity_hash(1, (b"ab", b"c")) != identity_hash(1, (b"a", b"bc"))
    assert identity_hash(1, (b"ab",)) != identity_hash(2, (b"ab",))
    assert identity_hash(1, (b"ab",)) != identity_hash(1, (b"ab", b""))
