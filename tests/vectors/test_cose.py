"""COSE against third-party cases: sign1, ml-dsa, cose-wg, hpke.

Each example is opened by every receiver it has, its published intermediates are compared, and each
countersignature in it is verified. One that says it fails must be refused by a typed error.

A published intermediate may be wrong: the example's own output tells. If our bytes differ from the
published ones, the output must authenticate under ours (that is checked anyway) and not under those.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from lockgate.codec import cbor_modes
from lockgate.crypto import ecdsa
from lockgate.crypto.ec import CURVES as EC
from lockgate.crypto.hashes import SHA256, SHA384, SHA512
from lockgate.crypto.hpke import Psk
from lockgate.crypto.mldsa import PARAMETER_SETS
from lockgate.envelope.cose import countersign
from lockgate.envelope.cose.agreement import Agreed, derive, kdf_context, shared_secret
from lockgate.envelope.cose.algorithms import DERIVING, WRAPS, content_algorithm, signature_algorithm
from lockgate.envelope.cose.encrypt import Encrypt, Encrypt0, nonce_of, open_with
from lockgate.envelope.cose.headers import Acceptance, Headers
from lockgate.envelope.cose.hpke import HpkeKey
from lockgate.envelope.cose.keys import CoseKey
from lockgate.envelope.cose.labels import MessageTag
from lockgate.envelope.cose.mac import Mac, Mac0
from lockgate.envelope.cose.recipients import Receiver, Recipient, Target, target_of
from lockgate.envelope.cose.sign import Sign, Sign1
from lockgate.envelope.cose.wire import Wire
from lockgate.envelope.errors import AlgorithmNotAllowed, DecryptionRefused, NoRecipient
from lockgate.primitives.errors import LockgateError
from tests.vectors import cose_examples as ex
from tests.vectors.sets import Tally, vector_set

FOREIGN = Wire.FOREIGN
PSK = Psk(
    bytes.fromhex("0247fd33b913760fa1fa51e1892d9f307fbe65eb171e8132c2af18555a738b82"),
    bytes.fromhex("456e6e796e20447572696e206172616e204d6f726961"),
)


def test_cose_wg() -> None:
    tally = Tally("cose", "cose-wg")
    for path in sorted(vector_set("cose", "cose-wg").glob("*.json")):
        example = ex.read(path)
        reason = ex.missing(example)
        if reason is not None:
            tally.absent(reason)
            continue
        try:
            _replay(example)
        except LockgateError as error:
            tally.check(example.must_fail, f"{path.name}: {error}")
        except AssertionError as error:
            tally.failed(f"{path.name}: {error}")
        else:
            tally.check(not example.must_fail, f"{path.name}: accepted")
    tally.close()


def _replay(example: ex.Example) -> None:
    given = example.raw["input"]
    kinds = {"sign0": _sign1, "sign": _sign, "mac0": _mac0, "mac": _mac, "encrypted": _encrypt0, "enveloped": _encrypt}
    found = [kind for kind in kinds if kind in given]
    assert len(found) == 1, f"which message is it: {sorted(given)}"
    kinds[found[0]](example, given[found[0]])


def _sign1(example: ex.Example, part: dict[str, Any]) -> None:
    message = Sign1.decode(example.message, FOREIGN)
    external = ex.external(part)
    key = ex.key(part["key"], ex.algorithm(part))
    if not example.must_fail:
        _same_signed(message.to_be_signed(external), _hex(example.known, "ToBeSign_hex"), key, message.signature)
    verified = message.verify(key, ex.EVERYTHING, external_aad=external)
    assert verified.payload == example.plaintext
    _countersigned(message, part, example.known)


def _sign(example: ex.Example, part: dict[str, Any]) -> None:
    message = Sign.decode(example.message, FOREIGN)
    known = example.known.get("signers") or [{}] * len(part["signers"])
    for index, signer in enumerate(part["signers"]):
        external = ex.external(signer)
        layer = message.signatures[index]
        to_be_signed = message.to_be_signed(layer.headers, external)
        key = ex.key(signer["key"], ex.algorithm(signer))
        if not example.must_fail:
            _same_signed(to_be_signed, _hex(known[index], "ToBeSign_hex"), key, layer.signature)
        assert message.verify(index, key, ex.EVERYTHING, external_aad=external).payload == example.plaintext
        _countersigned(layer, signer, known[index])
    _countersigned(message, part, example.known)


def _mac0(example: ex.Example, part: dict[str, Any]) -> None:
    message = Mac0.decode(example.message, FOREIGN)
    external = ex.external(part)
    assert example.must_fail or message.to_be_maced(external) == _hex(example.known, "ToMac_hex")
    key = ex.key(part["recipients"][0]["key"], ex.algorithm(part))
    assert example.must_fail or key.secret == _hex(example.known, "CEK_hex")
    assert message.verify(key, ex.EVERYTHING, external_aad=external) == example.plaintext
    _countersigned(message, part, example.known)


def _mac(example: ex.Example, part: dict[str, Any]) -> None:
    message = Mac.decode(example.message, FOREIGN)
    external = ex.external(part)
    assert example.must_fail or message.to_be_maced(external) == _hex(example.known, "ToMac_hex")
    for receiver, _ in ex.receivers(part, ex.algorithm(part), None):
        assert example.must_fail or message.recover_key(receiver, ex.EVERYTHING) == _hex(example.known, "CEK_hex")
        assert message.verify(receiver, ex.EVERYTHING, external_aad=external) == example.plaintext
    _recipients(message.recipients, part, example, ex.algorithm(part))
    _countersigned(message, part, example.known)


def _encrypt0(example: ex.Example, part: dict[str, Any]) -> None:
    message = Encrypt0.decode(example.message, FOREIGN)
    external = ex.external(part)
    raw = part["recipients"][0]["key"]
    key = ex.key(raw, ex.algorithm(part))
    if ex.base_iv(part) is not None:
        key = CoseKey(kty=key.kty, params=key.params, alg=key.alg, base_iv=ex.base_iv(part))
    assert example.must_fail or key.secret == _hex(example.known, "CEK_hex")
    if not example.must_fail:
        _same_aad(message, external, example, key.secret, key.base_iv)
    assert message.decrypt(key, ex.EVERYTHING, external_aad=external) == example.plaintext
    _countersigned(message, part, example.known)


def _encrypt(example: ex.Example, part: dict[str, Any]) -> None:
    message = Encrypt.decode(example.message, FOREIGN)
    external = ex.external(part)
    for receiver, _ in ex.receivers(part, ex.algorithm(part), ex.base_iv(part)):
        key = message.recover_key(receiver, ex.EVERYTHING)
        if not example.must_fail:
            assert key == _hex(example.known, "CEK_hex")
            _same_aad(message, external, example, key, ex.base_iv(part))
        assert message.decrypt(receiver, ex.EVERYTHING, external_aad=external) == example.plaintext
    _recipients(message.recipients, part, example, ex.algorithm(part))
    _countersigned(message, part, example.known)


def _recipients(recipients: tuple[Recipient, ...], part: dict[str, Any], example: ex.Example, content: int) -> None:
    """Compare what each recipient derives on the way: context, secret, key-encryption key."""
    known = example.known.get("recipients") or []
    _compare(recipients, part["recipients"], known, content, target_of(content))


def _compare(
    recipients: tuple[Recipient, ...],
    parts: list[dict[str, Any]],
    known: list[dict[str, Any]],
    content: int,
    target: Target,
) -> None:
    for recipient, part, facts in zip(recipients, parts, known, strict=True):
        _countersigned(recipient, part, facts)
        if recipient.recipients:
            alg = int(recipient.headers.alg or 0)
            below = Target(alg, WRAPS[alg].key_bytes)
            _compare(recipient.recipients, part["recipients"], facts["recipients"], content, below)
            continue
        if ex.algorithm(part) not in DERIVING:
            continue
        algorithm, receiver = DERIVING[ex.algorithm(part)], ex.receiver(part, content, None)
        assert isinstance(receiver.key, CoseKey)
        made = Target(algorithm.wrap, WRAPS[algorithm.wrap].key_bytes) if algorithm.wrap else target
        context = kdf_context(recipient.headers, receiver.agreed, made.algorithm, made.key_bytes)
        assert "Context_hex" not in facts or context.encode() == _hex(facts, "Context_hex")
        secret = shared_secret(algorithm, recipient.headers, receiver.key, receiver.sender)
        assert "Secret_hex" not in facts or secret == _hex(facts, "Secret_hex")
        derived = derive(algorithm, secret, recipient.headers, context)
        assert "KEK_hex" not in facts or derived == _hex(facts, "KEK_hex")


def _countersigned(target: Any, part: dict[str, Any], facts: dict[str, Any]) -> None:
    """Verify the countersignatures an example puts on `target`, of whichever version it carries."""
    known = facts.get("countersigners") or []
    for index, signer in enumerate((part.get("countersign") or {}).get("signers", ())):
        v1 = 7 in target.headers.unprotected
        layer = countersign.countersignatures(target, FOREIGN, v1=v1)[index]
        key, external = ex.key(signer["key"], ex.algorithm(signer)), ex.external(signer)
        if v1 and known:
            made = countersign.to_be_signed_v1(target, layer.headers, external)
            _same_signed(made, _hex(known[index], "ToBeSign_hex"), key, layer.signature)
        verify = countersign.verify_v1 if v1 else countersign.verify
        verify(target, layer, key, ex.EVERYTHING, external_aad=external)
    known = facts.get("countersign0") or []
    for index, signer in enumerate((part.get("countersign0") or {}).get("signers", ())):
        v1 = 9 in target.headers.unprotected
        key, external = ex.key(signer["key"], ex.algorithm(signer)), ex.external(signer)
        if v1 and known:
            made = countersign.to_be_signed_v1(target, None, external)
            _same_signed(made, _hex(known[index], "ToBeSign_hex"), key, target.headers.unprotected[9])
        verify0 = countersign.verify0_v1 if v1 else countersign.verify0
        verify0(target, key, ex.EVERYTHING, external_aad=external)


def _same_signed(ours: bytes, published: bytes, key: CoseKey, signature: bytes) -> None:
    if ours != published:
        algorithm = signature_algorithm(key.alg)
        assert algorithm.verify(key, signature, ours), "the output is not signed over our bytes"
        assert not algorithm.verify(key, signature, published), "the output is signed over other bytes"


def _same_aad(
    message: Encrypt0 | Encrypt, external: bytes, example: ex.Example, key: bytes, base_iv: bytes | None
) -> None:
    ours, published = message.aad(external), _hex(example.known, "AAD_hex")
    if ours != published:
        algorithm = content_algorithm(message.headers.alg)
        nonce, ciphertext = nonce_of(algorithm, message.headers, base_iv), message.ciphertext or b""
        assert open_with(algorithm, key, nonce, ciphertext, ours) == example.plaintext
        with pytest.raises(DecryptionRefused):
            open_with(algorithm, key, nonce, ciphertext, published)


def _hex(facts: dict[str, Any], name: str) -> bytes:
    return bytes.fromhex(facts[name])


def test_sign1() -> None:
    tally = Tally("cose", "sign1")
    for path in sorted(vector_set("cose", "sign1").glob("*.json")):
        case = json.loads(path.read_text())
        key = ex.key(case["key"], ex.NAMES[case["alg"]])
        try:
            good = _sign1_sign(case, key) if "sign1::sign" in case else _sign1_verify(case["sign1::verify"], key)
        except AssertionError:
            good = False
        tally.check(good, path.name)
    tally.close()


def _sign1_verify(case: dict[str, Any], key: CoseKey) -> bool:
    data = bytes.fromhex(case["taggedCOSESign1"]["cborHex"])
    detached = bytes.fromhex(case["payload"]) if "payload" in case else None
    try:
        Sign1.decode(data, FOREIGN).verify(
            key, ex.EVERYTHING, external_aad=bytes.fromhex(case.get("external", "")), detached=detached
        )
    except LockgateError:
        return not case["shouldVerify"]
    return bool(case["shouldVerify"])


def _sign1_sign(case: dict[str, Any], key: CoseKey) -> bool:
    """The same bytes before the signature; the expected output verifies, and so does one of our own."""
    asked = case["sign1::sign"]
    expected = bytes.fromhex(asked["expectedOutput"]["cborHex"])
    payload, external = bytes.fromhex(asked["payload"]), bytes.fromhex(asked.get("external", ""))
    detached = payload if asked.get("detached") else None
    protected = cbor_modes.decode(bytes.fromhex(asked["protectedHeaders"]["cborHex"]))
    unprotected = cbor_modes.decode(bytes.fromhex(asked["unprotectedHeaders"]["cborHex"]))
    headers = Headers.build(protected, unprotected)
    message = Sign1(headers, None if detached else payload, Sign1.decode(expected, FOREIGN).signature)
    assert message.to_be_signed(external, detached) == bytes.fromhex(asked["tbsHex"]["cborHex"])
    assert message.encode() == expected
    message.verify(key, ex.EVERYTHING, external_aad=external, detached=detached)
    if key.kty == 2:
        hash_ = {-7: SHA256, -35: SHA384, -36: SHA512}[key.alg or 0]
        signer = ecdsa.SigningKey(EC[case["key"]["crv"]], hash_, key.secret)
        ours = Sign1(headers, message.payload, signer.sign(message.to_be_signed(external, detached)))
        ours.verify(key, ex.EVERYTHING, external_aad=external, detached=detached)
        fixed = asked["fixedOutputLength"]
        assert ours.encode()[:fixed] == expected[:fixed]
    return True


def test_ml_dsa() -> None:
    tally = Tally("cose", "ml-dsa")
    for path in sorted(vector_set("cose", "ml-dsa").glob("*.json")):
        case = json.loads(path.read_text())
        seed, public = bytes.fromhex(case["priv"]), bytes.fromhex(case["raw_public_key"])
        message, signature = bytes.fromhex(case["raw_to_be_signed"]), bytes.fromhex(case["raw_signature"])
        sets = [p for p in PARAMETER_SETS.values() if p.public_bytes == len(public)]
        good = all(p.public_from_seed(seed) == public and p.verify(public, signature, message) for p in sets)
        if "sign1" in case:
            good &= _ml_dsa_sign1(case, public, message, signature)
        tally.check(bool(sets) and good, path.name)
    tally.close()


def _ml_dsa_sign1(case: dict[str, Any], public: bytes, message: bytes, signature: bytes) -> bool:
    key = CoseKey.decode(bytes.fromhex(case["key"]), FOREIGN)
    sign1 = Sign1.decode(bytes.fromhex(case["sign1"]), FOREIGN)
    sign1.verify(key, ex.EVERYTHING, external_aad=b"")
    return (key.public_bytes, sign1.to_be_signed(b""), sign1.signature) == (public, message, signature)


def test_hpke() -> None:
    """The recipient's key is the one that the message names: many cases have another beside them."""
    tally = Tally("cose", "hpke")
    cases = _hpke_cases()
    keys = {key.kid: key for key in map(_hpke_key, cases)}
    for case in cases:
        try:
            opened = _hpke(case, keys, ex.EVERYTHING)
        except LockgateError as error:
            tally.failed(f"{case['name']}: {error}")
        else:
            tally.check(opened == b"hpke test payload", case["name"])
    tally.close()


