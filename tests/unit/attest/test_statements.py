"""Statements by chain and by evidence: good ones, and what each expectation refuses."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from lockgate.attest import sev_snp
from lockgate.attest.certificates import fingerprint
from lockgate.attest.errors import (
    EvidenceMalformed,
    EvidenceRefused,
    IssuerRefused,
    NoExpectation,
    NotBound,
    PathRefused,
)
from lockgate.attest.sev_snp import Product
from lockgate.attest.statements import Statement, verify_attested, verify_certified
from lockgate.codec import cbor, cbor_modes
from lockgate.envelope.cose.headers import Headers
from lockgate.envelope.cose.sign import Sign1
from lockgate.envelope.cose.wire import Wire
from lockgate.envelope.errors import CoseKeyMalformed, CriticalHeader, KeyNotForUse, SignatureRefused
from lockgate.primitives.time import UnixSeconds
from tests.unit.attest.world import (
    ES384,
    FEED,
    NOW,
    SERVICE,
    Guest,
    Machine,
    certified,
    did,
    endorser,
    expected,
    issue,
    measurement_as_json,
    signed,
)

GOOD = b"\x5a" * 48


def stated(svn: str) -> bytes:
    return measurement_as_json(GOOD.hex(), "SVN").replace(b'"SVN"', svn.encode())


@pytest.fixture(autouse=True)
def _vendor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sev_snp, "AMD_ROOTS", {fingerprint(Machine().vendor().certificate): Product.MILAN})


def by_chain(data: bytes, at: UnixSeconds = NOW) -> bytes:
    return verify_certified(Statement.decode(data), frozenset({did(endorser())}), at).statement.payload


def test_a_leaf_of_the_expected_name_signs_a_statement() -> None:
    party = endorser()
    assert by_chain(certified(party)) == b"content"
    for number, name in ((-16, "sha256"), (-43, "sha384"), (-44, "sha512")):
        thumbprint = (number, hashlib.new(name, party.ders[0]).digest())
        assert by_chain(certified(party, x5t=thumbprint)) == b"content"


def test_older_issuers_wrote_claims_beside_the_others() -> None:
    party = endorser()
    header = {"iss": did(party), "feed": "line", "signingtime": int(NOW), 33: party.ders}
    statement = Statement.decode(signed(party, header, b"content"))
    found = verify_certified(statement, frozenset({did(party)}), statement.issued_at)
    assert (found.issuer, found.statement.subject) == (did(party), "line")


def other_leaf() -> bytes:
    """A thief's leaf, below a root of his own, that copies the issuer's name."""
    thief = issue("endorser", 42, issue("root", 41), ca=False)
    return certified(thief, issuer=did(endorser()))


@pytest.mark.parametrize(
    ("data", "refusal"),
    [
        (other_leaf, IssuerRefused),
        (lambda: certified(endorser(), issuer="did:x509:0:sha256:" + "A" * 43 + "::eku:1.2"), IssuerRefused),
        (lambda: certified(endorser(), x5chain=endorser().ders[:1]), IssuerRefused),
        (lambda: certified(endorser(), x5chain=endorser().ders[0]), IssuerRefused),
        (lambda: certified(endorser(), x5chain=(1, 2)), EvidenceMalformed),
        (lambda: certified(endorser(), x5chain=endorser().ders[::-1]), IssuerRefused),
        (lambda: certified(endorser(), x5t=(-16, bytes(32))), EvidenceMalformed),
        (lambda: certified(endorser(), x5t=(-14, hashlib.sha1(endorser().ders[0]).digest())), EvidenceMalformed),
        (lambda: certified(endorser(), x5t=b""), EvidenceMalformed),
        (lambda: certified(endorser(), claims={2: "no issuer"}), EvidenceMalformed),
        (lambda: signed(issue("x", 77).signer, header_of(endorser()), b"content"), SignatureRefused),
    ],
)
def test_a_statement_of_somebody_else_is_refused(data: Callable[[], bytes], refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        by_chain(data())


def header_of(party: Any) -> dict[Any, Any]:
    return {15: {1: did(party), 6: int(NOW)}, 33: party.ders}


def test_a_chain_is_judged_at_the_time_that_the_verifier_names() -> None:
    with pytest.raises(PathRefused):
        by_chain(certified(endorser()), UnixSeconds(NOW + 7 * 86_400))
    with pytest.raises(NoExpectation):
        verify_certified(Statement.decode(certified(endorser())), frozenset(), NOW)


def test_what_is_understood_may_be_critical() -> None:
    header = {2: (15, 33, 34), 34: (-16, fingerprint(endorser().certificate)), **header_of(endorser())}
    assert by_chain(signed(endorser(), header, b"content")) == b"content"
    with pytest.raises(CriticalHeader):
        by_chain(signed(endorser(), {2: (258,), 258: 0, **header_of(endorser())}, b"content"))


def limited(**claims: Any) -> dict[Any, Any]:
    named = {"begins": 5, "ends": 4}
    return {1: did(endorser()), 2: FEED, 6: int(NOW), "svn": 104} | {named[name]: claims[name] for name in claims}


def test_a_statement_holds_within_the_times_that_it_names() -> None:
    assert by_chain(certified(endorser(), claims=limited(begins=NOW, ends=NOW + 1)))
    for claims in (limited(ends=NOW), limited(begins=NOW + 1)):
        with pytest.raises(IssuerRefused, match="another time"):
            by_chain(certified(endorser(), claims=claims))
    with pytest.raises(EvidenceMalformed, match="seconds"):
        by_chain(certified(endorser(), claims=limited(ends="never")))


def test_an_endorsement_that_is_over_holds_no_longer() -> None:
    data = certified(endorser(), GOOD, claims=limited(ends=NOW + 60))
    guest = Guest(endorsement=data).statement()
    assert verify_attested(guest, expected(), UnixSeconds(NOW + 59))
    with pytest.raises(IssuerRefused, match="another time"):
        verify_attested(guest, expected(), UnixSeconds(NOW + 60))


def issued(at: float) -> Statement:
    raw = cbor_modes.encode_cde({1: ES384, 15: {1: "x", 6: at}})
    return Statement.decode(Sign1(Headers.parse(raw, {}, Wire.FOREIGN), b"", bytes(96)).encode())


def test_a_time_may_be_a_fraction_and_must_be_a_number() -> None:
    assert issued(NOW + 0.5).issued_at == NOW
    for at in (float("inf"), float("nan"), -1.0):
        with pytest.raises(EvidenceMalformed):
            _ = issued(at).issued_at


def test_a_statement_without_payload_or_time_says_so() -> None:
    statement = Statement.decode(signed(endorser(), {15: {1: "x", 6: "yesterday"}}, b""))
    with pytest.raises(EvidenceMalformed, match="issued"):
        _ = statement.issued_at


def test_a_key_that_evidence_binds_signs_a_statement() -> None:
    found = verify_attested(Guest().statement(), expected(), NOW)
    assert found.statement.payload == b"Hello"
    assert (found.report.report.measurement, found.endorsement.issuer) == (GOOD, did(endorser()))


def test_an_endorsement_may_be_json() -> None:
    data = certified(endorser(), measurement_as_json(GOOD.hex(), "104"))
    assert verify_attested(Guest(endorsement=data).statement(), expected(), NOW).endorsement.statement.payload


@pytest.mark.parametrize(
    ("guest", "refusal"),
    [
        (Guest(bound=bytes(64)), NotBound),
        (Guest(carried={"cose_key": Guest(scalar=32).cose_key()}), NotBound),
        (Guest(machine=Machine(fields={0x8F: b"\x01"})), NotBound),
        (Guest(machine=Machine(fields={0x08: (0xB001F).to_bytes(8, "little")})), EvidenceRefused),
        (Guest(machine=Machine(fields={0x08: (0x7001F).to_bytes(8, "little")})), EvidenceRefused),
        (Guest(machine=Machine(fields={0x30: b"\x01"})), EvidenceRefused),
        (Guest(machine=Machine(fields={0x90: bytes(48)})), EvidenceRefused),
        (Guest(machine=Machine(fields={0xC0: bytes(32)})), IssuerRefused),
        (Guest(endorsement=certified(endorser(), bytes(48))), EvidenceRefused),
        (Guest(endorsement=certified(endorser(), measurement_as_json(GOOD.hex(), "103"))), EvidenceRefused),
        (Guest(endorsement=certified(endorser(), measurement_as_json("zz", "104"))), EvidenceMalformed),
        (Guest(endorsement=certified(endorser(), b"[" * 100_000)), EvidenceMalformed),
        (Guest(endorsement=certified(endorser(), b"{}")), EvidenceMalformed),
        *(
            (Guest(endorsement=certified(endorser(), stated(svn))), EvidenceMalformed)
            for svn in ("1e999", "104.9", "true", '"1_04"')
        ),
        *(
            (Guest(machine=Machine(fields={place: bytes.fromhex("04000000000017db")})), EvidenceRefused)
            for place in (0x1E0, 0x1F0)  # committed, at launch
        ),
        (Guest(carried={"attestation": "text"}), EvidenceMalformed),
        (Guest(carried={"snp_endorsements": b""}), EvidenceMalformed),
        (Guest(carried={"cose_key": 1}), CoseKeyMalformed),
    ],
)
def test_evidence_of_another_key_machine_or_measurement_is_refused(guest: Guest, refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        verify_attested(guest.statement(), expected(), NOW)


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"service": "another"}, IssuerRefused),
        ({"workloads": frozenset({bytes(32)})}, IssuerRefused),
        ({"endorsers": frozenset({"did:x509:0:sha256:" + "A" * 43 + "::eku:1.2"})}, IssuerRefused),
        ({"feed": "another line"}, IssuerRefused),
        ({"vmpl": 2}, EvidenceRefused),
        ({"least_tcb": {Product.GENOA: bytes(8)}}, EvidenceRefused),
        *(
            ({"least_tcb": {Product.MILAN: bytes.fromhex(level)}}, EvidenceRefused)
            for level in ("05000000000018db", "04010000000018db", "04000000000019db", "04000000000018dc")
        ),
        ({"least_svn": 105}, EvidenceRefused),
    ],
)
def test_each_expectation_decides(changes: dict[str, Any], refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        verify_attested(Guest().statement(), expected(**changes), NOW)


def test_components_of_a_firmware_level_that_nobody_reads_do_not_decide() -> None:
    floor = {Product.MILAN: bytes.fromhex("0400ffffffff18db")}
    assert verify_attested(Guest().statement(), expected(least_tcb=floor), NOW)


@pytest.mark.parametrize("name", ["service", "workloads", "least_tcb", "endorsers", "feed"])
def test_an_empty_expectation_is_an_error_and_no_licence(name: str) -> None:
    with pytest.raises(NoExpectation, match=name):
        expected(**{name: "" if name in ("service", "feed") else {}})
    with pytest.raises(NoExpectation, match="eight bytes"):
        expected(least_tcb={Product.MILAN: b""})


def test_the_machines_chain_is_judged_at_the_verifiers_time() -> None:
    with pytest.raises(PathRefused):
        verify_attested(Guest().statement(), expected(), UnixSeconds(NOW + 7 * 86_400))


def test_another_key_than_the_bound_one_signs_nothing() -> None:
    with pytest.raises(SignatureRefused):
        verify_attested(Guest().statement(signer=Guest(scalar=32).key), expected(), NOW)
    other = {**Guest().cose_key(), 3: -7}  # bound to ES256, while the statement says ES384
    bound = hashlib.sha256(cbor.encode(other)).digest().ljust(64, b"\0")
    with pytest.raises(KeyNotForUse):
        verify_attested(Guest(bound=bound, carried={"cose_key": other}).statement(), expected(), NOW)


def test_a_critical_header_that_nobody_understands_is_refused() -> None:
    evidence = Guest().statement().sign1.headers.protected[SERVICE]
    header = {2: (SERVICE, 15), 15: {1: "x", 6: int(NOW)}, SERVICE: evidence}
    assert verify_attested(Statement.decode(signed(Guest().key, header, b"Hello")), expected(), NOW)
    header = {2: (SERVICE, 258), 258: 0, 15: {1: "x", 6: int(NOW)}, SERVICE: evidence}
    with pytest.raises(CriticalHeader):
        verify_attested(Statement.decode(signed(Guest().key, header, b"Hello")), expected(), NOW)


def test_an_endorsement_that_was_signed_when_its_signer_was_not_valid_is_refused() -> None:
    late = {1: did(endorser()), 2: "measured-guests", 6: int(NOW + timedelta(days=9).total_seconds()), "svn": 104}
    guest = Guest(endorsement=certified(endorser(), GOOD, claims=late))
    with pytest.raises(PathRefused):
        verify_attested(guest.statement(), expected(), NOW)
