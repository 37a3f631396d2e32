"""Third-party cases for the primitives: Wycheproof, Ed25519 consensus rules, ML-KEM, HPKE, X-Wing, BLS12-381.

Files are told apart by what they contain. An algorithm that Lockgate leaves out is `absent` with its
reason; a case of an algorithm it has can only pass or fail.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lockgate.crypto import aead as aeads
from lockgate.crypto import bls12381, ecdsa, ed25519, hpke, kdf, keywrap, labeled, mac, mldsa, mlkem, rsa
from lockgate.crypto.dh import DH_P256, DH_P384, DH_P521, X448, X25519
from lockgate.crypto.dhkem import DhKem
from lockgate.crypto.ec import P256, P384, P521, SECP256K1
from lockgate.crypto.errors import UnknownSuite
from lockgate.crypto.hashes import HASHES
from lockgate.crypto.xwing import XWING
from lockgate.primitives.errors import LockgateError
from tests.unit.crypto.fixed_entropy import FixedEntropy
from tests.vectors.sets import Tally, vector_set

TOPIC = "crypto-primitives"
CURVES = {"secp256r1": P256, "secp384r1": P384, "secp521r1": P521, "secp256k1": SECP256K1}
GROUPS = {
    "secp256r1": DH_P256,
    "secp384r1": DH_P384,
    "secp521r1": DH_P521,
    "curve25519": X25519,
    "curve448": X448,
}
NO_EXPANDER = "message expansion over another hash is in no suite"


class Absent(Exception):
    """The case belongs to an algorithm Lockgate leaves out."""


def h(text: str) -> bytes:
    return bytes.fromhex(text)


def hash_named(name: str) -> Any:
    found = HASHES.get(name.lower().replace("-", ""))
    if found is None:
        raise Absent(f"{name} is in no suite")
    return found


def refuses(action: Callable[[], object]) -> bool:
    try:
        action()
    except LockgateError:
        return True
    return False


# --- wycheproof ---------------------------------------------------------------------------------------


def aead(algorithm: str, group: dict[str, Any], case: dict[str, Any]) -> bool:
    key_bytes, nonce_bytes, tag_bytes = (group[size] // 8 for size in ("keySize", "ivSize", "tagSize"))
    try:
        if algorithm == "AES-GCM":
            cipher = aeads.aes_gcm(key_bytes, nonce_bytes)
        elif algorithm == "AES-CCM":
            cipher = aeads.aes_ccm(key_bytes, nonce_bytes, tag_bytes)
        elif algorithm == "CHACHA20-POLY1305":
            cipher = aeads.CHACHA20_POLY1305
        else:
            raise Absent(f"{algorithm} is in no suite")
    except LockgateError:
        if case["result"] == "valid":
            raise Absent(f"{algorithm}: the library takes no nonce or tag of this length") from None
        return True
    key, nonce, aad, message = (h(case[name]) for name in ("key", "iv", "aad", "msg"))
    sealed = h(case["ct"]) + h(case["tag"])
    if case["result"] == "invalid":
        return refuses(lambda: cipher.open(key, nonce, sealed, aad))
    return cipher.seal(key, nonce, message, aad) == sealed and cipher.open(key, nonce, sealed, aad) == message


def key_wrap(algorithm: str, group: dict[str, Any], case: dict[str, Any]) -> bool:
    if algorithm not in {"AES-WRAP", "AES-KWP"}:
        raise Absent(f"{algorithm} is in no suite")
    padded = algorithm == "AES-KWP"
    wrap, unwrap = (keywrap.wrap_padded, keywrap.unwrap_padded) if padded else (keywrap.wrap, keywrap.unwrap)
    key, message, wrapped = h(case["key"]), h(case["msg"]), h(case["ct"])
    if case["result"] == "invalid":
        return refuses(lambda: unwrap(key, wrapped))
    if case["result"] == "acceptable" and refuses(lambda: unwrap(key, wrapped)):
        return True
    return wrap(key, message) == wrapped and unwrap(key, wrapped) == message


def agreement(algorithm: str, group: dict[str, Any], case: dict[str, Any]) -> bool:
    curve = GROUPS.get(group["curve"])
    if curve is None:
        raise Absent(f"{group['curve']} is in no suite")
    private = h(case["private"])
    if curve.order:  # big-endian integers, with or without leading zeros
        private = int.from_bytes(private).to_bytes(curve.private_bytes)
    try:
        shared = curve.private_key(private).exchange(h(case["public"]))
    except LockgateError:
        return case["result"] != "valid"
    return case["result"] != "invalid" and shared == h(case["shared"])


def ecdsa_signature(algorithm: str, group: dict[str, Any], case: dict[str, Any]) -> bool:
    curve = CURVES.get(group["publicKey"]["curve"])
    if curve is None:
        raise Absent(f"{group['publicKey']['curve']} is in no suite")
    check = ecdsa.verify if group["type"] == "EcdsaP1363Verify" else ecdsa.verify_der
    accepted = check(
        curve,
        hash_named(group["sha"]),
        h(group["publicKey"]["uncompressed"]),
        h(case["sig"]),
        h(case["msg"]),
        low_s=group["type"] == "EcdsaBitcoinVerify",
    )
    return agrees(case, accepted)


def eddsa_signature(algorithm: str, group: dict[str, Any], case: dict[str, Any]) -> bool:
    if group["publicKey"]["curve"] != "edwards25519":
        raise Absent("Ed448 is in no suite")
    key, signature, message = h(group["publicKey"]["pk"]), h(case["sig"]), h(case["msg"])
    return agrees(case, ed25519.verify_strict(key, signature, message))


def rsa_signature(algorithm: str, group: dict[str, Any], case: dict[str, Any]) -> bool:
    n, e = (int(group["publicKey"][name], 16) for name in ("modulus", "publicExponent"))
    hash_, signature, message = hash_named(group["sha"]), h(case["sig"]), h(case["msg"])
    if group["type"] == "RsassaPkcs1Verify":
        return agrees(case, rsa.verify_pkcs1(hash_, n, e, signature, message))
    if group["mgf"] != "MGF1" or group["mgfSha"] != group["sha"]:
        raise Absent("PSS with a mask over another hash is in no suite")
    return agrees(case, rsa.verify_pss(hash_, n, e, signature, message, salt_bytes=group["sLen"]))


def mldsa_signature(algorithm: str, group: dict[str, Any], case: dict[str, Any]) -> bool:
    parameters = mldsa.PARAMETER_SETS.get(algorithm)
    if parameters is None:
        raise Absent(f"{algorithm} is in no suite")
    key, signature, message = h(group["publicKey"]), h(case["sig"]), h(case["msg"])
    return agrees(case, parameters.verify(key, signature, message, h(case.get("ctx", ""))))


def hkdf(algorithm: str, group: dict[str, Any], case: dict[str, Any]) -> bool:
    hash_ = hash_named(algorithm.removeprefix("HKDF-"))
    ikm, salt, info = h(case["ikm"]), h(case["salt"]), h(case["info"])
    if case["result"] == "invalid":
        return refuses(lambda: kdf.hkdf(hash_, ikm, salt, info, case["size"]))
    return kdf.hkdf(hash_, ikm, salt, info, case["size"]) == h(case["okm"])


def message_authentication(algorithm: str, group: dict[str, Any], case: dict[str, Any]) -> bool:
    if not algorithm.startswith("HMAC"):
        raise Absent(f"{algorithm} is in no suite")
    hash_ = hash_named(algorithm.removeprefix("HMAC"))
    key, message, tag = h(case["key"]), h(case["msg"]), h(case["tag"])
    return agrees(case, mac.hmac_verify(hash_, key, message, tag, group["tagSize"] // 8))


def mlkem_parameters(group: dict[str, Any]) -> mlkem.MlKem:
    parameters = mlkem.PARAMETER_SETS.get(group["parameterSet"])
    if parameters is None:
        raise Absent(f"{group['parameterSet']} is not in the library and in no suite")
    return parameters


def mlkem_decapsulation(algorithm: str, group: dict[str, Any], case: dict[str, Any]) -> bool:
    parameters = mlkem_parameters(group)
    try:
        key = parameters.private_key(h(case["seed"]))
        secret = key.decapsulate(h(case["c"]))
    except LockgateError:
        return case["result"] != "valid"
    return case["result"] == "valid" and secret == h(case["K"]) and key.public_key == h(case["ek"])


def mlkem_encapsulation(algorithm: str, group: dict[str, Any], case: dict[str, Any]) -> bool:
    parameters = mlkem_parameters(group)
    try:
        made = parameters.encapsulate(h(case["ek"]), FixedEntropy(h(case["m"])))
    except LockgateError:
        return case["result"] != "valid"
    return case["result"] == "valid" and (made.shared_secret, made.enc) == (h(case["K"]), h(case["c"]))


def mlkem_key_generation(algorithm: str, group: dict[str, Any], case: dict[str, Any]) -> bool:
    parameters = mlkem_parameters(group)
    try:
        key = parameters.private_key(h(case["seed"]))
    except LockgateError:
        return case["result"] != "valid"
    return case["result"] == "valid" and key.public_key == h(case["ek"])


def bls_hash(algorithm: str, group: dict[str, Any], case: dict[str, Any]) -> bool:
    return agrees(case, bls12381.hash_to_g2(h(case["msg"]), group["dst"].encode()) == h(case["expected"]))


def bls_signature(algorithm: str, group: dict[str, Any], case: dict[str, Any]) -> bool:
    key, message, signature = h(group["publicKey"]["pk"]), h(case["msg"]), h(case["sig"])
    return agrees(case, bls12381.verify(key, message, signature, group["ciphersuite"].encode()))


def bls_aggregate(algorithm: str, group: dict[str, Any], case: dict[str, Any]) -> bool:
    keys, messages = [h(key) for key in case["pubkeys"]], [h(message) for message in case["messages"]]
    return agrees(case, bls12381.aggregate_verify(keys, messages, h(case["sig"]), group["ciphersuite"].encode()))


def agrees(case: dict[str, Any], accepted: bool) -> bool:
    return case["result"] == "acceptable" or accepted == (case["result"] == "valid")


WYCHEPROOF = {
    "AeadTest": aead,
    "BlsAggregateVerify": bls_aggregate,
    "BlsHashToG2": bls_hash,
    "BlsSigVerify": bls_signature,
    "KeywrapTest": key_wrap,
    "EcdhEcpointTest": agreement,
    "XdhComp": agreement,
    "EcdsaVerify": ecdsa_signature,
    "EcdsaP1363Verify": ecdsa_signature,
    "EcdsaBitcoinVerify": ecdsa_signature,
    "EddsaVerify": eddsa_signature,
    "RsassaPssVerify": rsa_signature,
    "RsassaPkcs1Verify": rsa_signature,
    "MlDsaVerify": mldsa_signature,
    "HkdfTest": hkdf,
    "MacTest": message_authentication,
    "MLKEMTest": mlkem_decapsulation,
    "MLKEMEncapsTest": mlkem_encapsulation,
    "MLKEMKeyGen": mlkem_key_generation,
}


def settle(tally: Tally, name: str, verdict: Callable[[], bool]) -> None:
    try:
        tally.check(verdict(), name)
    except Absent as absent:
        tally.absent(str(absent))
    except Exception as error:  # a crash in one case must not hide the others
        tally.failed(f"{name}: {type(error).__name__}: {error}")


def test_wycheproof() -> None:
    tally = Tally(TOPIC, "wycheproof")
    for path, document in documents(vector_set(TOPIC, "wycheproof")):
        for group in document["testGroups"]:
            check = WYCHEPROOF.get(group["type"])
            for case in group["tests"]:
                if check is None:
                    tally.absent(f"{group['type']} is in no suite")
                    continue
                settle(
                    tally,
                    f"{path.name}:{case['tcId']}",
                    lambda check=check, name=document["algorithm"], group=group, case=case: check(name, group, case),
                )
    tally.close()


# --- ed25519-consensus ----------------------------------------------------------------------------------


def test_ed25519_consensus() -> None:
    """Every case twice: as called, and by the big-integer rule alone, without the library's help."""
    tally = Tally(TOPIC, "ed25519-consensus")
    for path, document in documents(vector_set(TOPIC, "ed25519-consensus")):
        for number, case in enumerate(document):
            key, signature = h(case["key"]), h(case["sig"])
            message = case.get("msg", "Zcash").encode()
            wanted = case.get("zip215", True)
            found = (
                ed25519.verify_zip215(key, signature, message),
                ed25519.equation_holds(key, signature, message),
            )
            strict = ed25519.verify_strict(key, signature, message)
            tally.check(found == (wanted, wanted) and (wanted or not strict), f"{path.name}:{number}")
    tally.close()


