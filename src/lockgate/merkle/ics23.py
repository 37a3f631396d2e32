"""ICS-23 verification, plain and complete: any spec, both kinds of proof, both layers of IBC.

This is the reference the fused check is held equal to. Every rule is a refusal of its own; none is
relaxed for our own trees (missing prefix rules were Dragonberry, 2022). In two places it is stricter
than the reference verifier, so that no byte of a proof is without effect: an absence proof must name
the key it is asked for, and an IAVL step has one sibling, not two (A2).
Source: cosmos/ics23, digest §§3–5, 8, 11.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from google.protobuf.message import DecodeError

from lockgate.codec.wire import ibc_commitment_pb2
from lockgate.codec.wire import ics23_pb2 as wire
from lockgate.merkle import absence, batches
from lockgate.merkle.errors import LayersDiffer, ProofMalformed, ProofMismatch, SpecViolation
from lockgate.merkle.operations import inner_hash, leaf_hash, prehash
from lockgate.merkle.specs import DEFAULT_MAX_DEPTH, Form, ProofSpec
from lockgate.merkle.varint import read_uvarint

MAX_PROOF_BYTES: Final = 64 * 1024  # honest proofs are 1 to 4 KiB (digest §11)
_ONE_CHILD: Final = 34  # what follows the header of an IAVL prefix with a left sibling: 20, hash, 20
_HASH_BYTES: Final = 32


def verify_membership(
    specs: Sequence[ProofSpec], root: bytes, path: Sequence[bytes], value: bytes, proof: bytes
) -> None:
    """Check that `path` leads to `value` under `root`, by a serialised ibc.core.commitment.v1.MerkleProof.

    Specs and proofs stand innermost first, the path outermost first ((store, key)).
    Raises ProofMalformed, LayersDiffer, SpecViolation, ProofMismatch. Source: digest §8.
    """
    layers = _layers(specs, path, proof)
    if not value:
        raise ProofMismatch("an empty value cannot be proven")
    subroot = _subroot(layers[0], specs[0], path[-1], value)
    _verify_upwards(specs, root, path, layers, subroot)


def verify_non_membership(specs: Sequence[ProofSpec], root: bytes, path: Sequence[bytes], proof: bytes) -> None:
    """Check that nothing stands under `path`: absence in the innermost tree, membership of its root above.

    Raises as `verify_membership`.
    """
    layers = _layers(specs, path, proof)
    if layers[0].WhichOneof("proof") != "nonexist":
        raise ProofMismatch("not a single absence proof", key=path[-1])
    absent = layers[0].nonexist
    neighbour = absent.left if absent.HasField("left") else absent.right
    subroot = calculate_root(neighbour, specs[0])
    verify_non_existence(absent, specs[0], subroot, path[-1])
    _verify_upwards(specs, root, path, layers, subroot)


def verify_existence(proof: wire.ExistenceProof, spec: ProofSpec, root: bytes, key: bytes, value: bytes) -> None:
    """Check that `key` holds `value` under `root`. Raises SpecViolation, ProofMismatch."""
    if proof.key != key or proof.value != value:
        raise ProofMismatch("the proof is of another key or value", key=key, found=proof.key)
    check_existence_spec(proof, spec)
    computed = calculate_root(proof, spec)
    if computed != root:
        raise ProofMismatch("another root", key=key, expected=root, computed=computed)


def verify_layer(proof: wire.CommitmentProof, spec: ProofSpec, root: bytes, key: bytes, value: bytes) -> None:
    """Check one layer of a membership proof: a single existence proof. Raises SpecViolation, ProofMismatch."""
    if proof.WhichOneof("proof") != "exist":
        raise ProofMismatch("not a single existence proof", key=key)
    verify_existence(proof.exist, spec, root, key, value)


def verify_non_existence(proof: wire.NonExistenceProof, spec: ProofSpec, root: bytes, key: bytes) -> None:
    """Check that `key` is absent under `root`: its neighbours are there, and nothing is between them.

    Raises SpecViolation, ProofMismatch. Source: digest §5.
    """
    wanted = _compared(spec, key)
    if proof.key not in {key, wanted}:  # some makers of prehashed trees write the hash
        raise ProofMismatch("the proof is of another key", key=key, found=proof.key)
    left = proof.left if proof.HasField("left") else None
    right = proof.right if proof.HasField("right") else None
    if left is not None:
        verify_existence(left, spec, root, left.key, left.value)
        if not _compared(spec, left.key) < wanted:
            raise ProofMismatch("the left neighbour is not below the key", key=key, left=left.key)
    if right is not None:
        verify_existence(right, spec, root, right.key, right.value)
        if not wanted < _compared(spec, right.key):
            raise ProofMismatch("the right neighbour is not above the key", key=key, right=right.key)
    if left is not None and right is not None:
        if not absence.are_adjacent(spec.inner, left.path, right.path):
            raise ProofMismatch("the neighbours are not adjacent", key=key)
    elif left is not None:
        if not absence.is_outermost(spec.inner, left.path, leftmost=False):
            raise ProofMismatch("the left neighbour is not the last key", key=key)
    elif right is None:
        raise ProofMismatch("an absence proof needs a neighbour", key=key)
    elif not absence.is_outermost(spec.inner, right.path, leftmost=True):
        raise ProofMismatch("the right neighbour is not the first key", key=key)


def calculate_root(proof: wire.ExistenceProof, spec: ProofSpec | None = None) -> bytes:
    """Return the root a proof leads to; with a spec, hashes must fit its children. Raises SpecViolation."""
    if not proof.HasField("leaf"):
        raise SpecViolation("an existence proof needs a leaf")
    current = leaf_hash(proof.leaf, proof.key, proof.value)
    for step in proof.path:
        current = inner_hash(step, current)
        if spec is not None and len(current) > spec.inner.child_size >= _HASH_BYTES:
            raise SpecViolation("a node's hash is longer than a child may be", size=len(current))
    return current


def check_existence_spec(proof: wire.ExistenceProof, spec: ProofSpec) -> None:
    """Refuse an existence proof that no tree of `spec` makes. Raises SpecViolation. Source: digest §4."""
    if not proof.HasField("leaf"):
        raise SpecViolation("an existence proof needs a leaf")
    check_leaf(proof.leaf, spec)
    if not spec.min_depth <= len(proof.path) <= (spec.max_depth or DEFAULT_MAX_DEPTH):
        raise SpecViolation("too short or too long a path", steps=len(proof.path))
    for layer, step in enumerate(proof.path, 1):
        _check_inner(step, spec, layer)


def check_leaf(leaf: wire.LeafOp, spec: ProofSpec) -> None:
    """Refuse a leaf that is hashed otherwise than `spec` says. Raises SpecViolation."""
    wanted = spec.leaf
    if (leaf.hash, leaf.prehash_key, leaf.prehash_value, leaf.length) != (
        *(wanted.hash, wanted.prehash_key, wanted.prehash_value, wanted.length),
    ):
        raise SpecViolation("the leaf is hashed in another way")
    if not leaf.prefix.startswith(wanted.prefix):
        raise SpecViolation("the leaf has another prefix", prefix=leaf.prefix)
    if spec.form is Form.IAVL and _after_header(leaf.prefix, 0) != len(leaf.prefix):
        raise SpecViolation("an IAVL leaf prefix is three numbers and no more", prefix=leaf.prefix)


def parse_proof(data: bytes) -> wire.CommitmentProof:
    """Read one CommitmentProof. Raises ProofMalformed."""
    if not 0 < len(data) <= MAX_PROOF_BYTES:
        raise ProofMalformed("empty or too long", size=len(data), most=MAX_PROOF_BYTES)
    try:
        return wire.CommitmentProof.FromString(data)
    except DecodeError as fault:
        raise ProofMalformed("not a CommitmentProof") from fault


def parse_merkle_proof(data: bytes) -> ibc_commitment_pb2.MerkleProof:
    """Read an ibc.core.commitment.v1.MerkleProof. Raises ProofMalformed."""
    if not 0 < len(data) <= MAX_PROOF_BYTES:
        raise ProofMalformed("empty or too long", size=len(data), most=MAX_PROOF_BYTES)
    try:
        return ibc_commitment_pb2.MerkleProof.FromString(data)
    except DecodeError as fault:
        raise ProofMalformed("not a MerkleProof") from fault


def existence_of(proof: wire.CommitmentProof, key: bytes) -> wire.ExistenceProof:
    """Find the existence proof of `key` in a single proof or a batch. Raises ProofMismatch, ProofMalformed."""
    for entry in batches.entries(proof):
        if entry.HasField("exist") and entry.exist.key == key:
            return entry.exist
    raise ProofMismatch("no existence proof of this key", key=key)


def non_existence_of(proof: wire.CommitmentProof, spec: ProofSpec, key: bytes) -> wire.NonExistenceProof:
    """Find the absence proof of `key` in a single proof or a batch. Raises ProofMismatch, ProofMalformed."""
    names = {key, _compared(spec, key)}
    for entry in batches.entries(proof):
        if entry.HasField("nonexist") and entry.nonexist.key in names:
            return entry.nonexist
    raise ProofMismatch("no absence proof of this key", key=key)


def _layers(specs: Sequence[ProofSpec], path: Sequence[bytes], proof: bytes) -> Sequence[wire.CommitmentProof]:
    layers = parse_merkle_proof(proof).proofs
    if not len(specs) == len(path) == len(layers) or not specs:
        raise LayersDiffer(
            "specs, path and proofs differ in number", specs=len(specs), path=len(path), proofs=len(layers)
        )
    return layers


def _subroot(proof: wire.CommitmentProof, spec: ProofSpec, key: bytes, value: bytes) -> bytes:
    """Check one layer's existence proof against the root it leads to; returns that root."""
    subroot = calculate_root(proof.exist, spec) if proof.HasField("exist") else b""
    verify_layer(proof, spec, subroot, key, value)
    return subroot


