"""ICS-23 verification, plain and complete: any spec, both kinds of proof, batches, both layers.

This is the reference the fast path is held equal to. Every rule is a refusal on its own; none is
relaxed for our own trees (Dragonberry, 2022, came of missing prefix rules). Source: cosmos/ics23,
digest §§3–5, 8.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from google.protobuf.message import DecodeError

from lockgate.codec.wire import ibc_commitment_pb2
from lockgate.codec.wire import ics23_pb2 as wire
from lockgate.merkle.errors import ProofMalformed, ProofMismatch, SpecViolation
from lockgate.merkle.specs import (
    DEFAULT_MAX_DEPTH,
    IAVL_SPEC,
    TENDERMINT_SPEC,
    HashOp,
    LengthOp,
    ProofSpec,
)

MAX_PROOF_BYTES: Final = 64 * 1024  # honest proofs are 1 to 4 KiB (digest §11)
MAX_VARINT: Final = 10


def do_hash(operation: int, data: bytes) -> bytes:
    """Apply a HashOp. Raises SpecViolation for one this build of Python's libraries cannot compute."""
    match operation:
        case HashOp.NO_HASH:
            return data
        case HashOp.SHA256:
            return hashlib.sha256(data).digest()
        case HashOp.SHA512:
            return hashlib.sha512(data).digest()
        case HashOp.RIPEMD160:
            return _openssl("ripemd160", data)
        case HashOp.BITCOIN:
            return _openssl("ripemd160", hashlib.sha256(data).digest())
        case HashOp.SHA512_256:
            return _openssl("sha512_256", data)
        case HashOp.BLAKE2B_512:
            return hashlib.blake2b(data).digest()
        case HashOp.BLAKE2S_256:
            return hashlib.blake2s(data).digest()
    raise SpecViolation("this hash is not supported", hash=operation)


def _openssl(name: str, data: bytes) -> bytes:
    try:
        return hashlib.new(name, data).digest()
    except ValueError as error:
        raise SpecViolation("this hash is not supported here", hash=name) from error


def leaf_hash(leaf: wire.LeafOp, key: bytes, value: bytes) -> bytes:
    """Hash a leaf. Empty keys and values are refused. Source: digest §3."""
    if not key or not value:
        raise SpecViolation("a leaf has a key and a value")
    data = leaf.prefix
    data += _with_length(leaf.length, do_hash(leaf.prehash_key, key))
    data += _with_length(leaf.length, do_hash(leaf.prehash_value, value))
    return do_hash(leaf.hash, data)


def inner_hash(step: wire.InnerOp, child: bytes) -> bytes:
    if not child:
        raise SpecViolation("an inner node has a child")
    return do_hash(step.hash, step.prefix + child + step.suffix)


def calculate_root(proof: wire.ExistenceProof, spec: ProofSpec | None = None) -> bytes:
    """Root an existence proof leads to. Raises SpecViolation."""
    if not proof.HasField("leaf"):
        raise SpecViolation("an existence proof needs a leaf")
    current = leaf_hash(proof.leaf, proof.key, proof.value)
    for step in proof.path:
        current = inner_hash(step, current)
        if spec is not None and len(current) > spec.inner.child_size >= 32:
            raise SpecViolation("a node's hash is longer than a child may be")
    return current


def check_existence_spec(proof: wire.ExistenceProof, spec: ProofSpec) -> None:
    """Refuse an existence proof that a tree of `spec` could not have made. Source: digest §4."""
    if not proof.HasField("leaf"):
        raise SpecViolation("an existence proof needs a leaf")
    check_leaf(proof.leaf, spec)
    depth = spec.max_depth or DEFAULT_MAX_DEPTH
    if len(proof.path) > depth or (spec.min_depth and len(proof.path) < spec.min_depth):
        raise SpecViolation("the path is too long or too short", steps=len(proof.path))
    for layer, step in enumerate(proof.path, 1):
        check_inner(step, spec, layer)


def check_leaf(leaf: wire.LeafOp, spec: ProofSpec) -> None:
    wanted = spec.leaf
    if (leaf.hash, leaf.prehash_key, leaf.prehash_value, leaf.length) != (
        wanted.hash, wanted.prehash_key, wanted.prehash_value, wanted.length,
    ):  # fmt: skip
        raise SpecViolation("the leaf is hashed in another way")
    if not leaf.prefix.startswith(wanted.prefix):
        raise SpecViolation("the leaf has another prefix")
    if spec == IAVL_SPEC and _iavl_header(leaf.prefix, 0) != len(leaf.prefix):
        raise SpecViolation("an IAVL leaf prefix is three numbers and no more")


