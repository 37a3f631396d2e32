"""Batches of proofs, plain and compressed: taken apart into single ones.

IBC sends single proofs only, and the two-layer verification takes nothing else. Source: digest §1.
"""

from __future__ import annotations

from typing import Final

from lockgate.codec.wire import ics23_pb2 as wire
from lockgate.merkle.errors import ProofMalformed, ProofMismatch

MAX_EXPANDED_BYTES: Final = 1 << 20  # of steps in one batch: 16 times the most that a proof may be long


def entries(proof: wire.CommitmentProof) -> list[wire.BatchEntry]:
    """Return the single proofs in `proof`, decompressed. Raises ProofMalformed, ProofMismatch."""
    match proof.WhichOneof("proof"):
        case "exist":
            return [wire.BatchEntry(exist=proof.exist)]
        case "nonexist":
            return [wire.BatchEntry(nonexist=proof.nonexist)]
        case "batch":
            return list(proof.batch.entries)
        case "compressed":
            return _decompress(proof.compressed)
    raise ProofMismatch("the proof is empty")


def _decompress(batch: wire.CompressedBatchProof) -> list[wire.BatchEntry]:
    steps = _Steps(batch)
    found = []
    for entry in batch.entries:
        if entry.HasField("exist"):
            found.append(wire.BatchEntry(exist=steps.expand(entry.exist)))
        elif entry.HasField("nonexist"):
            absent = wire.NonExistenceProof(key=entry.nonexist.key)
            if entry.nonexist.HasField("left"):
                absent.left.CopyFrom(steps.expand(entry.nonexist.left))
            if entry.nonexist.HasField("right"):
                absent.right.CopyFrom(steps.expand(entry.nonexist.right))
            found.append(wire.BatchEntry(nonexist=absent))
        else:
            raise ProofMalformed("an empty entry in a batch")
    return found


class _Steps:
    """The table of steps that compressed paths point into, and what was taken from it so far."""

    def __init__(self, batch: wire.CompressedBatchProof) -> None:
        self._table = batch.lookup_inners
        self._bytes = 0

    def expand(self, proof: wire.CompressedExistenceProof) -> wire.ExistenceProof:
        full = wire.ExistenceProof(key=proof.key, value=proof.value)
        if proof.HasField("leaf"):
            full.leaf.CopyFrom(proof.leaf)
        for index in proof.path:
            if not 0 <= index < len(self._table):
                raise ProofMalformed("an index outside the table", index=index, steps=len(self._table))
            step = self._table[index]
            self._bytes += len(step.prefix) + len(step.suffix)
            if self._bytes > MAX_EXPANDED_BYTES:
                raise ProofMalformed("the batch expands beyond its limit", most=MAX_EXPANDED_BYTES)
            full.path.append(step)
        return full


__all__ = ("MAX_EXPANDED_BYTES", "entries")
