"""Proofs out of trees: canonical bytes, and the worked example of two layers."""

from __future__ import annotations

import random

import pytest

from lockgate.codec.wire import ibc_commitment_pb2
from lockgate.codec.wire import ics23_pb2 as wire
from lockgate.merkle import ics23
from lockgate.merkle.errors import EmptyTree
from lockgate.merkle.multistore import MultiStore
from lockgate.merkle.snapshot import Snapshot
from lockgate.merkle.specs import IAVL_SPEC, TENDERMINT_SPEC

SPECS = (IAVL_SPEC, TENDERMINT_SPEC)
COMMITMENT_KEY = b"07-tendermint-0\x01" + (1).to_bytes(8, "big")
COMMITMENT = bytes.fromhex("a096722aa6534040a0efbdae05765132a7b223ad306d6512f3734821bd046505")
PRESENT = """
0a780a760a1830372d74656e6465726d696e742d300100000000000000011220a096722aa6534040a0efbdae05765132a7b223ad306d6512f3734821
bd0465051a0b0801180120012a03000202222b08011204020402201a2120a3c8a444ee3f2f3460c5922b32e4c8851fe68e0b4599502091515de7a216
5ef10a85010a82010a0369626312205c1e5f385184aadea5c832c8255f83a362be23c4c307322b28ec05e4d7bd9d331a090801180120012a0100222508
0112
21012b85e10d7fb0f1216fa26c2f00c225dade7fb9c5799fb71213cd0714ee055602 222708011201011a20c9c8849ed125cc7681329c4d27b83b
1fc8acf7a865c9d1d1df575cca56f48dbe
"""


def example() -> MultiStore:
    """Store ibc with two keys, set one after the other in one version; bank and upgrade empty (digest §9)."""
    state = MultiStore(("upgrade", "ibc", "bank"))
    state.apply({("ibc", COMMITMENT_KEY): COMMITMENT})
    state.apply({("ibc", b"nextSequenceSend/07-tendermint-0"): (2).to_bytes(8, "big")})
    state.commit(1)
    return state


def test_worked_example() -> None:
    state = example()
    root = "5c1e5f385184aadea5c832c8255f83a362be23c4c307322b28ec05e4d7bd9d33"
    assert state.view(1).snapshots["ibc"].root_hash.hex() == root
    assert state.app_hash.hex() == "932f2965f3ae70d0918f60ff38eccd676bd36f6cc11b301b7337960b1478e501"
    proven = state.prove("ibc", COMMITMENT_KEY, 1)
    assert proven.merkle_proof == bytes.fromhex("".join(PRESENT.split()))
    assert proven.value == COMMITMENT
    ics23.verify_membership(SPECS, state.app_hash, (b"ibc", COMMITMENT_KEY), COMMITMENT, proven.merkle_proof)


def test_worked_example_of_absence() -> None:
    state = example()
    receipt = b"07-tendermint-0\x02" + (1).to_bytes(8, "big")
    proven = state.prove("ibc", receipt, 1)
    assert proven.value is None
    assert len(proven.merkle_proof) == 390
    absent = ics23.parse_proof(proven.inner).nonexist
    assert (absent.key, absent.left.key, absent.right.key) == (
        receipt, COMMITMENT_KEY, b"nextSequenceSend/07-tendermint-0",
    )  # fmt: skip
    assert absent.left.path[0].prefix.hex() == "02040220"
    assert absent.right.path[0].suffix == b""
    ics23.verify_non_membership(SPECS, state.app_hash, (b"ibc", receipt), proven.merkle_proof)


def grown(count: int, versions: int) -> MultiStore:
    state = MultiStore(("a", "bb", "ccc", "dddd", "eeeee"))
    for version in range(1, versions + 1):
        keys = range(version, count, versions)
        state.apply({("ccc", b"%04d" % key + b"k" * (key % 150)): b"v" * (1 + key * 7 % 300) for key in keys})
        state.commit(version)
    return state


def test_bytes_are_those_the_generated_messages_write() -> None:
    state = grown(300, 130)
    for key, value in list(state.scan("ccc", b"", b"~")):
        for asked in (key, key + b"\x00"):
            proven = state.prove("ccc", asked, state.version)
            for part in (proven.inner, proven.outer):
                assert wire.CommitmentProof.FromString(part).SerializeToString(deterministic=True) == part
            whole = ibc_commitment_pb2.MerkleProof.FromString(proven.merkle_proof)
            assert whole.SerializeToString(deterministic=True) == proven.merkle_proof
        exist = ics23.parse_proof(state.prove("ccc", key, state.version).inner).exist
        assert (exist.key, exist.value) == (key, value)


def test_absence_at_both_ends_and_between() -> None:
    state = grown(40, 3)
    keys = [key for key, _ in state.scan("ccc", b"", b"~")]
    for asked, left, right in (
        (b"\x00", b"", keys[0]),
        (b"~", keys[-1], b""),
        (keys[7] + b"\x00", keys[7], keys[8]),
    ):
        proven = state.prove("ccc", asked, state.version)
        absent = ics23.parse_proof(proven.inner).nonexist
        assert (absent.left.key, absent.right.key) == (left, right)
        ics23.verify_non_membership(SPECS, state.app_hash, (b"ccc", asked), proven.merkle_proof)


def test_an_empty_store_cannot_prove_absence() -> None:
    state = grown(4, 1)
    with pytest.raises(EmptyTree):
        state.prove("a", b"key", 1)


def test_one_leaf_proves_itself_and_both_sides_of_it() -> None:
    state = MultiStore(("s",))
    state.apply({("s", b"m"): b"v"})
    root = state.commit(1)
    ics23.verify_membership(SPECS, root, (b"s", b"m"), b"v", state.prove("s", b"m", 1).merkle_proof)
    for key in (b"a", b"z"):
        ics23.verify_non_membership(SPECS, root, (b"s", key), state.prove("s", key, 1).merkle_proof)


def test_the_proofs_made_before_change_none_that_follows() -> None:
    state = grown(200, 3)
    snapshot = state.view(3).snapshots["ccc"]
    keys = [key for key, _ in state.scan("ccc", b"", b"~")]
    asked = [*keys, *(key + b"\x00" for key in keys), b"\x00", b"~"]
    alone = {key: Snapshot(snapshot.root, snapshot._fill).prove(key) for key in asked}
    for order in (sorted(asked), sorted(asked, reverse=True), random.Random(1).sample(asked, len(asked))):
        for key in order:
            assert snapshot.prove(key) == alone[key]