def _verify_upwards(
    specs: Sequence[ProofSpec],
    root: bytes,
    path: Sequence[bytes],
    layers: Sequence[wire.CommitmentProof],
    subroot: bytes,
) -> None:
    for spec, key, proof in zip(specs[1:], reversed(path[:-1]), layers[1:], strict=True):
        subroot = _subroot(proof, spec, key, subroot)
    if subroot != root or not any(root):  # a root of zeros is one that was never set (A1)
        raise ProofMismatch("another root", path=tuple(path), expected=root, computed=subroot)


def _check_inner(step: wire.InnerOp, spec: ProofSpec, layer: int) -> None:
    """Refuse a step of the wrong form; `layer` counts from 1 next to the leaf."""
    inner, prefix = spec.inner, step.prefix
    if step.hash != inner.hash:
        raise SpecViolation("an inner node is hashed in another way", layer=layer)
    if spec.form is Form.IAVL:
        rest = len(prefix) - _after_header(prefix, layer)
        if rest not in {1, _ONE_CHILD} or (rest == _ONE_CHILD and step.suffix):
            raise SpecViolation("an IAVL prefix is three numbers and at most one child", layer=layer)
    if spec.form is Form.SIMPLE and not (prefix == b"\x01" if step.suffix else prefix.startswith(b"\x01")):
        raise SpecViolation("a simple prefix is 01 and at most one child", layer=layer)
    if prefix.startswith(spec.leaf.prefix):
        raise SpecViolation("an inner node looks like a leaf", layer=layer)
    if inner.child_size == 0 or inner.max_prefix >= inner.min_prefix + inner.child_size:
        raise SpecViolation("the spec does not tell a prefix from a child")
    longest = inner.max_prefix + (len(inner.child_order) - 1) * inner.child_size
    if not inner.min_prefix <= len(prefix) <= longest:
        raise SpecViolation("too short or too long a prefix", layer=layer, size=len(prefix))
    if len(step.suffix) % inner.child_size:
        raise SpecViolation("a suffix is no whole number of children", layer=layer, size=len(step.suffix))


def _compared(spec: ProofSpec, key: bytes) -> bytes:
    return prehash(spec.leaf.prehash_key, key) if spec.prehash_key_before_comparison else key


def _after_header(prefix: bytes, least_height: int) -> int:
    """Position after the zigzag varints height, size and version of an IAVL prefix. Raises SpecViolation."""
    at = 0
    for least in (least_height, 0, 0):
        number, at = read_uvarint(prefix, at)
        if at < 0 or number & 1 or number >> 1 < least:
            raise SpecViolation("an IAVL prefix starts with height, size and version", prefix=prefix)
    return at


__all__ = (
    "MAX_PROOF_BYTES",
    "calculate_root",
    "check_existence_spec",
    "check_leaf",
    "existence_of",
    "non_existence_of",
    "parse_merkle_proof",
    "parse_proof",
    "verify_existence",
    "verify_layer",
    "verify_membership",
    "verify_non_existence",
    "verify_non_membership",
)
