"""Proofs of trees no honest prover builds: any shape, any header. Used against the verifiers."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from lockgate.codec.wire import ibc_commitment_pb2
from lockgate.codec.wire import ics23_pb2 as wire
from lockgate.merkle.varint import varint

LEAF = wire.LeafOp(hash=wire.SHA256, prehash_value=wire.SHA256, length=wire.VAR_PROTO)


@dataclass(frozen=True)
class Leaf:
    key: bytes
    value: bytes
    prefix: bytes = b"\x00\x02\x02"


@dataclass(frozen=True)
class Fork:
    """An inner node with the header it claims to have: three numbers, or `raw` bytes."""

    left: Leaf | Fork
    right: Leaf | Fork
    height: int
    size: int = 2
    version: int = 1
    raw: bytes = b""

    @property
    def header(self) -> bytes:
        return self.raw or varint(self.height) + varint(self.size) + varint(self.version)


def digest(node: Leaf | Fork) -> bytes:
    if isinstance(node, Fork):
        return sha256(node.header + b"\x20" + digest(node.left) + b"\x20" + digest(node.right)).digest()
    content = bytes((len(node.key),)) + node.key + b"\x20" + sha256(node.value).digest()
    return sha256(node.prefix + content).digest()


def proofs(node: Leaf | Fork) -> list[wire.ExistenceProof]:
    """An existence proof of every leaf, left to right."""
    if isinstance(node, Leaf):
        proof = wire.ExistenceProof(key=node.key, value=node.value, leaf=LEAF)
        proof.leaf.prefix = node.prefix
        return [proof]
    found = proofs(node.left)
    for proof in found:
        suffix = b"\x20" + digest(node.right)
        proof.path.append(wire.InnerOp(hash=wire.SHA256, prefix=node.header + b"\x20", suffix=suffix))
    beside = proofs(node.right)
    for proof in beside:
        prefix = node.header + b"\x20" + digest(node.left) + b"\x20"
        proof.path.append(wire.InnerOp(hash=wire.SHA256, prefix=prefix))
    return found + beside


def only_store(name: bytes, root: bytes) -> tuple[wire.CommitmentProof, bytes]:
    """The proof of a store that is alone under its app hash, and that hash."""
    proof = wire.ExistenceProof(key=name, value=root, leaf=LEAF)
    proof.leaf.prefix = b"\x00"
    content = bytes((len(name),)) + name + b"\x20" + sha256(root).digest()
    return wire.CommitmentProof(exist=proof), sha256(b"\x00" + content).digest()


def merkle_proof(inner: wire.CommitmentProof, outer: wire.CommitmentProof) -> bytes:
    return ibc_commitment_pb2.MerkleProof(proofs=[inner, outer]).SerializeToString(deterministic=True)
