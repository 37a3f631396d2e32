"""Signed statements, and how their issuer is known: by a certificate, or by evidence of the machine that signed.

A statement is a COSE_Sign1 with claims in its header (RFC 9597). One kind carries its signer's chain (x5chain) and
names its issuer by it (did:x509). The other carries a report of an SEV-SNP guest, in whose report data the digest of
the signing key stands, and an endorsement of the guest's measurement, itself a statement of the first kind.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self, final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from lockgate.attest import sev_snp
from lockgate.attest.certificates import Path, load, load_pem, public_key
from lockgate.attest.did_x509 import DidX509
from lockgate.attest.errors import EvidenceMalformed, EvidenceRefused, IssuerRefused, NoExpectation, NotBound
from lockgate.codec import cbor
from lockgate.crypto.hashes import SHA256, SHA384, SHA512, equal
from lockgate.envelope.cose.algorithms import SIGNATURES
from lockgate.envelope.cose.headers import Acceptance, Headers
from lockgate.envelope.cose.keys import CoseKey
from lockgate.envelope.cose.labels import ALG, CWT_CLAIMS, RECEIPTS, X5CHAIN, X5T
from lockgate.envelope.cose.sign import Sign1
from lockgate.envelope.cose.wire import Wire
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.sealed import Sealed
from lockgate.primitives.time import UnixSeconds

ISS, SUB, EXP, NBF, IAT = 1, 2, 4, 5, 6  # claims of a CWT: RFC 8392 §3.1
_THUMBPRINTS: Final = {-16: SHA256, -43: SHA384, -44: SHA512}  # COSE algorithms: RFC 9054
_CERTIFIED: Final = frozenset({CWT_CLAIMS, X5CHAIN, X5T})  # what is processed of a statement by chain
_EPOCH = 1  # CBOR tag of a time in seconds
_MEASUREMENT_BYTES: Final = 48
_LEVEL_BYTES: Final = 8
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
        value = _seconds(self._claim(IAT, "signingtime"))
        if value is None or value < 0:
            raise EvidenceMalformed("the statement does not say when it was issued")
        return UnixSeconds(math.floor(value))

    def check_times(self, at: UnixSeconds) -> None:
        """Raise IssuerRefused when the statement says that it is over by `at`, or has not begun (RFC 8392 §3.1)."""
        begins, ends = _seconds(self.claim(NBF)), _seconds(self.claim(EXP))
        if (begins is not None and at < begins) or (ends is not None and at >= ends):
            raise IssuerRefused("the statement's issuer limits it to another time", at=at, begins=begins, ends=ends)

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
    digest of what they run. `vmpl`: the level that asks for reports, 0 where the measured guest does so itself.
    `least_tcb`: for each product that is admitted, the firmware level below which none of its chips is believed.
    `endorsers`: did:x509 names of who may endorse a measurement. `feed`: which line of measurements, `least_svn` the
    oldest security version of it that will do.
    """

    service: str
    workloads: frozenset[bytes]
    vmpl: int
    least_tcb: Mapping[sev_snp.Product, bytes]
    endorsers: frozenset[str]
    feed: str
    least_svn: int

    def __post_init__(self) -> None:
        for name in ("service", "workloads", "least_tcb", "endorsers", "feed"):
            if not getattr(self, name):
                raise NoExpectation("an expectation is empty", claim=name)
        if any(len(level) != _LEVEL_BYTES for level in self.least_tcb.values()):
            raise NoExpectation("a firmware level has eight bytes", claim="least_tcb")


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
    _check_thumbprint(headers.get(X5T), path.leaf)
    statement.check_times(at)
    _check_signature(statement, public_key(path.leaf, _algorithm(statement)), _CERTIFIED)
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
    _check_guest(report, expected)
    endorsement = _endorsed(_bytes(carried, "uvm_endorsements"), report.report, expected)
    for one in (statement, endorsement.statement):
        one.check_times(at)
    _check_signature(statement, key.bound_to(_algorithm(statement)), frozenset({expected.service, CWT_CLAIMS}))
    return Sealed.make(Attested, statement, report, endorsement)


def _check_guest(evidence: sev_snp.Authentic, expected: Expected) -> None:
    report, product = evidence.report, evidence.product
    if report.debug or report.migratable:
        raise EvidenceRefused("the host may read this guest's memory, so its key may be the host's")
    if report.vmpl != expected.vmpl:
        raise EvidenceRefused("another level of the guest asked for the report", vmpl=report.vmpl)
    floor = expected.least_tcb.get(product)
    if floor is None:
        raise EvidenceRefused("no chip of this product is admitted", product=product.value)
    for level in (report.reported_tcb, report.committed_tcb, report.launch_tcb):
        if not sev_snp.reaches(level, floor, product):
            raise EvidenceRefused("the chip's firmware is below what is believed", level=level, least=floor)
    if report.host_data not in expected.workloads:
        raise IssuerRefused("the guest runs another workload", host_data=report.host_data)


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
        measurement, svn = stated[_MEASUREMENT], stated[_SVN]
        if type(svn) is not int and not (type(svn) is str and svn.isascii() and svn.isdigit()):
            raise EvidenceMalformed("a security version is a whole number")
        return bytes.fromhex(measurement), int(svn)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise EvidenceMalformed("an endorsement names no measurement and version") from error


def _check_thumbprint(value: Any, leaf: x509.Certificate) -> None:
    """Raise EvidenceMalformed unless the thumbprint of RFC 9360, where there is one, is of `leaf`."""
    if value is None:
        return
    hash_ = _THUMBPRINTS.get(value[0]) if type(value) is tuple and len(value) == 2 and type(value[0]) is int else None
    if hash_ is None or value[1] != hash_.digest(leaf.public_bytes(Encoding.DER)):
        raise EvidenceMalformed("the thumbprint in the header is of another certificate")


def _seconds(value: Any) -> int | float | None:
    """A NumericDate, which may be a fraction (RFC 8392 §2); older issuers tagged it."""
    if isinstance(value, cbor.Tag) and value.number == _EPOCH:
        value = value.value
    if value is None or type(value) is int or (type(value) is float and math.isfinite(value)):
        return value
    raise EvidenceMalformed("a time of the statement (issued, begins, ends) is no number of seconds")


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
