"""Signed statements, and how their issuer is known: by a certificate, or by evidence of the machine that signed.

A statement is a COSE_Sign1 with claims in its header (RFC 9597). One kind carries its signer's chain (x5chain) and
names its issuer by it (did:x509). The other carries a report of an SEV-SNP guest, in whose report data the digest of
the signing key stands, and an endorsement of the guest's measurement, itself a statement of the first kind.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self, final

from lockgate.attest import sev_snp
from lockgate.attest.certificates import Path, fingerprint, load, load_pem, public_key
from lockgate.attest.did_x509 import DidX509
from lockgate.attest.errors import EvidenceMalformed, EvidenceRefused, IssuerRefused, NoExpectation, NotBound
from lockgate.codec import cbor
from lockgate.crypto.hashes import SHA256, equal
from lockgate.envelope.cose.algorithms import SIGNATURES
from lockgate.envelope.cose.headers import Acceptance, Headers
from lockgate.envelope.cose.keys import CoseKey
from lockgate.envelope.cose.labels import ALG, CWT_CLAIMS, RECEIPTS, X5CHAIN, X5T
from lockgate.envelope.cose.sign import Sign1
from lockgate.envelope.cose.wire import Wire
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.sealed import Sealed
from lockgate.primitives.time import UnixSeconds

ISS, SUB, IAT = 1, 2, 6  # claims of a CWT: RFC 8392 §3.1
_SHA256 = -16  # COSE algorithm of a thumbprint: RFC 9054
_EPOCH = 1  # CBOR tag of a time in seconds
_MEASUREMENT_BYTES: Final = 48
_MEASUREMENT: Final = "x-ms-sevsnpvm-launchmeasurement"
_SVN: Final = "x-ms-sevsnpvm-guestsvn"


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement as it came, not yet believed. Older issuers wrote claims as header parameters of their own."""

    sign1: Sign1

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises CoseMalformed, BadHeader."""
        return cls(Sign1.decode(data, Wire.FOREIGN))

    @property
    def payload(self) -> bytes:
        """Raises EvidenceMalformed for a statement whose payload travels elsewhere."""
        if self.sign1.payload is None:
            raise EvidenceMalformed("the statement has no payload")
        return self.sign1.payload

    @property
    def issuer(self) -> str:
        return self._text(ISS, "iss")

    @property
    def subject(self) -> str:
        return self._text(SUB, "feed")

    @property
    def issued_at(self) -> UnixSeconds:
        """When the issuer says that it signed: a claim like the others. Raises EvidenceMalformed without one."""
        value = self._claim(IAT, "signingtime")
        if isinstance(value, cbor.Tag) and value.number == _EPOCH:
            value = value.value
        if type(value) is not int or value < 0:
            raise EvidenceMalformed("the statement does not say when it was issued")
        return UnixSeconds(value)

    @property
    def bare(self) -> bytes:
        """The statement without its unprotected header, in which receipts come later: what a log takes in."""
        headers = Headers(self.sign1.headers.protected, {}, self.sign1.headers.raw)
        return Sign1(headers, self.sign1.payload, self.sign1.signature).encode()

    @property
    def receipts(self) -> tuple[bytes, ...]:
        """The receipts that came with it, encoded. Raises EvidenceMalformed."""
        found = self.sign1.headers.unprotected.get(RECEIPTS, ())
        found = (found,) if type(found) is bytes else found
        if type(found) is not tuple or not all(type(one) is bytes for one in found):
            raise EvidenceMalformed("receipts are a list of byte strings")
        return found

    def claim(self, name: int | str) -> Any:
        """A claim of the protected header, or None."""
        claims = self.sign1.headers.protected.get(CWT_CLAIMS)
        return claims.get(name) if isinstance(claims, Mapping) else None

    def _claim(self, name: int, older: str) -> Any:
        value = self.claim(name)
        return self.sign1.headers.protected.get(older) if value is None else value

    def _text(self, name: int, older: str) -> str:
        value = self._claim(name, older)
        if type(value) is not str:
            raise EvidenceMalformed("a claim of the statement is missing or no text", claim=older)
        return value


@final
@dataclass(frozen=True, slots=True)
class Certified(metaclass=Sealed):
    """A statement that a leaf of its issuer's name signed. Only `verify_certified` makes one."""

    statement: Statement
    issuer: str
    path: Path


