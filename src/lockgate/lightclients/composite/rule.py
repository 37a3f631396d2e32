"""The written rule of a composite client: `07-tendermint-0 AND (attested-0(3/5) OR attested-1)`.

    rule   = joined
    joined = item 1*(" AND " item) / item 1*(" OR " item)      never both without parentheses
    item   = member / "(" joined ")"
    member = client id [ "(" operators needed "/" operators ")" ]

There is one way to write a rule, so what is read prints to the same text. A member stands once. Rules
know no NOT and no threshold below a party: they are monotone, so more agreement never believes less.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from lockgate.lightclients.composite.errors import RuleRefused
from lockgate.primitives.ids import ClientId

MAX_RULE: Final = 512  # bytes of the text: eight members with the longest ids that stand in practice
MAX_MEMBERS: Final = 8  # every subset is looked at, at creation: 256 of them
MAX_DEPTH: Final = 4  # parentheses in one another; a rule that nobody can read protects nobody
_TOKEN: Final = re.compile(r" AND | OR |\(|\)|[a-z0-9-]{1,54}-(?:0|[1-9][0-9]{0,18})(?:\([1-9][0-9]?/[1-9][0-9]?\))?")


@dataclass(frozen=True, slots=True)
class MemberTerm:
    """One client of this ledger, and what its signer set is said to be, if anything is said."""

    client: ClientId
    parties: tuple[int, int] | None = None  # operators needed, operators

    def holds(self, agreeing: Collection[str]) -> bool:
        return self.client in agreeing

    def members(self) -> Iterator[MemberTerm]:
        yield self

    def __str__(self) -> str:
        return self.client if self.parties is None else f"{self.client}({self.parties[0]}/{self.parties[1]})"


@dataclass(frozen=True, slots=True)
class Joined:
    """Two or more items, all or any of which must hold."""

    every: bool
    items: tuple[Rule, ...]

    def holds(self, agreeing: Collection[str]) -> bool:
        verdicts = (item.holds(agreeing) for item in self.items)
        return all(verdicts) if self.every else any(verdicts)

    def members(self) -> Iterator[MemberTerm]:
        for item in self.items:
            yield from item.members()

    def __str__(self) -> str:
        word = " AND " if self.every else " OR "
        return word.join(f"({item})" if isinstance(item, Joined) else str(item) for item in self.items)


Rule = MemberTerm | Joined


def parse(text: str) -> Joined:
    """Read a rule. Raises RuleRefused for whatever `str` would write in another way, or bounds exclude."""
    if len(text.encode(errors="replace")) > MAX_RULE:
        raise RuleRefused("too long", length=len(text), most=MAX_RULE)
    tokens = _tokens(text)
    rule = _joined(tokens, 1)
    if tokens:
        raise RuleRefused("something follows the rule", rest=tokens[0])
    names = [member.client for member in rule.members()]
    if len(set(names)) != len(names) or len(names) > MAX_MEMBERS:
        raise RuleRefused("a member stands once, and there are at most eight", members=len(names))
    if str(rule) != text:
        raise RuleRefused("not the one way to write it", written=text, read=str(rule))
    return rule


def minimal_sets(rule: Rule) -> tuple[tuple[ClientId, ...], ...]:
    """The sets of members that satisfy the rule and would not with one less, smallest first."""
    names = [member.client for member in rule.members()]
    found: list[tuple[ClientId, ...]] = []
    for size in range(1, len(names) + 1):
        for some in combinations(names, size):
            if rule.holds(some) and not any(set(less) <= set(some) for less in found):
                found.append(some)
    return tuple(found)


def _tokens(text: str) -> list[str]:
    found, at = [], 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            raise RuleRefused("neither a client id, AND, OR nor a parenthesis", at=at)
        found.append(token[0])
        at = token.end()
    return found


def _joined(tokens: list[str], depth: int) -> Joined:
    if depth > MAX_DEPTH:
        raise RuleRefused("too deep", most=MAX_DEPTH)
    items = [_item(tokens, depth)]
    words = set()
    while tokens and tokens[0] in (" AND ", " OR "):
        words.add(tokens.pop(0))
        items.append(_item(tokens, depth))
    if len(words) != 1:
        raise RuleRefused("AND and OR are not mixed, and join at least two", words=len(words))
    return Joined(words.pop() == " AND ", tuple(items))


def _item(tokens: list[str], depth: int) -> Rule:
    first = tokens.pop(0) if tokens else ""
    if first == "(":
        inner = _joined(tokens, depth + 1)
        if not tokens or tokens.pop(0) != ")":
            raise RuleRefused("a parenthesis stays open")
        return inner
    name, _, parties = first.removesuffix(")").partition("(")
    if not name or first in (" AND ", " OR ", ")"):
        raise RuleRefused("a member is missing", found=first.strip())
    needed, _, of = parties.partition("/")
    return MemberTerm(ClientId(name), (int(needed), int(of)) if parties else None)


__all__ = ("MAX_DEPTH", "MAX_MEMBERS", "MAX_RULE", "Joined", "MemberTerm", "Rule", "minimal_sets", "parse")
