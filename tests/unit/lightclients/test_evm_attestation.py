"""Roots over leaves, and proofs of any part of them, judged by a second way up the tree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.codec import abi
from lockgate.crypto.keccak import keccak256
from lockgate.lightclients import evm_attestation as words
from lockgate.primitives.errors import Misuse
from lockgate.primitives.time import UnixSeconds

BINDING = words.Binding(chain_id=31337, contract=b"\x01" * 20, client_id="client-0", source=b"\x02" * 32)


def leaf(number: int) -> words.Leaf:
    return words.Leaf(keccak256(bytes([number])), number.to_bytes(32))


def root_by(hashes: dict[int, bytes], inclusion: words.Inclusion) -> bytes:
    """The root that known leaves and the siblings lead to, as the contract computes it."""
    siblings = list(inclusion.siblings)
    level, width = dict(hashes), inclusion.size
    while width > 1:
        above: dict[int, bytes] = {}
        for at in sorted(level):
            if at >> 1 in above:
                continue
            if at ^ 1 >= width:
                above[at >> 1] = level[at]
                continue
            other = level[at ^ 1] if at ^ 1 in level else siblings.pop(0)
            above[at >> 1] = keccak256(other + level[at] if at & 1 else level[at] + other)
        level, width = above, (width + 1) >> 1
    assert siblings == []
    return level[0]


@given(st.integers(1, 70).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1), min_size=1))))
def test_any_part_leads_to_the_root(case: tuple[int, set[int]]) -> None:
    size, wanted = case
    leaves = [leaf(at) for at in range(size)]
    root, inclusion = words.prove(leaves, sorted(wanted))
    assert inclusion.positions == sum(1 << at for at in wanted)
    assert root_by({at: leaves[at].hash for at in wanted}, inclusion) == root == words.merkle_root(leaves)


@given(st.integers(1, 40), st.integers(0, 39), st.booleans())
def test_every_leaf_counts(size: int, at: int, value: bool) -> None:
    leaves = [leaf(number) for number in range(size)]
    other = words.Leaf(leaves[at % size].path, b"\xff" * 32) if value else words.Leaf(b"\xff" * 32, bytes(32))
    changed = [*leaves[: at % size], other, *leaves[at % size + 1 :]]
    assert words.merkle_root(changed) != words.merkle_root(leaves)


@pytest.mark.parametrize("size", [0, words.MAX_LEAVES + 1])
def test_a_root_covers_what_the_contract_takes(size: int) -> None:
    with pytest.raises(Misuse):
        words.merkle_root([leaf(0)] * size)


def test_c4_each_field_makes_another_digest() -> None:
    """Nothing that was signed for one network, contract, client, ledger, epoch or height is good for another."""
    plain = {"epoch": 1, "height": 2, "time": UnixSeconds(3), "state_root": b"\x04" * 32, "leaves_root": b"\x05" * 32}
    bound = {"chain_id": 1, "contract": b"\x01" * 20, "client_id": "client-0", "source": b"\x02" * 32}
    changes = {"epoch": 9, "height": 9, "time": UnixSeconds(9), "state_root": b"\x09" * 32, "leaves_root": b"\x09" * 32}
    elsewhere = {"chain_id": 9, "contract": b"\x09" * 20, "client_id": "client-9", "source": b"\x09" * 32}
    digests = [words.Statement(**plain).digest(words.Binding(**bound))]  # type: ignore[arg-type]  # one field changes
    for name, value in changes.items():
        digests.append(words.Statement(**{**plain, name: value}).digest(words.Binding(**bound)))  # type: ignore[arg-type]
    for name, value in elsewhere.items():
        digests.append(words.Statement(**plain).digest(words.Binding(**{**bound, name: value})))  # type: ignore[arg-type]
    assert len(set(digests)) == 10


def test_the_proof_is_two_arguments_in_canonical_form() -> None:
    leaves = [leaf(at) for at in range(3)]
    root, inclusion = words.prove(leaves, [1])
    statement = words.Statement(epoch=1, height=2, time=UnixSeconds(3), state_root=b"\x04" * 32, leaves_root=root)
    signed = [words.Signed(0, b"\x05" * 32, b"\x06" * 32)]
    proof = words.encode_proof(statement, signed, inclusion)
    both = abi.Tuple((words.ATTESTATION, words.INCLUSION))
    fields, included = abi.decode(both, abi.WORD.to_bytes(abi.WORD) + proof)
    assert fields == words.attestation_fields(statement, signed)
    assert included == words.inclusion_fields(inclusion)


def test_signatures_are_ordered_and_no_more_than_needed() -> None:
    signed = {at: words.Signed(at, bytes(32), bytes(32)) for at in (4, 0, 2, 1)}
    assert [one.position for one in words.ordered(signed, 3)] == [0, 1, 2]


def test_a_rotation_is_signed_for_one_epoch_and_one_set() -> None:
    members = tuple(words.Member(at + 1, bytes([at + 1]) * 20, 1) for at in range(5))
    first = words.SigningSet(members, 3, 3, UnixSeconds(10))
    second = words.SigningSet(members, 4, 3, UnixSeconds(10))
    digests = {one.rotation_digest(BINDING, epoch) for one in (first, second) for epoch in (1, 2)}
    assert len(digests) == 4