def test_hpke_opens_nothing_outside_the_allowed_set() -> None:
    nothing = Acceptance(algorithms=frozenset(), understood=frozenset(), bare_alg=True)
    cases = _hpke_cases()
    keys = {key.kid: key for key in map(_hpke_key, cases)}
    for case in cases:
        with pytest.raises((AlgorithmNotAllowed, NoRecipient)):
            _hpke(case, keys, nothing)


def _hpke_cases() -> list[dict[str, Any]]:
    folder = vector_set("cose", "hpke")
    return [case for path in sorted(folder.iterdir()) for case in json.loads(path.read_text())]


def _hpke_key(case: dict[str, Any]) -> HpkeKey:
    return HpkeKey.from_cose(CoseKey.decode(bytes.fromhex(case["cose_key"]), FOREIGN))


def _hpke(case: dict[str, Any], keys: dict[bytes | None, HpkeKey], accept: Acceptance) -> bytes:
    name, data = case["name"], bytes.fromhex(case["ciphertext"])
    external = b"external-aad" if "external aad" in name else b""
    agreed = Agreed(
        hpke_info=b"external-info" if "external info" in name else b"",
        hpke_aad=b"external-hpke-aad" if "external hpke aad" in name else b"",
        psk=PSK if "+PSK" in name else None,
    )
    if cbor_modes.decode(data).number == MessageTag.ENCRYPT0:
        message = Encrypt0.decode(data, FOREIGN)
        key = keys[message.headers.kid]
        return message.decrypt_hpke(key, accept, external_aad=external, agreed=agreed)
    layered = Encrypt.decode(data, FOREIGN)
    receiver = Receiver(key=keys[layered.recipients[0].headers.kid], agreed=agreed)
    return layered.decrypt(receiver, accept, external_aad=external)
