"""Keys derived for one recipient: from an agreed secret, or from a Diffie–Hellman exchange.

Source: RFC 9053 §5 (KDFs and their context), §6.1.2 (direct+KDF), §6.3, §6.4 (ECDH).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from lockgate.codec import cbor
from lockgate.crypto.hpke import Psk
from lockgate.crypto.kdf import hkdf
from lockgate.crypto.mac import aes_cbc_mac
from lockgate.envelope.cose.algorithms import DerivingAlgorithm
from lockgate.envelope.cose.headers import Headers
from lockgate.envelope.cose.keys import CoseKey
from lockgate.envelope.cose.labels import (
    EPHEMERAL_KEY,
    PARTY_U,
    PARTY_V,
    SALT,
    STATIC_KEY,
    STATIC_KEY_ID,
    KeyOp,
    KeyType,
    Label,
)
from lockgate.envelope.cose.structures import NOBODY, KdfContext, Party
from lockgate.envelope.errors import BadHeader, KeyNotForUse
from lockgate.primitives.errors import LockgateError

_AES_BLOCK: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """What sender and recipient agreed outside the message and what both put into their derivation.

    Party information that a message carries must not contradict it. The HPKE fields are the external
    info, aad and PSK of draft-ietf-cose-hpke-24.
    """

    party_u: Party = NOBODY
    party_v: Party = NOBODY
    supp_pub_other: bytes | None = None
    supp_priv_info: bytes | None = field(default=None, repr=False)
    hpke_info: bytes = b""
    hpke_aad: bytes = b""
    psk: Psk | None = None


NOTHING_AGREED: Final = Agreed()


def kdf_context(headers: Headers, agreed: Agreed, algorithm: Label, key_bytes: int) -> KdfContext:
    """The context of a key of `key_bytes` for `algorithm`. Raises BadHeader."""
    return KdfContext(
        algorithm=algorithm,
        key_bits=key_bytes * 8,
        protected=headers.covered,
        party_u=_party(headers, PARTY_U, agreed.party_u),
        party_v=_party(headers, PARTY_V, agreed.party_v),
        supp_pub_other=agreed.supp_pub_other,
        supp_priv_info=agreed.supp_priv_info,
    )


def derive(algorithm: DerivingAlgorithm, secret: bytes, headers: Headers, context: KdfContext) -> bytes:
    """Run the algorithm's KDF over `secret`; the context says how many bytes. Raises BadHeader."""
    info, length = context.encode(), context.key_bits // 8
    if algorithm.hash is None:
        # The secret is uniform already: extraction, and with it the salt, is left out (RFC 9053 §5.1).
        return _expand_aes(secret, info, length)
    return hkdf(algorithm.hash, secret, headers.byte_string(SALT) or b"", info, length)


def shared_secret(algorithm: DerivingAlgorithm, headers: Headers, key: CoseKey, sender: CoseKey | None) -> bytes:
    """The secret a recipient's key gives: the key itself, or an exchange with the sender's public key.

    `sender` is the static key the caller expects; static-static agreement authenticates nobody
    without it. Raises KeyNotForUse, BadHeader, BadKey.
    """
    if not algorithm.agreement:
        key.require(algorithm.id, KeyOp.DERIVE_KEY, KeyType.SYMMETRIC)
        return key.secret
    _require_agreement_key(algorithm, key)
    peer = _ephemeral(headers) if algorithm.agreement == "ES" else _static(headers, sender)
    if peer.kty != key.kty or peer.crv != key.crv:
        raise KeyNotForUse("the two keys are on different curves", ours=key.crv, theirs=peer.crv)
    return key.dh().exchange(peer.public_bytes)


def _require_agreement_key(algorithm: DerivingAlgorithm, key: CoseKey) -> None:
    if key.alg != algorithm.id:
        raise KeyNotForUse("the key is not bound to this algorithm", bound=key.alg, asked=algorithm.id)
    if key.ops is not None and not key.ops & {KeyOp.DERIVE_KEY, KeyOp.DERIVE_BITS}:
        raise KeyNotForUse("the key may not derive")


def _ephemeral(headers: Headers) -> CoseKey:
    return _key_in(headers.get(EPHEMERAL_KEY), "no ephemeral key")


def _static(headers: Headers, sender: CoseKey | None) -> CoseKey:
    if sender is None:
        raise KeyNotForUse("static-static agreement needs the sender's key")
    carried, carried_id = headers.get(STATIC_KEY), headers.get(STATIC_KEY_ID)
    if carried is not None:
        carried_key = _key_in(carried, "no static key")
        if (carried_key.kty, carried_key.crv) != (sender.kty, sender.crv) or (
            carried_key.public_bytes != sender.public_bytes
        ):
            raise KeyNotForUse("the message carries another static key than the expected sender's")
    elif carried_id is not None and sender.kid is not None and carried_id != sender.kid:
        raise KeyNotForUse("the message names another sender's key")
    return sender


def _key_in(value: Any, missing: str) -> CoseKey:
    try:
        return CoseKey.from_map(value)
    except LockgateError as error:
        raise BadHeader(missing) from error


def _party(headers: Headers, labels: tuple[int, int, int], agreed: Party) -> Party:
    values: list[Any] = []
    for label, known in zip(labels, agreed, strict=True):
        carried = headers.get(label)
        if carried is not None and not _is_party_part(carried, is_nonce=label == labels[1]):
            raise BadHeader("party information has the wrong type", label=label)
        if carried is not None and known is not None and carried != known:
            raise BadHeader("party information contradicts what was agreed", label=label)
        values.append(known if carried is None else carried)
    return values[0], values[1], values[2]


def _is_party_part(value: object, *, is_nonce: bool) -> bool:
    """A byte string; a nonce may be an integer as well (RFC 9053 §5.2)."""
    return type(value) is bytes or (is_nonce and type(value) is int and cbor.INT_MIN <= value <= cbor.INT_MAX)


def _expand_aes(secret: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand with AES-CBC-MAC as its PRF."""
    out = block = b""
    counter = 1
    while len(out) < length:
        block = aes_cbc_mac(secret, block + info + bytes((counter,)), _AES_BLOCK)
        out += block
        counter += 1
    return out[:length]


__all__ = ("NOTHING_AGREED", "Agreed", "derive", "kdf_context", "shared_secret")
