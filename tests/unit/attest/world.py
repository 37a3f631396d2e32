"""A vendor, its chips, a guest with a key of its own, an endorser of measurements: each signs what real ones sign."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from lockgate.attest.sev_snp import Product
from lockgate.attest.statements import Expected, Statement
from lockgate.codec import cbor
from lockgate.crypto import ecdsa
from lockgate.crypto.ec import P384
from lockgate.crypto.hashes import SHA384
from lockgate.envelope.cose.headers import Headers
from lockgate.envelope.cose.keys import CoseKey
from lockgate.envelope.cose.sign import Sign1
from lockgate.primitives.time import UnixSeconds

AMD = "1.3.6.1.4.1.3704.1."
NOW = UnixSeconds(1_750_000_000)
DAY = timedelta(days=1)
ES384 = -35
SERVICE = "attestedsvc"
FEED = "measured-guests"
CODE_SIGNING = ExtendedKeyUsageOID.CODE_SIGNING.dotted_string


def moment(offset: timedelta = timedelta()) -> datetime:
    return datetime.fromtimestamp(NOW, UTC) + offset


@dataclass
class Party:
    """A key with its certificate, and what it was issued by."""

    scalar: int
    certificate: x509.Certificate
    issuer: Party | None = None

    @property
    def key(self) -> ec.EllipticCurvePrivateKey:
        return ec.derive_private_key(self.scalar, ec.SECP384R1())

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        return (self.certificate, *(self.issuer.chain if self.issuer else ()))

    @property
    def ders(self) -> tuple[bytes, ...]:
        return tuple(one.public_bytes(Encoding.DER) for one in self.chain)

    @property
    def signer(self) -> ecdsa.SigningKey:
        return ecdsa.SigningKey(P384, SHA384, self.scalar.to_bytes(48))


def issue(
    name: str,
    scalar: int,
    issuer: Party | None = None,
    *,
    ca: bool = True,
    path_length: int | None = None,
    may_sign: bool = True,
    since: timedelta = -DAY,
    until: timedelta = DAY,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
    hash_: hashes.HashAlgorithm = hashes.SHA384(),  # noqa: B008  # a value
    serial: int | None = None,
) -> Party:
    """A certificate of `issuer`, or one of its own."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name), x509.NameAttribute(NameOID.COUNTRY_NAME, "US")])
    key = ec.derive_private_key(scalar, ec.SECP384R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(serial or scalar)
        .not_valid_before(moment(since))
        .not_valid_after(moment(until))
    )
    if ca:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        builder = builder.add_extension(usage(may_sign), critical=True)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    certificate = builder.sign(issuer.key if issuer else key, hash_, ecdsa_deterministic=True)
    return Party(scalar, certificate, issuer)


def usage(may_sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=may_sign,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def raw_extension(oid: str, value: bytes) -> tuple[x509.ExtensionType, bool]:
    return x509.UnrecognizedExtension(ObjectIdentifier(AMD + oid), value), False


def integer(value: int) -> bytes:
    return bytes((2, 1, value)) if value < 128 else bytes((2, 2, 0, value))


@dataclass
class Machine:
    """A chip: what its report and its certificate say. A test changes one of them."""

    levels: dict[str, int] = field(default_factory=lambda: {"3.1": 4, "3.2": 0, "3.3": 24, "3.8": 219})
    product: bytes = b"Milan-B0"
    hardware: bytes | None = bytes(range(64))
    provider: bytes | None = None
    fields: dict[int, bytes] = field(default_factory=dict)

    def vendor(self) -> Party:
        return issue("ARK", 11)

    def chip(self) -> Party:
        extensions = [raw_extension("2", bytes((0x16, len(self.product))) + self.product)]
        extensions += [raw_extension(oid, integer(level)) for oid, level in self.levels.items()]
        if self.hardware is not None:
            extensions.append(raw_extension("4", self.hardware))
        if self.provider is not None:
            extensions.append(raw_extension("5", self.provider))
        above = issue("SEV", 12, self.vendor(), path_length=0)
        return issue("VCEK", 13, above, ca=False, extensions=extensions)

    def report(self, report_data: bytes = bytes(64), signer: Party | None = None) -> bytes:
        raw = bytearray(0x4A0)
        raw[0x00] = 3
        raw[0x08:0x10] = (0x3001F).to_bytes(8, "little")
        raw[0x34] = 1
        raw[0x50:0x90] = report_data
        raw[0x90:0xC0] = b"\x5a" * 48
        raw[0xC0:0xE0] = b"\x77" * 32
        for at in (0x38, 0x180, 0x1E0, 0x1F0):
            raw[at : at + 8] = bytes.fromhex("04000000000018db")
        raw[0x188:0x18B] = bytes.fromhex("190101")
        raw[0x1A0:0x1E0] = bytes(range(64))
        for at, value in self.fields.items():
            raw[at : at + len(value)] = value
        r, s = decode_dss_signature((signer or self.chip()).key.sign(bytes(raw[:0x2A0]), ec.ECDSA(hashes.SHA384())))
        raw[0x2A0:0x2E8], raw[0x2E8:0x330] = r.to_bytes(72, "little"), s.to_bytes(72, "little")
        return bytes(raw)


def pem(party: Party) -> bytes:
    return b"".join(one.public_bytes(Encoding.PEM) for one in party.chain)


def endorser() -> Party:
    root = issue("root", 21)
    codes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])
    return issue("endorser", 22, root, ca=False, extensions=[(codes, False)])


