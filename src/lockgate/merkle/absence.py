"""Where a path runs in its tree, read off the lengths of its steps: edges and neighbours.

A step of a binary tree carries its sibling in the prefix (the child is on the right) or in the suffix
(on the left); the general rule for n children is the padding of a branch. Source: cosmos/ics23
go/proof.go; digest ICS-23 §5.
"""

from __future__ import annotations

from collections.abc import Sequence

from lockgate.codec.wire import ics23_pb2 as wire
from lockgate.merkle.specs import InnerSpec


def is_outermost(spec: InnerSpec, path: Sequence[wire.InnerOp], *, leftmost: bool) -> bool:
    """Does the path run along one edge of the tree, or have only empty children beyond it?"""
    branch = 0 if leftmost else len(spec.child_order) - 1
    return all(_stands_at(spec, step, branch) or has_empty_branches(spec, step, left=leftmost) for step in path)


def are_adjacent(spec: InnerSpec, left: Sequence[wire.InnerOp], right: Sequence[wire.InnerOp]) -> bool:
    """Do two paths, leaf end first, lead to leaves with nothing between them?

    They run together from the root, part at neighbouring branches of one node, and from there on run
    along the inner edges. A path that ends before they part is refused.
    """
    one, other = len(left), len(right)
    while one and other and _same(left[one - 1], right[other - 1]):
        one, other = one - 1, other - 1
    if not one or not other:
        return False
    here, there = _branch(spec, left[one - 1]), _branch(spec, right[other - 1])
    if here is None or there is None or there != here + 1:
        return False
    return is_outermost(spec, left[: one - 1], leftmost=False) and is_outermost(spec, right[: other - 1], leftmost=True)


def has_empty_branches(spec: InnerSpec, step: wire.InnerOp, *, left: bool) -> bool:
    """Are there branches on that side of the step's child, all of them the empty child?"""
    size, branch = spec.child_size, _branch(spec, step)
    if branch is None or len(spec.empty_child) != size:
        return False
    count = branch if left else len(spec.child_order) - 1 - branch
    if not count:
        return False
    beyond = step.prefix[-count * size :] if left else step.suffix[: count * size]
    return beyond == spec.empty_child * count


def _same(one: wire.InnerOp, other: wire.InnerOp) -> bool:
    return one.prefix == other.prefix and one.suffix == other.suffix


def _branch(spec: InnerSpec, step: wire.InnerOp) -> int | None:
    """The branch the step's child stands at, None where its lengths fit none."""
    return next((b for b in range(len(spec.child_order)) if _stands_at(spec, step, b)), None)


def _stands_at(spec: InnerSpec, step: wire.InnerOp, branch: int) -> bool:
    if not 0 <= branch < len(spec.child_order):
        return False
    position = spec.child_order.index(branch)
    before = position * spec.child_size
    after = (len(spec.child_order) - 1 - position) * spec.child_size
    return spec.min_prefix + before <= len(step.prefix) <= spec.max_prefix + before and len(step.suffix) == after


__all__ = ("are_adjacent", "has_empty_branches", "is_outermost")
