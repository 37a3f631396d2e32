"""What a composite asks of its members, and whether a rule may rest on them (P21, B5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Protocol

from lockgate.lightclients.composite.errors import RuleRefused, RuleUnsatisfied
from lockgate.lightclients.composite.rule import Rule, minimal_sets
from lockgate.lightclients.standing import ACTIVE
from lockgate.lightclients.subject import UNNAMED, MemberProofs, Subject, Triple
from lockgate.primitives.errors import PeerFault, Refused
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.state import View
from lockgate.primitives.time import UnixNanos


class Member(Protocol):
    """A light client module whose clients may be members."""

    def status(self, view: View, client_id: ClientId, now: UnixNanos, /) -> str: ...

    def subject(self, view: View, client_id: ClientId) -> Subject: ...

    def triple_at(self, view: View, client_id: ClientId, height: Height, /) -> Triple | None: ...

    def proofs_at(self, view: View, client_id: ClientId, height: Height, /) -> MemberProofs: ...

    def equivocation(self, view: View, client_id: ClientId, misbehaviour: bytes) -> tuple[bytes, bytes] | None: ...


Modules = Mapping[str, Member]  # by client type; no composite among them, so none rests on itself


def module_of(modules: Modules, client: ClientId) -> Member:
    """Raises RuleRefused for a client of a kind that cannot be a member."""
    kind = client.rpartition("-")[0]
    module = modules.get(kind)
    if module is None:
        raise RuleRefused("no kind that a rule may join", client=client)
    return module


def subjects_of(modules: Modules, view: View, rule: Rule) -> dict[ClientId, Subject]:
    """Raises RuleRefused, ClientUnknown."""
    return {each.client: module_of(modules, each.client).subject(view, each.client) for each in rule.members()}


def check_rule(modules: Modules, view: View, rule: Rule, chain_id: str, domain: bytes, now: UnixNanos) -> None:
    """Raise RuleRefused unless a client of this domain may rest on the rule.

    Every member exists, is active and follows this chain; no two share an operator, a source or a key;
    nobody who alone makes some of them believe satisfies the rule with these.
    """
    subjects = subjects_of(modules, view, rule)
    for term in rule.members():
        subject = subjects[term.client]
        status = module_of(modules, term.client).status(view, term.client, now)
        if status != ACTIVE:
            raise RuleRefused("a member is not active", client=term.client, status=status)
        if term.parties is not None and term.parties != subject.parties:
            raise RuleRefused("a member's operators are not as written", client=term.client, found=subject.parties)
    check_ledger(subjects, chain_id, domain)
    check_parties(subjects, rule)


def check_ledger(subjects: Mapping[ClientId, Subject], chain_id: str, domain: bytes) -> None:
    """Raise RuleRefused where a member follows another ledger than the composite: governance may have moved it."""
    for client, each in subjects.items():
        if each.chain_id != chain_id or each.domain not in (UNNAMED, domain):
            raise RuleRefused("a member follows another ledger", client=client, chain_id=each.chain_id)


def check_parties(subjects: Mapping[ClientId, Subject], rule: Rule) -> None:
    """Raise RuleRefused where members share anybody, or one party satisfies the rule.

    Asked again with every agreement: a member whose signers rotate brings new parties in. A name is one party,
    whether it signs for one member or serves another one its data.
    """
    for (one, first), (other, second) in combinations(subjects.items(), 2):
        parties = (first.operators | first.sources) & (second.operators | second.sources)
        if parties or first.keys & second.keys:
            raise RuleRefused("two members share an operator, a data source or a key", one=one, other=other)
    for party in sorted(frozenset[str]().union(*(subject.alone for subject in subjects.values()))):
        fooled = [client for client, subject in subjects.items() if party in subject.alone]
        if rule.holds(fooled):
            raise RuleRefused("one party satisfies the rule", party=party, members=", ".join(fooled))


def explain(subjects: Mapping[ClientId, Subject], rule: Rule) -> list[tuple[str, str]]:
    """For each way to satisfy the rule: what it needs, and who could forge it together."""
    return [
        (
            " and ".join(f"{client}: {subjects[client].needs}" for client in each),
            ", with ".join(subjects[client].forged_by for client in each),
        )
        for each in minimal_sets(rule)
    ]


def holders_of(modules: Modules, view: View, rule: Rule, height: Height) -> dict[ClientId, Triple]:
    """What each member that holds the height holds of it, whatever its status."""
    held = {
        each.client: module_of(modules, each.client).triple_at(view, each.client, height) for each in rule.members()
    }
    return {client: triple for client, triple in held.items() if triple is not None}


class JointProofs:
    """A proof holds when the members that accept it, with those that read proofs of another form, satisfy the rule.

    All members here hold one root of the height. What stands under that root is arithmetic, and whoever reads a
    form can do it; a member that cannot has vouched for the root all the same. At least one must have accepted.
    """

    __slots__ = ("_forms", "_members", "_rule")

    def __init__(self, rule: Rule, members: Mapping[ClientId, MemberProofs], forms: Mapping[ClientId, str]) -> None:
        self._rule = rule
        self._members = members
        self._forms = forms

    def membership(self, proof: bytes, path: Sequence[bytes], value: bytes) -> None:
        """Raise what the first member raised that does not accept, unless the others satisfy the rule."""
        self._judge(lambda proofs: proofs.membership(proof, path, value))

    def non_membership(self, proof: bytes, path: Sequence[bytes]) -> None:
        """As `membership`."""
        self._judge(lambda proofs: proofs.non_membership(proof, path))

    def _judge(self, ask: Callable[[MemberProofs], None]) -> None:
        accepting: list[ClientId] = []
        failure: PeerFault | Refused | None = None
        for client, proofs in self._members.items():
            try:
                ask(proofs)
                accepting.append(client)
            except (PeerFault, Refused) as refusal:
                failure = failure or refusal
        forms = {self._forms[client] for client in accepting}
        if not any(self._rule.holds([*accepting, *self._of_another(form)]) for form in forms):
            raise failure or RuleUnsatisfied(members=", ".join(accepting))

    def _of_another(self, form: str) -> list[ClientId]:
        return [client for client in self._members if self._forms[client] != form]


__all__ = (
    "JointProofs",
    "Member",
    "Modules",
    "check_ledger",
    "check_parties",
    "check_rule",
    "explain",
    "holders_of",
    "module_of",
    "subjects_of",
)
