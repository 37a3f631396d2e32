"""The fused check with its memo against the plain verifier: one verdict, cold, warm and under attack."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.codec.wire import ibc_commitment_pb2
from lockgate.codec.wire import ics23_pb2 as wire
from lockgate.merkle import ics23
from lockgate.merkle.ics23_fast import ProofMemo
from lockgate.merkle.multistore import MultiStore
from lockgate.merkle.specs import IAVL_SPEC, TENDERMINT_SPEC
from lockgate.merkle.varint import uvarint
from lockgate.primitives.errors import LockgateError
from tests.unit.merkle.forge import Fork, Leaf, digest, merkle_proof, only_store, proofs

SPECS = (IAVL_SPEC, TENDERMINT_SPEC)
Claim = tuple[bytes, tuple[bytes, bytes], bytes]  # proof, path, value


@cache
def world() -> tuple[bytes, list[Claim]]:
    """A ledger of several stores and versions, its root, and a valid proof of every key."""
    names = ("acc", "bank", "gov", "ibc", "log")
    state = MultiStore(names)
    state.apply({(name, b"seed"): b"\x01" for name in names})
    state.commit(1)
    for version in range(2, 12):
        state.apply({("ibc", b"key/%d" % (i * 7919 % 200)): b"%d" % i for i in range(20 * version, 20 * version + 30)})
        state.commit(version)
    pairs = [(name, key, value) for name in names for key, value in state.scan(name, b"", b"\xff")]
    claims = [
        (state.prove(name, key, state.version).merkle_proof, (name.encode(), key), value) for name, key, value in pairs
    ]
    return state.app_hash, claims


def plain(root: bytes, claim: Claim) -> str:
    proof, path, value = claim
    try:
        ics23.verify_membership(SPECS, root, path, value, proof)
    except LockgateError as refusal:
        return str(refusal)
    return "accepted"


def fused(memo: ProofMemo, claim: Claim) -> str:
    proof, path, value = claim
    try:
        memo.membership(proof, path, value)
    except LockgateError as refusal:
        return str(refusal)
    return "accepted"


@cache
def warm_memo() -> ProofMemo:
    root, claims = world()
    memo = ProofMemo(root, SPECS)
    for _ in range(2):
        assert {fused(memo, claim) for claim in claims} == {"accepted"}
    return memo


def test_valid_proofs_are_accepted_without_the_plain_verifier() -> None:
    root, claims = world()
    memo = ProofMemo(root, SPECS)
    assert all(memo._accepts(proof, *path, value) for proof, path, value in claims)


@st.composite
def spoilt(draw: st.DrawFn) -> tuple[int, Claim]:
    """A valid claim's place, and the claim with something changed: bytes, fields, or what it is said to prove."""
    _, claims = world()
    place = draw(st.integers(0, len(claims) - 1))
    proof, path, value = claims[place]
    other, other_path, other_value = draw(st.sampled_from(claims))
    at = draw(st.integers(0, len(proof) - 1))
    junk = draw(st.binary(min_size=1, max_size=4))
    match draw(st.integers(0, 12)):
        case 0:
            proof = proof[:at] + bytes((proof[at] ^ draw(st.integers(1, 255)),)) + proof[at + 1 :]
        case 1:
            proof = proof[:at]
        case 2:
            proof = proof[:at] + junk + proof[at:]
        case 3:
            proof = proof[:at] + proof[at + draw(st.integers(1, 60)) :]
        case 4:
            proof = proof[:at] + other[at:]
        case 5:
            value = other_value
        case 6:
            path = (other_path[0], path[1])
        case 7:
            path = (path[0], other_path[1])
        case 8:
            proof = proof + junk
        case _:
            proof = _refielded(draw, proof, other)
    return place, (proof, path, value)


