"""Where a step stands, read off its lengths: also for trees of three children in another order."""

from __future__ import annotations

import pytest

from lockgate.codec.wire import ics23_pb2 as wire
from lockgate.merkle import absence
from lockgate.merkle.specs import IAVL_SPEC, HashOp, InnerSpec

EMPTY = b"\xee" * 4
TERNARY = InnerSpec(
    child_order=(2, 0, 1), child_size=4, min_prefix=1, max_prefix=2, empty_child=EMPTY, hash=HashOp.SHA256
)


def step(prefix: int, suffix: int) -> wire.InnerOp:
    """A step with so many bytes before and after its child."""
    return wire.InnerOp(prefix=b"\x01" * prefix, suffix=b"\x02" * suffix)


@pytest.mark.parametrize(
    ("prefix", "suffix", "leftmost", "rightmost"),
    [
        (4, 33, True, False),
        (12, 33, True, False),
        (37, 0, False, True),
        (45, 0, False, True),
        (3, 33, False, False),
        (13, 33, False, False),
        (4, 0, False, False),
        (4, 66, False, False),
        (36, 0, False, False),
        (37, 33, False, False),
    ],
)
def test_edges_of_a_binary_tree(prefix: int, suffix: int, leftmost: bool, rightmost: bool) -> None:
    path = [step(prefix, suffix)]
    assert absence.is_outermost(IAVL_SPEC.inner, path, leftmost=True) is leftmost
    assert absence.is_outermost(IAVL_SPEC.inner, path, leftmost=False) is rightmost


def test_an_empty_path_is_at_both_edges() -> None:
    assert absence.is_outermost(IAVL_SPEC.inner, [], leftmost=True)
    assert absence.is_outermost(IAVL_SPEC.inner, [], leftmost=False)


def test_branches_of_a_ternary_tree_follow_its_order() -> None:
    """Branch 2 stands first, then branch 0, then branch 1."""
    zero, one, two = step(5, 4), step(9, 0), step(1, 8)
    assert absence.is_outermost(TERNARY, [zero, zero], leftmost=True)
    assert absence.is_outermost(TERNARY, [two], leftmost=False)
    assert not absence.is_outermost(TERNARY, [one], leftmost=True)
    assert absence.are_adjacent(TERNARY, [zero], [one])
    assert absence.are_adjacent(TERNARY, [one], [two])
    assert not absence.are_adjacent(TERNARY, [zero], [two])
    assert not absence.are_adjacent(TERNARY, [one], [zero])
    assert absence.are_adjacent(TERNARY, [two, zero, one], [zero, one, one])
    assert not absence.are_adjacent(TERNARY, [one, zero, one], [zero, one, one]), "the left path is not along its edge"
    assert not absence.are_adjacent(TERNARY, [two, zero, one], [one, one, one]), "the right path is not along its edge"


def test_empty_children_beyond_a_step() -> None:
    plain = InnerSpec(
        child_order=(0, 1, 2), child_size=4, min_prefix=1, max_prefix=1, empty_child=EMPTY, hash=HashOp.SHA256
    )
    both = wire.InnerOp(prefix=b"\x01" + EMPTY, suffix=EMPTY)
    assert absence.has_empty_branches(plain, both, left=True)
    assert absence.has_empty_branches(plain, both, left=False)
    half = wire.InnerOp(prefix=b"\x01" + EMPTY + b"full")
    assert not absence.has_empty_branches(plain, half, left=True)
    assert not absence.has_empty_branches(plain, half, left=False), "nothing is beyond the last branch"
    no_empty = InnerSpec(
        child_order=(0, 1), child_size=4, min_prefix=1, max_prefix=1, empty_child=b"", hash=HashOp.SHA256
    )
    assert not absence.has_empty_branches(no_empty, wire.InnerOp(prefix=b"\x01" + EMPTY), left=True)


def test_paths_that_never_part_are_not_adjacent() -> None:
    path = [step(4, 33), step(37, 0)]
    for left, right in ((path, path), (path, path[1:]), (path[1:], path), ([], path), (path, []), ([], [])):
        assert not absence.are_adjacent(IAVL_SPEC.inner, left, right)
