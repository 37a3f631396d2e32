"""Reads the working group's JSON examples: keys, algorithm names, parties, and what must come out."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockgate.envelope.cose.agreement import Agreed
from lockgate.envelope.cose.algorithms import CONTENT, DERIVING, DIRECT, HPKE, MACS, SIGNATURES, WRAPS
from lockgate.envelope.cose.headers import Acceptance
from lockgate.envelope.cose.keys import CoseKey
from lockgate.envelope.cose.recipients import Receiver

IMPLEMENTED = frozenset({DIRECT, *CONTENT, *DERIVING, *HPKE, *MACS, *SIGNATURES, *WRAPS})
EVERYTHING = Acceptance(algorithms=IMPLEMENTED, understood=frozenset(), bare_alg=True)
CURVES = {"P-256": 1, "P-384": 2, "P-521": 3, "X25519": 4, "X448": 5, "Ed25519": 6, "Ed448": 7, "secp256k1": 8}
SIZES = {"P-256": 32, "P-384": 48, "P-521": 66, "secp256k1": 32}
EXOTIC = {
    -46: "HSS-LMS: stateful signatures, used by nothing of ours",
    -40: "RSAES-OAEP: no key of ours decrypts with RSA",
    -41: "RSAES-OAEP: no key of ours decrypts with RSA",
    -42: "RSAES-OAEP: no key of ours decrypts with RSA",
}
NAMES = {
    "A128GCM": 1,
    "A192GCM": 2,
    "A256GCM": 3,
    "HS256/64": 4,
    "HS256": 5,
    "HS384": 6,
    "HS512": 7,
    "ChaCha-Poly1305": 24,
    "direct": -6,
    "A128KW": -3,
    "A192KW": -4,
    "A256KW": -5,
    "EdDSA": -8,
    "ES256": -7,
    "ES384": -35,
    "ES512": -36,
    "ES256K": -47,
    "HSS-LMS": -46,
    "RSA-OAEP": -40,
    "RSA-OAEP-256": -41,
    "RSA-OAEP-512": -42,
    **{
        f"{prefix}{bits}": number
        for prefix in ("PS", "RSA-PSS-")
        for bits, number in ((256, -37), (384, -38), (512, -39))
    },
    **{f"AES-MAC-{key}/{tag}": n for key, tag, n in ((128, 64, 14), (256, 64, 15), (128, 128, 25), (256, 128, 26))},
    **{
        f"AES-CCM-{length}-{key}/{tag}": base + 2 * (length == 64) + (key == 256)
        for tag, base in ((64, 10), (128, 30))
        for length in (16, 64)
        for key in (128, 256)
    },
    "HKDF-HMAC-SHA-256": -10,
    "HKDF-HMAC-SHA-512": -11,
    "HKDF-AES-128": -12,
    "HKDF-AES-256": -13,
    **{f"ECDH-ES{suffix}": -25 for suffix in ("", "-256", "+HKDF-256")},
    **{f"ECDH-ES{suffix}": -26 for suffix in ("-512", "+HKDF-512")},
    **{f"ECDH-SS{suffix}": -27 for suffix in ("", "-256", "+HKDF-256")},
    **{f"ECDH-SS{suffix}": -28 for suffix in ("-512", "+HKDF-512")},
    **{
        f"ECDH-{mode}{mark}A{bits}KW": base - step
        for mode, base in (("ES", -29), ("SS", -32))
        for mark in "-+"
        for step, bits in enumerate((128, 192, 256))
    },
}


@dataclass(frozen=True)
class Example:
    name: str
    raw: dict[str, Any]

    @property
    def plaintext(self) -> bytes:
        given = self.raw["input"]
        return bytes.fromhex(given["plaintext_hex"]) if "plaintext_hex" in given else given["plaintext"].encode()

    @property
    def message(self) -> bytes:
        data = bytes.fromhex(self.raw["output"]["cbor"])
        return data[2:] if data[:2] == b"\xd8\x3d" else data  # the CWT tag is not COSE's

    @property
    def must_fail(self) -> bool:
        return bool(self.raw.get("fail"))

    @property
    def known(self) -> dict[str, Any]:
        return dict(self.raw.get("intermediates") or {})


def read(path: Path) -> Example:
    return Example(path.name, json.loads(path.read_text()))


def algorithm_name(part: dict[str, Any]) -> Any:
    for where in ("protected", "unprotected", "unsent"):
        if "alg" in (part.get(where) or {}):
            return part[where]["alg"]
    return part.get("alg")


def algorithm(part: dict[str, Any], default: int | None = None) -> int:
    name = algorithm_name(part)
    return name if isinstance(name, int) else NAMES[name] if name is not None or default is None else default


def missing(example: Example) -> str | None:
    """Why this example is left out on purpose, if it is."""
    for part in _dicts(example.raw["input"]):
        name = algorithm_name(part)
        if isinstance(name, str) and NAMES.get(name) in EXOTIC:
            return EXOTIC[NAMES[name]]
    return None


def key(raw: dict[str, Any], alg: int | None) -> CoseKey:
    """A COSE key of a JWK-like one, without its kid: some examples name another key than they use."""
    kty = raw["kty"]
    if kty == "oct":
        return CoseKey(kty=4, params={-1: _bytes(raw, "k")}, alg=alg)
    if kty == "RSA":
        return CoseKey(kty=3, params={-1: _bytes(raw, "n").lstrip(b"\0"), -2: _bytes(raw, "e").lstrip(b"\0")}, alg=alg)
    size = SIZES.get(raw["crv"], 0)
    params: dict[int, Any] = {-1: CURVES[raw["crv"]], -2: _bytes(raw, "x", size)}
    if size:
        params[-3] = raw["y"] if isinstance(raw.get("y"), bool) else _bytes(raw, "y", size)
    if "d" in raw or "d_hex" in raw:
        params[-4] = _bytes(raw, "d", size)
    return CoseKey(kty=2 if size else 1, params=params, alg=alg)


def receivers(part: dict[str, Any], content: int, base_iv: bytes | None) -> Iterator[tuple[Receiver, dict[str, Any]]]:
    """Everyone who can read the message, down to recipients of recipients."""
    for recipient in part["recipients"]:
        if "recipients" in recipient:
            yield from receivers(recipient, content, base_iv)
        else:
            yield receiver(recipient, content, base_iv), recipient


def receiver(recipient: dict[str, Any], content: int, base_iv: bytes | None) -> Receiver:
    alg = algorithm(recipient)
    bound = content if alg == DIRECT else alg
    own = key(recipient["key"], bound)
    if base_iv is not None:
        own = CoseKey(kty=own.kty, params=own.params, alg=bound, base_iv=base_iv)
    sender = recipient.get("sender_key")
    return Receiver(key=own, sender=key(sender, None) if sender else None, agreed=agreed(recipient))


def agreed(recipient: dict[str, Any]) -> Agreed:
    unsent = recipient.get("unsent") or {}

    def text(name: str) -> bytes | None:
        if name + "_hex" in unsent:
            return bytes.fromhex(unsent[name + "_hex"])
        return unsent[name].encode() if name in unsent else None

    return Agreed(
        party_u=(text("apu_id"), text("apu_nonce"), text("apu_other")),
        party_v=(text("apv_id"), text("apv_nonce"), text("apv_other")),
        supp_pub_other=text("pub_other"),
        supp_priv_info=text("priv_other"),
    )


def base_iv(part: dict[str, Any]) -> bytes | None:
    """The agreed Base IV, where the example gives the whole IV and the part that was sent."""
    whole = (part.get("unsent") or {}).get("IV_hex")
    if whole is None:
        return None
    partial = int((part.get("unprotected") or {})["partialIV_hex"], 16)
    size = len(whole) // 2
    return (int(whole, 16) ^ partial).to_bytes(size)


def external(part: dict[str, Any]) -> bytes:
    return bytes.fromhex(part.get("external", ""))


def _bytes(raw: dict[str, Any], name: str, size: int = 0) -> bytes:
    if name + "_hex" in raw:
        value = bytes.fromhex(raw[name + "_hex"])
    else:
        value = base64.urlsafe_b64decode(raw[name] + "=" * (-len(raw[name]) % 4))
    return value.rjust(size, b"\0")


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _dicts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _dicts(inner)
