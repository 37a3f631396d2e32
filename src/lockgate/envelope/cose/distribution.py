"""Recipients, made by the sender: each function returns one, and the key where it is derived.

Ephemeral keys and content keys are arguments: the core draws nothing.
Source: RFC 9052 §8.5, RFC 9053 §6, draft-ietf-cose-hpke-24.
"""

from __future__ import annotations

from typing import Any

from lockgate.crypto import keywrap
from lockgate.crypto.ports import Encapsulator
from lockgate.envelope.cose.agreement import NOTHING_AGREED, Agreed, derive, kdf_context
from lockgate.envelope.cose.algorithms import DERIVING, DIRECT, WRAPS, DerivingAlgorithm
from lockgate.envelope.cose.encrypt import psk_id
from lockgate.envelope.cose.headers import Headers
from lockgate.envelope.cose.hpke import seal_key
from lockgate.envelope.cose.keys import CoseKey
from lockgate.envelope.cose.labels import (
    ALG,
    ENCAPSULATED_KEY,
    EPHEMERAL_KEY,
    KEY_KID,
    KID,
    PARTY_U,
    SALT,
    STATIC_KEY,
    KeyOp,
    KeyType,
    Label,
)
from lockgate.envelope.cose.recipients import Recipient, Target
from lockgate.envelope.errors import KeyNotForUse, MessageMisuse


def direct(kid: bytes | None = None) -> Recipient:
    """Both sides hold the content key already."""
    return Recipient(Headers.build({}, {ALG: DIRECT, **_kid(kid)}), b"")


def key_wrap(kek: CoseKey, key: bytes) -> Recipient:
    """Wrap `key` under a key-encryption key bound to an AES-KW algorithm."""
    alg = kek.alg or 0
    if alg not in WRAPS:
        raise KeyNotForUse("the key is not bound to AES key wrap", bound=alg)
    kek.require(alg, KeyOp.WRAP, KeyType.SYMMETRIC)
    return Recipient(Headers.build({}, {ALG: alg, **_kid(kek.kid)}), keywrap.wrap(kek.secret, key))


def direct_hkdf(
    secret: CoseKey, salt: bytes | None, target: Target, agreed: Agreed = NOTHING_AGREED
) -> tuple[Recipient, bytes]:
    """Derive the key from an agreed secret. `salt` must differ for each message, or agreed parts do."""
    algorithm = _deriving(secret.alg, "")
    secret.require(algorithm.id, KeyOp.DERIVE_KEY, KeyType.SYMMETRIC)
    unprotected = _kid(secret.kid) if salt is None else {SALT: salt, **_kid(secret.kid)}
    headers = Headers.build({ALG: algorithm.id}, unprotected)
    context = kdf_context(headers, agreed, target.algorithm, target.key_bytes)
    return Recipient(headers, b""), derive(algorithm, secret.secret, headers, context)


def ecdh(
    recipient: CoseKey,
    own: CoseKey,
    target: Target,
    key: bytes | None,
    *,
    nonce: bytes | None,
    agreed: Agreed = NOTHING_AGREED,
) -> tuple[Recipient, bytes]:
    """Agree with the holder of `recipient`, a public key bound to an ECDH algorithm.

    `own` is a fresh private key for the ephemeral-static algorithms and the sender's for the
    static-static ones; these need a `nonce`, or two messages would have one key (RFC 9053 §6.3.1).
    `key` is the one to wrap, None where the derived key is used as it is. Returns recipient and key.
    """
    algorithm = _deriving(recipient.alg, "ES", "SS")
    if (key is None) != (algorithm.wrap == 0):
        raise MessageMisuse("a key is given exactly where it is wrapped", algorithm=algorithm.name)
    static = algorithm.agreement == "SS"
    if static and nonce is None:
        raise MessageMisuse("static-static agreement needs a nonce", algorithm=algorithm.name)
    if (recipient.kty, recipient.crv) != (own.kty, own.crv):
        raise KeyNotForUse("the two keys are on different curves", ours=own.crv, theirs=recipient.crv)
    public = {label: value for label, value in own.public().to_map().items() if label < KEY_KID}
    unprotected: dict[Label, Any] = {STATIC_KEY if static else EPHEMERAL_KEY: public, **_kid(recipient.kid)}
    if nonce is not None:
        unprotected[PARTY_U[1]] = nonce
    headers = Headers.build({ALG: algorithm.id}, unprotected)
    made = Target(algorithm.wrap, WRAPS[algorithm.wrap].key_bytes) if algorithm.wrap else target
    context = kdf_context(headers, agreed, made.algorithm, made.key_bytes)
    derived = derive(algorithm, own.dh().exchange(recipient.public_bytes), headers, context)
    if key is None:
        return Recipient(headers, b""), derived
    return Recipient(headers, keywrap.wrap(derived, key)), key


def hpke(
    alg: int,
    public_key: bytes,
    key: bytes,
    next_algorithm: int,
    encapsulator: Encapsulator,
    *,
    kid: bytes | None,
    agreed: Agreed = NOTHING_AGREED,
) -> Recipient:
    """Encrypt the content key to a KEM key; `kid` is protected, so that HPKE's info binds it."""
    headers = Headers.build({ALG: alg, **_kid(kid)}, psk_id(agreed))
    enc, encrypted = seal_key(alg, public_key, headers, agreed, encapsulator, next_algorithm=next_algorithm, key=key)
    return Recipient(headers.with_unprotected(ENCAPSULATED_KEY, enc), encrypted)


def _deriving(alg: int | None, *agreements: str) -> DerivingAlgorithm:
    algorithm = DERIVING.get(alg or 0)
    if algorithm is None or algorithm.agreement not in agreements:
        raise KeyNotForUse("the key is not bound to such an algorithm", bound=alg)
    return algorithm


def _kid(kid: bytes | None) -> dict[Label, Any]:
    return {} if kid is None else {KID: kid}


__all__ = ("direct", "direct_hkdf", "ecdh", "hpke", "key_wrap")
