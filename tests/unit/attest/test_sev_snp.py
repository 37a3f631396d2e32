"""Reports of a chip: one that is genuine, and every way in which report, certificate and root can disagree."""

from __future__ import annotations

import pytest

from lockgate.attest import sev_snp
from lockgate.attest.certificates import fingerprint
from lockgate.attest.errors import EvidenceMalformed, EvidenceRefused, PathRefused
from lockgate.attest.sev_snp import Product, Report
from tests.unit.attest.world import NOW, Machine, issue

TURIN_LEVELS = {"3.9": 4, "3.1": 0, "3.2": 0, "3.3": 0, "3.8": 219}
VLEK = (1 << 2).to_bytes(4, "little")


def trust(monkeypatch: pytest.MonkeyPatch, machine: Machine, product: Product = Product.MILAN) -> None:
    monkeypatch.setattr(sev_snp, "AMD_ROOTS", {fingerprint(machine.vendor().certificate): product})


def judged(machine: Machine, raw: bytes | None = None) -> sev_snp.Authentic:
    return sev_snp.verify(machine.report() if raw is None else raw, machine.chip().chain, NOW)


def test_a_genuine_report_shows_its_product_and_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine()
    trust(monkeypatch, machine)
    found = judged(machine)
    assert (found.product, found.report.measurement) == (Product.MILAN, b"\x5a" * 48)
    assert (found.report.debug, found.report.migratable) == (False, False)


def test_a_vendor_of_the_same_names_is_not_amd() -> None:
    with pytest.raises(PathRefused, match="no certificate"):
        judged(Machine())


@pytest.mark.parametrize(
    "machine",
    [
        Machine(hardware=bytes(64)),
        Machine(hardware=bytes(range(63))),
        Machine(hardware=None),
        Machine(hardware=None, fields={0x48: VLEK}),
        Machine(hardware=None, provider=b"\x16\x03csp"),
        Machine(fields={0x48: VLEK}),
        Machine(fields={0x1A0: bytes(64)}),
        Machine(product=b"Genoa-B0"),
        Machine(product=b"Milano"),
        Machine(product=b""),
        Machine(fields={0x188: b"\x1a"}),
        *(Machine(levels={**Machine().levels, oid: 5}) for oid in Machine().levels),
        *(
            Machine(levels={name: level for name, level in Machine().levels.items() if name != oid})
            for oid in Machine().levels
        ),
    ],
)
def test_a_certificate_of_another_chip_product_or_level_is_refused(
    monkeypatch: pytest.MonkeyPatch, machine: Machine
) -> None:
    trust(monkeypatch, machine)
    with pytest.raises(EvidenceRefused):
        judged(machine)


def test_a_product_that_is_a_tag_and_nothing_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine()
    trust(monkeypatch, machine)
    monkeypatch.setattr(sev_snp, "_value", lambda leaf, oid: b"\x16")
    with pytest.raises(EvidenceRefused, match="product"):
        judged(machine)


def test_a_lent_key_signs_where_the_report_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(hardware=None, provider=b"\x16\x03csp", fields={0x48: VLEK})
    trust(monkeypatch, machine)
    assert judged(machine).report.signing_key == 1


def test_a_hardware_id_may_be_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(hardware=bytes((4, 64)) + bytes(range(64)))
    trust(monkeypatch, machine)
    assert judged(machine).product is Product.MILAN


def test_turin_has_a_layout_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    chip = bytes(range(8))
    fields = {0x188: b"\x1a", 0x1A0: chip.ljust(64, b"\0"), 0x180: bytes.fromhex("04000000000000db")}
    machine = Machine(levels=TURIN_LEVELS, product=b"Turin", hardware=chip, fields=fields)
    trust(monkeypatch, machine, Product.TURIN)
    assert judged(machine).product is Product.TURIN
    read_as_milan = Machine(product=b"Turin", hardware=chip, fields=fields)
    with pytest.raises(EvidenceRefused, match="firmware level"):
        judged(read_as_milan)


def test_another_signature_or_a_number_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine()
    trust(monkeypatch, machine)
    with pytest.raises(EvidenceRefused, match="not signed"):
        judged(machine, machine.report(signer=issue("thief", 99)))
    long = bytearray(machine.report())
    long[0x2A0 + 60] = 1
    with pytest.raises(EvidenceRefused, match="48 bytes"):
        judged(machine, bytes(long))


@pytest.mark.parametrize(
    ("place", "value"),
    [(0, 1), (0, 6), (0x34, 2), (0x48, 0x20), (0x4C, 1), (0x18B, 1), (0x1EB, 1), (0x1EF, 1), (0x1F8, 1), (0x330, 1)],
)
def test_an_unknown_version_or_a_reserved_byte_is_no_report(place: int, value: int) -> None:
    raw = bytearray(Machine().report())
    raw[place] = value
    with pytest.raises(EvidenceMalformed):
        Report.decode(bytes(raw))


def test_reserved_bytes_go_by_version() -> None:
    cpuid, mitigation = Machine().report(), bytearray(Machine().report())
    older = bytearray(cpuid)
    older[0] = 2
    with pytest.raises(EvidenceMalformed, match="reserved"):
        Report.decode(bytes(older))  # version 2 has no CPUID
    mitigation[0], mitigation[0x1F8] = 5, 1
    assert Report.decode(bytes(mitigation)).version == 5
    with pytest.raises(EvidenceMalformed, match="1184"):
        Report.decode(cpuid + b"\0")