def _refielded(draw: st.DrawFn, proof: bytes, other: bytes) -> bytes:
    """Fields moved about, doubled, dropped, or taken from another proof."""
    message = ibc_commitment_pb2.MerkleProof.FromString(proof)
    foreign = ibc_commitment_pb2.MerkleProof.FromString(other)
    exist, outer = message.proofs[0].exist, message.proofs[1].exist
    one = draw(st.sampled_from((exist, outer)))
    place = draw(st.integers(0, max(len(one.path) - 1, 0)))
    match draw(st.integers(0, 9)):
        case 0 if one.path:
            one.path.append(one.path[place])
        case 1 if one.path:
            del one.path[place]
        case 2 if len(one.path) > 1:
            one.path[0].prefix, one.path[place].prefix = one.path[place].prefix, one.path[0].prefix
        case 3 if one.path:
            one.path[place].suffix = b"" if one.path[place].suffix else bytes(33)
        case 4:
            message.proofs[1].CopyFrom(foreign.proofs[1])
        case 5:
            exist.path.extend(foreign.proofs[0].exist.path)
        case 6:
            one.leaf.prefix = draw(st.binary(max_size=4))
        case 7 if one.path:
            one.path[place].hash = wire.SHA512
        case 8:
            parts = _fields(exist)
            return _wrapped(b"".join(draw(st.permutations(parts))), message)
        case _:
            parts = _fields(exist)
            return _wrapped(b"".join([*parts, draw(st.sampled_from(parts))]), message)
    return message.SerializeToString(deterministic=True)


def _fields(exist: wire.ExistenceProof) -> list[bytes]:
    single = [
        wire.ExistenceProof(key=exist.key),
        wire.ExistenceProof(value=exist.value),
        wire.ExistenceProof(leaf=exist.leaf),
        *(wire.ExistenceProof(path=[step]) for step in exist.path),
    ]
    return [part.SerializeToString() for part in single]


def _wrapped(exist: bytes, message: ibc_commitment_pb2.MerkleProof) -> bytes:
    """A MerkleProof around raw ExistenceProof bytes, with lengths of fixed width: valid, not canonical."""
    inner = b"\x0a" + _wide(len(exist)) + exist
    outer = message.proofs[1].SerializeToString()
    return b"\x0a" + _wide(len(inner)) + inner + b"\x0a" + _wide(len(outer)) + outer


def _wide(length: int) -> bytes:
    return bytes((length & 0x7F | 0x80, length >> 7 & 0x7F | 0x80, length >> 14))


@given(spoilt())
@settings(max_examples=1500, deadline=None)
def test_a_spoilt_proof_gets_the_plain_verdict(drawn: tuple[int, Claim]) -> None:
    root, claims = world()
    place, claim = drawn
    verdict = plain(root, claim)
    assert fused(ProofMemo(root, SPECS), claim) == verdict
    assert fused(warm_memo(), claim) == verdict
    for before in (place - 1, place):  # what its neighbour leaves behind, and what the proof itself does
        for memo in (ProofMemo(root, SPECS), warm_memo()):
            assert fused(memo, claims[before]) == "accepted"
            assert fused(memo, claim) == verdict