# --- ml-kem ---------------------------------------------------------------------------------------------


def mlkem_file(fields: dict[str, str]) -> bool:
    """Encapsulation to the file's key; the files predate the seed's domain byte, so not their seeds."""
    sizes = {parameters.enc_bytes: parameters for parameters in mlkem.PARAMETER_SETS.values()}
    parameters = sizes.get(len(fields["c"]) // 2)
    if parameters is None:
        raise Absent("ML-KEM-512 is not in the library and in no suite")
    if "ek" not in fields or "m" not in fields:
        raise Absent("the library loads ML-KEM private keys from seeds, not expanded ones")
    made = parameters.encapsulate(h(fields["ek"]), FixedEntropy(h(fields["m"])))
    return (made.enc, made.shared_secret) == (h(fields["c"]), h(fields["K"]))


def test_ml_kem() -> None:
    tally = Tally(TOPIC, "ml-kem")
    for path in files(vector_set(TOPIC, "ml-kem")):
        lines = (line.partition(" = ") for line in path.read_text().splitlines())
        fields = {name.strip(): value.strip() for name, _, value in lines}
        settle(tally, path.name, lambda fields=fields: mlkem_file(fields))
    tally.close()


# --- hpke -----------------------------------------------------------------------------------------------


def hpke_case(case: dict[str, Any]) -> bool:
    try:
        suite = hpke.suite(case["kem_id"], case["kdf_id"], case["aead_id"])
    except UnknownSuite:
        if case["kdf_id"] in {0x0012, 0x0013}:
            raise Absent("TurboSHAKE is not in the library") from None
        if case["kem_id"] == 0x0040:
            raise Absent("ML-KEM-512 is not in the library and in no suite") from None
        raise
    info = h(case["info"])
    psk = hpke.Psk(h(case["psk"]), h(case["psk_id"])) if case.get("psk") else None
    receiver_key = suite.kem.derive_key(h(case["ikmR"]))
    assert receiver_key.reveal() == h(case["skRm"])
    assert receiver_key.public_key == h(case["pkRm"])
    sender_key = suite.kem.derive_key(h(case["ikmS"])) if case["mode"] >= hpke.MODE_AUTH else None
    sender_public = sender_key.public_key if sender_key else None

    enc, sender = hpke.setup_sender(
        suite, receiver_key.public_key, info, FixedEntropy(h(case["ikmE"])), psk=psk, sender=sender_key
    )
    receiver = hpke.setup_receiver(suite, enc, receiver_key, info, psk=psk, sender=sender_public)
    assert enc == h(case["enc"])
    if isinstance(suite.kem, DhKem) and sender_public:
        secret = receiver_key.auth_decapsulate(enc, sender_public)
    else:
        secret = receiver_key.decapsulate(enc)
    assert secret == h(case["shared_secret"])
    schedule = labeled.key_schedule(
        suite.kdf,
        suite.suite_id,
        case["mode"],
        secret,
        info,
        psk=(psk.key, psk.id) if psk else (b"", b""),
        key_bytes=suite.aead.key_bytes if suite.aead else 0,
        nonce_bytes=suite.aead.nonce_bytes if suite.aead else 0,
    )
    assert schedule == (h(case["key"]), h(case["base_nonce"]), h(case["exporter_secret"]))

    for number, message in enumerate(case.get("encryptions", [])):
        while sender.sequence < message.get("seq", number):  # the cases are a selection of the sequence
            receiver.open(b"", sender.seal(b"", b""))
        aad, plaintext = h(message["aad"]), h(message["pt"])
        assert sender.seal(aad, plaintext) == h(message["ct"])
        assert receiver.open(aad, h(message["ct"])) == plaintext
    for export in case["exports"]:
        context, length = h(export["exporter_context"]), export["L"]
        assert sender.export(context, length) == receiver.export(context, length) == h(export["exported_value"])
    return True


def xwing_case(case: dict[str, Any]) -> bool:
    key = XWING.private_key(h(case["seed"]))
    made = XWING.encapsulate(h(case["pk"]), FixedEntropy(h(case["eseed"])))
    return (
        key.public_key == h(case["pk"])
        and key.reveal() == h(case["sk"])
        and (made.enc, made.shared_secret) == (h(case["ct"]), h(case["ss"]))
        and key.decapsulate(h(case["ct"])) == h(case["ss"])
    )


def test_hpke() -> None:
    tally = Tally(TOPIC, "hpke")
    for path, document in documents(vector_set(TOPIC, "hpke")):
        for number, case in enumerate(document):
            check = hpke_case if "kem_id" in case else xwing_case
            settle(tally, f"{path.name}:{number}", lambda check=check, case=case: check(case))
    tally.close()


# --- hash-to-curve --------------------------------------------------------------------------------------


# RFC 9380 §8.8: compressed points are compared, so the signs of y too. Suites of the same curve and expander.
HASHES_TO_CURVE = {
    "BLS12381G1_XMD:SHA-256_SSWU_NU_": bls12381.encode_to_g1,
    "BLS12381G1_XMD:SHA-256_SSWU_RO_": bls12381.hash_to_g1,
    "BLS12381G2_XMD:SHA-256_SSWU_NU_": bls12381.encode_to_g2,
    "BLS12381G2_XMD:SHA-256_SSWU_RO_": bls12381.hash_to_g2,
}


def hash_to_curve(document: dict[str, Any], case: dict[str, Any]) -> bool:
    hashes = HASHES_TO_CURVE.get(document["ciphersuite"])
    if hashes is None:
        raise Absent(f"{document['ciphersuite']} hashes to a curve of no suite")
    point = hashes(case["msg"].encode(), document["dst"].encode())
    coordinates = [[int(part, 16) for part in case["P"][name].split(",")] for name in ("x", "y")]
    return point == compressed(*coordinates, prime=int(document["field"]["p"], 16))


def compressed(x: list[int], y: list[int], prime: int) -> bytes:
    """The encoding with flags, from coordinates whose parts stand lowest first."""
    larger = tuple(reversed(y)) > tuple((prime - part) % prime for part in reversed(y))
    encoded = bytearray(b"".join(part.to_bytes(48) for part in reversed(x)))
    encoded[0] |= 0xA0 if larger else 0x80
    return bytes(encoded)


def expansion(document: dict[str, Any], case: dict[str, Any]) -> bool:
    if (document["name"], document["hash"]) != ("expand_message_xmd", "SHA256"):
        raise Absent(NO_EXPANDER)
    size = int(case["len_in_bytes"], 16)
    expanded = bls12381.expand_message_xmd(case["msg"].encode(), document["DST"].encode(), size)
    return expanded == h(case["uniform_bytes"])


def test_hash_to_curve() -> None:
    tally = Tally(TOPIC, "hash-to-curve")
    for path, document in documents(vector_set(TOPIC, "hash-to-curve")):
        check = hash_to_curve if "ciphersuite" in document else expansion
        for number, case in enumerate(document.get("vectors", document.get("tests"))):
            settle(
                tally,
                f"{path.name}:{number}",
                lambda check=check, document=document, case=case: check(document, case),
            )
    tally.close()


# --- files ----------------------------------------------------------------------------------------------


def files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if path.is_file() and path.suffix != ".md"]


def documents(folder: Path) -> Iterator[tuple[Path, Any]]:
    for path in files(folder):
        yield path, json.loads(path.read_text())
