"""Keys bound to suites and roles (I2, P6), seeds, and secrets that stay inside."""

from __future__ import annotations

import copy
import pickle

import pytest

from lockgate.crypto.dhkem import DHKEM_X25519
from lockgate.crypto.ec import P256
from lockgate.crypto.ecdsa import SigningKey as EcdsaKey
from lockgate.crypto.ed25519 import SMALL_ORDER
from lockgate.crypto.ed25519 import SigningKey as Ed25519Key
from lockgate.crypto.errors import BadKey, BadSignature, UnknownSuite, WrongPurpose
from lockgate.crypto.hashes import SHA256
from lockgate.crypto.hpke import Psk, setup_sender, suite
from lockgate.crypto.hybrid import Purpose, signing_bytes
from lockgate.crypto.keys import (
    PURPOSES,
    IdentityKey,
    IdentitySigner,
    KeyRole,
    SealingKey,
    SecretBytes,
    expand_seed,
    sealing_decapsulator,
)
from lockgate.crypto.mlkem import MLKEM768
from lockgate.crypto.ports import Encapsulated
from lockgate.crypto.xwing import XWING
from lockgate.keystore.software import OsEntropy, identity_signer
from lockgate.primitives.errors import LockgateError

SEED = bytes(range(100, 132))
DOMAIN = b"D" * 32
ACCOUNT = identity_signer(1, SEED, KeyRole.ACCOUNT)
IDENTITY = identity_signer(2, SEED, KeyRole.IDENTITY)


@pytest.mark.parametrize(
    ("suite_id", "parts", "refusal"),
    [
        (0, (bytes(32),), UnknownSuite),
        (17, (bytes(32),), UnknownSuite),  # a seal suite
        ("1", (bytes(32),), UnknownSuite),
        (True, ACCOUNT.key.parts, UnknownSuite),
        ((1,), ACCOUNT.key.parts, UnknownSuite),
        (1, (), BadKey),
        (1, (*ACCOUNT.key.parts, b""), BadKey),
        (1, list(ACCOUNT.key.parts), BadKey),
        (1, ("x" * 32,), BadKey),
        (1, (sorted(SMALL_ORDER)[0],), BadKey),
        (1, (b"\xff" * 32,), BadKey),
        (2, ACCOUNT.key.parts, BadKey),
        (2, IDENTITY.key.parts[::-1], BadKey),
        (3, IDENTITY.key.parts, BadKey),
        (3, (b"\x04" + bytes(64), IDENTITY.key.parts[1]), BadKey),
    ],
)
def test_an_identity_key_cannot_be_built_wrong(suite_id, parts, refusal):
    with pytest.raises(refusal):
        IdentityKey(suite_id, parts)


@pytest.mark.parametrize(
    ("suite_id", "key", "refusal"),
    [
        (1, bytes(32), UnknownSuite),
        (16, bytes(31), BadKey),
        (17, bytes(32), BadKey),
        (17, b"\xff" * XWING.public_bytes, BadKey),
        (17, None, BadKey),
    ],
)
def test_a_sealing_key_cannot_be_built_wrong(suite_id, key, refusal):
    with pytest.raises(refusal):
        SealingKey(suite_id, key)


def test_key_ids_name_suite_and_key():
    public = sealing_decapsulator(17, SEED).public_key
    assert SealingKey(17, public).key_id != SealingKey(18, public).key_id
    assert len(SealingKey(17, public).key_id) == len(IDENTITY.key.key_id) == 16
    assert IDENTITY.key.hash.startswith(IDENTITY.key.key_id)


def test_require_raises_where_verify_is_false():
    message = signing_bytes(Purpose.TRANSACTION, 1, ACCOUNT.key.hash, DOMAIN, 0, b"")
    ACCOUNT.key.require(message, ACCOUNT.sign(message))
    with pytest.raises(BadSignature):
        ACCOUNT.key.require(message + b"!", ACCOUNT.sign(message))