def check_inner(step: wire.InnerOp, spec: ProofSpec, layer: int) -> None:
    """Refuse an inner step of the wrong form; `layer` counts from 1 next to the leaf."""
    inner = spec.inner
    if step.hash != inner.hash:
        raise SpecViolation("an inner node is hashed in another way", layer=layer)
    if spec == IAVL_SPEC:
        rest = len(step.prefix) - _iavl_header(step.prefix, layer)
        if rest not in {1, 34}:
            raise SpecViolation("an IAVL inner prefix has another form", layer=layer)
    if spec == TENDERMINT_SPEC:
        if not step.prefix.startswith(b"\x01") or (step.suffix and step.prefix != b"\x01"):
            raise SpecViolation("an inner prefix has another form", layer=layer)
    if step.prefix.startswith(spec.leaf.prefix):
        raise SpecViolation("an inner node looks like a leaf", layer=layer)
    if (
        inner.child_size <= 0
        or not inner.child_order
        or inner.max_prefix >= inner.min_prefix + inner.child_size
    ):
        raise SpecViolation("the spec itself is not usable")
    longest = inner.max_prefix + (len(inner.child_order) - 1) * inner.child_size
    if not inner.min_prefix <= len(step.prefix) <= longest:
        raise SpecViolation("an inner prefix is too short or too long", layer=layer)
    if len(step.suffix) % inner.child_size:
        raise SpecViolation("an inner suffix is no whole number of children", layer=layer)


def verify_existence(
    proof: wire.ExistenceProof, spec: ProofSpec, root: bytes, key: bytes, value: bytes
) -> None:
    """Check that `key` holds `value` under `root`. Raises SpecViolation or ProofMismatch."""
    if proof.key != key or proof.value != value:
        raise ProofMismatch("the proof is of another key or value", key=key)
    check_existence_spec(proof, spec)
    computed = calculate_root(proof, spec)
    if computed != root:
        raise ProofMismatch("the proof did not commit to the expected root", expected=root, computed=computed)


def verify_non_existence(proof: wire.NonExistenceProof, spec: ProofSpec, root: bytes, key: bytes) -> None:
    """Check that `key` is absent under `root`: its neighbours are there, and adjacent. Source: digest §5."""
    left = proof.left if proof.HasField("left") else None
    right = proof.right if proof.HasField("right") else None
    if left is None and right is None:
        raise ProofMismatch("an absence proof needs a neighbour")
    wanted = _ordered(spec, key)
    for side in (left, right):
        if side is not None:
            verify_existence(side, spec, root, side.key, side.value)
    if left is not None and not _ordered(spec, left.key) < wanted:
        raise ProofMismatch("the left neighbour is not below the key", key=key)
    if right is not None and not wanted < _ordered(spec, right.key):
        raise ProofMismatch("the right neighbour is not above the key", key=key)
    if left is None:
        assert right is not None
        if not _outermost(spec, right.path, leftmost=True):
            raise ProofMismatch("the right neighbour is not the first key", key=key)
    elif right is None:
        if not _outermost(spec, left.path, leftmost=False):
            raise ProofMismatch("the left neighbour is not the last key", key=key)
    elif not _adjacent(spec, left.path, right.path):
        raise ProofMismatch("the neighbours are not adjacent", key=key)


def parse_proof(data: bytes) -> wire.CommitmentProof:
    """Read one CommitmentProof; a compressed batch is decompressed. Raises ProofMalformed."""
    if len(data) > MAX_PROOF_BYTES:
        raise ProofMalformed("the proof is too long", size=len(data))
    try:
        return wire.CommitmentProof.FromString(data)
    except DecodeError as error:
        raise ProofMalformed("not a CommitmentProof") from error


def existence_of(proof: wire.CommitmentProof, key: bytes) -> wire.ExistenceProof:
    """The existence proof of `key`, out of a single proof or a batch. Raises ProofMismatch."""
    for entry in _entries(proof):
        if entry.HasField("exist") and entry.exist.key == key:
            return entry.exist
    raise ProofMismatch("no existence proof of this key", key=key)


def non_existence_of(proof: wire.CommitmentProof, spec: ProofSpec, key: bytes) -> wire.NonExistenceProof:
    """The absence proof that covers `key`, out of a single proof or a batch. Raises ProofMismatch."""
    wanted = _ordered(spec, key)
    for entry in _entries(proof):
        if not entry.HasField("nonexist"):
            continue
        found = entry.nonexist
        above = not found.HasField("left") or _ordered(spec, found.left.key) < wanted
        below = not found.HasField("right") or wanted < _ordered(spec, found.right.key)
        if above and below:
            return found
    raise ProofMismatch("no absence proof of this key", key=key)