def did(party: Party, policy: str = f"eku:{CODE_SIGNING}") -> str:
    digest = hashlib.sha256(party.ders[-1]).digest()
    return f"did:x509:0:sha256:{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}::{policy}"


def signed(party: Party | ecdsa.SigningKey, protected: Mapping[Any, Any], payload: bytes) -> bytes:
    headers = Headers.build({1: ES384, **protected}, {})
    unsigned = Sign1(headers, payload, b"")
    key = party if isinstance(party, ecdsa.SigningKey) else party.signer
    return Sign1(headers, payload, key.sign(unsigned.to_be_signed(b""))).encode()


def certified(party: Party, payload: bytes = b"content", **header: Any) -> bytes:
    """A statement by chain. `header` replaces parts: `issuer`, `claims`, `x5chain`, `x5t`."""
    issuer = header.get("issuer", did(party))
    claims = header.get("claims", {1: issuer, 2: FEED, 6: int(NOW), "svn": 104})
    protected = {15: claims, 33: header.get("x5chain", party.ders)}
    if "x5t" in header:
        protected[34] = header["x5t"]
    return signed(party, protected, payload)


@dataclass
class Guest:
    """A measured guest whose key signs. Each part can be another than it should be."""

    machine: Machine = field(default_factory=Machine)
    scalar: int = 31
    bound: bytes | None = None
    endorsement: bytes | None = None
    carried: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> ecdsa.SigningKey:
        return ecdsa.SigningKey(P384, SHA384, self.scalar.to_bytes(48))

    def cose_key(self) -> dict[Any, Any]:
        point = self.key.public_key
        return CoseKey(kty=2, params={-1: 2, -2: point[1:49], -3: point[49:]}).to_map()

    def statement(self, payload: bytes = b"Hello", *, signer: ecdsa.SigningKey | None = None) -> Statement:
        digest = hashlib.sha256(cbor.encode(self.cose_key())).digest().ljust(64, b"\0")
        evidence = {
            "attestation": self.machine.report(self.bound if self.bound is not None else digest),
            "snp_endorsements": pem(self.machine.chip()),
            "uvm_endorsements": self.endorsement or certified(endorser(), b"\x5a" * 48),
            "cose_key": self.cose_key(),
            **self.carried,
        }
        claims = {1: "did:attestedsvc:one", 2: "subject", 6: int(NOW)}
        protected = {2: (SERVICE,), 15: claims, SERVICE: evidence}
        return Statement.decode(signed(signer or self.key, protected, payload))


def expected(**changes: Any) -> Expected:
    given = {
        "service": SERVICE,
        "workloads": frozenset({b"\x77" * 32}),
        "endorsers": frozenset({did(endorser())}),
        "feed": FEED,
        "vmpl": 0,
        "least_tcb": {Product.MILAN: bytes.fromhex("04000000000018db")},
        "least_svn": 104,
    }
    return Expected(**{**given, **changes})


def measurement_as_json(measurement: str, svn: str) -> bytes:
    stated = {"x-ms-sevsnpvm-launchmeasurement": measurement, "x-ms-sevsnpvm-guestsvn": svn}
    return json.dumps(stated).encode()
