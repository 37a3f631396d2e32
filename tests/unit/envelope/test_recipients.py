"""Each way a key reaches its recipient, there and back, and who does not get it (RFC 9053 §6)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lockgate.crypto.dh import DH_P256, X25519
from lockgate.crypto.hpke import Psk
from lockgate.crypto.suites import SEAL_XWING_AES
from lockgate.envelope.cose import distribution
from lockgate.envelope.cose.agreement import NOTHING_AGREED, Agreed
from lockgate.envelope.cose.algorithms import DERIVING, HPKE, WRAPS
from lockgate.envelope.cose.encrypt import Encrypt, encrypt, encrypt0_hpke
from lockgate.envelope.cose.headers import Acceptance, Headers
from lockgate.envelope.cose.hpke import HpkeKey, hpke_algorithm
from lockgate.envelope.cose.keys import CoseKey
from lockgate.envelope.cose.recipients import Receiver, Recipient, parse_recipients, target_of
from lockgate.envelope.cose.wire import Wire
from lockgate.envelope.errors import (
    AlgorithmNotAllowed,
    CoseMalformed,
    DecryptionRefused,
    KeyNotForUse,
    MessageMisuse,
    NoRecipient,
)
from lockgate.keystore.software import OsEntropy

BODY = b"for you alone"
CEK = bytes(range(32))
TARGET = target_of(3)
EVERY = Acceptance(algorithms=frozenset({3, -6, *WRAPS, *DERIVING, *HPKE}), understood=frozenset(), bare_alg=False)


def x25519(number: int, alg: int | None = None) -> CoseKey:
    secret = bytes((number,)) * 32
    public = X25519.private_key(secret).public_key
    return CoseKey(kty=1, params={-1: 4, -2: public, -4: secret}, alg=alg)


def p256(number: int, alg: int | None = None) -> CoseKey:
    secret = bytes(31) + bytes((number,))
    point = DH_P256.private_key(secret).public_key
    return CoseKey(kty=2, params={-1: 1, -2: point[1:33], -3: point[33:], -4: secret}, alg=alg)


def sent(recipient: Recipient, key: bytes) -> Encrypt:
    message = encrypt(BODY, key, 3, (recipient,), protected={5: bytes(12)}, unprotected={}, external_aad=b"")
    return Encrypt.decode(message.encode(), Wire.OURS)


def opened(message: Encrypt, receiver: Receiver) -> bytes:
    return message.decrypt(receiver, EVERY, external_aad=b"")


def refused(message: Encrypt, receiver: Receiver) -> BaseException | None:
    with pytest.raises((NoRecipient, DecryptionRefused)) as caught:
        opened(message, receiver)
    return caught.value.__cause__


def test_direct() -> None:
    key = CoseKey.symmetric(CEK, 3)
    message = sent(distribution.direct(b"kid"), CEK)
    assert opened(message, Receiver(key=key)) == BODY
    assert refused(message, Receiver(key=replace(key, kid=b"other"))) is None


@pytest.mark.parametrize("alg", sorted(WRAPS))
def test_key_wrap(alg: int) -> None:
    kek = CoseKey.symmetric(bytes(WRAPS[alg].key_bytes), alg)
    message = sent(distribution.key_wrap(kek, CEK), CEK)
    assert opened(message, Receiver(key=kek)) == BODY
    wrong = CoseKey.symmetric(b"\x01" * WRAPS[alg].key_bytes, alg)
    assert refused(message, Receiver(key=wrong)) is not None
    assert isinstance(refused(message, Receiver(key=CoseKey.symmetric(bytes(8), alg))), KeyNotForUse)


@pytest.mark.parametrize("alg", [-10, -11])
def test_direct_hkdf(alg: int) -> None:
    secret = CoseKey.symmetric(bytes(range(32)), alg)
    agreed = Agreed(party_u=(b"a", None, None), supp_pub_other=b"p", supp_priv_info=b"s")
    recipient, key = distribution.direct_hkdf(secret, b"salt", TARGET, agreed)
    message = sent(recipient, key)
    assert opened(message, Receiver(key=secret, agreed=agreed)) == BODY
    for other in (
        NOTHING_AGREED,
        replace(agreed, supp_priv_info=b"t"),
        replace(agreed, supp_pub_other=None),
        replace(agreed, party_v=(b"b", None, None)),
    ):
        refused(message, Receiver(key=secret, agreed=other))


ECDH = sorted(alg for alg, entry in DERIVING.items() if entry.agreement)


@pytest.mark.parametrize("make", [x25519, p256])
@pytest.mark.parametrize("alg", ECDH)
def test_ecdh(alg: int, make: Any) -> None:
    bob, own = make(2, alg), make(3)
    key = CEK if DERIVING[alg].wrap else None
    recipient, made = distribution.ecdh(bob.public(), own, TARGET, key, nonce=b"nonce")
    message = sent(recipient, made)
    static = DERIVING[alg].agreement == "SS"
    sender = own.public() if static else None
    assert opened(message, Receiver(key=bob, sender=sender)) == BODY
    refused(message, Receiver(key=make(4, alg), sender=sender))
    if static:
        assert isinstance(refused(message, Receiver(key=bob)), KeyNotForUse)
        stranger = make(5).public()
        assert isinstance(refused(message, Receiver(key=bob, sender=stranger)), KeyNotForUse)


def test_ecdh_misuse() -> None:
    with pytest.raises(MessageMisuse):  # two messages would have one key
        distribution.ecdh(x25519(2, -27).public(), x25519(3), TARGET, None, nonce=None)
    with pytest.raises(MessageMisuse):  # there is nothing to wrap it with
        distribution.ecdh(x25519(2, -25).public(), x25519(3), TARGET, CEK, nonce=None)
    with pytest.raises(KeyNotForUse):
        distribution.ecdh(p256(2, -25).public(), x25519(3), TARGET, None, nonce=None)
    with pytest.raises(KeyNotForUse):
        distribution.ecdh(x25519(2, -5).public(), x25519(3), TARGET, CEK, nonce=None)


def test_party_information_must_not_contradict_what_was_agreed() -> None:
    bob = x25519(2, -25)
    recipient, key = distribution.ecdh(bob.public(), x25519(3), TARGET, None, nonce=b"n")
    message = sent(recipient, key)
    assert opened(message, Receiver(key=bob, agreed=Agreed(party_u=(None, b"n", None)))) == BODY
    refused(message, Receiver(key=bob, agreed=Agreed(party_u=(None, b"m", None))))


@pytest.mark.parametrize("alg", sorted(number for number, entry in HPKE.items() if not entry.integrated))
def test_hpke_key_encryption(alg: int) -> None:
    suite = hpke_algorithm(alg).suite
    bob = suite.kem.derive_key(bytes(64))
    agreed = Agreed(hpke_info=b"info", hpke_aad=b"aad")
    recipient = distribution.hpke(alg, bob.public_key, CEK, 3, OsEntropy(), kid=b"bob", agreed=agreed)
    message = sent(recipient, CEK)
    assert opened(message, Receiver(key=HpkeKey(alg, bob, b"bob"), agreed=agreed)) == BODY
    refused(message, Receiver(key=HpkeKey(alg, bob, b"eve"), agreed=agreed))
    refused(message, Receiver(key=HpkeKey(alg, suite.kem.derive_key(b"\x01" * 64)), agreed=agreed))
    for other in (NOTHING_AGREED, replace(agreed, hpke_info=b""), replace(agreed, hpke_aad=b"")):
        refused(message, Receiver(key=HpkeKey(alg, bob), agreed=other))


def test_hpke_binds_the_algorithm_the_key_is_for() -> None:
    """A content cipher exchanged on the way changes the info, so the key does not come out."""
    bob = hpke_algorithm(50).suite.kem.derive_key(bytes(32))
    recipient = distribution.hpke(50, bob.public_key, CEK, 24, OsEntropy(), kid=None)
    assert refused(sent(recipient, CEK), Receiver(key=HpkeKey(50, bob))) is not None


@pytest.mark.parametrize("alg", sorted(number for number, entry in HPKE.items() if entry.integrated))
def test_hpke_integrated_with_and_without_psk(alg: int) -> None:
    bob = hpke_algorithm(alg).suite.kem.derive_key(bytes(64))
    psk = Agreed(psk=Psk(bytes(32), b"id"))
    accept = replace(EVERY, algorithms=frozenset({alg}))
    for agreed, other in ((psk, NOTHING_AGREED), (NOTHING_AGREED, psk)):
        message = encrypt0_hpke(BODY, alg, bob.public_key, OsEntropy(), kid=b"bob", external_aad=b"x", agreed=agreed)
        key = HpkeKey(alg, bob)
        assert message.decrypt_hpke(key, accept, external_aad=b"x", agreed=agreed) == BODY
        with pytest.raises(KeyNotForUse):  # a mode never falls back
            message.decrypt_hpke(key, accept, external_aad=b"x", agreed=other)
        with pytest.raises(DecryptionRefused):
            message.decrypt_hpke(key, accept, external_aad=b"", agreed=agreed)


def test_hpke_modes_and_kems_are_not_mixed() -> None:
    x = hpke_algorithm(50).suite.kem.derive_key(bytes(32))
    with pytest.raises(AlgorithmNotAllowed):
        encrypt0_hpke(BODY, 50, x.public_key, OsEntropy(), kid=None, external_aad=b"")
    with pytest.raises(KeyNotForUse):
        HpkeKey(46, x)
    with pytest.raises(AlgorithmNotAllowed):
        HpkeKey(3, x)
    with pytest.raises(KeyNotForUse):
        HpkeKey.from_cose(x25519(1, 46))
    with pytest.raises(KeyNotForUse):
        HpkeKey.from_cose(replace(x25519(1, 50), ops=frozenset({7})))


def test_an_xwing_key_is_an_akp_key() -> None:
    number = -70_100 - SEAL_XWING_AES.id
    key = CoseKey(kty=7, params={-2: bytes(32)}, alg=number)
    loaded = HpkeKey.from_cose(key)
    recipient = distribution.hpke(number, loaded.decapsulator.public_key, CEK, 3, OsEntropy(), kid=None)
    assert opened(sent(recipient, CEK), Receiver(key=loaded)) == BODY


def test_recipients_of_recipients() -> None:
    bob, kek = x25519(2, -25), target_of(3)
    inner, wrapping = distribution.ecdh(bob.public(), x25519(3), replace(kek, algorithm=-5), None, nonce=None)
    outer = distribution.key_wrap(CoseKey.symmetric(wrapping, -5), CEK)
    message = sent(replace(outer, recipients=(inner,)), CEK)
    assert opened(message, Receiver(key=bob)) == BODY
    refused(message, Receiver(key=x25519(9, -25)))


def test_a_key_used_directly_stands_alone() -> None:
    both = (distribution.direct(), distribution.key_wrap(CoseKey.symmetric(bytes(32), -5), CEK))
    items = tuple(tuple(recipient.to_list()) for recipient in both)
    with pytest.raises(CoseMalformed):
        parse_recipients(items, Wire.OURS)


def test_recipients_are_bounded() -> None:
    one = (b"", {1: -3}, bytes(24))
    with pytest.raises(CoseMalformed):
        parse_recipients((one,) * 65, Wire.OURS)
    deep: Any = one
    for _ in range(3):
        deep = (b"", {1: -3}, bytes(24), (deep,))
    with pytest.raises(CoseMalformed):
        parse_recipients((deep,), Wire.OURS)


@pytest.mark.parametrize(
    "recipient",
    [
        Recipient(Headers.build({}, {1: -6}), b"not empty"),
        Recipient(Headers.build({1: -6}), b""),  # direct use protects nothing
        Recipient(Headers.build({}, {1: -5}), None),
        Recipient(Headers.build({}, {1: -5}), b"short"),
        Recipient(Headers.build({}, {1: -25}), b""),  # the algorithm is not protected
        Recipient(Headers.build({1: -25}), b""),  # no ephemeral key
        Recipient(Headers.build({1: -25}, {-1: 5}), b""),
        Recipient(Headers.build({1: -25}, {-1: {1: 1, -1: 4, -2: bytes(32)}}), b""),  # of small order
        Recipient(Headers.build({1: 50}), b"x"),  # nothing encapsulated
        Recipient(Headers.build({1: 50}, {-4: b"short"}), b"x"),
        Recipient(Headers.build({}, {1: -25}), b"", (Recipient(Headers.build({}, {1: -6}), b""),)),
        Recipient(Headers.build({}, {1: -999}), b""),
    ],
)
def test_recipients_that_give_nothing(recipient: Recipient) -> None:
    message = Encrypt(Headers.build({1: 3, 5: bytes(12)}), bytes(32), (recipient,))
    keys: tuple[CoseKey | HpkeKey, ...] = (
        CoseKey.symmetric(CEK, 3),
        CoseKey.symmetric(CEK, -5),
        x25519(2, -25),
        HpkeKey(50, hpke_algorithm(50).suite.kem.derive_key(bytes(32))),
    )
    for key in keys:
        with pytest.raises(NoRecipient):
            opened(message, Receiver(key=key))
