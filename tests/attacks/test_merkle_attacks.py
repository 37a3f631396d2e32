"""Replays of proof forgeries of the past (incidents A1 to A4), against the verifiers themselves."""

from __future__ import annotations

from hashlib import sha256

import pytest

from lockgate.codec.wire import ibc_commitment_pb2
from lockgate.codec.wire import ics23_pb2 as wire
from lockgate.merkle import ics23, tree
from lockgate.merkle.errors import BadTreeIndex, ProofMismatch, SpecViolation
from lockgate.merkle.ics23_fast import ProofMemo
from lockgate.merkle.multistore import MultiStore
from lockgate.merkle.specs import IAVL_SPEC, TENDERMINT_SPEC
from lockgate.primitives.errors import PeerFault
from tests.unit.merkle.forge import Fork, Leaf, digest, merkle_proof, only_store, proofs

SPECS = (IAVL_SPEC, TENDERMINT_SPEC)


def ledger() -> MultiStore:
    """A destination ledger that has received packet 7, with neighbours on both sides of its receipt."""
    state = MultiStore(("acc", "ibc"))
    state.apply({("ibc", receipt(sequence)): b"\x01" for sequence in (3, 5, 7, 9, 11)} | {("acc", b"seed"): b"\x01"})
    state.commit(1)
    return state


def receipt(sequence: int) -> bytes:
    return b"07-tendermint-0\x02" + sequence.to_bytes(8, "big")


def refused_everywhere(root: bytes, proof: bytes, key: bytes, value: bytes) -> None:
    """The plain verifier and a memo, cold and after honest proofs, all refuse."""
    state = ledger()
    memo = ProofMemo(root, SPECS)
    with pytest.raises(PeerFault):
        ics23.verify_membership(SPECS, root, (b"ibc", key), value, proof)
    with pytest.raises(PeerFault):
        memo.membership(proof, (b"ibc", key), value)
    if root == state.app_hash:
        for sequence in (3, 5, 7, 9, 11):
            honest = state.prove("ibc", receipt(sequence), 1).merkle_proof
            memo.membership(honest, (b"ibc", receipt(sequence)), b"\x01")
        with pytest.raises(PeerFault):
            memo.membership(proof, (b"ibc", key), value)


def test_A1_a_root_that_was_never_set_proves_nothing() -> None:
    """Nomad 2022: the trusted root was zero, and everything unproven had root zero."""
    proof = ledger().prove("ibc", receipt(7), 1).merkle_proof
    for root in (bytes(32), b"", b"\x00"):
        refused_everywhere(root, proof, receipt(7), b"\x01")
        with pytest.raises(PeerFault):
            ics23.verify_non_membership(SPECS, root, (b"ibc", receipt(8)), proof)
        for empty in (b"", b"\x0a\x00\x0a\x00"):
            refused_everywhere(root, empty, receipt(7), b"\x01")


def test_A2_a_step_with_both_children_is_refused() -> None:
    """BNB bridge 2022: an inner node with left and right set, of which one was hashed."""
    state = ledger()
    honest = ibc_commitment_pb2.MerkleProof.FromString(state.prove("ibc", receipt(7), 1).merkle_proof)
    for layer, spec in enumerate(SPECS):
        for step in range(len(honest.proofs[layer].exist.path)):
            forged = ibc_commitment_pb2.MerkleProof()
            forged.CopyFrom(honest)
            path = forged.proofs[layer].exist.path[step]
            size = spec.inner.child_size
            if path.suffix:
                path.prefix += bytes(size)
            else:
                path.suffix = bytes(size)
            with pytest.raises(SpecViolation):
                ics23.check_existence_spec(forged.proofs[layer].exist, spec)
            refused_everywhere(state.app_hash, forged.SerializeToString(), receipt(7), b"\x01")