@pytest.mark.parametrize("role", KeyRole)
@pytest.mark.parametrize("purpose", Purpose)
def test_p6_one_key_per_purpose(role, purpose):
    signer = identity_signer(1, SEED, role)
    if purpose in PURPOSES[role]:
        message = signing_bytes(purpose, 1, signer.key.hash, DOMAIN, 4, b"m")
        assert signer.key.verify(message, signer.sign_for(purpose, DOMAIN, 4, b"m"))
        assert signer.context(purpose, DOMAIN, 4) + b"m" == message
    else:
        with pytest.raises(WrongPurpose):
            signer.sign_for(purpose, DOMAIN, 4, b"m")
        with pytest.raises(WrongPurpose):
            signer.context(purpose, DOMAIN, 4)


def test_p6_no_purpose_belongs_to_two_roles():
    listed = [purpose for purposes in PURPOSES.values() for purpose in purposes]
    assert sorted(listed) == sorted(Purpose)
    assert set(PURPOSES) == set(KeyRole)


def test_one_seed_gives_unrelated_keys_for_each_role_and_algorithm():
    seeds = {expand_seed(SEED, role, name) for role in KeyRole for name in ("Ed25519", "ML-DSA-65")}
    assert len(seeds) == 2 * len(KeyRole)
    assert expand_seed(SEED, KeyRole.ACCOUNT, "Ed25519") == expand_seed(SEED, KeyRole.ACCOUNT, "Ed25519")
    with pytest.raises(BadKey):
        expand_seed(SEED[:-1], KeyRole.ACCOUNT, "Ed25519")


def test_signers_that_are_not_the_suites_are_refused():
    with pytest.raises(BadKey):
        IdentitySigner(2, ACCOUNT.signers, KeyRole.IDENTITY)


def test_a_signer_of_another_algorithm_is_refused_although_its_key_fits():
    class Other:
        algorithm = "Ed448"
        public_key = ACCOUNT.key.parts[0]

    with pytest.raises(BadKey):
        IdentitySigner(1, (Other(),), KeyRole.ACCOUNT)


def test_secret_bytes_are_compared_and_wiped():
    secret = SecretBytes(SEED)
    assert secret == SecretBytes(SEED)
    assert secret != SecretBytes(SEED[:-1])
    assert secret != SEED
    secret.wipe()
    assert len(secret) == 0
    assert secret.reveal() == b""
    for leak in (pickle.dumps, copy.copy, copy.deepcopy, hash):
        with pytest.raises(TypeError):
            leak(SecretBytes(SEED))


def test_no_secret_in_any_text():
    secret = bytes(range(200, 232))
    xwing = XWING.private_key(secret)
    _, context = setup_sender(suite(0x20, 1, 1), DHKEM_X25519.private_key(secret).public_key, b"", OsEntropy())
    things = [
        SecretBytes(secret),
        Ed25519Key(secret),
        EcdsaKey(P256, SHA256, secret),
        DHKEM_X25519.private_key(secret),
        DHKEM_X25519.group.private_key(secret),
        MLKEM768.private_key(secret * 2),
        xwing,
        xwing._group,
        Psk(secret, b"id"),
        Encapsulated(secret, b"enc"),
        suite(0x20, 1, 1).aead.keyed(secret[:16]),
        context,
        identity_signer(2, secret, KeyRole.IDENTITY),
        *identity_signer(3, secret, KeyRole.IDENTITY).signers,
        *identity_signer(2, secret, KeyRole.IDENTITY).signers,
    ]
    for thing in things:
        for text in (repr(thing), str(thing), f"{thing}"):
            assert secret[:4].hex() not in text
            assert repr(secret)[2:10] not in text
            assert "object at" not in text, f"{type(thing).__name__} has no repr of its own"


@pytest.mark.parametrize(
    "action",
    [
        Ed25519Key,
        lambda secret: EcdsaKey(P256, SHA256, secret),
        DHKEM_X25519.private_key,
        MLKEM768.private_key,
        XWING.private_key,
        lambda secret: Psk(secret[:20], b"id"),
        lambda secret: expand_seed(secret, KeyRole.ACCOUNT, "Ed25519"),
        suite(0x20, 1, 1).aead.keyed,
    ],
)
def test_no_secret_in_an_error(action):
    secret = bytes(range(200, 231))  # one byte short: every one of these refuses it
    with pytest.raises(LockgateError) as caught:
        action(secret)
    error: BaseException | None = caught.value
    while error is not None:
        assert secret[:4].hex() not in str(error)
        assert repr(secret)[2:10] not in repr(error)
        error = error.__cause__ or error.__context__
