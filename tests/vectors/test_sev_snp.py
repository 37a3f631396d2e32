"""Genuine SEV-SNP reports with the certificates of their chips, and reports beside the certificate of another chip."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509

from lockgate.attest import certificates, sev_snp
from lockgate.attest.sev_snp import Report
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.time import UnixSeconds
from tests.vectors.sets import Tally, vector_set

SIGNED = 0x2A0
NAMES = {"author_key_en": "author_key_enabled", "signature_algo": "signature_algorithm"}  # where ours say more


def test_reports() -> None:
    tally = Tally("attestation-sev-snp", "reports")
    folder = vector_set("attestation-sev-snp", "reports")
    roots = {path.stem: certificates.load_pem(path.read_bytes()) for path in sorted((folder / "roots").glob("*.pem"))}
    for case in sorted(path.parent for path in folder.glob("*/report.bin")):
        tally.check(as_expected(case, roots), case.name)
    tally.close()


def as_expected(case: Path, roots: dict[str, tuple[x509.Certificate, ...]]) -> bool:
    expected = json.loads((case / "expected.json").read_text())
    raw, leaf = (case / "report.bin").read_bytes(), certificates.load((case / "leaf.der").read_bytes())
    at = UnixSeconds(int(datetime.fromisoformat(expected["check_time"]).timestamp()))
    issuers = {name for name, above in roots.items() if authentic(raw, (leaf, *above), at)}
    if not same_fields(Report.decode(raw), expected["fields"]):
        return False
    if expected["chain"] is None or not expected["signature_valid"]:
        return not issuers
    chain = (leaf, *roots[expected["chain"]])
    late = int(datetime.fromisoformat(expected["leaf_not_after"]).timestamp()) + 1
    return (
        expected["chain"] in issuers
        and not authentic(raw, chain, UnixSeconds(late))
        and not any(authentic(flipped(raw, place), chain, at) for place in range(0, SIGNED + 144, 7))
    )


def authentic(raw: bytes, chain: tuple[x509.Certificate, ...], at: UnixSeconds) -> bool:
    try:
        sev_snp.verify(raw, chain, at)
    except LockgateError:
        return False
    return True


def same_fields(report: Report, fields: dict[str, Any]) -> bool:
    return all(plain(getattr(report, NAMES.get(name, name))) == value for name, value in fields.items())


def plain(value: object) -> object:
    """A field as the cases write it; the bytes of a firmware level are given in the report's order."""
    return value.hex() if isinstance(value, bytes) else int(value) if isinstance(value, bool) else value


def flipped(raw: bytes, place: int) -> bytes:
    changed = bytearray(raw)
    changed[place] ^= 1
    return bytes(changed)
