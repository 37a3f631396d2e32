"""X.509 certificate paths, judged at a given instant against anchors that the caller pins.

Sans-IO: nothing is fetched, no clock is read. An anchor is the SHA-256 of a certificate that the verifier knows
beforehand; what stands above it in a chain adds nothing. Revocation lists are not read here: they are collateral,
which whoever appraises brings along.
Source: RFC 5280 §6.1; name constraints and policies are not processed, so a certificate that has the former, or makes
the latter critical, is refused.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeVar, final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ExtensionOID

from lockgate.attest.errors import EvidenceMalformed, PathRefused
from lockgate.crypto.hashes import SHA256
from lockgate.crypto.rsa import MAX_BITS, MIN_BITS
from lockgate.envelope.cose.keys import CoseKey
from lockgate.envelope.cose.labels import CurveId, KeyType
from lockgate.primitives.sealed import Sealed
from lockgate.primitives.time import UnixSeconds

E = TypeVar("E", bound=x509.ExtensionType)

MAX_DEPTH: Final = 8  # certificates of one chain; vendors' chains have three or four
MAX_CERTIFICATE: Final = 1 << 14  # bytes; the largest among vendors' is a tenth of it
_PROCESSED: Final = frozenset(
    {ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE, ExtensionOID.EXTENDED_KEY_USAGE}
    | {ExtensionOID.SUBJECT_ALTERNATIVE_NAME}
)
_UNREADABLE: Final = (  # what the library raises on bytes that are no certificate, or none that it knows
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
_HASHES: Final = frozenset({"sha256", "sha384", "sha512"})
_CURVES: Final = {"secp256r1": CurveId.P256, "secp384r1": CurveId.P384, "secp521r1": CurveId.P521}


@final
@dataclass(frozen=True, slots=True)
class Path(metaclass=Sealed):
    """Certificates from a leaf to an anchor, each valid at `at` and issued by the next. Only `check_path` makes one."""

    certificates: tuple[x509.Certificate, ...]
    anchor: bytes
    at: UnixSeconds

    @property
    def leaf(self) -> x509.Certificate:
        return self.certificates[0]


def load(der: bytes) -> x509.Certificate:
    """One certificate and nothing behind it. Raises EvidenceMalformed.

    AMD's endorsement certificates have serial number 0, which RFC 5280 forbids and the library warns of; a serial
    number decides nothing here.
    """
    if len(der) > MAX_CERTIFICATE:
        raise EvidenceMalformed("a certificate is too long", size=len(der), limit=MAX_CERTIFICATE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            loaded = x509.load_der_x509_certificate(der)
            # The library reads a part when it is first asked for: whatever is used below is asked for here.
            _ = (
                loaded.extensions,
                loaded.subject,
                loaded.issuer,
                loaded.not_valid_before_utc,
                loaded.not_valid_after_utc,
            )
    except _UNREADABLE as error:
        raise EvidenceMalformed("not an X.509 certificate") from error
    return loaded


def load_pem(text: bytes) -> tuple[x509.Certificate, ...]:
    """The certificates of a PEM text, in its order. Raises EvidenceMalformed."""
    if len(text) > MAX_DEPTH * 2 * MAX_CERTIFICATE:
        raise EvidenceMalformed("a chain is too long", size=len(text))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            loaded = x509.load_pem_x509_certificates(text)
    except _UNREADABLE as error:
        raise EvidenceMalformed("not certificates in PEM") from error
    return tuple(load(one.public_bytes(Encoding.DER)) for one in loaded)


def fingerprint(certificate: x509.Certificate) -> bytes:
    """SHA-256 of the whole certificate, by which anchors are named."""
    return SHA256.digest(certificate.public_bytes(Encoding.DER))


def check_path(chain: Sequence[x509.Certificate], anchors: frozenset[bytes], at: UnixSeconds) -> Path:
    """Judge `chain`, leaf first, as it stood at `at`. Raises PathRefused.

    The leaf itself is never an anchor: whoever pins a leaf needs no chain.
    """
    if not 2 <= len(chain) <= MAX_DEPTH:
        raise PathRefused("a chain has a leaf and up to seven above it", length=len(chain))
    if len(set(map(fingerprint, chain))) != len(chain):
        # RFC 5280 §6.1. Else an authority, given twice, would be its own leaf.
        raise PathRefused("a certificate stands twice in a chain", length=len(chain))
    end = next((place for place, one in enumerate(chain) if place and fingerprint(one) in anchors), None)
    if end is None:
        raise PathRefused("no certificate of the chain is a trusted anchor", root=fingerprint(chain[-1]))
    path = tuple(chain[: end + 1])
    for depth, certificate in enumerate(path):
        _check_alone(certificate, depth, at)
    for below, above in pairwise(path):
        _check_issued(below, above)
    return Sealed.make(Path, path, fingerprint(path[-1]), at)


def _check_alone(certificate: x509.Certificate, depth: int, at: UnixSeconds) -> None:
    """`depth` certificates stand below this one; any but the leaf must be allowed to issue."""
    since, until = certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()
    if not since <= at <= until:
        raise PathRefused("a certificate is not valid at that time", depth=depth, at=at, since=since, until=until)
    for one in certificate.extensions:
        if one.critical and one.oid not in _PROCESSED:
            raise PathRefused("a critical extension is not processed here", oid=one.oid.dotted_string)
    usage = extension(certificate, x509.KeyUsage)
    if depth == 0:
        if usage is not None and not usage.digital_signature:
            raise PathRefused("the leaf's key is for something else than signing")
        return
    if extension(certificate, x509.NameConstraints) is not None:
        # RFC 5280 §6.1.4 has them processed whether or not they are marked critical.
        raise PathRefused("a certificate limits names, which is not processed here", depth=depth)
    basic = extension(certificate, x509.BasicConstraints)
    if basic is None or not basic.ca or (usage is not None and not usage.key_cert_sign):
        raise PathRefused("a certificate above the leaf may not issue", depth=depth)
    if basic.path_length is not None and basic.path_length < depth - 1:
        raise PathRefused("more certificates stand below one than it allows", allowed=basic.path_length, depth=depth)


def _check_issued(below: x509.Certificate, above: x509.Certificate) -> None:
    try:
        hash_, key = below.signature_hash_algorithm, above.public_key()
        below.verify_directly_issued_by(above)
    except (InvalidSignature, *_UNREADABLE) as error:
        raise PathRefused("a certificate is not issued by the one above it") from error
    if hash_ is not None and hash_.name not in _HASHES:
        raise PathRefused("a certificate is signed over a hash that is broken", hash=hash_.name)
    if isinstance(key, rsa.RSAPublicKey) and not MIN_BITS <= key.key_size <= MAX_BITS:
        raise PathRefused("an issuer's RSA key has a size nobody should use", bits=key.key_size)


def extension(certificate: x509.Certificate, kind: type[E]) -> E | None:
    """The certificate's extension of one kind, where it has one."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def public_key(certificate: x509.Certificate, alg: int) -> CoseKey:
    """The certificate's key, bound to the COSE algorithm `alg`. Raises EvidenceMalformed for an unknown kind."""
    try:
        key = certificate.public_key()
    except _UNREADABLE as error:
        raise EvidenceMalformed("a certificate's key is of no known kind") from error
    match key:
        case ec.EllipticCurvePublicKey() if key.curve.name in _CURVES:
            size, numbers = (key.key_size + 7) // 8, key.public_numbers()
            params = {-1: int(_CURVES[key.curve.name]), -2: numbers.x.to_bytes(size), -3: numbers.y.to_bytes(size)}
            return CoseKey(kty=KeyType.EC2, params=params, alg=alg)
        case rsa.RSAPublicKey():
            public = key.public_numbers()
            return CoseKey(kty=KeyType.RSA, params={-1: _unsigned(public.n), -2: _unsigned(public.e)}, alg=alg)
        case ed25519.Ed25519PublicKey():
            return CoseKey.okp(CurveId.ED25519, alg, key.public_bytes_raw())
        case _:
            raise EvidenceMalformed("a certificate's key is of no known kind")


def _unsigned(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8)


__all__ = (
    "MAX_CERTIFICATE",
    "MAX_DEPTH",
    "Path",
    "check_path",
    "extension",
    "fingerprint",
    "load",
    "load_pem",
    "public_key",
)
