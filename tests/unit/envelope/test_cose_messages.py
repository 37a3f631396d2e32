"""COSE_Sign1, Sign, Mac0, Mac, Encrypt0, Encrypt: made here, opened here, and one spoiling each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lockgate.crypto.ports import Signer
from lockgate.envelope.cose import distribution
from lockgate.envelope.cose.algorithms import SIGNATURES, content_algorithm
from lockgate.envelope.cose.encrypt import Encrypt, Encrypt0, encrypt, encrypt0, nonce_of
from lockgate.envelope.cose.headers import Acceptance, Headers
from lockgate.envelope.cose.keys import CoseKey
from lockgate.envelope.cose.mac import Mac, Mac0, mac, mac0
from lockgate.envelope.cose.recipients import Receiver
from lockgate.envelope.cose.sign import Sign, Sign1, Verified, sign1
from lockgate.envelope.cose.wire import Wire
from lockgate.envelope.errors import (
    AlgorithmNotAllowed,
    BadHeader,
    CoseMalformed,
    CriticalHeader,
    DecryptionRefused,
    DetachedContent,
    KeyNotForUse,
    MessageMisuse,
    NoRecipient,
    SignatureRefused,
    TagRefused,
)
from lockgate.keystore.software import Ed25519Signer, Es256Signer, MlDsa65Signer

PAYLOAD = b"This is the content."
AAD = b"outside"
ED, ES, ML = Ed25519Signer(bytes(32)), Es256Signer(bytes(32)), MlDsa65Signer(bytes(32))
ED_KEY = CoseKey.okp(6, -19, ED.public_key)
ES_KEY = CoseKey(kty=2, params={-1: 1, -2: ES.public_key[1:33], -3: ES.public_key[33:]}, alg=-7)
ML_KEY = CoseKey.akp(-49, ML.public_key)
HMAC = CoseKey.symmetric(bytes(range(32)), 5)
GCM = CoseKey.symmetric(bytes(range(32)), 3)
IV = bytes(12)


def accept(*algorithms: int, **changes: Any) -> Acceptance:
    base = Acceptance(algorithms=frozenset(algorithms), understood=frozenset(), bare_alg=False)
    return replace(base, **changes)


def signed(signer: Signer = ED, alg: int = -19, **changes: Any) -> Sign1:
    arguments: dict[str, Any] = {"protected": {}, "unprotected": {}, "external_aad": AAD, **changes}
    return sign1(PAYLOAD, signer, alg, **arguments)


@pytest.mark.parametrize(("signer", "key"), [(ED, ED_KEY), (ES, ES_KEY), (ML, ML_KEY)])
@pytest.mark.parametrize("tagged", [True, False])
def test_sign1_round_trip(signer: Signer, key: CoseKey, tagged: bool) -> None:
    data = signed(signer, key.alg or 0).encode(tagged=tagged)
    verified = Sign1.decode(data, Wire.OURS).verify(key, accept(key.alg or 0), external_aad=AAD)
    assert verified.payload == PAYLOAD
    assert verified.key == key


def test_sign1_detached() -> None:
    message = signed(detached=True)
    assert message.payload is None
    assert message.verify(ED_KEY, accept(-19), external_aad=AAD, detached=PAYLOAD).payload == PAYLOAD
    with pytest.raises(DetachedContent):
        message.verify(ED_KEY, accept(-19), external_aad=AAD)
    with pytest.raises(DetachedContent):
        signed().verify(ED_KEY, accept(-19), external_aad=AAD, detached=PAYLOAD)
    with pytest.raises(SignatureRefused):
        message.verify(ED_KEY, accept(-19), external_aad=AAD, detached=PAYLOAD + b"!")


def test_sign1_refusals() -> None:
    message = signed()
    with pytest.raises(SignatureRefused):
        message.verify(ED_KEY, accept(-19), external_aad=b"other")
    with pytest.raises(AlgorithmNotAllowed):
        message.verify(ED_KEY, accept(-8), external_aad=AAD)
    with pytest.raises(AlgorithmNotAllowed):  # the same curve, bound to the older number
        message.verify(CoseKey.okp(6, -8, ED.public_key), accept(-8, -19), external_aad=AAD)
    with pytest.raises(SignatureRefused):
        message.verify(CoseKey.okp(6, -19, Ed25519Signer(b"\x01" * 32).public_key), accept(-19), external_aad=AAD)
    with pytest.raises(KeyNotForUse):
        message.verify(replace(ED_KEY, ops=frozenset({1})), accept(-19), external_aad=AAD)
    with pytest.raises(AlgorithmNotAllowed):
        message.verify(replace(ED_KEY, alg=None), accept(-19), external_aad=AAD)
    with pytest.raises(CriticalHeader):
        signed(protected={2: ("x",), "x": 1}).verify(ED_KEY, accept(-19), external_aad=AAD)


def test_a_key_on_another_curve_is_refused() -> None:
    p256_under_esp384 = replace(ES_KEY, alg=-51)
    with pytest.raises(KeyNotForUse):
        SIGNATURES[-51].verify(p256_under_esp384, b"", b"")


def test_signing_under_another_algorithm_is_misuse() -> None:
    with pytest.raises(KeyNotForUse):
        signed(ED, -7)


def test_verified_is_made_by_verification_only() -> None:
    with pytest.raises(TypeError):
        Verified(PAYLOAD, Headers.build(), ED_KEY)


def test_sign_with_two_signers() -> None:
    message = Sign(Headers.build({3: 0}), PAYLOAD, ())
    message = message.signed_by(ED, Headers.build({1: -19}), AAD)
    message = message.signed_by(ML, Headers.build({1: -49}), AAD)
    message = Sign.decode(message.encode(), Wire.OURS)
    assert message.verify(0, ED_KEY, accept(-19), external_aad=AAD).payload == PAYLOAD
    assert message.verify(1, ML_KEY, accept(-49), external_aad=AAD).payload == PAYLOAD
    with pytest.raises(AlgorithmNotAllowed):
        message.verify(1, ED_KEY, accept(-19, -49), external_aad=AAD)
    # A signature of the same key over another body layer does not move here.
    other = Sign(Headers.build(), PAYLOAD, ()).signed_by(ED, Headers.build({1: -19}), AAD)
    moved = replace(message, signatures=other.signatures)
    with pytest.raises(SignatureRefused):
        moved.verify(0, ED_KEY, accept(-19), external_aad=AAD)


def test_a_critical_parameter_of_the_body_counts_for_every_signer() -> None:
    body = Headers.build({2: ("x",), "x": 1})
    message = Sign(body, PAYLOAD, ()).signed_by(ED, Headers.build({1: -19}), AAD)
    with pytest.raises(CriticalHeader):
        message.verify(0, ED_KEY, accept(-19), external_aad=AAD)
    message.verify(0, ED_KEY, accept(-19, understood=frozenset({"x"})), external_aad=AAD)


def test_a_sign1_signature_is_none_of_a_sign() -> None:
    one = signed()
    as_sign = Sign(Headers.build(), PAYLOAD, ()).signed_by(ED, Headers.build({1: -19}), AAD)
    forged = replace(as_sign, signatures=(replace(as_sign.signatures[0], signature=one.signature),))
    with pytest.raises(SignatureRefused):
        forged.verify(0, ED_KEY, accept(-19), external_aad=AAD)


def test_mac0() -> None:
    message = mac0(PAYLOAD, HMAC, protected={}, unprotected={}, external_aad=AAD)
    assert Mac0.decode(message.encode(), Wire.OURS).verify(HMAC, accept(5), external_aad=AAD) == PAYLOAD
    with pytest.raises(TagRefused):
        message.verify(HMAC, accept(5), external_aad=b"")
    with pytest.raises(TagRefused):
        replace(message, tag=message.tag[:8]).verify(HMAC, accept(5), external_aad=AAD)
    with pytest.raises(KeyNotForUse):
        message.verify(replace(HMAC, ops=frozenset({9})), accept(5), external_aad=AAD)
    with pytest.raises(KeyNotForUse):
        mac0(PAYLOAD, CoseKey.symmetric(b"short", 5), protected={}, unprotected={}, external_aad=AAD)


def test_mac_with_a_recipient() -> None:
    recipients = (distribution.direct(),)
    message = mac(PAYLOAD, HMAC.secret, 5, recipients, protected={}, unprotected={}, external_aad=AAD)
    receiver = Receiver(key=HMAC)
    decoded = Mac.decode(message.encode(), Wire.OURS)
    assert decoded.verify(receiver, accept(5, -6), external_aad=AAD) == PAYLOAD
    with pytest.raises(NoRecipient):
        decoded.verify(receiver, accept(5), external_aad=AAD)
    with pytest.raises(TagRefused):
        decoded.verify(receiver, accept(5, -6), external_aad=b"")
    # A tag of COSE_Mac0 is none of COSE_Mac.
    zero = mac0(PAYLOAD, HMAC, protected={}, unprotected={}, external_aad=AAD)
    with pytest.raises(TagRefused):
        replace(message, tag=zero.tag).verify(receiver, accept(5, -6), external_aad=AAD)


def test_encrypt0() -> None:
    message, ciphertext = encrypt0(PAYLOAD, GCM, IV, protected={}, unprotected={}, external_aad=AAD)
    decoded = Encrypt0.decode(message.encode(), Wire.OURS)
    assert decoded.decrypt(GCM, accept(3), external_aad=AAD) == PAYLOAD
    detached = replace(message, ciphertext=None)
    assert detached.decrypt(GCM, accept(3), external_aad=AAD, detached=ciphertext) == PAYLOAD
    with pytest.raises(DecryptionRefused):
        decoded.decrypt(GCM, accept(3), external_aad=b"")
    with pytest.raises(AlgorithmNotAllowed):
        decoded.decrypt(replace(GCM, alg=24), accept(3, 24), external_aad=AAD)
    with pytest.raises(KeyNotForUse):
        decoded.decrypt(CoseKey.symmetric(bytes(16), 3), accept(3), external_aad=AAD)
    with pytest.raises(MessageMisuse):
        encrypt0(PAYLOAD, GCM, bytes(8), protected={}, unprotected={}, external_aad=AAD)


def test_encrypt0_is_not_encrypt() -> None:
    """The context string in the associated data keeps the two apart under one key."""
    message, ciphertext = encrypt0(PAYLOAD, GCM, IV, protected={}, unprotected={}, external_aad=AAD)
    moved = Encrypt(message.headers, ciphertext, (distribution.direct(),))
    with pytest.raises(DecryptionRefused):
        moved.decrypt(Receiver(key=GCM), accept(3, -6), external_aad=AAD)


def test_encrypt_to_two_recipients() -> None:
    first, second = CoseKey.symmetric(b"\x01" * 32, -5, b"one"), CoseKey.symmetric(b"\x02" * 32, -5, b"two")
    recipients = tuple(distribution.key_wrap(kek, GCM.secret) for kek in (first, second))
    message = encrypt(PAYLOAD, GCM.secret, 3, recipients, protected={5: IV}, unprotected={}, external_aad=AAD)
    decoded = Encrypt.decode(message.encode(), Wire.OURS)
    for key in (first, second, replace(second, kid=None)):
        assert decoded.decrypt(Receiver(key=key), accept(3, -5), external_aad=AAD) == PAYLOAD
    with pytest.raises(NoRecipient):
        decoded.decrypt(Receiver(key=replace(second, kid=b"three")), accept(3, -5), external_aad=AAD)


def test_partial_iv_is_padded_left_and_base_iv_right() -> None:
    headers = Headers.build({1: 3}, {6: b"\x01\x02"})
    assert nonce_of(content_algorithm(3), headers, b"\xff" * 2) == b"\xff\xff" + bytes(8) + b"\x01\x02"
    for base in (None, bytes(13)):
        with pytest.raises(BadHeader):
            nonce_of(content_algorithm(3), headers, base)


@pytest.mark.parametrize(
    "decode", [Sign1.decode, Sign.decode, Mac0.decode, Mac.decode, Encrypt0.decode, Encrypt.decode]
)
@pytest.mark.parametrize(
    "data", [b"", b"\x80", b"\xd2\x84", bytes.fromhex("d28440a04040ff"), bytes.fromhex("d9ffff80")]
)
def test_bytes_that_are_no_message(decode: Any, data: bytes) -> None:
    for wire in Wire:
        with pytest.raises(CoseMalformed):
            decode(data, wire)


@pytest.mark.parametrize(
    ("decode", "data"),
    [
        (Sign1.decode, "d28440a04101a0"),  # the signature is a map
        (Sign1.decode, "d28440a00140"),  # the payload is a number
        (Sign.decode, "d8628440a04180"),
        (Sign.decode, "d8628440a0408140"),
        (Sign.decode, "d8628440a04080"),  # nobody signed
        (Mac0.decode, "d18440a040f6"),
        (Mac.decode, "d8618540a0404080"),  # no recipient
        (Encrypt0.decode, "d08340a001"),
        (Encrypt.decode, "d8608440a04081820001"),
        (Sign1.decode, "d18440a04040"),  # the tag of another message
    ],
)
def test_shapes_that_are_refused(decode: Any, data: str) -> None:
    for wire in Wire:
        with pytest.raises((CoseMalformed, BadHeader)):
            decode(bytes.fromhex(data), wire)


def test_foreign_encodings_are_read_and_ours_are_not_so() -> None:
    message = signed()
    raw = message.encode()
    indefinite = b"\xd2\x9f" + raw[2:] + b"\xff"
    assert Sign1.decode(indefinite, Wire.FOREIGN) == message
    with pytest.raises(CoseMalformed):
        Sign1.decode(indefinite, Wire.OURS)
