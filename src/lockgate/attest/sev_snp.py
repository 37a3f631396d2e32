"""AMD SEV-SNP attestation reports: their fields, and that a genuine chip of a named product signed them.

What is judged here is authenticity alone: reserved bytes, the chain from AMD's root, the firmware levels and the chip
that the certificate is for, and the signature. Whether the measurement, the policy bits or the firmware suffice is the
appraiser's to say.
Source: AMD 56860 (SNP firmware ABI) table 23; AMD 57230 (VCEK certificates).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Self, final

from cryptography import x509

from lockgate.attest.certificates import Path, check_path, public_key
from lockgate.attest.errors import EvidenceMalformed, EvidenceRefused
from lockgate.crypto import ecdsa
from lockgate.crypto.ec import P384
from lockgate.crypto.hashes import SHA384
from lockgate.envelope.cose.keys import CoseKey
from lockgate.envelope.cose.labels import CurveId, KeyType
from lockgate.primitives.sealed import Sealed
from lockgate.primitives.time import UnixSeconds

REPORT_BYTES: Final = 0x4A0
_SIGNED: Final = 0x2A0
_VERSIONS: Final = frozenset({2, 3, 4, 5})
_ES384: Final = -35
_OID: Final = "1.3.6.1.4.1.3704.1."
_VCEK, _VLEK = 0, 1  # SIGNING_KEY


class Product(Enum):
    """A line of processors with a root of its own. The value is the beginning of a certificate's product name."""

    MILAN = "Milan"
    GENOA = "Genoa"
    TURIN = "Turin"


AMD_ROOTS: Final = {  # SHA-256 of each line's root key certificate (ARK), as AMD's key service gives it out
    bytes.fromhex("69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd"): Product.MILAN,
    bytes.fromhex("4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1"): Product.GENOA,
    bytes.fromhex("1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a"): Product.TURIN,
}
# Place of each component in the eight bytes of a firmware level, and the extension that repeats it.
_LEVELS: Final = {0: "3.1", 1: "3.2", 6: "3.3", 7: "3.8"}  # boot loader, TEE, SNP, microcode
_LEVELS_TURIN: Final = {0: "3.9", 1: "3.1", 2: "3.2", 3: "3.3", 7: "3.8"}  # FMC first
_TURIN_FAMILY: Final = 0x1A  # of a CPUID; the two lines before it are 0x19
_TURIN_ID: Final = 8  # bytes of a hardware id on Turin; the rest of CHIP_ID is zero


@dataclass(frozen=True, slots=True)
class Report:
    """The 1184 bytes of a report, well formed and not yet believed. Each property is a field of AMD's table."""

    raw: bytes

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Raises EvidenceMalformed: another length or version, or a reserved byte that is not zero."""
        if len(raw) != REPORT_BYTES:
            raise EvidenceMalformed("a report has 1184 bytes", got=len(raw))
        report = cls(raw)
        if report.version not in _VERSIONS:
            raise EvidenceMalformed("a report of an unknown version", version=report.version)
        if report.signature_algorithm != 1:
            raise EvidenceMalformed("a report is signed by ECDSA P-384", algorithm=report.signature_algorithm)
        reserved = [(0x4C, 0x50), (0x1EB, 0x1EC), (0x1EF, 0x1F0), (0x330, REPORT_BYTES)]
        reserved.append((0x188, 0x1A0) if report.version == 2 else (0x18B, 0x1A0))
        reserved.append((0x208, _SIGNED) if report.version == 5 else (0x1F8, _SIGNED))
        if report._word(0x48) >> 5 or any(any(raw[start:end]) for start, end in reserved):
            raise EvidenceMalformed("a reserved byte of a report is not zero", version=report.version)
        return report

    @property
    def version(self) -> int:
        return self._word(0x00)

    @property
    def guest_svn(self) -> int:
        return self._word(0x04)

    @property
    def policy(self) -> int:
        return self._double(0x08)

    @property
    def debug(self) -> bool:
        """Whether the host may read the guest's memory: bit 19 of the policy."""
        return bool(self.policy >> 19 & 1)

    @property
    def migratable(self) -> bool:
        """Whether an agent of the host may move the guest, its memory included: bit 18 of the policy."""
        return bool(self.policy >> 18 & 1)

    @property
    def family_id(self) -> bytes:
        return self.raw[0x10:0x20]

    @property
    def image_id(self) -> bytes:
        return self.raw[0x20:0x30]

    @property
    def vmpl(self) -> int:
        return self._word(0x30)

    @property
    def signature_algorithm(self) -> int:
        return self._word(0x34)

    @property
    def current_tcb(self) -> bytes:
        return self.raw[0x38:0x40]

    @property
    def platform_info(self) -> int:
        return self._double(0x40)

    @property
    def author_key_enabled(self) -> bool:
        return bool(self._word(0x48) & 1)

    @property
    def signing_key(self) -> int:
        """0 the chip's own key (VCEK), 1 one lent to a cloud provider (VLEK), 7 none."""
        return self._word(0x48) >> 2 & 7

    @property
    def report_data(self) -> bytes:
        """64 bytes that the guest chose: what binds the report to anything else."""
        return self.raw[0x50:0x90]

    @property
    def measurement(self) -> bytes:
        return self.raw[0x90:0xC0]

    @property
    def host_data(self) -> bytes:
        return self.raw[0xC0:0xE0]

    @property
    def id_key_digest(self) -> bytes:
        return self.raw[0xE0:0x110]

    @property
    def author_key_digest(self) -> bytes:
        return self.raw[0x110:0x140]

    @property
    def report_id(self) -> bytes:
        return self.raw[0x140:0x160]

    @property
    def report_id_ma(self) -> bytes:
        return self.raw[0x160:0x180]

    @property
    def reported_tcb(self) -> bytes:
        return self.raw[0x180:0x188]

    @property
    def cpuid_family(self) -> int | None:
        """Since version 3."""
        return self.raw[0x188] if self.version >= 3 else None

    @property
    def chip_id(self) -> bytes:
        return self.raw[0x1A0:0x1E0]

    @property
    def committed_tcb(self) -> bytes:
        return self.raw[0x1E0:0x1E8]

    @property
    def launch_tcb(self) -> bytes:
        return self.raw[0x1F0:0x1F8]

    @property
    def signature(self) -> bytes:
        """r ‖ s, big-endian as everywhere else; the report has each in 72 bytes, little-endian."""
        r, s = self.raw[0x2A0:0x2E8], self.raw[0x2E8:0x330]
        if any(r[48:]) or any(s[48:]):
            raise EvidenceRefused("a signature's numbers have 48 bytes")
        return r[47::-1] + s[47::-1]

    def _word(self, at: int) -> int:
        return int.from_bytes(self.raw[at : at + 4], "little")

    def _double(self, at: int) -> int:
        return int.from_bytes(self.raw[at : at + 8], "little")


