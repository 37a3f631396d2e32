"""Signed statements of third parties: by chain, by evidence of the machine that signed, and with receipts of logs.

What a good statement says of itself is what is expected of it, so each case shows that its signatures, its chain and
its bindings hold; then every signed part is altered, and each altered statement must be refused.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lockgate.attest import certificates, receipts
from lockgate.attest.receipts import Receipt, ccf_key, verify_inclusion
from lockgate.attest.sev_snp import Product, Report
from lockgate.attest.statements import Expected, Statement, verify_attested, verify_certified
from lockgate.envelope.cose.keys import CoseKey
from lockgate.envelope.cose.labels import CRIT, TREE_PROFILE, TREE_PROOFS
from lockgate.envelope.cose.sign import Sign1
from lockgate.merkle import tree
from lockgate.merkle.errors import ProofMismatch
from lockgate.primitives.errors import LockgateError
from tests.vectors.sets import Tally, vector_set

FLIPS = 97  # bytes between two that are flipped: every part of a statement is met, chains and reports included
ES384 = -35


def statements(folder: Path) -> Iterator[Path]:
    """The statements of a folder; a receipt by itself is none."""
    for path in sorted(folder.iterdir()):
        if path.suffix in (".cose", ".scitt"):
            yield path


def judge(data: bytes, *, like: Statement) -> bytes:
    """The payload of a statement that is all that `like` says of itself."""
    statement = Statement.decode(data)
    service = service_of(like)
    if service is None:
        return verify_certified(statement, frozenset({like.issuer}), like.issued_at).statement.payload
    return verify_attested(statement, expected_of(like, service), like.issued_at).statement.payload


def service_of(statement: Statement) -> str | None:
    """The header under which evidence travels: what is critical beside the registered parameters."""
    critical = statement.sign1.headers.protected.get(CRIT, ())
    return next((name for name in critical if isinstance(name, str)), None)


def expected_of(statement: Statement, service: str) -> Expected:
    carried = statement.sign1.headers.protected[service]
    endorsement = Statement.decode(carried["uvm_endorsements"])
    return Expected(
        service=service,
        workloads=frozenset({Report.decode(carried["attestation"]).host_data}),
        endorsers=frozenset({endorsement.issuer}),
        feed=endorsement.subject,
        vmpl=0,
        least_tcb=dict.fromkeys(Product, bytes(8)),
        least_svn=100,
    )


def test_attested_statements() -> None:
    tally = Tally("cose", "attested-statements")
    for path in statements(vector_set("cose", "attested-statements")):
        tally.check(*verdict(path))
    tally.close()


def verdict(path: Path) -> tuple[bool, str]:
    data = path.read_bytes()
    like = Statement.decode(data)
    if judge(data, like=like) != like.payload:
        return False, path.name
    accepted = [place for place in altered_places(data, like) if not refused(data, place, like)]
    return not accepted, f"{path.name}: accepted with a byte altered at {accepted[:5]}"


def altered_places(data: bytes, statement: Statement) -> Iterator[int]:
    """Bytes of the protected header, the payload and the signature. Nobody signs the unprotected header."""
    sign1 = statement.sign1
    for part in (sign1.headers.raw, statement.payload, sign1.signature):
        start = data.index(part)
        yield from range(start, start + len(part), FLIPS)
        yield start + len(part) - 1


def refused(data: bytes, place: int, like: Statement) -> bool:
    changed = bytearray(data)
    changed[place] ^= 1
    try:
        judge(bytes(changed), like=like)
    except LockgateError:
        return True
    return False


def test_receipts() -> None:
    """A log's example proofs agree with each other; a ledger's receipt covers its statement, and no other."""
    tally = Tally("cose", "receipts")
    folder = vector_set("cose", "receipts")
    examples = {path.name: Receipt.decode(path.read_bytes()) for path in sorted(folder.glob("*.cbor"))}
    grown = [one for receipt in examples.values() for one in consistent(receipt)]
    for name, receipt in examples.items():
        tally.check(bool(consistent(receipt)) or leads_to_one_of(receipt, grown), name)
    for path in statements(folder):
        data = path.read_bytes()
        like = Statement.decode(data)
        tally.check(judge(data, like=like) == like.payload, path.name)
        for number, receipt in enumerate(map(Receipt.decode, like.receipts)):
            tally.check(receipt_holds(receipt, like, service_keys(folder)), f"{path.name}: receipt {number}")
    tally.close()


def consistent(receipt: Receipt) -> list[tuple[bytes, tuple[bytes, ...]]]:
    """(new root, hashes) of each proof of consistency. Neither key nor old root is published: the latter is found."""
    if receipts.CONSISTENCY not in receipt.sign1.headers.unprotected[TREE_PROOFS]:
        return []
    found = []
    for old, new, hashes in receipt.proofs(receipts.CONSISTENCY):
        with pytest.raises(ProofMismatch) as other:
            tree.consistency_root(0, old, new, hashes, bytes(32))
        old_root = other.value.fields["computed"]
        found.append((tree.consistency_root(0, old, new, hashes, old_root), hashes))
    return found


def leads_to_one_of(receipt: Receipt, grown: list[tuple[bytes, tuple[bytes, ...]]]) -> bool:
    """Whether a proof of inclusion leads from a leaf that another example knows to the root of that example."""
    proofs = receipt.proofs(receipts.INCLUSION)
    return all(
        any(tree.inclusion_root(leaf, index, size, path) == root for root, hashes in grown for leaf in hashes)
        for size, index, path in proofs
    )


def service_keys(folder: Path) -> dict[bytes, CoseKey]:
    keys = {}
    for path in folder.glob("*.json"):
        for parameter in json.loads(path.read_text())["parameters"]:
            certificate = certificates.load(base64.b64decode(parameter["serviceCertificate"]))
            kid, key = ccf_key(certificate, ES384)
            keys[kid] = key
    return keys


def receipt_holds(receipt: Receipt, statement: Statement, keys: dict[bytes, CoseKey]) -> bool:
    if receipt.sign1.headers.kid not in keys:
        return leads_from_this_statement_alone(receipt, statement)
    verify_inclusion(receipt, statement.bare, keys)
    with pytest.raises(LockgateError):
        verify_inclusion(receipt, statement.bare + b"\0", keys)
    signature = bytearray(receipt.sign1.signature)
    signature[7] ^= 1
    other = Receipt(Sign1(receipt.sign1.headers, None, bytes(signature)))
    with pytest.raises(LockgateError):
        verify_inclusion(other, statement.bare, keys)
    return True


def leads_from_this_statement_alone(receipt: Receipt, statement: Statement) -> bool:
    """The service's key is not among the data: the proof is of this statement, and who signed stays open."""
    try:
        receipts.root_of(receipt, statement.bare)
    except receipts.ReceiptRefused:
        return receipt.sign1.headers.protected.get(TREE_PROFILE) not in (receipts.RFC9162_SHA256, receipts.CCF)
    with pytest.raises(LockgateError):
        receipts.root_of(receipt, statement.bare + b"\0")
    return True