def parse_merkle_proof(data: bytes) -> ibc_commitment_pb2.MerkleProof:
    """Read an ibc.core.commitment.v1.MerkleProof. Raises ProofMalformed."""
    if not 0 < len(data) <= MAX_PROOF_BYTES:
        raise ProofMalformed("the proof is empty or too long", size=len(data))
    try:
        return ibc_commitment_pb2.MerkleProof.FromString(data)
    except DecodeError as error:
        raise ProofMalformed("not a MerkleProof") from error


def verify_membership(
    specs: Sequence[ProofSpec], root: bytes, path: Sequence[bytes], value: bytes, proof: bytes
) -> None:
    """Check a chained membership proof: proofs innermost first, path outermost first. Source: §8."""
    if not value:
        raise ProofMismatch("an empty value cannot be proven")
    message = parse_merkle_proof(proof)
    _check_layers(specs, path, message)
    key = path[-1]
    found = existence_of(message.proofs[0], key)
    subroot = calculate_root(found, specs[0])
    verify_existence(found, specs[0], subroot, key, value)
    _verify_chain(specs, root, path, message, subroot)


def verify_non_membership(
    specs: Sequence[ProofSpec], root: bytes, path: Sequence[bytes], proof: bytes
) -> None:
    """Check a chained absence proof: absence in the innermost tree, membership of its root above."""
    message = parse_merkle_proof(proof)
    _check_layers(specs, path, message)
    key = path[-1]
    found = non_existence_of(message.proofs[0], specs[0], key)
    side = found.left if found.HasField("left") else found.right
    if not (found.HasField("left") or found.HasField("right")):
        raise ProofMismatch("an absence proof needs a neighbour")
    subroot = calculate_root(side, specs[0])
    verify_non_existence(found, specs[0], subroot, key)
    _verify_chain(specs, root, path, message, subroot)


def _verify_chain(
    specs: Sequence[ProofSpec],
    root: bytes,
    path: Sequence[bytes],
    message: ibc_commitment_pb2.MerkleProof,
    subroot: bytes,
) -> None:
    for layer in range(1, len(specs)):
        key = path[len(path) - 1 - layer]
        found = existence_of(message.proofs[layer], key)
        computed = calculate_root(found, specs[layer])
        verify_existence(found, specs[layer], computed, key, subroot)
        subroot = computed
    if subroot != root or not root:
        raise ProofMismatch("the proof did not commit to the expected root", expected=root, computed=subroot)


def _check_layers(
    specs: Sequence[ProofSpec], path: Sequence[bytes], message: ibc_commitment_pb2.MerkleProof
) -> None:
    if not len(specs) == len(path) == len(message.proofs) or not specs:
        raise ProofMismatch(
            "specs, path and proofs differ in number",
            specs=len(specs),
            path=len(path),
            proofs=len(message.proofs),
        )


def _entries(proof: wire.CommitmentProof) -> list[wire.BatchEntry]:
    kind = proof.WhichOneof("proof")
    if kind == "exist":
        return [wire.BatchEntry(exist=proof.exist)]
    if kind == "nonexist":
        return [wire.BatchEntry(nonexist=proof.nonexist)]
    if kind == "batch":
        return list(proof.batch.entries)
    if kind == "compressed":
        return decompress(proof.compressed)
    raise ProofMismatch("the proof is empty")


def decompress(batch: wire.CompressedBatchProof) -> list[wire.BatchEntry]:
    """Expand a compressed batch; an index outside the table is refused. Source: digest §1."""
    entries = []
    for entry in batch.entries:
        if entry.HasField("exist"):
            entries.append(wire.BatchEntry(exist=_expand(entry.exist, batch)))
        elif entry.HasField("nonexist"):
            nonexist = wire.NonExistenceProof(key=entry.nonexist.key)
            if entry.nonexist.HasField("left"):
                nonexist.left.CopyFrom(_expand(entry.nonexist.left, batch))
            if entry.nonexist.HasField("right"):
                nonexist.right.CopyFrom(_expand(entry.nonexist.right, batch))
            entries.append(wire.BatchEntry(nonexist=nonexist))
    return entries


def _expand(proof: wire.CompressedExistenceProof, batch: wire.CompressedBatchProof) -> wire.ExistenceProof:
    full = wire.ExistenceProof(key=proof.key, value=proof.value)
    if proof.HasField("leaf"):
        full.leaf.CopyFrom(proof.leaf)
    if len(proof.path) > 2 * DEFAULT_MAX_DEPTH:
        raise ProofMalformed("the path is too long", steps=len(proof.path))
    for index in proof.path:
        if not 0 <= index < len(batch.lookup_inners):
            raise ProofMalformed("an index is outside the table", index=index)
        full.path.append(batch.lookup_inners[index])
    return full


