"""Credentials: the bytes that a side is known by (CRED_x), how a message names them (ID_CRED_x), and their keys.

Whoever verifies holds the credentials it believes in before a message arrives; a name leads to one of those or
nowhere (P19: nothing is fetched). A credential that travels whole is compared with what is held, byte by byte.
Source: RFC 9528 §3.5; x5t and x5chain: RFC 9360; kcwt and kccs: RFC 9528 §10.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, Self

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from cryptography.hazmat.primitives.serialization import Encoding

from lockgate.codec import cbor
from lockgate.codec.errors import Malformed
from lockgate.crypto.ec import uncompressed
from lockgate.crypto.hashes import equal
from lockgate.envelope.cose.keys import CoseKey
from lockgate.envelope.cose.labels import CurveId, KeyType
from lockgate.envelope.cose.sign import Sign1
from lockgate.envelope.cose.wire import Wire
from lockgate.envelope.errors import CoseKeyMalformed
from lockgate.primitives.errors import LockgateError
from lockgate.session.edhoc.errors import CredentialUnusable
from lockgate.session.edhoc.messages import KCCS, KCWT, KID, X5CHAIN, X5T, IdCred

CNF: Final = 8  # claim of a CWT: RFC 8747
_COSE_KEY: Final = 1  # member of cnf
_SHA256, _SHA256_64 = -16, -15  # COSE algorithms of thumbprints: RFC 9054
_CWT_TAGS: Final = frozenset({18, 61})


@dataclass(frozen=True, slots=True)
class Credential:
    """`cred` is CRED_x as a CBOR item. `signing` are raw public keys, `agreement` a static key as it travels in G_x."""

    id_cred: IdCred = field(hash=False)
    cred: bytes
    signing: tuple[bytes, ...] = ()
    agreement: bytes | None = None

    def named(self, id_cred: IdCred) -> Self:
        """The same credential under another name."""
        return type(self)(id_cred, self.cred, self.signing, self.agreement)


class Credentials(Protocol):
    """What a side holds of others. Pure: it looks up, and asks nobody."""

    def find(self, id_cred: IdCred, /) -> Credential | None: ...


class Known:
    """A fixed table of credentials, each found by its own name and no other."""

    __slots__ = ("_by_name",)

    def __init__(self, credentials: Iterable[Credential] = ()) -> None:
        self._by_name: Final = {cbor.encode(dict(one.id_cred)): one for one in credentials}

    def find(self, id_cred: IdCred, /) -> Credential | None:
        return self._by_name.get(cbor.encode(dict(id_cred)))


def ccs(claims: bytes, kid: bytes | None = None) -> Credential:
    """A CWT Claims Set, unsigned: named by the `kid` of its key or the one given, else carried whole (kccs).

    Raises CredentialUnusable.
    """
    try:
        item = cbor.decode(claims)
    except Malformed as error:
        raise CredentialUnusable("a claims set is not deterministic CBOR") from error
    key = _confirmed(item)
    name = kid if kid is not None else key.kid
    return _with_key({KID: name} if name is not None else {KCCS: item}, claims, key)


def cwt(token: bytes) -> Credential:
    """A CWT in a COSE_Sign1, carried whole (kcwt). Whether to believe its issuer is for whoever puts it in a table.

    Raises CredentialUnusable.
    """
    try:
        item = cbor.decode(token, tags=_CWT_TAGS)
        inner = item.value if isinstance(item, cbor.Tag) and item.number == 61 else item
        payload = Sign1.decode(cbor.encode(inner), Wire.OURS).payload
        claims = cbor.decode(payload or b"")
    except LockgateError as error:
        raise CredentialUnusable("not a CWT in a COSE_Sign1") from error
    return _with_key({KCWT: item}, token, _confirmed(claims))


def certificate(der: bytes, *, chain: Sequence[bytes] | None = None, thumbprint: int = _SHA256_64) -> Credential:
    """An X.509 certificate, named by its thumbprint (x5t, SHA-256 or its first 8 bytes), or carried (x5chain).

    `chain` are the certificates that follow it in an x5chain, none for a lone one. Raises CredentialUnusable.
    """
    try:
        loaded = x509.load_der_x509_certificate(der)
        key = loaded.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CredentialUnusable("not an X.509 certificate with a key of a known kind") from error
    if loaded.public_bytes(Encoding.DER) != der:
        raise CredentialUnusable("bytes follow the certificate")
    name: dict[int, Any] = {X5T: (thumbprint, _thumbprint(der, thumbprint))}
    if chain is not None:
        name = {X5CHAIN: (der, *chain) if chain else der}
    cred = cbor.encode(der)
    match key:
        case ed25519.Ed25519PublicKey():
            return Credential(name, cred, (key.public_bytes_raw(),))
        case x25519.X25519PublicKey():
            return Credential(name, cred, (), key.public_bytes_raw())
        case ec.EllipticCurvePublicKey():
            point = uncompressed(key)
            return Credential(name, cred, (point,), point[1 : 1 + len(point) // 2])
        case _:
            raise CredentialUnusable("a certificate's key is of no cipher suite")


def _thumbprint(der: bytes, algorithm: int) -> bytes:
    digest = hashlib.sha256(der).digest()
    match algorithm:
        case -16:
            return digest
        case -15:
            return digest[:8]
        case _:
            raise CredentialUnusable("a thumbprint is by SHA-256 or SHA-256/64", algorithm=algorithm)


def _confirmed(claims: Any) -> CoseKey:
    holder = claims.get(CNF) if isinstance(claims, Mapping) else None
    try:
        return CoseKey.from_map(holder.get(_COSE_KEY) if isinstance(holder, Mapping) else None).public()
    except (CoseKeyMalformed, LockgateError) as error:
        raise CredentialUnusable("the claims confirm no public key (cnf)") from error


def _with_key(name: IdCred, cred: bytes, key: CoseKey) -> Credential:
    public = key.public_bytes
    if key.kty == KeyType.OKP and key.crv in (CurveId.X25519, CurveId.X448):
        return Credential(name, cred, (), public)
    agreement = public[1 : 1 + len(public) // 2] if key.kty == KeyType.EC2 else None
    return Credential(name, cred, (public,), agreement)


def same(left: Credential, right: Credential) -> bool:
    """Whether two credentials are one: a side that meets its own is being mirrored."""
    return equal(left.cred, right.cred)


__all__ = ("Credential", "Credentials", "Known", "ccs", "certificate", "cwt", "same")
