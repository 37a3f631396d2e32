"""What trees and proofs refuse."""

from __future__ import annotations

from lockgate.primitives.errors import Damaged, PeerFault, Refused


class ProofMalformed(PeerFault):
    code = "merkle.proof_malformed"
    summary = "The bytes are not a proof, or go beyond the limits of an honest one."
    next_step = "Build the proof again from the proving ledger's state."
    wire = ("commitment", 2)


class ProofMismatch(PeerFault):
    code = "merkle.proof_mismatch"
    summary = "The proof does not lead from this key and value to the trusted root."
    next_step = "Check that proof, height and value belong together."
    wire = ("commitment", 2)


class LayersDiffer(PeerFault):
    code = "merkle.layers_differ"
    summary = "The proof has not one layer for each of the client's proof specifications and path elements."
    next_step = "Prove with one layer per tree: the key in its store first, then the store under the root."
    wire = ("commitment", 4)


class SpecViolation(PeerFault):
    code = "merkle.spec_violation"
    summary = "A step of the proof has a form that its proof specification does not allow."
    next_step = "Drop the proof: no honest tree produces it."
    wire = ("commitment", 2)


class BadTreeIndex(PeerFault):
    code = "merkle.bad_index"
    summary = "A tree size, leaf index or proof length is out of range."
    next_step = "Drop the proof; the log that produced it is faulty."


class NotAvailable(Refused):
    code = "merkle.version_unavailable"
    summary = "The state of that version is not kept: it is pruned, or has not been reached."
    next_step = "Ask for a retained version; see the ledger's retention setting."
    wire = ("store", 7)


class EmptyTree(Refused):
    code = "merkle.empty_tree"
    summary = "An empty tree has no neighbours and cannot prove that a key is absent."
    next_step = "Seed the store with a key at genesis."


class NodeDamaged(Damaged):
    code = "merkle.node_damaged"
    summary = "A stored tree node is missing or does not match the hash that its parent holds."
    next_step = "Run `lockgate verify --store`; restore the store from a good copy."


class BadTransfer(PeerFault):
    code = "merkle.bad_transfer"
    summary = "The parts of a tree that another store sent make no tree."
    untouched = "What was built of it is dropped."
    next_step = "Ask another node for its copy; whoever sent this one is wrong or lies."


class UnknownStore(Refused):
    code = "merkle.unknown_store"
    summary = "There is no store of that name: stores are fixed by genesis (I4)."
    next_step = "Ask for a store that the ledger has; docs/reference/queries.md lists them."
    wire = ("sdk", 6)


__all__ = (
    "BadTransfer",
    "BadTreeIndex",
    "EmptyTree",
    "LayersDiffer",
    "NodeDamaged",
    "NotAvailable",
    "ProofMalformed",
    "ProofMismatch",
    "SpecViolation",
    "UnknownStore",
)
