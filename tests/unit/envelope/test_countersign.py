"""Countersignatures of version 2, on everything that can carry one (RFC 9338), and the old kind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lockgate.envelope.cose import countersign, distribution
from lockgate.envelope.cose.encrypt import encrypt, encrypt0
from lockgate.envelope.cose.headers import Acceptance, Headers
from lockgate.envelope.cose.keys import CoseKey
from lockgate.envelope.cose.mac import mac, mac0
from lockgate.envelope.cose.sign import Sign, Sign1, Signature, sign1
from lockgate.envelope.cose.structures import countersign_structure
from lockgate.envelope.cose.wire import Wire
from lockgate.envelope.errors import AlgorithmNotAllowed, BadHeader, CoseMalformed, MessageMisuse, SignatureRefused
from lockgate.keystore.software import Ed25519Signer

PAYLOAD = b"This is the content."
NONE: dict[str, Any] = {"protected": {}, "unprotected": {}, "external_aad": b""}
ALICE, NOTARY = Ed25519Signer(bytes(32)), Ed25519Signer(b"\x01" * 32)
KEY = CoseKey.okp(6, -19, NOTARY.public_key)
ACCEPT = Acceptance(algorithms=frozenset({-19}), understood=frozenset(), bare_alg=False)
SECRET = CoseKey.symmetric(bytes(32), 5)
CIPHER = CoseKey.symmetric(bytes(32), 3)


def targets() -> dict[str, Any]:
    signed = Sign(Headers.build({3: 0}), PAYLOAD, ()).signed_by(ALICE, Headers.build({1: -19}), b"")
    recipient = distribution.key_wrap(CoseKey.symmetric(bytes(32), -5), bytes(32))
    return {
        "sign1": sign1(PAYLOAD, ALICE, -19, **NONE),
        "sign": signed,
        "signature": signed.signatures[0],
        "mac0": mac0(PAYLOAD, SECRET, **NONE),
        "mac": mac(PAYLOAD, SECRET.secret, 5, (distribution.direct(),), **NONE),
        "encrypt0": encrypt0(PAYLOAD, CIPHER, bytes(12), **NONE)[0],
        "encrypt": encrypt(PAYLOAD, CIPHER.secret, 3, (recipient,), **{**NONE, "protected": {5: bytes(12)}}),
        "recipient": recipient,
    }


@pytest.mark.parametrize("name", sorted(targets()))
def test_full_countersignature(name: str) -> None:
    target = countersign.countersign(targets()[name], NOTARY, -19, **NONE)
    (signature,) = countersign.countersignatures(target, Wire.OURS)
    countersign.verify(target, signature, KEY, ACCEPT, external_aad=b"")
    with pytest.raises(SignatureRefused):
        countersign.verify(target, signature, KEY, ACCEPT, external_aad=b"other")
    with pytest.raises(AlgorithmNotAllowed):
        countersign.verify(target, signature, replace(KEY, alg=-8), ACCEPT, external_aad=b"")
    with pytest.raises(MessageMisuse):  # one header parameter holds them all
        countersign.countersign(target, NOTARY, -19, **NONE)


@pytest.mark.parametrize("name", sorted(targets()))
def test_abbreviated_countersignature(name: str) -> None:
    target = countersign.countersign0(targets()[name], NOTARY, -19, external_aad=b"")
    countersign.verify0(target, KEY, ACCEPT, external_aad=b"")
    with pytest.raises(SignatureRefused):
        countersign.verify0(target, KEY, ACCEPT, external_aad=b"other")
    with pytest.raises(BadHeader):
        countersign.verify0(targets()[name], KEY, ACCEPT, external_aad=b"")


def test_a_countersigned_message_stays_what_it_was() -> None:
    message = countersign.countersign(sign1(PAYLOAD, ALICE, -19, **NONE), NOTARY, -19, **NONE)
    decoded = Sign1.decode(message.encode(), Wire.OURS)
    assert decoded.verify(CoseKey.okp(6, -19, ALICE.public_key), ACCEPT, external_aad=b"").payload == PAYLOAD
    (signature,) = countersign.countersignatures(decoded, Wire.OURS)
    countersign.verify(decoded, signature, KEY, ACCEPT, external_aad=b"")


def test_version_2_covers_the_signature_and_version_1_does_not() -> None:
    """The reason for version 2: one countersigned message cannot lend its mark to another signer's."""
    mine = sign1(PAYLOAD, ALICE, -19, **NONE)
    theirs = sign1(PAYLOAD, NOTARY, -19, **NONE)
    mark = countersign.countersignature(mine, NOTARY, -19, **NONE)
    with pytest.raises(SignatureRefused):
        countersign.verify(theirs, mark, KEY, ACCEPT, external_aad=b"")
    old = countersign.to_be_signed_v1(mine, mark.headers, b"")
    mark_v1 = Signature(mark.headers, NOTARY.sign(old))
    countersign.verify_v1(theirs, mark_v1, KEY, ACCEPT, external_aad=b"")  # accepted: that is the defect
    with pytest.raises(SignatureRefused):
        countersign.verify(mine, mark_v1, KEY, ACCEPT, external_aad=b"")


def test_a_full_one_is_no_abbreviated_one() -> None:
    target = sign1(PAYLOAD, ALICE, -19, **NONE)
    mark = countersign.countersignature(target, NOTARY, -19, **NONE)
    moved = replace(target, headers=target.headers.with_unprotected(12, mark.signature))
    with pytest.raises(SignatureRefused):
        countersign.verify0(moved, KEY, ACCEPT, external_aad=b"")


def test_several_and_standalone() -> None:
    target = sign1(PAYLOAD, ALICE, -19, **NONE)
    marks = tuple(countersign.countersignature(target, NOTARY, -19, **NONE) for _ in range(2))
    value = tuple(tuple(mark.to_list()) for mark in marks)
    both = replace(target, headers=target.headers.with_unprotected(11, value))
    assert countersign.countersignatures(both, Wire.OURS) == marks
    data = countersign.encode_standalone(marks[0])
    assert data[0] == 0xD3  # CBOR tag 19
    assert countersign.decode_standalone(data, Wire.OURS) == marks[0]


@pytest.mark.parametrize("value", [(), 5, (b"", {}), ((b"", {}, 5),), (1, 2, 3)])
def test_shapes_that_are_refused(value: Any) -> None:
    target = sign1(PAYLOAD, ALICE, -19, **NONE)
    broken = replace(target, headers=target.headers.with_unprotected(11, value))
    with pytest.raises((BadHeader, CoseMalformed)):
        countersign.countersignatures(broken, Wire.OURS)


def test_structures_as_RFC_9338_gives_them() -> None:
    """Contexts and number of fields: other_fields make it V2, a missing signer header makes it 0."""
    signer = bytes.fromhex("a10127")
    assert countersign_structure(b"", signer, b"", b"x", ()).hex() == (
        "85" + "70" + b"CounterSignature".hex() + "40" + "43a10127" + "40" + "4178"
    )
    assert countersign_structure(b"", None, b"", b"x", (b"t",)).hex() == (
        "85" + "73" + b"CounterSignature0V2".hex() + "40" + "40" + "4178" + "814174"
    )
    assert countersign_structure(b"", signer, b"", b"x", (b"t",))[:20] == b"\x86\x72CounterSignatureV2"
    assert countersign_structure(b"", None, b"", b"x", ())[:19] == b"\x84\x71CounterSignature0"
