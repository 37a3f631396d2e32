"""Receipts of two kinds of log: an entry that is there, another that is not, and roots nobody signed."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from lockgate.attest.errors import EvidenceMalformed, ReceiptRefused
from lockgate.attest.receipts import CCF, RFC9162_SHA256, Receipt, ccf_key, verify_consistency, verify_inclusion
from lockgate.attest.statements import Statement
from lockgate.codec import cbor
from lockgate.envelope.cose.headers import Headers
from lockgate.envelope.cose.sign import Sign1
from lockgate.envelope.errors import CriticalHeader, SignatureRefused
from lockgate.merkle import tree
from lockgate.merkle.errors import BadTreeIndex, ProofMismatch
from tests.unit.attest.world import ES384, certified, endorser, issue

SERVICE = issue("service", 51)
KID, KEY = ccf_key(SERVICE.certificate, ES384)
KEYS = {KID: KEY}
ENTRIES = [b"entry %d" % number for number in range(5)]
LEAVES = [tree.leaf_hash(entry) for entry in ENTRIES]


def receipt(
    profile: Any,
    kind: int,
    proofs: list[Any],
    root: bytes,
    *,
    signer: Any = SERVICE,
    kid: bytes = KID,
    more: Any = (),
) -> Receipt:
    proofs = [one if isinstance(one, bytes) else cbor.encode(one) for one in proofs]
    headers = Headers.build({1: ES384, 4: kid, 395: profile, **dict(more)}, {396: {kind: tuple(proofs)}})
    signature = signer.signer.sign(Sign1(headers, None, b"").to_be_signed(b"", root))
    return Receipt.decode(Sign1(headers, None, signature).encode())


def of_entry(index: int, *more: Any, root: bytes = tree.root_of_hashes(LEAVES), **changes: Any) -> Receipt:
    proofs = [[5, index, list(tree.inclusion_proof(LEAVES, index))], *more]
    return receipt(RFC9162_SHA256, -1, proofs, root, **changes)


@pytest.mark.parametrize("index", range(5))
def test_a_log_holds_each_of_its_entries_and_no_other(index: int) -> None:
    found = verify_inclusion(of_entry(index), ENTRIES[index], KEYS)
    assert (found.entry, found.root, found.kid) == (ENTRIES[index], tree.root_of_hashes(LEAVES), KID)
    with pytest.raises(SignatureRefused):
        verify_inclusion(of_entry(index), ENTRIES[index - 1], KEYS)


def test_who_signed_and_over_which_root_decides() -> None:
    with pytest.raises(ReceiptRefused, match="not the service's"):
        verify_inclusion(of_entry(0, kid=b"nobody"), ENTRIES[0], KEYS)
    with pytest.raises(SignatureRefused):
        verify_inclusion(of_entry(0, signer=issue("thief", 52)), ENTRIES[0], KEYS)
    with pytest.raises(SignatureRefused):
        verify_inclusion(of_entry(0, root=bytes(32)), ENTRIES[0], KEYS)


def test_proofs_that_lead_to_unlike_roots_are_refused() -> None:
    two = of_entry(0, [5, 0, [bytes(32)] * 3])
    with pytest.raises(ReceiptRefused, match="unlike"):
        verify_inclusion(two, ENTRIES[0], KEYS)


@pytest.mark.parametrize(
    "proof",
    [[5, 0], [5, True, []], [5, 0, [b"short"]], [5, 0, [bytes(32)] * 65], {1: 2}, b"\xff", [5, 0, "path"]],
)
def test_what_is_no_proof_is_refused(proof: Any) -> None:
    with pytest.raises(EvidenceMalformed):
        verify_inclusion(receipt(RFC9162_SHA256, -1, [proof], bytes(32)), ENTRIES[0], KEYS)


def test_a_place_outside_the_tree_an_unknown_tree_and_no_proof_are_refused() -> None:
    with pytest.raises(BadTreeIndex):
        verify_inclusion(receipt(RFC9162_SHA256, -1, [[5, 5, []]], bytes(32)), ENTRIES[0], KEYS)
    with pytest.raises(ReceiptRefused, match="unknown kind"):
        verify_inclusion(receipt(3, -1, [[5, 0, []]], bytes(32)), ENTRIES[0], KEYS)
    for proofs in ([], [[5, 0, []]] * 9):
        with pytest.raises(EvidenceMalformed, match="one to eight"):
            verify_inclusion(receipt(RFC9162_SHA256, -1, proofs, bytes(32)), ENTRIES[0], KEYS)


@pytest.mark.parametrize("proof", [(300,), (131, 5, 0, 128), "text", 7, None, {131: 5}])
def test_a_proof_of_another_type_than_bytes_is_refused(proof: Any) -> None:
    headers = Headers.build({1: ES384, 4: KID, 395: RFC9162_SHA256}, {396: {-1: (proof,)}})
    with pytest.raises(EvidenceMalformed, match="byte string"):
        verify_inclusion(Receipt.decode(Sign1(headers, None, bytes(96)).encode()), ENTRIES[0], KEYS)


def test_true_is_no_kind_of_tree() -> None:
    root = tree.root_of_hashes(LEAVES)
    proof = [5, 0, list(tree.inclusion_proof(LEAVES, 0))]
    with pytest.raises(ReceiptRefused, match="unknown kind"):
        verify_inclusion(receipt(True, -1, [proof], root), ENTRIES[0], KEYS)


def test_the_kind_of_tree_may_be_critical() -> None:
    assert verify_inclusion(of_entry(0, more={2: (395,)}), ENTRIES[0], KEYS).kid == KID
    with pytest.raises(CriticalHeader):
        verify_inclusion(of_entry(0, more={2: (395, 15), 15: {1: "x"}}), ENTRIES[0], KEYS)


def test_a_refusal_can_be_written_whatever_number_a_peer_sent() -> None:
    proof = b"\x83\x05\xc2\x59\x08\x00" + b"\xff" * 2048 + b"\x80"  # the index is a bignum of 4932 digits
    with pytest.raises(BadTreeIndex) as refused:
        verify_inclusion(receipt(RFC9162_SHA256, -1, [proof], bytes(32)), ENTRIES[0], KEYS)
    assert "index" in str(refused.value)


def test_a_receipt_carries_no_root() -> None:
    sign1 = of_entry(0).sign1
    root = tree.root_of_hashes(LEAVES)
    with pytest.raises(EvidenceMalformed, match="no root"):
        verify_inclusion(Receipt(Sign1(sign1.headers, root, sign1.signature)), ENTRIES[0], KEYS)


def grown(old: int, **changes: Any) -> Receipt:
    proof = [old, 5, list(tree.consistency_proof(LEAVES, old))]
    return receipt(RFC9162_SHA256, -2, [proof], tree.root_of_hashes(LEAVES), **changes)


@pytest.mark.parametrize("old", range(1, 6))
def test_a_log_shows_that_it_has_only_grown(old: int) -> None:
    before = tree.root_of_hashes(LEAVES[:old])
    found = verify_consistency(grown(old), before, KEYS)
    assert (found.old_root, found.root) == (before, tree.root_of_hashes(LEAVES))
    with pytest.raises((ProofMismatch, SignatureRefused)):
        verify_consistency(grown(old), bytes(32), KEYS)
    with pytest.raises(SignatureRefused):
        verify_consistency(grown(old, signer=issue("thief", 52)), before, KEYS)


def digest(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def ccf(statement: Statement, *, evidence: str = "ce:2.5:00", held: bytes | None = None) -> Receipt:
    """A ledger of three leaves in which the statement stands between two others."""
    transaction, data_hash = digest(b"write set"), held or digest(statement.bare)
    leaf = digest(transaction, digest(evidence.encode()), data_hash)
    left, right = digest(b"left"), digest(b"right")
    root = digest(digest(left, leaf), right)
    return receipt(CCF, -1, [{1: [transaction, evidence, data_hash], 2: [[True, left], [False, right]]}], root)


def with_receipts(data: bytes, *receipts: Receipt) -> Statement:
    sign1 = Statement.decode(data).sign1
    headers = sign1.headers.with_unprotected(394, tuple(one.sign1.encode() for one in receipts))
    return Statement.decode(Sign1(headers, sign1.payload, sign1.signature).encode())


def test_a_statement_carries_its_receipt_and_is_the_same_without_it() -> None:
    data = certified(endorser())
    statement = with_receipts(data, ccf(Statement.decode(data)))
    assert statement.bare == data
    (carried,) = statement.receipts
    assert verify_inclusion(Receipt.decode(carried), statement.bare, KEYS).entry == data


def test_a_ledgers_receipt_is_of_one_statement() -> None:
    statement, other = (Statement.decode(certified(endorser(), payload)) for payload in (b"one", b"another"))
    with pytest.raises(ReceiptRefused, match="another entry"):
        verify_inclusion(ccf(statement), other.bare, KEYS)
    with pytest.raises(ReceiptRefused, match="another entry"):
        verify_inclusion(ccf(statement, held=bytes(32)), statement.bare, KEYS)
    with pytest.raises(ReceiptRefused, match="no proofs of consistency"):
        verify_consistency(ccf(statement), bytes(32), KEYS)


@pytest.mark.parametrize(
    "proof",
    [
        [5, 0, []],
        {1: [bytes(32), "e"], 2: []},
        {1: [bytes(32), b"e", bytes(32)], 2: []},
        {1: [bytes(32), "e" * 2000, bytes(32)], 2: []},
        {1: [bytes(31), "e", digest(b"x")], 2: []},
        {1: [bytes(32), "e", digest(b"x")], 2: [[1, bytes(32)]]},
        {1: [bytes(32), "e", digest(b"x")], 2: [[True, bytes(33)]]},
        {1: [bytes(32), "e", digest(b"x")], 2: [[True, bytes(32)]] * 65},
        {1: [bytes(32), "e", digest(b"x")]},
    ],
)
def test_what_is_no_proof_of_a_ledger_is_refused(proof: Any) -> None:
    with pytest.raises(EvidenceMalformed):
        verify_inclusion(receipt(CCF, -1, [proof], bytes(32)), b"x", KEYS)


def test_receipts_that_are_no_byte_strings_are_refused() -> None:
    sign1 = Statement.decode(certified(endorser())).sign1
    for value in (7, (1, 2)):
        spoilt = Statement(Sign1(sign1.headers.with_unprotected(394, value), sign1.payload, sign1.signature))
        with pytest.raises(EvidenceMalformed):
            _ = spoilt.receipts


def test_a_services_key_id_is_the_digest_of_its_key() -> None:
    assert (len(KID), KEY.public_bytes) == (64, SERVICE.signer.public_key)