def test_A2_every_byte_of_a_proof_has_an_effect() -> None:
    """Any proof byte that does not influence the root would be room for a forger: each change is refused."""
    state = ledger()
    present, absent = state.prove("ibc", receipt(7), 1).merkle_proof, state.prove("ibc", receipt(8), 1).merkle_proof
    ics23.verify_membership(SPECS, state.app_hash, (b"ibc", receipt(7)), b"\x01", present)
    ics23.verify_non_membership(SPECS, state.app_hash, (b"ibc", receipt(8)), absent)
    memo = ProofMemo(state.app_hash, SPECS)
    memo.membership(present, (b"ibc", receipt(7)), b"\x01")
    for at in range(len(present)):
        for change in (0x01, 0x80, 0xFF):
            changed = present[:at] + bytes((present[at] ^ change,)) + present[at + 1 :]
            with pytest.raises(PeerFault):
                memo.membership(changed, (b"ibc", receipt(7)), b"\x01")
            with pytest.raises(PeerFault):
                ics23.verify_membership(SPECS, state.app_hash, (b"ibc", receipt(7)), b"\x01", changed)
    for at in range(len(absent)):
        for change in (0x01, 0x80, 0xFF):
            changed = absent[:at] + bytes((absent[at] ^ change,)) + absent[at + 1 :]
            with pytest.raises(PeerFault):
                ics23.verify_non_membership(SPECS, state.app_hash, (b"ibc", receipt(8)), changed)


def test_A3_an_inner_node_does_not_pass_as_a_leaf() -> None:
    """Dragonberry 2022: the preimage of an inner node, cut so that its children read as key and value."""
    tree_ = Fork(Leaf(b"b", b"1"), Leaf(b"d", b"2"), 1)
    outer, root = only_store(b"ibc", digest(tree_))
    preimage = tree_.header + b"\x20" + digest(tree_.left) + b"\x20" + digest(tree_.right)
    for cut in range(1, 12):
        leaf = wire.LeafOp(hash=wire.SHA256, length=wire.NO_PREFIX, prefix=preimage[:cut])
        forged = wire.ExistenceProof(key=preimage[cut:40], value=preimage[40:], leaf=leaf)
        assert ics23.calculate_root(forged) == digest(tree_), "the hash itself does not tell them apart"
        proof = merkle_proof(wire.CommitmentProof(exist=forged), outer)
        refused_everywhere(root, proof, forged.key, forged.value)


def test_A3_a_leaf_does_not_pass_as_an_inner_node() -> None:
    """The other way round: a value chosen so that a leaf's preimage holds a child of the forger's."""
    child = sha256(b"\x00\x02\x02\x01k\x20" + sha256(b"never written").digest()).digest()
    host = Leaf(b"key", b"value")
    forged = wire.ExistenceProof(key=b"k", value=b"never written", leaf=proofs(Leaf(b"k", b"never written"))[0].leaf)
    tree_ = Fork(host, Leaf(b"z", b"2"), 1)
    for prefix, suffix in ((b"\x00\x02\x02\x03", child), (b"\x00\x02\x02\x03" + child, b""), (b"", child)):
        path = [wire.InnerOp(hash=wire.SHA256, prefix=prefix, suffix=suffix)]
        exist = wire.ExistenceProof()
        exist.CopyFrom(forged)
        exist.path.extend(path)
        with pytest.raises(SpecViolation):
            ics23.check_existence_spec(exist, IAVL_SPEC)
        outer, root = only_store(b"ibc", digest(tree_))
        refused_everywhere(root, merkle_proof(wire.CommitmentProof(exist=exist), outer), b"k", b"never written")


def test_A3_a_node_splits_into_prefix_child_and_suffix_in_two_ways_only() -> None:
    """With free lengths, any 32 bytes of a node's preimage could be called its child."""
    node = Fork(Leaf(b"b", b"1"), Leaf(b"d", b"2"), 1, size=2**40, version=2**20)
    preimage = node.header + b"\x20" + digest(node.left) + b"\x20" + digest(node.right)
    leaf = proofs(Leaf(b"b", b"1"))[0]
    allowed = []
    for at in range(len(preimage) - 31):
        step = wire.InnerOp(hash=wire.SHA256, prefix=preimage[:at], suffix=preimage[at + 32 :])
        try:
            exist = wire.ExistenceProof(key=leaf.key, value=leaf.value, leaf=leaf.leaf, path=[step])
            ics23.check_existence_spec(exist, IAVL_SPEC)
            allowed.append(preimage[at : at + 32])
        except SpecViolation:
            continue
    assert allowed == [digest(node.left), digest(node.right)]


