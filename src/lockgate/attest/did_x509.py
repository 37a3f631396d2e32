"""did:x509: an issuer named by a certification authority's fingerprint and by what its leaf must say.

`did:x509:0:sha256:FINGERPRINT::eku:OID::subject:CN:NAME`: any leaf below that authority that meets every policy speaks
for the name. Read are `eku`, `subject` and `san`; another policy is refused, never skipped.
Source: did:x509 method specification, version 0 (github.com/microsoft/did-x509).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import unquote_to_bytes

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from lockgate.attest.certificates import Path, check_path, extension, fingerprint
from lockgate.attest.errors import EvidenceMalformed, IssuerRefused
from lockgate.crypto.hashes import HASHES
from lockgate.primitives.time import UnixSeconds

MAX_CHARACTERS: Final = 2048  # of a name; those seen have below 200
_PREFIX: Final = "did:x509:0:"
_ATTRIBUTES: Final = {
    "CN": NameOID.COMMON_NAME,
    "L": NameOID.LOCALITY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "C": NameOID.COUNTRY_NAME,
    "STREET": NameOID.STREET_ADDRESS,
}


@dataclass(frozen=True, slots=True)
class DidX509:
    """A parsed name. `policies` has (kind, values) in the name's order, at least one."""

    hash: str
    digest: bytes
    policies: tuple[tuple[str, tuple[str, ...]], ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises EvidenceMalformed."""
        if len(text) > MAX_CHARACTERS or not text.startswith(_PREFIX):
            raise EvidenceMalformed("not a did:x509 of version 0", issuer=text[:80])
        authority, *policies = text.removeprefix(_PREFIX).split("::")
        hash_, _, encoded = authority.partition(":")
        if hash_ not in HASHES or not policies:
            raise EvidenceMalformed("a did:x509 has a fingerprint by SHA-2 and a policy", issuer=text[:80])
        parsed = []
        for policy in policies:
            kind, *values = policy.split(":")
            if not kind or not values or not all(values):
                raise EvidenceMalformed("a policy has a kind and values", policy=policy[:80])
            parsed.append((kind, tuple(map(_decoded, values))))
        return cls(hash_, _digest(encoded, HASHES[hash_].digest_bytes), tuple(parsed))

    def path(self, chain: Sequence[x509.Certificate], at: UnixSeconds) -> Path:
        """Judge a chain, leaf first, as this name's. Raises PathRefused, IssuerRefused."""
        named = [one for one in chain[1:] if HASHES[self.hash].digest(one.public_bytes(Encoding.DER)) == self.digest]
        if not named:
            raise IssuerRefused("no authority of the chain has the fingerprint that the issuer's name has")
        path = check_path(chain, frozenset(map(fingerprint, named)), at)
        for kind, values in self.policies:
            check = _POLICIES.get(kind)
            if check is None or not check(path.leaf, values):
                raise IssuerRefused("the leaf does not meet a policy of the issuer's name", policy=kind)
        return path


def _digest(encoded: str, size: int) -> bytes:
    try:
        digest = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error) as error:
        raise EvidenceMalformed("a fingerprint is base64url") from error
    if len(digest) != size:
        raise EvidenceMalformed("a fingerprint has its hash's length", expected=size, got=len(digest))
    return digest


def _decoded(value: str) -> str:
    try:
        return unquote_to_bytes(value).decode()
    except UnicodeDecodeError as error:
        raise EvidenceMalformed("a policy's value is UTF-8") from error


def _has_usage(leaf: x509.Certificate, values: tuple[str, ...]) -> bool:
    usage = extension(leaf, x509.ExtendedKeyUsage)
    return usage is not None and len(values) == 1 and values[0] in {oid.dotted_string for oid in usage}


def _has_subject(leaf: x509.Certificate, values: tuple[str, ...]) -> bool:
    """Pairs of an attribute and its value; the subject must have each attribute once, and so."""
    pairs = list(zip(values[::2], values[1::2], strict=False))
    if len(values) % 2 or len({name for name, _ in pairs}) != len(pairs):
        return False
    for name, value in pairs:
        oid = _ATTRIBUTES[name].dotted_string if name in _ATTRIBUTES else name  # any other attribute is named by OID
        if [one.value for one in leaf.subject if one.oid.dotted_string == oid] != [value]:
            return False
    return True


def _has_alternative(leaf: x509.Certificate, values: tuple[str, ...]) -> bool:
    names = extension(leaf, x509.SubjectAlternativeName)
    if names is None or len(values) != 2:
        return False
    match values[0]:
        case "dns":
            return values[1] in names.get_values_for_type(x509.DNSName)
        case "email":
            return values[1] in names.get_values_for_type(x509.RFC822Name)
        case "uri":
            return values[1] in names.get_values_for_type(x509.UniformResourceIdentifier)
        case _:
            return False


_POLICIES: Final = {"eku": _has_usage, "subject": _has_subject, "san": _has_alternative}

__all__ = ("MAX_CHARACTERS", "DidX509")
