"""What a lane asks of the suites its messages travel under (S66): how many families, which, or which suites at all.

Whether a rule holds is computed of the families in the suites' records, for each kind by itself: who may sign, to what
a body is sealed, how a session's keys came about. So a pair of unlike families is required of every one of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Self

from lockgate.crypto.families import Families, Family
from lockgate.machine.errors import CODESPACE
from lockgate.machine.records import Record
from lockgate.machine.suite_table import BadSuiteRecord, SuiteName, name_of
from lockgate.primitives.errors import Refused

MAX_ONLY: Final = 64
FIELDS: Final = {"least": int, "families": tuple, "only": tuple}


class BadPolicy(Refused):
    code = "suites.bad_policy"
    summary = "What a lane would ask of its suites is not well formed, or less than a lane that carries value must ask."
    untouched = "The lane is what it was."
    next_step = "Ask for 1 or 2 families, name families and suites that exist; over a lane with a value cap for two."
    wire = (CODESPACE, 117)


class BelowPolicy(Refused):
    code = "suites.below_policy"
    summary = "A suite is weaker than what the lane asks of every suite it is used with (S66)."
    untouched = "Nothing was granted, sealed, sent or opened under it."
    next_step = "Rotate the endpoint to keys of a stronger suite; `lockgate lane show` says what the lane asks for."
    wire = (CODESPACE, 118)


@dataclass(frozen=True, slots=True)
class SuitePolicy(Record):
    """`least` families must all break before a suite does; all of `families` are among them; of a kind that `only`
    names, no other suite is used."""

    least: int = 1
    families: tuple[str, ...] = ()
    only: tuple[tuple[str, int], ...] = ()

    @classmethod
    def read(cls, fields: dict[str, Any]) -> Self:
        """What a message says. Raises BadPolicy."""
        if set(fields) != set(FIELDS) or any(type(fields[name]) is not kind for name, kind in FIELDS.items()):
            raise BadPolicy("a policy has the fields least, families and only")
        try:
            only = tuple((kind, number) for kind, number in fields["only"])
            names = [name_of(kind, number) for kind, number in only]
            families = [Family(family) for family in fields["families"]]
        except (TypeError, ValueError, BadSuiteRecord) as error:
            raise BadPolicy("no such family or suite") from error
        if not 1 <= fields["least"] <= len(Family) or len(only) > MAX_ONLY:
            raise BadPolicy("a policy asks for 1 or 2 families, and names 64 suites at most", least=fields["least"])
        if names != sorted(set(names)) or families != sorted(set(families)):
            raise BadPolicy("families and suites stand once each, in order")
        return cls(fields["least"], tuple(family.value for family in families), only)

    def bearing_value(self) -> Self:
        """The same with the least that a lane asks for over which value crosses: no suite of one family."""
        return type(self)(max(self.least, VALUE_LEAST), self.families, self.only)

    def check(self, name: SuiteName, families: Families) -> None:
        """Raise BelowPolicy unless a suite of these families meets it."""
        if len(families) < self.least or not families.issuperset(self.families):
            raise BelowPolicy(
                "too few families", suite=name, has=sorted(families), least=self.least, wanted=list(self.families)
            )
        listed = [number for kind, number in self.only if kind == name.kind]
        if listed and name.number not in listed:
            raise BelowPolicy("not a suite that the lane lists", suite=name, listed=listed)

    def meets(self, name: SuiteName, families: Families) -> bool:
        try:
            self.check(name, families)
        except BelowPolicy:
            return False
        return True

    @classmethod
    def _convert(cls, values: list[Any]) -> list[Any]:
        values[1], values[2] = tuple(values[1]), tuple((kind, number) for kind, number in values[2])
        return values


VALUE_LEAST: Final = 2  # families under a lane that carries value
ANY: Final = SuitePolicy()


def check_all(policies: Iterable[SuitePolicy], name: SuiteName, families: Families) -> None:
    """Both ledgers of a lane have a policy, and both must be met. Raises BelowPolicy."""
    for policy in policies:
        policy.check(name, families)


__all__ = ("ANY", "FIELDS", "VALUE_LEAST", "BadPolicy", "BelowPolicy", "SuitePolicy", "check_all")
