"""The cipher suites of EDHOC as records. Source: RFC 9528 §3.6 and §10.2; suite 25 (X448, SHAKE256) is not here.

The two hybrid suites are ours, in the registry's range for private use; docs/spec/handshake.md specifies them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from lockgate.crypto.aead import AES_128_GCM, AES_256_GCM, CHACHA20_POLY1305, Aead, aes_ccm
from lockgate.crypto.hashes import SHA256, SHA384, Hash
from lockgate.session.edhoc.exchange import (
    EXCHANGE_P256,
    EXCHANGE_P384,
    EXCHANGE_X25519,
    EXCHANGE_XWING,
    DhExchange,
    Exchange,
)
from lockgate.session.edhoc.signing import EDDSA, ES256, ES384, IDENTITIES, SignatureScheme


class Method(IntEnum):
    """How each side authenticates; S: a signature, D: a static Diffie–Hellman key. Source: RFC 9528 §3.2."""

    SIGN_SIGN = 0
    SIGN_DH = 1
    DH_SIGN = 2
    DH_DH = 3

    @property
    def initiator_signs(self) -> bool:
        return self in (Method.SIGN_SIGN, Method.SIGN_DH)

    @property
    def responder_signs(self) -> bool:
        return self in (Method.SIGN_SIGN, Method.DH_SIGN)


@dataclass(frozen=True, slots=True, kw_only=True)
class CipherSuite:
    """`mac_bytes` is the length of the MAC of a side that does not sign; one that signs has a hash's."""

    id: int
    name: str
    aead: Aead
    hash: Hash
    mac_bytes: int
    exchange: Exchange
    signature: SignatureScheme
    application_aead: Aead
    application_hash: Hash
    post_quantum: bool = False

    def takes(self, method: Method) -> bool:
        return isinstance(self.exchange, DhExchange) or method is Method.SIGN_SIGN


_CCM_64: Final = aes_ccm(16, 13, 8)
_CCM_128: Final = aes_ccm(16, 13, 16)


def _classic(
    id_: int,
    aead: Aead,
    mac_bytes: int,
    exchange: Exchange,
    signature: SignatureScheme,
    application_aead: Aead,
    hash_: Hash = SHA256,
) -> CipherSuite:
    return CipherSuite(
        id=id_,
        name=f"{aead.name}, {hash_.name}, {signature.algorithms[0]}",
        aead=aead,
        hash=hash_,
        mac_bytes=mac_bytes,
        exchange=exchange,
        signature=signature,
        application_aead=application_aead,
        application_hash=hash_,
    )


def _hybrid(id_: int, aead: Aead) -> CipherSuite:
    return CipherSuite(
        id=id_,
        name=f"X-Wing, Ed25519 or P-256 with ML-DSA-65, {aead.name}, sha384",
        aead=aead,
        hash=SHA384,
        mac_bytes=16,
        exchange=EXCHANGE_XWING,
        signature=IDENTITIES,
        application_aead=aead,
        application_hash=SHA384,
        post_quantum=True,
    )


SUITE_0: Final = _classic(0, _CCM_64, 8, EXCHANGE_X25519, EDDSA, _CCM_64)
SUITE_1: Final = _classic(1, _CCM_128, 16, EXCHANGE_X25519, EDDSA, _CCM_64)
SUITE_2: Final = _classic(2, _CCM_64, 8, EXCHANGE_P256, ES256, _CCM_64)
SUITE_3: Final = _classic(3, _CCM_128, 16, EXCHANGE_P256, ES256, _CCM_64)
SUITE_4: Final = _classic(4, CHACHA20_POLY1305, 16, EXCHANGE_X25519, EDDSA, CHACHA20_POLY1305)
SUITE_5: Final = _classic(5, CHACHA20_POLY1305, 16, EXCHANGE_P256, ES256, CHACHA20_POLY1305)
SUITE_6: Final = _classic(6, AES_128_GCM, 16, EXCHANGE_X25519, ES256, AES_128_GCM)
SUITE_24: Final = _classic(24, AES_256_GCM, 16, EXCHANGE_P384, ES384, AES_256_GCM, SHA384)
HYBRID_AES: Final = _hybrid(-24, AES_256_GCM)
HYBRID_CHACHA: Final = _hybrid(-23, CHACHA20_POLY1305)

SUITES: Final = {
    suite.id: suite
    for suite in (
        SUITE_0,
        SUITE_1,
        SUITE_2,
        SUITE_3,
        SUITE_4,
        SUITE_5,
        SUITE_6,
        SUITE_24,
        HYBRID_AES,
        HYBRID_CHACHA,
    )
}
DEFAULT: Final = (HYBRID_AES.id, HYBRID_CHACHA.id)  # most preferred first; classic suites are asked for by name

__all__ = (
    "DEFAULT",
    "HYBRID_AES",
    "HYBRID_CHACHA",
    "SUITES",
    "SUITE_0",
    "SUITE_1",
    "SUITE_2",
    "SUITE_3",
    "SUITE_4",
    "SUITE_5",
    "SUITE_6",
    "SUITE_24",
    "CipherSuite",
    "Method",
)