def test_any_changed_bit_is_refused_cold_and_warm() -> None:
    root, claims = world()
    proof, path, value = claims[len(claims) // 2]
    memo = ProofMemo(root, SPECS)
    assert memo._accepts(proof, *path, value)
    for at in range(len(proof)):
        for bit in range(8):
            changed = proof[:at] + bytes((proof[at] ^ 1 << bit,)) + proof[at + 1 :]
            claim = (changed, path, value)
            assert fused(warm_memo(), claim) == fused(ProofMemo(root, SPECS), claim) == plain(root, claim) != "accepted"
            assert not memo._accepts(changed, *path, value)


# Headers as no honest tree has them: cut short, negative, too long, in longer forms of a number.
LEAF_PREFIXES = (
    b"\x00\x02\x02",
    b"\x00\x02",
    b"\x00\x02\x03",
    b"\x00\x01\x02",
    b"\x00\x02\x02\x02",
    b"\x00\x80\x00\x02",
)
HEADERS = (b"\x08", b"\x08\x04\x03", b"\x08\x03\x04", b"\x09\x04\x04", b"\x08\x04\x04\x04", b"\x08\x84\x00\x04")
HEADERS += (b"\x88\x00\x04\x04", b"\x08" + b"\xfe" * 8 + b"\x01\xfe\x01", b"\x08\x04" + b"\xfe" * 9 + b"\x01")
LEAVES = st.builds(
    Leaf,
    st.binary(min_size=1, max_size=3),
    st.binary(min_size=1, max_size=3),
    st.one_of(st.just(LEAF_PREFIXES[0]), st.sampled_from(LEAF_PREFIXES)),
)
RAW = st.one_of(st.just(b""), st.just(b""), st.just(b""), st.sampled_from(HEADERS))
TREES = st.recursive(
    LEAVES,
    lambda nodes: st.builds(Fork, nodes, nodes, st.integers(0, 9), st.integers(1, 2**40), st.integers(0, 2**40), RAW),
    max_leaves=24,
)


@given(TREES, st.randoms(use_true_random=False))
@settings(max_examples=400, deadline=None)
def test_trees_with_any_heights_get_the_plain_verdict_in_any_order(tree: Leaf | Fork, order: object) -> None:
    """One node is reached at several layers, where its claimed height may be enough or not."""
    outer, root = only_store(b"ibc", digest(tree))
    memo = ProofMemo(root, SPECS)
    found = proofs(tree)
    order.shuffle(found)  # type: ignore[attr-defined]  # random.Random
    for proof in found + found:
        data = merkle_proof(wire.CommitmentProof(exist=proof), outer)
        claim = (data, (b"ibc", proof.key), proof.value)
        assert fused(memo, claim) == plain(root, claim)


@pytest.mark.parametrize("above_on", ["left", "right"])
@pytest.mark.parametrize("below_on", ["left", "right"])
def test_a_node_accepted_near_its_leaf_is_not_accepted_further_up(above_on: str, below_on: str) -> None:
    """Its remaining steps hold when it stands at layer 2, and not at layer 3, on whichever side it and others stand."""

    def fork(node: Leaf | Fork, other: Leaf | Fork, height: int, on: str) -> Fork:
        return Fork(node, other, height) if on == "left" else Fork(other, node, height)

    deeper = Fork(Leaf(b"b", b"2"), Leaf(b"c", b"3"), 1)
    node = fork(Leaf(b"a", b"1"), deeper, 9, below_on)
    tree = fork(fork(node, Leaf(b"d", b"4"), 9, above_on), Leaf(b"e", b"5"), 3, above_on)
    outer, root = only_store(b"ibc", digest(tree))
    memo = ProofMemo(root, SPECS)
    verdicts = []
    for proof in sorted(proofs(tree), key=lambda proof: proof.key):
        claim = (merkle_proof(wire.CommitmentProof(exist=proof), outer), (b"ibc", proof.key), proof.value)
        verdicts.append(plain(root, claim))
        assert fused(memo, claim) == verdicts[-1]
    assert [verdict == "accepted" for verdict in verdicts] == [True, False, False, True, True]


@pytest.mark.parametrize("stepped", [False, True], ids=["leaf prefix", "step"])
def test_nothing_runs_over_the_end_of_its_proof(stepped: bool) -> None:
    """The last byte of the part is missing; the tag of the next field, as it happens, is that byte."""
    leaf = Leaf(b"k", b"v") if stepped else Leaf(b"k", b"v", b"\x00\x02\x0a")
    beside = (Leaf(b"l", b"%d" % n) for n in range(10_000))
    tree = Fork(leaf, next(one for one in beside if digest(one).endswith(b"\x0a")), 1) if stepped else leaf
    outer, root = only_store(b"ibc", digest(tree))
    whole = proofs(tree)[0].SerializeToString(deterministic=True)
    assert whole.endswith(b"\x0a")
    memo = ProofMemo(root, SPECS)
    for inner in (whole[:-1], whole, whole[:-1]):
        tail = outer.SerializeToString()
        framed = b"\x0a" + uvarint(len(inner)) + inner
        proof = b"".join((b"\x0a", uvarint(len(framed)), framed, b"\x0a", uvarint(len(tail)), tail))
        claim = (proof, (b"ibc", b"k"), b"v")
        assert fused(memo, claim) == plain(root, claim)
        assert (plain(root, claim) == "accepted") is (inner == whole)


@given(st.integers(120, 135), st.integers(0, 12))
@settings(max_examples=60, deadline=None)
def test_depth_ends_where_the_plain_verifier_ends_it(depth: int, shorter: int) -> None:
    tree: Leaf | Fork = Leaf(b"k", b"v")
    for height in range(1, depth + 1):
        tree = Fork(tree, Leaf(b"%d" % height, b"w"), height)
    outer, root = only_store(b"ibc", digest(tree))
    memo = ProofMemo(root, SPECS)
    found = proofs(tree)
    for proof in (found[shorter], found[0], found[1]):
        data = merkle_proof(wire.CommitmentProof(exist=proof), outer)
        claim = (data, (b"ibc", proof.key), proof.value)
        assert fused(memo, claim) == plain(root, claim)