@final
@dataclass(frozen=True, slots=True)
class Attested(metaclass=Sealed):
    """A statement that an endorsed, measured guest signed with a key of its own. Only `verify_attested` makes one."""

    statement: Statement
    report: sev_snp.Authentic
    endorsement: Certified


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What an attested statement must be. Nothing has a default, and an empty set is an error, not a licence.

    `service`: the header parameter under which the evidence travels. `workloads`: HOST_DATA of admitted guests, the
    digest of what they run. `endorsers`: did:x509 names of who may endorse a measurement. `feed`: which line of
    measurements, and `least_svn` the oldest security version of it that will do.
    """

    service: str
    workloads: frozenset[bytes]
    endorsers: frozenset[str]
    feed: str
    least_svn: int

    def __post_init__(self) -> None:
        for name in ("service", "workloads", "endorsers", "feed"):
            if not getattr(self, name):
                raise NoExpectation("an expectation is empty", claim=name)


def verify_certified(statement: Statement, issuers: frozenset[str], at: UnixSeconds) -> Certified:
    """Judge a statement by its chain, as it stood at `at`, for one of the names in `issuers`.

    Raises IssuerRefused, PathRefused, EvidenceMalformed, NoExpectation, or what `Sign1.verify` raises.
    """
    if not issuers:
        raise NoExpectation("an expectation is empty", claim="issuers")
    issuer = statement.issuer
    if issuer not in issuers:
        raise IssuerRefused("the statement is of another issuer", issuer=issuer)
    headers = statement.sign1.headers
    chain = headers.protected.get(X5CHAIN)
    ders = (chain,) if type(chain) is bytes else chain
    if type(ders) is not tuple or not all(type(der) is bytes for der in ders):
        raise EvidenceMalformed("the statement carries no chain of certificates in its protected header")
    path = DidX509.parse(issuer).path(tuple(map(load, ders)), at)
    thumbprint = headers.get(X5T)
    if thumbprint is not None and thumbprint != (_SHA256, fingerprint(path.leaf)):
        raise EvidenceMalformed("the thumbprint in the header is of another certificate")
    _check_signature(statement, public_key(path.leaf, _algorithm(statement)), frozenset())
    return Sealed.make(Certified, statement, issuer, path)


def verify_attested(statement: Statement, expected: Expected, at: UnixSeconds) -> Attested:
    """Judge a statement by the evidence it carries, its chain as it stood at `at`.

    The endorsement of the measurement is judged at the time it names itself, as its certificates live for a year and
    the machines it is for live on. Raises as `verify_certified` and `sev_snp.verify`, NotBound, EvidenceRefused.
    """
    carried = statement.sign1.headers.protected.get(expected.service)
    if not isinstance(carried, Mapping):
        raise IssuerRefused("the statement carries no evidence of that service", service=expected.service)
    report = sev_snp.verify(_bytes(carried, "attestation"), load_pem(_bytes(carried, "snp_endorsements")), at)
    key = _bound_key(carried.get("cose_key"), report.report)
    if report.report.debug or report.report.migratable:
        raise EvidenceRefused("the host may read this guest's memory, so its key may be the host's")
    if report.report.host_data not in expected.workloads:
        raise IssuerRefused("the guest runs another workload", host_data=report.report.host_data)
    endorsement = _endorsed(_bytes(carried, "uvm_endorsements"), report.report, expected)
    _check_signature(statement, key.bound_to(_algorithm(statement)), frozenset({expected.service}))
    return Sealed.make(Attested, statement, report, endorsement)


def _bound_key(item: Any, report: sev_snp.Report) -> CoseKey:
    """The key in the header, if the report was made for it: its digest, and nothing else, is the report data."""
    key = CoseKey.from_map(item)
    try:
        digest = SHA256.digest(cbor.encode(item))
    except LockgateError as error:
        raise EvidenceMalformed("the key in the header has no deterministic encoding") from error
    if not equal(digest.ljust(len(report.report_data), b"\0"), report.report_data):
        raise NotBound("the report was made for another key")
    return key


def _endorsed(data: bytes, report: sev_snp.Report, expected: Expected) -> Certified:
    statement = Statement.decode(data)
    endorsement = verify_certified(statement, expected.endorsers, statement.issued_at)
    if statement.subject != expected.feed:
        raise IssuerRefused("the measurement is endorsed for another line", feed=statement.subject)
    measurement, svn = _endorsed_measurement(statement)
    if measurement != report.measurement:
        raise EvidenceRefused("another measurement is endorsed than the guest has", measured=report.measurement)
    if svn < expected.least_svn:
        raise EvidenceRefused("the guest's security version is too old", svn=svn, least=expected.least_svn)
    return endorsement


def _endorsed_measurement(statement: Statement) -> tuple[bytes, int]:
    """(measurement, security version): the payload itself beside a claim, or both as text in a JSON object."""
    payload, svn = statement.payload, statement.claim("svn")
    if len(payload) == _MEASUREMENT_BYTES and type(svn) is int:
        return payload, svn
    try:
        stated = json.loads(payload)
        return bytes.fromhex(stated[_MEASUREMENT]), int(stated[_SVN])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise EvidenceMalformed("an endorsement names no measurement and version") from error


def _algorithm(statement: Statement) -> int:
    named = statement.sign1.headers.protected.get(ALG)
    if type(named) is not int:
        raise EvidenceMalformed("the statement names no algorithm in its protected header")
    return named


def _check_signature(statement: Statement, key: CoseKey, understood: frozenset[int | str]) -> None:
    accept = Acceptance(algorithms=frozenset(SIGNATURES), understood=understood, bare_alg=False)
    statement.sign1.verify(key, accept, external_aad=b"")


def _bytes(carried: Mapping[Any, Any], name: str) -> bytes:
    value = carried.get(name)
    if type(value) is not bytes:
        raise EvidenceMalformed("a part of the evidence is missing or no byte string", part=name)
    return value


__all__ = ("Attested", "Certified", "Expected", "Statement", "verify_attested", "verify_certified")
