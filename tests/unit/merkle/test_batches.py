"""Batches, plain and compressed, taken apart into single proofs."""

from __future__ import annotations

import pytest

from lockgate.codec.wire import ics23_pb2 as wire
from lockgate.merkle import batches, ics23
from lockgate.merkle.errors import ProofMalformed, ProofMismatch
from lockgate.merkle.specs import IAVL_SPEC
from tests.unit.merkle.forge import Fork, Leaf, digest, proofs

TREE = Fork(Fork(Leaf(b"b", b"1"), Leaf(b"d", b"2"), 1), Fork(Leaf(b"f", b"3"), Leaf(b"h", b"4"), 1), 2)
ROOT = digest(TREE)
B, D, F, H = proofs(TREE)
SINGLES = [
    wire.BatchEntry(exist=B),
    wire.BatchEntry(nonexist=wire.NonExistenceProof(key=b"e", left=D, right=F)),
    wire.BatchEntry(nonexist=wire.NonExistenceProof(key=b"z", left=H)),
    wire.BatchEntry(nonexist=wire.NonExistenceProof(key=b"a", right=B)),
]


def compressed() -> wire.CompressedBatchProof:
    """The same proofs, each step of a path once."""
    batch = wire.CompressedBatchProof()
    places: dict[bytes, int] = {}

    def small(proof: wire.ExistenceProof) -> wire.CompressedExistenceProof:
        for step in proof.path:
            if places.setdefault(step.SerializeToString(), len(places)) == len(batch.lookup_inners):
                batch.lookup_inners.append(step)
        path = [places[step.SerializeToString()] for step in proof.path]
        return wire.CompressedExistenceProof(key=proof.key, value=proof.value, leaf=proof.leaf, path=path)

    for entry in SINGLES:
        if entry.HasField("exist"):
            batch.entries.append(wire.CompressedBatchEntry(exist=small(entry.exist)))
            continue
        absent = wire.CompressedNonExistenceProof(key=entry.nonexist.key)
        if entry.nonexist.HasField("left"):
            absent.left.CopyFrom(small(entry.nonexist.left))
        if entry.nonexist.HasField("right"):
            absent.right.CopyFrom(small(entry.nonexist.right))
        batch.entries.append(wire.CompressedBatchEntry(nonexist=absent))
    return batch


BATCH = wire.CommitmentProof(batch=wire.BatchProof(entries=SINGLES))


@pytest.mark.parametrize("proof", [BATCH, wire.CommitmentProof(compressed=compressed())], ids=["batch", "compressed"])
def test_every_entry_verifies_on_its_own(proof: wire.CommitmentProof) -> None:
    proof = ics23.parse_proof(proof.SerializeToString())
    assert batches.entries(proof) == SINGLES
    ics23.verify_existence(ics23.existence_of(proof, b"b"), IAVL_SPEC, ROOT, b"b", b"1")
    for key in (b"a", b"e", b"z"):
        ics23.verify_non_existence(ics23.non_existence_of(proof, IAVL_SPEC, key), IAVL_SPEC, ROOT, key)


def test_a_single_proof_is_a_batch_of_one() -> None:
    assert batches.entries(wire.CommitmentProof(exist=B)) == SINGLES[:1]
    assert batches.entries(wire.CommitmentProof(nonexist=SINGLES[1].nonexist)) == SINGLES[1:2]


def test_what_is_not_in_the_batch_is_refused() -> None:
    with pytest.raises(ProofMismatch):
        ics23.existence_of(BATCH, b"e")
    with pytest.raises(ProofMismatch):
        ics23.non_existence_of(BATCH, IAVL_SPEC, b"b")
    with pytest.raises(ProofMismatch):
        batches.entries(wire.CommitmentProof())


@pytest.mark.parametrize("index", [-1, 99, 2**31 - 1])
def test_an_index_outside_the_table_is_refused(index: int) -> None:
    batch = compressed()
    batch.entries[0].exist.path.append(index)
    with pytest.raises(ProofMalformed, match="outside the table"):
        batches.entries(wire.CommitmentProof(compressed=batch))


def test_an_empty_entry_is_refused() -> None:
    batch = compressed()
    batch.entries.append(wire.CompressedBatchEntry())
    with pytest.raises(ProofMalformed, match="empty entry"):
        batches.entries(wire.CommitmentProof(compressed=batch))


def test_a_batch_cannot_expand_without_bound() -> None:
    batch = wire.CompressedBatchProof(lookup_inners=[wire.InnerOp(prefix=bytes(30_000))])
    batch.entries.append(wire.CompressedBatchEntry(exist=wire.CompressedExistenceProof(path=[0] * 30_000)))
    proof = wire.CommitmentProof(compressed=batch)
    assert proof.ByteSize() < ics23.MAX_PROOF_BYTES
    with pytest.raises(ProofMalformed, match="beyond its limit"):
        batches.entries(proof)
