"""Whatever rule a ledger accepts over whatever clients: nobody satisfies it alone, and minorities satisfy nothing."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.lightclients.composite import Joined, MemberTerm
from lockgate.lightclients.composite.errors import RuleRefused
from lockgate.lightclients.composite.members import check_parties
from lockgate.lightclients.subject import Subject
from lockgate.primitives.ids import ClientId
from lockgate.primitives.time import seconds

CHAIN, DOMAIN = "ledger-1", b"\x01" * 32
PARTIES = [f"party-{number}" for number in range(6)]


@st.composite
def joined(draw: st.DrawFn) -> tuple[Joined, dict[ClientId, Subject]]:
    """A rule of three members in either shape, each attested by some parties or believed on one source's word."""
    names = [ClientId(f"kind-{number}") for number in range(3)]
    every = draw(st.booleans())
    inner = Joined(not every, (MemberTerm(names[1]), MemberTerm(names[2])))
    subjects = {}
    for name in names:
        some = draw(st.lists(st.sampled_from(PARTIES), min_size=1, max_size=4, unique=True))
        header = draw(st.booleans())
        subjects[name] = Subject(
            kind="kind",
            chain_id=CHAIN,
            domain=DOMAIN,
            trusting_period=seconds(1),
            operators=frozenset() if header else frozenset(some),
            sources=frozenset(some[:1]) if header else frozenset(f"node of {each}" for each in some),
            parties=None if header else (len(some) // 2 + 1, len(some)),
            alone=frozenset(some[:1]) if header or len(some) == 1 else frozenset(),
            above_two_thirds=True,
            needs="",
            forged_by="",
        )
    return Joined(every, (MemberTerm(names[0]), inner)), subjects


def fooled(subject: Subject, corrupt: set[str]) -> bool:
    """Whether these parties together make a client of this kind believe what they like."""
    if subject.parties is None:
        return bool(subject.sources & corrupt)
    return len(subject.operators & corrupt) >= subject.parties[0]


@given(joined(), st.sets(st.sampled_from(PARTIES)))
@settings(max_examples=150, deadline=None)
def test_p21_no_party_and_no_minority_satisfies_an_accepted_rule(
    made: tuple[Joined, dict[ClientId, Subject]], corrupt: set[str]
) -> None:
    rule, subjects = made
    try:
        check_parties(subjects, rule)
    except RuleRefused:
        return
    for party in PARTIES:
        assert not rule.holds([name for name, subject in subjects.items() if fooled(subject, {party})])
    minority = all(
        not subject.alone & corrupt and 2 * len(subject.operators & corrupt) <= len(subject.operators)
        for subject in subjects.values()
    )
    if minority:
        assert not rule.holds([name for name, subject in subjects.items() if fooled(subject, corrupt)])


@given(joined())
@settings(max_examples=100, deadline=None)
def test_a_rule_over_strangers_that_no_one_satisfies_is_accepted(
    made: tuple[Joined, dict[ClientId, Subject]],
) -> None:
    """The check is exact: what is refused shares somebody, or somebody satisfies it alone."""
    rule, subjects = made
    try:
        check_parties(subjects, rule)
    except RuleRefused:
        members = list(subjects.values())
        shared = any(
            (one.operators | one.sources) & (other.operators | other.sources)
            for place, one in enumerate(members)
            for other in members[place + 1 :]
        )
        alone = any(
            rule.holds([name for name, subject in subjects.items() if fooled(subject, {party})]) for party in PARTIES
        )
        assert shared or alone