def test_A3_absence_of_a_received_packet_cannot_be_forged() -> None:
    """A refund for a packet that was received: every pair of genuine neighbours around the receipt."""
    state = ledger()
    paths: dict[int, wire.ExistenceProof] = {}
    outer = wire.CommitmentProof()
    for sequence in (3, 5, 7, 9, 11):
        inner, outer = ibc_commitment_pb2.MerkleProof.FromString(
            state.prove("ibc", receipt(sequence), 1).merkle_proof
        ).proofs
        paths[sequence] = inner.exist
    for left in (None, 3, 5, 7):
        for right in (None, 7, 9, 11):
            absence = wire.NonExistenceProof(key=receipt(7))
            if left is not None:
                absence.left.CopyFrom(paths[left])
            if right is not None:
                absence.right.CopyFrom(paths[right])
            proof = merkle_proof(wire.CommitmentProof(nonexist=absence), outer)
            for check in (
                lambda p=proof: ics23.verify_non_membership(SPECS, state.app_hash, (b"ibc", receipt(7)), p),
                lambda p=proof: ProofMemo(state.app_hash, SPECS).non_membership(p, (b"ibc", receipt(7))),
            ):
                with pytest.raises(PeerFault):
                    check()


def test_A3_neighbours_cut_at_different_depths_are_refused() -> None:
    """Neighbours shown adjacent below a node that they do not share."""
    left, right = (Fork(Leaf(b"a", b"1"), Leaf(b"c", b"2"), 1), Fork(Leaf(b"m", b"3"), Leaf(b"p", b"4"), 1))
    whole = Fork(left, right, 2)
    a, c, m, p = proofs(whole)
    for one, other in ((a, m), (a, p), (c, p), (m, c)):
        absence = wire.NonExistenceProof(key=b"d", left=one, right=other)
        with pytest.raises(ProofMismatch):
            ics23.verify_non_existence(absence, IAVL_SPEC, digest(whole), b"d")
    ics23.verify_non_existence(wire.NonExistenceProof(key=b"d", left=c, right=m), IAVL_SPEC, digest(whole), b"d")


def test_A4_an_index_outside_the_tree_is_refused() -> None:
    """Hyperbridge 2026: an out-of-range leaf index, so that the leaf never entered the root."""
    hashes = [tree.leaf_hash(b"%d" % i) for i in range(13)]
    root = tree.root_of_hashes(hashes)
    forged = tree.leaf_hash(b"mint everything")
    for index in (13, 14, 15, 16, 2**31, 2**63, 2**64, -1):
        for proof in ((), (root,), tree.inclusion_proof(hashes, 12)):
            with pytest.raises(BadTreeIndex):
                tree.verify_inclusion(forged, index, 13, proof, root)


def test_A4_every_leaf_and_every_hash_is_consumed() -> None:
    """No proof that ignores its leaf, and none with hashes left over."""
    hashes = [tree.leaf_hash(b"%d" % i) for i in range(13)]
    root = tree.root_of_hashes(hashes)
    forged = tree.leaf_hash(b"mint everything")
    for index in range(13):
        honest = tree.inclusion_proof(hashes, index)
        for proof in (honest, (), (root,), (*honest, root), (root, *honest), honest[:-1], honest * 2):
            with pytest.raises(PeerFault):
                tree.verify_inclusion(forged, index, 13, proof, root)
        for other in range(13):
            if other != index:
                with pytest.raises(PeerFault):
                    tree.verify_inclusion(hashes[index], other, 13, honest, root)


def test_A4_an_empty_set_proves_nothing() -> None:
    for size in (0, 1, 2):
        with pytest.raises(PeerFault):
            tree.verify_inclusion(tree.leaf_hash(b""), 0, size, (), tree.EMPTY_ROOT)
        with pytest.raises(PeerFault):
            tree.verify_consistency(0, size, (), tree.EMPTY_ROOT, tree.EMPTY_ROOT)


def test_A4_a_proof_is_of_exactly_one_message() -> None:
    """The proof binds key and value bytes: no other message passes under it, however close."""
    state = ledger()
    proof = state.prove("ibc", receipt(7), 1).merkle_proof
    for key, value in (
        (receipt(7), b"\x01\x00"),
        (receipt(7), b"\x02"),
        (receipt(7) + b"\x00", b"\x01"),
        (receipt(7)[:-1], b"\x07\x01"),
        (receipt(5), b"\x01"),
    ):
        refused_everywhere(state.app_hash, proof, key, value)
