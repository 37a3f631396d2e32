"""SSZ trees: roots as a plain recursion gives them, and branches that lead to them or are refused."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.merkle import ssz
from lockgate.merkle.errors import ProofMalformed, ProofMismatch

CHUNKS = st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=20)


def naive(chunks: list[bytes], width: int) -> bytes:
    """The root over chunks filled up with zeros to `width`, a power of two."""
    if width == 1:
        return chunks[0] if chunks else bytes(32)
    half = width // 2
    return hashlib.sha256(naive(chunks[:half], half) + naive(chunks[half:], half)).digest()


def power(count: int) -> int:
    return 1 << (count - 1).bit_length()


@given(CHUNKS, st.integers(0, 200))
def test_roots(chunks: list[bytes], more: int) -> None:
    assert ssz.merkleize(chunks) == naive(chunks, power(len(chunks)))
    limit = len(chunks) + more
    assert ssz.merkleize(chunks, limit) == naive(chunks, power(limit))


def test_an_empty_list_has_the_root_of_zeros() -> None:
    assert ssz.merkleize([], 8) == naive([], 8) == ssz.zero(3)
    assert ssz.with_length(ssz.zero(0), 0) == hashlib.sha256(bytes(64)).digest()


@given(CHUNKS, st.data())
def test_branches(chunks: list[bytes], data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(chunks) - 1))
    index = power(len(chunks)) + position
    ssz.check_branch(chunks[position], ssz.branch_of(chunks, position), index, ssz.merkleize(chunks))


@pytest.mark.parametrize(
    ("leaf", "index", "cut", "refusal"),
    [
        (bytes(32), 13, 0, ProofMismatch),
        (b"\x05" * 32, 12, 0, ProofMismatch),
        (b"\x05" * 32, 13, 1, ProofMalformed),
        (b"\x05" * 32, 29, 0, ProofMalformed),
        (b"\x05" * 32, 5, 0, ProofMalformed),
    ],
    ids=["other-leaf", "other-side", "short", "deeper", "shallower"],
)
def test_another_branch_is_refused(leaf: bytes, index: int, cut: int, refusal: type[Exception]) -> None:
    chunks = [bytes([n]) * 32 for n in range(8)]
    branch = ssz.branch_of(chunks, 5)
    ssz.check_branch(b"\x05" * 32, branch, 13, ssz.merkleize(chunks))
    with pytest.raises(refusal):
        ssz.check_branch(leaf, branch[cut:], index, ssz.merkleize(chunks))


def test_siblings_are_chunks() -> None:
    with pytest.raises(ProofMalformed):
        ssz.check_branch(bytes(32), [b"short"], 2, bytes(32))


def test_chunks_of_bytes_and_numbers() -> None:
    assert ssz.packed(b"\x01" * 48) == [b"\x01" * 32, b"\x01" * 16 + bytes(16)]
    assert ssz.uint(258) == b"\x02\x01" + bytes(30)
