"""Make `vectors/session/hybrid-handshake.json`: EDHOC with the hybrid suites, by code that shares nothing with ours.

    python tools/second_handshake.py > vectors/session/hybrid-handshake.json

Written from docs/spec/handshake.md and RFC 9528, on cbor2, kyber-py, dilithium-py and `cryptography`. Slow and not
constant-time: its keys are in the file it writes.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import sys
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from dilithium_py.ml_dsa import ML_DSA_65
from kyber_py.ml_kem import ML_KEM_768

HASH = 48


def item(value: Any) -> bytes:
    return bytes(cbor2.dumps(value, canonical=True))


def sha384(data: bytes) -> bytes:
    return hashlib.sha384(data).digest()


def extract(salt: bytes, secret: bytes) -> bytes:
    return hmac.new(salt, secret, "sha384").digest()


def expand(key: bytes, label: int, context: bytes, length: int) -> bytes:
    info = item(label) + item(context) + item(length)
    out, block = b"", b""
    for counter in range(1, 256):
        block = hmac.new(key, block + info + bytes([counter]), "sha384").digest()
        out += block
        if len(out) >= length:
            return out[:length]
    raise ValueError(length)


class XWing:
    """draft-connolly-cfrg-xwing-kem."""

    def __init__(self, seed: bytes) -> None:
        expanded = hashlib.shake_256(seed).digest(96)
        self.mlkem_public, self.mlkem_private = ML_KEM_768._keygen_internal(expanded[:32], expanded[32:64])
        self.private = X25519PrivateKey.from_private_bytes(expanded[64:])
        self.group_public = self.private.public_key().public_bytes_raw()
        self.public = self.mlkem_public + self.group_public

    @staticmethod
    def combine(ss_m: bytes, ss_x: bytes, ct_x: bytes, pk_x: bytes) -> bytes:
        return hashlib.sha3_256(ss_m + ss_x + ct_x + pk_x + b"\\.//^\\").digest()

    @classmethod
    def encapsulate(cls, public: bytes, coins: bytes, scalar: bytes) -> tuple[bytes, bytes]:
        ss_m, ct_m = ML_KEM_768._encaps_internal(public[:1184], coins)
        ephemeral = X25519PrivateKey.from_private_bytes(scalar)
        ct_x = ephemeral.public_key().public_bytes_raw()
        ss_x = ephemeral.exchange(X25519PublicKey.from_public_bytes(public[1184:]))
        return cls.combine(ss_m, ss_x, ct_x, public[1184:]), ct_m + ct_x


class Party:
    """Both signing keys and a credential, from seeds."""

    def __init__(self, name: str, kid: bytes) -> None:
        self.seeds = [hashlib.sha256(f"{name}/{kind}".encode()).digest() for kind in ("ed25519", "ml-dsa-65")]
        self.ed25519 = Ed25519PrivateKey.from_private_bytes(self.seeds[0])
        mldsa_public, self.mldsa = ML_DSA_65.key_derive(self.seeds[1])
        self.keys = [self.ed25519.public_key().public_bytes_raw(), mldsa_public]
        self.kid = kid
        self.id_cred = {4: kid}
        self.cred = item([name, hashlib.sha256(b"".join(self.keys)).digest()])

    def sign(self, structure: bytes) -> bytes:
        lengths = b"".join(len(key).to_bytes(4, "big") + key for key in self.keys)
        identity = hashlib.sha256(b"lockgate/identity/1\x00" + b"\x00\x02" + lengths).digest()
        message = b"lockgate/signed/1\x00" + b"\x04" + b"\x00\x02" + identity + b"\x00" + bytes(8) + structure
        half = b"lockgate/hybrid-half/1\x00" + b"\x00\x02" + identity + message
        return self.ed25519.sign(half) + bytes(ML_DSA_65.sign(self.mldsa, half, deterministic=True))


def short(identifier: bytes) -> Any:
    if len(identifier) == 1 and identifier[0] in (*range(0x18), *range(0x20, 0x38)):
        return cbor2.loads(identifier)
    return identifier


def exchange(name: str, suite: int, kids: tuple[bytes, bytes], ids: tuple[bytes, bytes]) -> dict[str, Any]:
    """One whole handshake, without authorisation data."""
    cipher: Any = AESGCM if suite == -24 else ChaCha20Poly1305
    alice, bob = Party(f"{name}/alice", kids[0]), Party(f"{name}/bob", kids[1])
    x, coins, scalar = (hashlib.sha256(f"{name}/{kind}".encode()).digest() for kind in ("x", "coins", "scalar"))
    ephemeral = XWing(x)
    message_1 = item(0) + item(suite) + item(ephemeral.public) + item(short(ids[0]))
    g_xy, g_y = XWing.encapsulate(ephemeral.public, coins, scalar)

    th_2 = sha384(item(g_y) + item(sha384(message_1)))
    prk_2e = extract(th_2, g_xy)
    context = item(short(ids[1])) + item(bob.id_cred) + item(th_2) + bob.cred
    mac = expand(prk_2e, 2, context, HASH)
    proof = bob.sign(item(["Signature1", item(bob.id_cred), item(th_2) + bob.cred, mac]))
    plaintext_2 = item(short(ids[1])) + item(short(bob.kid)) + item(proof)
    stream = expand(prk_2e, 0, th_2, len(plaintext_2))
    message_2 = item(g_y + bytes(one ^ two for one, two in zip(plaintext_2, stream, strict=True)))

    th_3 = sha384(item(th_2) + plaintext_2 + bob.cred)
    mac = expand(prk_2e, 6, item(alice.id_cred) + item(th_3) + alice.cred, HASH)
    proof = alice.sign(item(["Signature1", item(alice.id_cred), item(th_3) + alice.cred, mac]))
    plaintext_3 = item(short(alice.kid)) + item(proof)
    sealed = cipher(expand(prk_2e, 3, th_3, 32)).encrypt(
        expand(prk_2e, 4, th_3, 12), plaintext_3, item(["Encrypt0", b"", th_3])
    )
    message_3 = item(sealed)

    th_4 = sha384(item(th_3) + plaintext_3 + alice.cred)
    sealed = cipher(expand(prk_2e, 8, th_4, 32)).encrypt(
        expand(prk_2e, 9, th_4, 12), b"", item(["Encrypt0", b"", th_4])
    )
    message_4 = item(sealed)
    prk_out = expand(prk_2e, 7, th_4, HASH)
    updated = expand(prk_out, 11, b"next", HASH)
    exported = [expand(expand(prk, 10, b"", HASH), 40_000, b"context", 32) for prk in (prk_out, updated)]
    return {
        "name": name,
        "suite": suite,
        "x_seed": x.hex(),
        "coins": coins.hex(),
        "scalar": scalar.hex(),
        "c_i": ids[0].hex(),
        "c_r": ids[1].hex(),
        **{
            side: {
                "kid": party.kid.hex(),
                "cred": party.cred.hex(),
                "seeds": [seed.hex() for seed in party.seeds],
                "keys": [key.hex() for key in party.keys],
            }
            for side, party in (("initiator", alice), ("responder", bob))
        },
        "messages": [message.hex() for message in (message_1, message_2, message_3, message_4)],
        "th_4": th_4.hex(),
        "prk_out": prk_out.hex(),
        "exported": exported[0].hex(),
        "exported_after_update": exported[1].hex(),
    }


def main() -> int:
    cases = [
        exchange("aes, short identifiers", -24, (b"\x05", b"\x32"), (b"\x0e", b"\x27")),
        exchange("chacha, long identifiers", -23, (b"a" * 32, b"b" * 32), (b"conn-i", b"")),
    ]
    json.dump({"label": 40_000, "context": "context", "update": "next", "cases": cases}, sys.stdout, indent=1)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
