"""The written rule: one way to write it, monotone verdicts, minimal sets."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.lightclients.composite import Joined, MemberTerm, minimal_sets, parse
from lockgate.lightclients.composite.errors import RuleRefused
from lockgate.lightclients.composite.members import JointProofs
from lockgate.lightclients.composite.rule import MAX_DEPTH, MAX_MEMBERS, Rule
from lockgate.merkle.errors import ProofMismatch
from lockgate.primitives.ids import ClientId

GOOD = (
    "a-0 AND b-0",
    "07-tendermint-0 AND (attested-1(3/5) OR 08-ethereum-2)",
    "(a-0 AND b-0) OR (a-1 AND b-1)",
    "a-0 OR b-0 OR c-12",
    "((a-0 OR b-0) AND c-0) OR d-0",
)


@pytest.mark.parametrize("text", GOOD)
def test_a_rule_prints_as_it_was_written(text: str) -> None:
    assert str(parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a-0",
        "(a-0)",
        "(a-0 AND b-0)",
        "a-0 AND",
        "a-0 AND b-0 ",
        " a-0 AND b-0",
        "a-0  AND b-0",
        "a-0 and b-0",
        "a-0 AND b-0 OR c-0",
        "a-0 AND (b-0)",
        "a-0 AND ((b-0 OR c-0))",
        "a-0 AND (b-0 OR c-0",
        "a-0 AND b-0)",
        "a-0 AND a-0",
        "a-0 AND (b-0 OR a-0)",
        "a-00 AND b-0",
        "a AND b-0",
        "a-0 AND NOT b-0",
        "a-0(0/5) AND b-0",
        "a-0(03/5) AND b-0",
        "a-0(3/5 AND b-0",
        "a-0(3) AND b-0",
        "a-0 AND b-0\n",
        "a-0\tAND b-0",
        "а-0 AND b-0",
        "a-0 b-0",
        "AND OR AND",
        " AND ".join(f"a-{number}" for number in range(MAX_MEMBERS + 1)),
        "x-1 AND (" * MAX_DEPTH + "a-0 AND b-0" + ")" * MAX_DEPTH,
        "a-0 AND " + "b" * 600 + "-0",
    ],
)
def test_what_is_not_the_one_way_to_write_a_rule_is_refused(text: str) -> None:
    with pytest.raises(RuleRefused):
        parse(text)


def test_minimal_sets_are_named_smallest_first() -> None:
    assert minimal_sets(parse("a-0 AND (b-0 OR c-0)")) == (("a-0", "b-0"), ("a-0", "c-0"))
    assert minimal_sets(parse("(a-0 AND b-0) OR c-0")) == (("c-0",), ("a-0", "b-0"))


@st.composite
def rules(draw: st.DrawFn, depth: int = 1, names: list[str] | None = None) -> Rule:
    """A rule whose members are all different; inner items join by the other word, as one way to write asks."""
    left = [f"a-{number}" for number in range(MAX_MEMBERS)] if names is None else names
    items: list[Rule] = []
    for _ in range(draw(st.integers(2, 3))):
        if depth < 3 and len(left) >= 2 and draw(st.booleans()):
            items.append(draw(rules(depth + 1, left)))
        elif left:
            items.append(MemberTerm(ClientId(left.pop())))
    items = [item for item in items if isinstance(item, MemberTerm) or len(item.items) > 1]
    return Joined(draw(st.booleans()), tuple(items))


def written(rule: Rule) -> bool:
    return isinstance(rule, Joined) and len(rule.items) > 1


@given(rules())
@settings(max_examples=200, deadline=None)
def test_every_rule_reads_back(rule: Rule) -> None:
    if written(rule):
        assert parse(str(rule)) == rule


@given(rules(), st.data())
@settings(max_examples=300, deadline=None)
def test_p21_a_rule_is_monotone(rule: Rule, data: st.DataObject) -> None:
    """More agreement never believes less, and nothing is believed without a minimal set."""
    names = [member.client for member in rule.members()]
    few = set(data.draw(st.lists(st.sampled_from(names)) if names else st.just([])))
    more = few | set(data.draw(st.lists(st.sampled_from(names)) if names else st.just([])))
    if written(rule):
        assert not rule.holds(())
        assert rule.holds(names)
        assert rule.holds(few) <= rule.holds(more)
        assert rule.holds(few) == any(set(each) <= few for each in minimal_sets(rule))


class Says:
    """A member's proofs: they hold, or they do not."""

    def __init__(self, yes: bool) -> None:
        self._yes = yes

    def membership(self, proof: bytes, path: Sequence[bytes], value: bytes) -> None:
        if not self._yes:
            raise ProofMismatch("said so")

    def non_membership(self, proof: bytes, path: Sequence[bytes]) -> None:
        self.membership(proof, path, b"")


@pytest.mark.parametrize(
    ("a", "b", "c", "holds"),
    [
        (True, True, False, True),
        (True, False, True, True),
        (True, False, False, False),
        (False, True, True, False),
        (False, False, False, False),
    ],
)
def test_p21_a_proof_holds_when_the_rule_over_the_members_verdicts_holds(
    a: bool, b: bool, c: bool, holds: bool
) -> None:
    rule = parse("a-0 AND (b-0 OR c-0)")
    says = {ClientId("a-0"): Says(a), ClientId("b-0"): Says(b), ClientId("c-0"): Says(c)}
    joint = JointProofs(rule, says, dict.fromkeys(says, "form"))
    with contextlib.nullcontext() if holds else pytest.raises(ProofMismatch):
        joint.membership(b"", (b"",), b"")
    with contextlib.nullcontext() if holds else pytest.raises(ProofMismatch):
        joint.non_membership(b"", (b"",))


@pytest.mark.parametrize(
    ("a", "b", "c", "holds"),
    [
        (True, False, False, True),
        (True, False, True, True),
        (False, True, True, True),
        (False, False, True, False),
        (False, True, False, False),
        (False, False, False, False),
    ],
)
def test_p21_a_member_that_reads_other_proofs_has_vouched_for_the_root_and_somebody_must_have_read(
    a: bool, b: bool, c: bool, holds: bool
) -> None:
    """a reads one form, b and c another; all three hold the root. One form's readers must satisfy the rule with a."""
    rule = parse("a-0 AND b-0 AND c-0")
    says = {ClientId("a-0"): Says(a), ClientId("b-0"): Says(b), ClientId("c-0"): Says(c)}
    joint = JointProofs(rule, says, {ClientId("a-0"): "one", ClientId("b-0"): "other", ClientId("c-0"): "other"})
    with contextlib.nullcontext() if holds else pytest.raises(ProofMismatch):
        joint.membership(b"", (b"",), b"")
    with contextlib.nullcontext() if holds else pytest.raises(ProofMismatch):
        joint.non_membership(b"", (b"",))