def _ordered(spec: ProofSpec, key: bytes) -> bytes:
    return do_hash(spec.leaf.prehash_key, key) if spec.prehash_key_before_comparison else key


def _padding(spec: ProofSpec, branch: int) -> tuple[int, int, int]:
    """Shortest prefix, longest prefix and suffix length of a step whose child stands at `branch`."""
    inner = spec.inner
    position = inner.child_order.index(branch)
    before = position * inner.child_size
    return (
        inner.min_prefix + before,
        inner.max_prefix + before,
        (len(inner.child_order) - 1 - position) * inner.child_size,
    )


def _stands_at(spec: ProofSpec, step: wire.InnerOp, branch: int) -> bool:
    shortest, longest, suffix = _padding(spec, branch)
    return shortest <= len(step.prefix) <= longest and len(step.suffix) == suffix


def empty_branches(spec: ProofSpec, step: wire.InnerOp, *, left: bool) -> bool:
    """Are all branches on one side of the step's child the empty child?"""
    order, size, empty = spec.inner.child_order, spec.inner.child_size, spec.inner.empty_child
    branch = next((b for b in range(len(order)) if _stands_at(spec, step, b)), None)
    count = 0 if branch is None else (branch if left else len(order) - 1 - branch)
    if branch is None or not count or len(empty) != size:
        return False
    if left:
        start = len(step.prefix) - count * size
        return start >= 0 and step.prefix[start:] == empty * count
    return step.suffix == empty * count


def _outermost(spec: ProofSpec, path: Sequence[wire.InnerOp], *, leftmost: bool) -> bool:
    branch = 0 if leftmost else len(spec.inner.child_order) - 1
    return all(_stands_at(spec, step, branch) or empty_branches(spec, step, left=leftmost) for step in path)


def _adjacent(spec: ProofSpec, left: Sequence[wire.InnerOp], right: Sequence[wire.InnerOp]) -> bool:
    one, other = list(left), list(right)
    while one and other and (one[-1].prefix, one[-1].suffix) == (other[-1].prefix, other[-1].suffix):
        one.pop()
        other.pop()
    if not one or not other:
        return False
    top_left, top_right = one.pop(), other.pop()
    branches = range(len(spec.inner.child_order) - 1)
    if not any(_stands_at(spec, top_left, b) and _stands_at(spec, top_right, b + 1) for b in branches):
        return False
    return _outermost(spec, one, leftmost=False) and _outermost(spec, other, leftmost=True)


def _iavl_header(prefix: bytes, least_height: int) -> int:
    """Length of the three zigzag varints (height, size, version) at the start; none may be negative."""
    at = 0
    for place in range(3):
        number = shift = 0
        while True:
            if at >= len(prefix) or shift >= 7 * MAX_VARINT:
                raise SpecViolation("an IAVL prefix is cut short")
            byte = prefix[at]
            number |= (byte & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if byte < 0x80:
                break
        if number & 1 or number >= 1 << 64 or (place == 0 and number >> 1 < least_height):
            raise SpecViolation("an IAVL prefix holds a number that no tree has")
    return at


def _with_length(operation: int, data: bytes) -> bytes:
    match operation:
        case LengthOp.NO_PREFIX:
            return data
        case LengthOp.VAR_PROTO:
            length, out = len(data), bytearray()
            while length >= 0x80:
                out.append(length & 0x7F | 0x80)
                length >>= 7
            out.append(length)
            return bytes(out) + data
        case LengthOp.FIXED32_BIG:
            return len(data).to_bytes(4, "big") + data
        case LengthOp.FIXED32_LITTLE:
            return len(data).to_bytes(4, "little") + data
        case LengthOp.FIXED64_BIG:
            return len(data).to_bytes(8, "big") + data
        case LengthOp.FIXED64_LITTLE:
            return len(data).to_bytes(8, "little") + data
        case LengthOp.REQUIRE_32_BYTES if len(data) == 32:
            return data
        case LengthOp.REQUIRE_64_BYTES if len(data) == 64:
            return data
    raise SpecViolation("this length rule is not supported, or the length is another", rule=operation)


__all__ = (
    "calculate_root",
    "check_existence_spec",
    "check_leaf",
    "do_hash",
    "empty_branches",
    "existence_of",
    "inner_hash",
    "leaf_hash",
    "parse_merkle_proof",
    "verify_existence",
    "verify_membership",
    "verify_non_existence",
    "verify_non_membership",
)