@final
@dataclass(frozen=True, slots=True)
class Authentic(metaclass=Sealed):
    """A report that a chip of `product` signed, by a certificate valid when it was judged. Only `verify` makes one."""

    report: Report
    product: Product
    path: Path


def verify(raw: bytes, chain: Sequence[x509.Certificate], at: UnixSeconds) -> Authentic:
    """Judge a report under its chain: VCEK or VLEK, ASK or ASVK, ARK.

    Raises EvidenceMalformed, PathRefused, or EvidenceRefused when chip, firmware levels or signature are others.
    """
    report = Report.decode(raw)
    path = check_path(chain, frozenset(AMD_ROOTS), at)
    product = AMD_ROOTS[path.anchor]
    _check_product(report, path.leaf, product)
    _check_levels(report, path.leaf, product)
    _check_chip(report, path.leaf, product)
    key = public_key(path.leaf, _ES384)
    if not _signed(report, key):
        raise EvidenceRefused("the report is not signed by the key of its certificate")
    return Sealed.make(Authentic, report, product, path)


def reaches(level: bytes, floor: bytes, product: Product) -> bool:
    """Whether every component of a firmware level is at least the floor's. Both are 8 bytes in the product's layout."""
    return all(level[place] >= floor[place] for place in (_LEVELS_TURIN if product is Product.TURIN else _LEVELS))


def _signed(report: Report, key: CoseKey) -> bool:
    if key.kty != KeyType.EC2 or key.crv != CurveId.P384:
        return False
    return ecdsa.verify(P384, SHA384, key.public_bytes, report.signature, report.raw[:_SIGNED])


def _check_product(report: Report, leaf: x509.Certificate, product: Product) -> None:
    """The certificate's name of the product, its root and the report's own CPUID tell one story."""
    if _text(_value(leaf, "2")).partition(b"-")[0] != product.value.encode():
        raise EvidenceRefused("the certificate is for another product than its root", product=product.value)
    family = report.cpuid_family
    if family is not None and (family == _TURIN_FAMILY) != (product is Product.TURIN):
        raise EvidenceRefused("the report names another processor than its certificate", family=family)


def _check_levels(report: Report, leaf: x509.Certificate, product: Product) -> None:
    for place, oid in (_LEVELS_TURIN if product is Product.TURIN else _LEVELS).items():
        if _small(_value(leaf, oid)) != report.reported_tcb[place]:
            raise EvidenceRefused("the certificate is for another firmware level", component=oid)


def _check_chip(report: Report, leaf: x509.Certificate, product: Product) -> None:
    """A chip's own key is for one chip. A lent key names its provider, and the report says that it signed."""
    hardware = _value(leaf, "4")
    if hardware is None:
        if _value(leaf, "5") is None or report.signing_key != _VLEK:
            raise EvidenceRefused("the certificate names neither this chip nor a provider", key=report.signing_key)
        return
    size = _TURIN_ID if product is Product.TURIN else len(report.chip_id)
    if hardware[:2] == bytes((4, size)) and len(hardware) == 2 + size:
        hardware = hardware[2:]  # seen wrapped in an OCTET STRING as well
    if len(hardware) != size or hardware.ljust(len(report.chip_id), b"\0") != report.chip_id:
        raise EvidenceRefused("the certificate is of another chip", chip=report.chip_id)
    if report.signing_key != _VCEK:
        raise EvidenceRefused("the report says that another key signed it", key=report.signing_key)


def _value(leaf: x509.Certificate, oid: str) -> bytes | None:
    """The raw value of one of AMD's extensions, where the certificate has it."""
    for one in leaf.extensions:
        if one.oid.dotted_string == _OID + oid and isinstance(one.value, x509.UnrecognizedExtension):
            return one.value.value
    return None


def _text(value: bytes | None) -> bytes:
    """A DER IA5String of up to 127 characters, else nothing."""
    if value is None or len(value) < 2 or value[0] != 0x16 or value[1] != len(value) - 2:
        return b""
    return value[2:]


def _small(value: bytes | None) -> int | None:
    """A DER INTEGER of 0..255, in its one encoding."""
    if value is None or not 3 <= len(value) <= 4 or value[0] != 2 or value[1] != len(value) - 2:
        return None
    number = int.from_bytes(value[2:], signed=True)
    return number if 0 <= number <= 255 and (len(value) == 3) == (number < 128) else None


__all__ = ("AMD_ROOTS", "REPORT_BYTES", "Authentic", "Product", "Report", "reaches", "verify")
