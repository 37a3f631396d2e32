"""The plain verifier: a good proof, one spoiling, one named refusal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from itertools import pairwise
from typing import Any

import pytest

from lockgate.codec.wire import ibc_commitment_pb2
from lockgate.codec.wire import ics23_pb2 as wire
from lockgate.merkle import ics23
from lockgate.merkle.errors import LayersDiffer, ProofMalformed, ProofMismatch, SpecViolation
from lockgate.merkle.multistore import MultiStore
from lockgate.merkle.specs import IAVL_SPEC, JMT_SPEC, SMT_SPEC, TENDERMINT_SPEC, ProofSpec
from tests.unit.merkle.forge import Fork, Leaf, digest, proofs

SPECS = (IAVL_SPEC, TENDERMINT_SPEC)
Spoil = Callable[[wire.ExistenceProof], object]


def ledger() -> MultiStore:
    state = MultiStore(("acc", "bank", "ibc"))
    for version in range(1, 4):
        state.apply({("ibc", b"key/%02d" % (3 * i + version)): b"value" for i in range(12)})
        state.apply({("bank", b"key/10"): b"value"})
        state.commit(version)
    return state


STATE = ledger()
KEY = b"key/10"
PATH = (b"ibc", KEY)
PROOF = STATE.prove("ibc", KEY, 3).merkle_proof
ABSENT = (b"ibc", b"key/10/none")
ABSENCE = STATE.prove("ibc", ABSENT[1], 3).merkle_proof


def member(proof: bytes = PROOF, path: tuple[bytes, ...] = PATH, value: bytes = b"value", **more: object) -> None:
    arguments: dict[str, object] = {"specs": SPECS, "root": STATE.app_hash, **more}
    ics23.verify_membership(path=path, value=value, proof=proof, **arguments)  # type: ignore[arg-type]


def non_member(proof: bytes = ABSENCE, path: tuple[bytes, ...] = ABSENT, **more: object) -> None:
    arguments: dict[str, object] = {"specs": SPECS, "root": STATE.app_hash, **more}
    ics23.verify_non_membership(path=path, proof=proof, **arguments)  # type: ignore[arg-type]


def layers(proof: bytes) -> list[wire.CommitmentProof]:
    return list(ibc_commitment_pb2.MerkleProof.FromString(proof).proofs)


def joined(*parts: wire.CommitmentProof) -> bytes:
    return ibc_commitment_pb2.MerkleProof(proofs=parts).SerializeToString()


def test_a_good_world() -> None:
    member()
    non_member()


@pytest.mark.parametrize("root", [b"", bytes(32), b"\x01" * 32, STATE.app_hash[:-1], STATE.app_hash + b"\x00"])
def test_another_root_is_refused(root: bytes) -> None:
    for check in (member, non_member):
        with pytest.raises(ProofMismatch):
            check(root=root)


@pytest.mark.parametrize("path", [PATH[::-1], (b"bank", KEY), (b"ibc", b"key/11"), (b"", KEY)])
def test_another_path_is_refused(path: tuple[bytes, ...]) -> None:
    for check in (member, non_member):
        with pytest.raises(ProofMismatch):
            check(path=path)


@pytest.mark.parametrize("specs", [SPECS[::-1], (IAVL_SPEC,) * 2, (TENDERMINT_SPEC,) * 2, (SMT_SPEC, JMT_SPEC)])
def test_other_specs_are_refused(specs: tuple[ProofSpec, ...]) -> None:
    for check in (member, non_member):
        with pytest.raises((ProofMismatch, SpecViolation)):
            check(specs=specs)


@pytest.mark.parametrize(
    "other",
    [
        {"path": ()},
        {"path": PATH[1:]},
        {"path": (b"x", *PATH)},
        {"specs": ()},
        {"specs": (IAVL_SPEC,)},
        {"proof": joined(*layers(PROOF)[:1])},
        {"proof": joined(*layers(PROOF), layers(PROOF)[1])},
    ],
)
def test_a_layer_too_few_or_too_many_is_refused_under_its_own_code(other: dict[str, Any]) -> None:
    for check in (member, non_member):
        with pytest.raises(LayersDiffer):
            check(**other)
    assert LayersDiffer.wire == ("commitment", 4)  # ibc-go's ErrInvalidMerkleProof; all else is ErrInvalidProof


@pytest.mark.parametrize("value", [b"", b"valu", b"value\x00", STATE.app_hash])
def test_another_value_is_refused(value: bytes) -> None:
    with pytest.raises(ProofMismatch):
        member(value=value)


def test_an_empty_value_is_refused_though_the_proof_holds_one() -> None:
    inner, outer = layers(PROOF)
    inner.exist.ClearField("value")
    with pytest.raises(ProofMismatch, match="empty value"):
        member(proof=joined(inner, outer), value=b"")


def test_a_root_of_zeros_is_refused_whatever_computes_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = ics23.calculate_root
    monkeypatch.setattr(
        ics23, "calculate_root", lambda proof, spec=None: bytes(32) if proof.key == PATH[0] else real(proof, spec)
    )
    with pytest.raises(ProofMismatch, match="another root"):
        member(root=bytes(32))


@pytest.mark.parametrize(
    "proof", [b"", b"\x0a", b"\xff" * 20, PROOF[:-1], PROOF + b"\x0a", bytes(ics23.MAX_PROOF_BYTES + 1), b"{}"]
)
def test_bytes_that_are_no_proof_are_refused(proof: bytes) -> None:
    for check in (member, non_member):
        with pytest.raises(ProofMalformed):
            check(proof=proof)


def test_layers_that_changed_places_are_refused() -> None:
    inner, outer = layers(PROOF)
    with pytest.raises((ProofMismatch, SpecViolation)):
        member(proof=joined(outer, inner))


def test_a_proof_of_another_kind_is_refused() -> None:
    inner, outer = layers(PROOF)
    absent = layers(ABSENCE)[0]
    empty = wire.CommitmentProof()
    batch = wire.CommitmentProof(batch=wire.BatchProof(entries=[wire.BatchEntry(exist=inner.exist)]))
    for part in (absent, empty, batch):
        with pytest.raises(ProofMismatch, match="single existence"):
            member(proof=joined(part, outer))
        with pytest.raises(ProofMismatch, match="single existence"):
            member(proof=joined(inner, part))
    for part in (inner, empty, batch):
        with pytest.raises(ProofMismatch, match="single absence"):
            non_member(proof=joined(part, outer))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda p: p.ClearField("leaf"), "needs a leaf"),
        (lambda p: setattr(p.leaf, "hash", wire.SHA512), "another way"),
        (lambda p: setattr(p.leaf, "prehash_key", wire.SHA256), "another way"),
        (lambda p: setattr(p.leaf, "prehash_value", wire.NO_HASH), "another way"),
        (lambda p: setattr(p.leaf, "length", wire.NO_PREFIX), "another way"),
        (lambda p: setattr(p.leaf, "prefix", b"\x01\x02\x02"), "another prefix"),
        (lambda p: setattr(p.leaf, "prefix", b""), "another prefix"),
        (lambda p: setattr(p.leaf, "prefix", p.leaf.prefix + b"\x00"), "three numbers"),
        (lambda p: setattr(p.leaf, "prefix", b"\x00\x02"), "height, size"),
        (lambda p: setattr(p.leaf, "prefix", b"\x00\x01\x02"), "height, size"),
        (lambda p: setattr(p.path[0], "hash", wire.SHA512), "another way"),
        (lambda p: setattr(p.path[0], "prefix", b"\x00" + p.path[0].prefix[1:]), "height, size"),
        (lambda p: setattr(p.path[1], "prefix", b"\x02" + p.path[1].prefix[1:]), "height, size"),
        (lambda p: setattr(p.path[0], "prefix", b"\x03" + p.path[0].prefix[1:]), "height, size"),
        (lambda p: setattr(p.path[0], "prefix", p.path[0].prefix + b"\x20"), "at most one child"),
        (lambda p: setattr(p.path[0], "prefix", p.path[0].prefix[:-1]), "at most one child"),
        (lambda p: setattr(p.path[0], "prefix", b"\xfe" * 11 + p.path[0].prefix), "height, size"),
        (lambda p: setattr(p.path[0], "suffix", bytes(32)), "whole number"),
        (lambda p: setattr(p.path[0], "suffix", bytes(34)), "whole number"),
        (
            lambda p: (
                p.path[0].MergeFrom(wire.InnerOp(prefix=b"\x02" + b"\xfe" * 8 + b"\x01\xfe\xfe\x01" + bytes(34)))
                or p.path[0].ClearField("suffix")
            ),
            "too long",
        ),
    ],
)
def test_a_step_of_the_wrong_form_is_refused(spoil: Spoil, says: str) -> None:
    proof = layers(PROOF)[0].exist
    assert proof.path[0].suffix, "the first step of this key has its sibling on the right"
    spoil(proof)
    with pytest.raises(SpecViolation, match=says):
        ics23.check_existence_spec(proof, IAVL_SPEC)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda step: setattr(step, "prefix", b"\x02"), "01"),
        (lambda step: setattr(step, "prefix", b""), "01"),
        (lambda step: setattr(step, "prefix", b"\x01" + bytes(32)), "01"),
        (lambda step: setattr(step, "suffix", bytes(31)), "whole number"),
    ],
)
def test_a_simple_step_of_the_wrong_form_is_refused(spoil: Callable[[wire.InnerOp], object], says: str) -> None:
    proof = layers(STATE.prove("bank", KEY, 3).merkle_proof)[1].exist
    step = next(step for step in proof.path if step.suffix)
    spoil(step)
    with pytest.raises(SpecViolation, match=says):
        ics23.check_existence_spec(proof, TENDERMINT_SPEC)


def test_a_simple_prefix_holds_at_most_one_child() -> None:
    proof = layers(PROOF)[1].exist
    step = next(step for step in proof.path if not step.suffix)
    step.prefix += b"\x00"
    with pytest.raises(SpecViolation, match="too long"):
        ics23.check_existence_spec(proof, TENDERMINT_SPEC)


def test_depth_has_bounds() -> None:
    tree: Leaf | Fork = Leaf(b"k", b"v")
    for height in range(1, 130):
        tree = Fork(tree, Leaf(b"%d" % height, b"w"), height)
    deepest = proofs(tree)[0]
    with pytest.raises(SpecViolation, match="too long a path"):
        ics23.verify_existence(deepest, IAVL_SPEC, digest(tree), b"k", b"v")
    assert isinstance(tree, Fork)
    ics23.verify_existence(proofs(tree.left)[0], IAVL_SPEC, digest(tree.left), b"k", b"v")
    for bounds in ({"max_depth": 127}, {"min_depth": 129}):
        with pytest.raises(SpecViolation, match="path"):
            ics23.check_existence_spec(proofs(tree.left)[0], replace(IAVL_SPEC, **bounds))


def test_a_spec_that_cannot_tell_a_prefix_from_a_child_is_refused() -> None:
    proof = layers(PROOF)[0].exist
    for inner in (replace(IAVL_SPEC.inner, child_size=0), replace(IAVL_SPEC.inner, max_prefix=37)):
        with pytest.raises(SpecViolation, match="does not tell"):
            ics23.check_existence_spec(proof, replace(IAVL_SPEC, inner=inner))


def test_a_hash_longer_than_a_child_is_refused() -> None:
    wide = replace(TENDERMINT_SPEC.inner, hash=wire.SHA512)
    step = wire.InnerOp(hash=wire.SHA512, prefix=b"\x01", suffix=bytes(32))
    proof = wire.ExistenceProof(key=b"k", value=b"v", leaf=wire.LeafOp(hash=wire.SHA256), path=[step])
    assert len(ics23.calculate_root(proof)) == 64
    with pytest.raises(SpecViolation, match="longer than a child"):
        ics23.calculate_root(proof, replace(TENDERMINT_SPEC, inner=wide))


# Absence.

TREE = Fork(
    Fork(Leaf(b"b", b"1"), Fork(Leaf(b"d", b"2"), Leaf(b"f", b"3"), 1), 2),
    Fork(Leaf(b"h", b"4"), Fork(Leaf(b"k", b"5"), Leaf(b"m", b"6"), 1), 2),
    3,
)
SIDES = {proof.key: proof for proof in proofs(TREE)}


def absent(key: bytes, left: bytes = b"", right: bytes = b"", named: bytes = b"") -> None:
    proof = wire.NonExistenceProof(key=named or key)
    if left:
        proof.left.CopyFrom(SIDES[left])
    if right:
        proof.right.CopyFrom(SIDES[right])
    ics23.verify_non_existence(proof, IAVL_SPEC, digest(TREE), key)


def test_every_gap_proves_absence() -> None:
    keys = sorted(SIDES)
    absent(b"a", right=b"b")
    absent(b"z", left=b"m")
    for left, right in pairwise(keys):
        absent(left + b"x", left, right)


@pytest.mark.parametrize(
    ("key", "left", "right", "says"),
    [
        (b"c", b"", b"", "needs a neighbour"),
        (b"b", b"b", b"d", "not below"),
        (b"d", b"b", b"d", "not above"),
        (b"a", b"b", b"d", "not below"),
        (b"e", b"b", b"d", "not above"),
        (b"e", b"b", b"f", "not adjacent"),
        (b"g", b"d", b"h", "not adjacent"),
        (b"e", b"b", b"m", "not adjacent"),
        (b"g", b"f", b"k", "not adjacent"),
        (b"e", b"d", b"d", "not above"),
        (b"z", b"k", b"", "not the last"),
        (b"z", b"f", b"", "not the last"),
        (b"a", b"", b"d", "not the first"),
        (b"g", b"", b"h", "not the first"),
        (b"g", b"f", b"", "not the last"),
    ],
)
def test_neighbours_that_prove_nothing_are_refused(key: bytes, left: bytes, right: bytes, says: str) -> None:
    with pytest.raises(ProofMismatch, match=says):
        absent(key, left, right)


def test_an_absence_proof_names_the_key_it_is_asked_for() -> None:
    with pytest.raises(ProofMismatch, match="another key"):
        absent(b"c", b"b", b"d", named=b"cc")


def test_one_path_cannot_be_both_neighbours() -> None:
    """The paths run together to the end: refused, where some verifiers crash."""
    proof = wire.NonExistenceProof(key=b"bb", left=SIDES[b"b"], right=SIDES[b"b"])
    proof.right.key = b"c"
    with pytest.raises(ProofMismatch):
        ics23.verify_non_existence(proof, IAVL_SPEC, digest(TREE), b"bb")


def test_neighbours_on_swapped_sides_are_refused() -> None:
    """A tree out of order, in which the smaller key stands on the right."""
    tree = Fork(Leaf(b"m", b"1"), Leaf(b"b", b"2"), 1)
    m, b = proofs(tree)
    with pytest.raises(ProofMismatch, match="not adjacent"):
        ics23.verify_non_existence(wire.NonExistenceProof(key=b"d", left=b, right=m), IAVL_SPEC, digest(tree), b"d")


def test_an_inner_node_that_starts_like_a_leaf_is_refused() -> None:
    step = wire.InnerOp(hash=wire.SHA256, prefix=b"\x00", suffix=bytes(32))
    leaf = wire.LeafOp(hash=wire.SHA256, prehash_key=wire.SHA256, prehash_value=wire.SHA256, prefix=b"\x00")
    with pytest.raises(SpecViolation, match="looks like a leaf"):
        ics23.check_existence_spec(wire.ExistenceProof(key=b"k", value=b"v", leaf=leaf, path=[step]), SMT_SPEC)


def test_neighbours_are_each_verified() -> None:
    proof = wire.NonExistenceProof(key=b"c", left=SIDES[b"b"], right=SIDES[b"d"])
    proof.right.value = b"other"
    with pytest.raises(ProofMismatch, match="another root"):
        ics23.verify_non_existence(proof, IAVL_SPEC, digest(TREE), b"c")


# Trees whose keys are compared by hash: SMT and JMT, with an empty child beside a leaf.


def beside(
    spec: ProofSpec, prefix: bytes, sibling: bytes, keys: tuple[bytes, bytes]
) -> tuple[bytes, list[wire.ExistenceProof]]:
    """Root and proofs of a tree whose second leaf has `sibling` on its left, below the first leaf's."""
    leaf = wire.LeafOp(hash=wire.SHA256, prehash_key=wire.SHA256, prehash_value=wire.SHA256, prefix=spec.leaf.prefix)
    one, other = (sha256(spec.leaf.prefix + sha256(key).digest() + sha256(b"v").digest()).digest() for key in keys)
    lower = sha256(prefix + sibling + other).digest()
    first = wire.ExistenceProof(key=keys[0], value=b"v", leaf=leaf)
    first.path.append(wire.InnerOp(hash=wire.SHA256, prefix=prefix, suffix=lower))
    last = wire.ExistenceProof(key=keys[1], value=b"v", leaf=leaf)
    last.path.append(wire.InnerOp(hash=wire.SHA256, prefix=prefix + sibling))
    last.path.append(wire.InnerOp(hash=wire.SHA256, prefix=prefix + one))
    return sha256(prefix + one + lower).digest(), [first, last]


@pytest.mark.parametrize(("spec", "prefix"), [(SMT_SPEC, b"\x01"), (JMT_SPEC, b"JMT::IntrnalNode")])
def test_hashed_keys_and_empty_children(spec: ProofSpec, prefix: bytes) -> None:
    first, between, last = sorted((b"one", b"two", b"three"), key=lambda key: sha256(key).digest())
    root, (left, right) = beside(spec, prefix, spec.inner.empty_child, (first, last))
    for key, proof in ((first, left), (last, right)):
        ics23.verify_existence(proof, spec, root, key, b"v")
    for named in (between, sha256(between).digest()):
        absence = wire.NonExistenceProof(key=named, left=left, right=right)
        ics23.verify_non_existence(absence, spec, root, between)
    with pytest.raises(ProofMismatch, match="not below"):
        ics23.verify_non_existence(wire.NonExistenceProof(key=first, left=left, right=right), spec, root, first)
    root, (left, right) = beside(spec, prefix, sha256(b"a third leaf").digest(), (first, last))
    with pytest.raises(ProofMismatch, match="not adjacent"):
        ics23.verify_non_existence(wire.NonExistenceProof(key=between, left=left, right=right), spec, root, between)
