"""COSE algorithms: one table of numbers, each with what it needs of a key and what it computes.

Left out on purpose: HSS-LMS (-46; stateful, and nothing of ours would verify one), RSAES-OAEP (-40..-42;
decryption with RSA keys, which no key of ours is), AES-CTR and AES-CBC (RFC 9459; no authentication),
RSASSA-PKCS1-v1_5 (-257..-259) and SHA-1 (-65535). Private-use numbers are ours.
Source: RFC 9053, RFC 8230, RFC 8812, RFC 9864, draft-ietf-cose-dilithium, draft-ietf-cose-hpke-24.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey

from lockgate.crypto import ecdsa, ed25519, mac, rsa
from lockgate.crypto.aead import (
    AES_128_GCM,
    AES_192_GCM,
    AES_256_GCM,
    CHACHA20_POLY1305,
    Aead,
    aes_ccm,
)
from lockgate.crypto.hashes import SHA256, SHA384, SHA512, Hash
from lockgate.crypto.hpke import HpkeSuite, suite
from lockgate.crypto.mldsa import PARAMETER_SETS, MlDsa
from lockgate.crypto.suites import SEAL_SUITES, SEAL_X25519
from lockgate.envelope.cose.keys import NIST, CoseKey
from lockgate.envelope.cose.labels import CurveId, KeyOp, KeyType
from lockgate.envelope.errors import AlgorithmNotAllowed, KeyNotForUse

DIRECT: Final = -6
MIN_HMAC_KEY: Final = 16  # bytes; below that a key can be searched for
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SignatureAlgorithm:
    """`signer` is the name by which `crypto.ports.Signer` calls it; `curves` empty: the type has none."""

    id: int
    name: str
    kty: int
    curves: frozenset[int]
    signer: str
    _verify: Callable[[CoseKey, bytes, bytes], bool] = field(repr=False)

    def verify(self, key: CoseKey, signature: bytes, message: bytes) -> bool:
        """Whether the signature holds. Raises KeyNotForUse for a key bound to something else."""
        key.require(self.id, KeyOp.VERIFY, self.kty)
        if self.curves and key.crv not in self.curves:
            raise KeyNotForUse("the key is on another curve", crv=key.crv, algorithm=self.name)
        return self._verify(key, signature, message)


@dataclass(frozen=True, slots=True)
class MacAlgorithm:
    """`key_bytes` is the length of keys made for it; HMAC takes keys of other lengths as they come."""

    id: int
    name: str
    key_bytes: int
    tag_bytes: int
    hash: Hash | None  # None: AES-CBC-MAC

    def check_key(self, key: bytes) -> None:
        """Raise KeyNotForUse: AES takes its own length, HMAC 16 bytes or more."""
        if len(key) != self.key_bytes and (self.hash is None or len(key) < MIN_HMAC_KEY):
            raise KeyNotForUse("the key has the wrong length", algorithm=self.name, got=len(key))

    def tag(self, key: bytes, message: bytes) -> bytes:
        if self.hash is None:
            return mac.aes_cbc_mac(key, message, self.tag_bytes)
        return mac.hmac(self.hash, key, message, self.tag_bytes)


@dataclass(frozen=True, slots=True)
class ContentAlgorithm:
    """An AEAD under its COSE number."""

    id: int
    name: str
    aead: Aead

    @property
    def key_bytes(self) -> int:
        return self.aead.key_bytes


@dataclass(frozen=True, slots=True)
class DerivingAlgorithm:
    """A shared secret or an agreed one becomes a key through a KDF.

    `agreement`: "" for direct+HKDF, "ES" ephemeral-static, "SS" static-static. `wrap`: the AES-KW
    algorithm whose key is derived, 0 when the derived key is the next layer's own. `hash` None: the
    KDF's PRF is AES-CBC-MAC with keys of `key_bytes`.
    """

    id: int
    name: str
    agreement: str
    hash: Hash | None
    wrap: int = 0
    key_bytes: int = 0


@dataclass(frozen=True, slots=True)
class WrapAlgorithm:
    """AES key wrap."""

    id: int
    name: str
    key_bytes: int


@dataclass(frozen=True, slots=True)
class HpkeAlgorithm:
    """COSE-HPKE: `integrated` encrypts content in a COSE_Encrypt0, otherwise the key of another layer."""

    id: int
    name: str
    suite: HpkeSuite
    integrated: bool


def _ecdsa(hash_: Hash) -> Callable[[CoseKey, bytes, bytes], bool]:
    return lambda key, signature, message: ecdsa.verify(NIST[key.crv], hash_, key.public_bytes, signature, message)


def _pss(hash_: Hash) -> Callable[[CoseKey, bytes, bytes], bool]:
    # The salt is as long as the hash (RFC 8230 §2).
    return lambda key, signature, message: rsa.verify_pss(
        hash_, *key.rsa, signature, message, salt_bytes=hash_.digest_bytes
    )


def _mldsa(parameters: MlDsa) -> Callable[[CoseKey, bytes, bytes], bool]:
    return lambda key, signature, message: parameters.verify(key.public_bytes, signature, message)


def _eddsa(key: CoseKey, signature: bytes, message: bytes) -> bool:
    if key.crv == CurveId.ED25519:
        return ed25519.verify_strict(key.public_bytes, signature, message)
    try:
        Ed448PublicKey.from_public_bytes(key.public_bytes).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


_WEIERSTRASS: Final = frozenset({int(CurveId.P256), int(CurveId.P384), int(CurveId.P521)})
_ED: Final = frozenset({int(CurveId.ED25519), int(CurveId.ED448)})

ES256: Final = -7
EDDSA: Final = -8
ED25519: Final = -19
ML_DSA_65: Final = -49

SIGNATURES: Final[Mapping[int, SignatureAlgorithm]] = {
    a.id: a
    for a in (
        SignatureAlgorithm(-7, "ES256", KeyType.EC2, _WEIERSTRASS, "ES256", _ecdsa(SHA256)),
        SignatureAlgorithm(-35, "ES384", KeyType.EC2, _WEIERSTRASS, "ES384", _ecdsa(SHA384)),
        SignatureAlgorithm(-36, "ES512", KeyType.EC2, _WEIERSTRASS, "ES512", _ecdsa(SHA512)),
        SignatureAlgorithm(-9, "ESP256", KeyType.EC2, frozenset({1}), "ES256", _ecdsa(SHA256)),
        SignatureAlgorithm(-51, "ESP384", KeyType.EC2, frozenset({2}), "ES384", _ecdsa(SHA384)),
        SignatureAlgorithm(-52, "ESP512", KeyType.EC2, frozenset({3}), "ES512", _ecdsa(SHA512)),
        SignatureAlgorithm(-47, "ES256K", KeyType.EC2, frozenset({8}), "ES256K", _ecdsa(SHA256)),
        SignatureAlgorithm(-8, "EdDSA", KeyType.OKP, _ED, "Ed25519", _eddsa),
        SignatureAlgorithm(-19, "Ed25519", KeyType.OKP, frozenset({6}), "Ed25519", _eddsa),
        SignatureAlgorithm(-53, "Ed448", KeyType.OKP, frozenset({7}), "Ed448", _eddsa),
        SignatureAlgorithm(-37, "PS256", KeyType.RSA, frozenset(), "PS256", _pss(SHA256)),
        SignatureAlgorithm(-38, "PS384", KeyType.RSA, frozenset(), "PS384", _pss(SHA384)),
        SignatureAlgorithm(-39, "PS512", KeyType.RSA, frozenset(), "PS512", _pss(SHA512)),
        *(
            SignatureAlgorithm(number, name, KeyType.AKP, frozenset(), name, _mldsa(PARAMETER_SETS[name]))
            for number, name in ((-48, "ML-DSA-44"), (-49, "ML-DSA-65"), (-50, "ML-DSA-87"))
        ),
    )
}

MACS: Final[Mapping[int, MacAlgorithm]] = {
    a.id: a
    for a in (
        MacAlgorithm(4, "HMAC 256/64", 32, 8, SHA256),
        MacAlgorithm(5, "HMAC 256/256", 32, 32, SHA256),
        MacAlgorithm(6, "HMAC 384/384", 48, 48, SHA384),
        MacAlgorithm(7, "HMAC 512/512", 64, 64, SHA512),
        MacAlgorithm(14, "AES-MAC 128/64", 16, 8, None),
        MacAlgorithm(15, "AES-MAC 256/64", 32, 8, None),
        MacAlgorithm(25, "AES-MAC 128/128", 16, 16, None),
        MacAlgorithm(26, "AES-MAC 256/128", 32, 16, None),
    )
}

A256GCM: Final = 3
CHACHA20_POLY1305_ID: Final = 24
CONTENT: Final[Mapping[int, ContentAlgorithm]] = {
    a.id: a
    for a in (
        ContentAlgorithm(1, "A128GCM", AES_128_GCM),
        ContentAlgorithm(2, "A192GCM", AES_192_GCM),
        ContentAlgorithm(3, "A256GCM", AES_256_GCM),
        # AES-CCM-L-K/T: nonces of 15 − L/8 bytes, keys and tags as named.
        ContentAlgorithm(10, "AES-CCM-16-64-128", aes_ccm(16, 13, 8)),
        ContentAlgorithm(11, "AES-CCM-16-64-256", aes_ccm(32, 13, 8)),
        ContentAlgorithm(12, "AES-CCM-64-64-128", aes_ccm(16, 7, 8)),
        ContentAlgorithm(13, "AES-CCM-64-64-256", aes_ccm(32, 7, 8)),
        ContentAlgorithm(30, "AES-CCM-16-128-128", aes_ccm(16, 13, 16)),
        ContentAlgorithm(31, "AES-CCM-16-128-256", aes_ccm(32, 13, 16)),
        ContentAlgorithm(32, "AES-CCM-64-128-128", aes_ccm(16, 7, 16)),
        ContentAlgorithm(33, "AES-CCM-64-128-256", aes_ccm(32, 7, 16)),
        ContentAlgorithm(24, "ChaCha20/Poly1305", CHACHA20_POLY1305),
    )
}

WRAPS: Final[Mapping[int, WrapAlgorithm]] = {
    a.id: a
    for a in (
        WrapAlgorithm(-3, "A128KW", 16),
        WrapAlgorithm(-4, "A192KW", 24),
        WrapAlgorithm(-5, "A256KW", 32),
    )
}

DERIVING: Final[Mapping[int, DerivingAlgorithm]] = {
    a.id: a
    for a in (
        DerivingAlgorithm(-10, "direct+HKDF-SHA-256", "", SHA256),
        DerivingAlgorithm(-11, "direct+HKDF-SHA-512", "", SHA512),
        DerivingAlgorithm(-12, "direct+HKDF-AES-128", "", None, key_bytes=16),
        DerivingAlgorithm(-13, "direct+HKDF-AES-256", "", None, key_bytes=32),
        DerivingAlgorithm(-25, "ECDH-ES + HKDF-256", "ES", SHA256),
        DerivingAlgorithm(-26, "ECDH-ES + HKDF-512", "ES", SHA512),
        DerivingAlgorithm(-27, "ECDH-SS + HKDF-256", "SS", SHA256),
        DerivingAlgorithm(-28, "ECDH-SS + HKDF-512", "SS", SHA512),
        DerivingAlgorithm(-29, "ECDH-ES + A128KW", "ES", SHA256, wrap=-3),
        DerivingAlgorithm(-30, "ECDH-ES + A192KW", "ES", SHA256, wrap=-4),
        DerivingAlgorithm(-31, "ECDH-ES + A256KW", "ES", SHA256, wrap=-5),
        DerivingAlgorithm(-32, "ECDH-SS + A128KW", "SS", SHA256, wrap=-3),
        DerivingAlgorithm(-33, "ECDH-SS + A192KW", "SS", SHA256, wrap=-4),
        DerivingAlgorithm(-34, "ECDH-SS + A256KW", "SS", SHA256, wrap=-5),
    )
}

# (integrated, key encryption, KEM, KDF, AEAD) of HPKE-0..7, numbers of revision 24.
_DRAFT: Final = (
    (35, 46, 0x0010, 0x0001, 0x0001),
    (37, 47, 0x0011, 0x0002, 0x0002),
    (39, 48, 0x0012, 0x0003, 0x0002),
    (41, 49, 0x0020, 0x0001, 0x0001),
    (42, 50, 0x0020, 0x0001, 0x0003),
    (43, 51, 0x0021, 0x0003, 0x0002),
    (44, 52, 0x0021, 0x0003, 0x0003),
    (45, 53, 0x0010, 0x0001, 0x0002),
)
# No number is registered for X-Wing. Ours are private: -70100 less the suite id.
_OURS: Final = tuple(s for s in SEAL_SUITES.values() if s is not SEAL_X25519)

HPKE: Final[Mapping[int, HpkeAlgorithm]] = {
    **{
        number: HpkeAlgorithm(number, f"HPKE-{index}" + ("" if integrated else "-KE"), suite(*ids), integrated)
        for index, (*numbers, kem, kdf, aead) in enumerate(_DRAFT)
        for number, integrated in zip(numbers, (True, False), strict=True)
        for ids in ((kem, kdf, aead),)
    },
    **{-70_100 - s.id: HpkeAlgorithm(-70_100 - s.id, f"HPKE {s.name} KE", s.hpke, False) for s in _OURS},
}

SEAL_KEY_ENCRYPTION: Final[Mapping[int, int]] = {SEAL_X25519.id: 50, **{s.id: -70_100 - s.id for s in _OURS}}
"""COSE number of HPKE key encryption for each seal suite."""
SEAL_CONTENT: Final[Mapping[int, int]] = {
    s.id: {AES_256_GCM: A256GCM, CHACHA20_POLY1305: CHACHA20_POLY1305_ID}[s.aead] for s in SEAL_SUITES.values()
}
"""COSE number of the content cipher of each seal suite: the AEAD of its HPKE."""
SIGNER_NUMBERS: Final[Mapping[str, int]] = {"Ed25519": ED25519, "ES256": -9, "ML-DSA-65": ML_DSA_65}
"""COSE number of each algorithm of `crypto.signatures`, fully specified (RFC 9864)."""


def signature_algorithm(number: object) -> SignatureAlgorithm:
    return _look_up(SIGNATURES, number, "signature")


def mac_algorithm(number: object) -> MacAlgorithm:
    return _look_up(MACS, number, "MAC")


def content_algorithm(number: object) -> ContentAlgorithm:
    return _look_up(CONTENT, number, "content encryption")


def _look_up(table: Mapping[int, T], number: object, kind: str) -> T:
    found = table.get(number) if type(number) is int else None
    if found is None:
        raise AlgorithmNotAllowed("no such algorithm here", algorithm=number, kind=kind)
    return found


__all__ = (
    "A256GCM",
    "CHACHA20_POLY1305_ID",
    "CONTENT",
    "DERIVING",
    "DIRECT",
    "ED25519",
    "EDDSA",
    "ES256",
    "HPKE",
    "MACS",
    "MIN_HMAC_KEY",
    "ML_DSA_65",
    "SEAL_CONTENT",
    "SEAL_KEY_ENCRYPTION",
    "SIGNATURES",
    "SIGNER_NUMBERS",
    "WRAPS",
    "ContentAlgorithm",
    "DerivingAlgorithm",
    "HpkeAlgorithm",
    "MacAlgorithm",
    "SignatureAlgorithm",
    "WrapAlgorithm",
    "content_algorithm",
    "mac_algorithm",
    "signature_algorithm",
)
