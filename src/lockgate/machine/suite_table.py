"""Suites as records: which ones a ledger lets its endpoints use, from and to which heights (S61).

A record names a suite by kind and number, the families it stands on, and the heights between which it is active. The
numbers that a record may name, and the families of each, are fixed by this version of the machine (P7): a ledger
chooses among them, and makes none up. A ledger that never changed its table goes by `DEFAULT`, which no later version
changes: a suite that comes later becomes active on a ledger only when its authority says so.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

from lockgate.crypto.families import Families, Family
from lockgate.crypto.suites import SEAL_SUITES, SIGNATURE_SUITES
from lockgate.machine.errors import CODESPACE
from lockgate.primitives.errors import Refused
from lockgate.session.edhoc.suites import SUITES as CIPHER_SUITES
from lockgate.session.meeting import SPOKEN

MAX_RECORDS: Final = 256  # of all kinds: a new suite a year for longer than any key here lasts
NEVER: Final = 0  # the sunset of a suite that has none


class BadSuiteRecord(Refused):
    code = "suites.bad_record"
    summary = (
        "A record of suites names one that this version does not know, other families than its own, or bad heights."
    )
    untouched = "The ledger's suites are what they were."
    next_step = "Name a suite of docs/reference/algorithms.md, an activation that is not past, and a later sunset."
    wire = (CODESPACE, 116)


class SuiteKind(enum.StrEnum):
    """What a suite is for. A number is one suite within its kind."""

    SIGNATURE = "signature"  # of identities
    SEAL = "seal"  # of sealing keys
    HANDSHAKE = "handshake"  # of sessions


class SuiteName(NamedTuple):
    """A suite, on whichever ledger."""

    kind: SuiteKind
    number: int

    def __str__(self) -> str:
        return f"{self.kind} suite {self.number}"


KNOWN: Final[Mapping[SuiteName, Families]] = {
    **{SuiteName(SuiteKind.SIGNATURE, suite.id): suite.families for suite in SIGNATURE_SUITES.values()},
    **{SuiteName(SuiteKind.SEAL, suite.id): suite.families for suite in SEAL_SUITES.values()},
    **{SuiteName(SuiteKind.HANDSHAKE, number): CIPHER_SUITES[number].exchange.families for number in SPOKEN},
}


def name_of(kind: Any, number: Any) -> SuiteName:
    """The suite that a message names. Raises BadSuiteRecord unless this version knows it."""
    found = next((name for name in KNOWN if (name.kind.value, name.number) == (kind, number)), None)
    if found is None or type(number) is not int:
        raise BadSuiteRecord("no suite that this version knows", kind=kind, suite=number)
    return found


@dataclass(frozen=True, slots=True)
class SuiteRecord:
    """A suite is active at heights `active_from` <= h < `sunset`; a sunset of 0 is none."""

    name: SuiteName
    families: Families
    active_from: int
    sunset: int = NEVER

    def __post_init__(self) -> None:
        if self.families != KNOWN.get(self.name):
            raise BadSuiteRecord("not the families of the suite", suite=self.name, families=sorted(self.families))
        if not 0 <= self.active_from < 1 << 63 or (self.sunset and not self.active_from < self.sunset < 1 << 63):
            raise BadSuiteRecord("a sunset comes after its activation", suite=self.name, sunset=self.sunset)

    def active(self, height: int) -> bool:
        return self.active_from <= height and (not self.sunset or height < self.sunset)

    def over(self, height: int) -> bool:
        return bool(self.sunset) and self.sunset <= height

    def to_value(self) -> list[Any]:
        families = sorted(family.value for family in self.families)
        return [self.name.kind.value, self.name.number, families, self.active_from, self.sunset]


@dataclass(frozen=True, slots=True)
class SuiteTable:
    """The records of a ledger, at most one for a suite, in order of kind and number."""

    records: tuple[SuiteRecord, ...]

    def __post_init__(self) -> None:
        names = [record.name for record in self.records]
        if names != sorted(set(names)) or len(names) > MAX_RECORDS:
            raise BadSuiteRecord("a table has each suite once, in order", count=len(names))

    def __iter__(self) -> Iterator[SuiteRecord]:
        return iter(self.records)

    def find(self, name: SuiteName) -> SuiteRecord | None:
        return next((record for record in self.records if record.name == name), None)

    def active(self, name: SuiteName, height: int) -> bool:
        record = self.find(name)
        return record is not None and record.active(height)

    def with_record(self, record: SuiteRecord) -> Self:
        others = (one for one in self.records if one.name != record.name)
        return dataclasses.replace(self, records=tuple(sorted((*others, record), key=lambda one: one.name)))

    def stopped(self, stops: Mapping[SuiteName, int]) -> Self:
        """The table with the ends that an authority set at once (P16)."""
        if not stops:
            return self
        return dataclasses.replace(self, records=tuple(_stopped(self.records, stops)))

    def to_value(self) -> list[Any]:
        return [record.to_value() for record in self.records]

    @classmethod
    def from_value(cls, value: Any) -> Self:
        """Raises BadSuiteRecord."""
        try:
            records = []
            for kind, number, families, active_from, sunset in value:
                if type(active_from) is not int or type(sunset) is not int:
                    raise BadSuiteRecord("a height is a number")
                named = frozenset(map(Family, families))
                records.append(SuiteRecord(name_of(kind, number), named, active_from, sunset))
            table = cls(tuple(records))
        except (TypeError, ValueError) as error:
            raise BadSuiteRecord("not a table of suites") from error
        if [list(each) for each in table.to_value()] != [[k, n, list(f), a, s] for k, n, f, a, s in value]:
            raise BadSuiteRecord("families are named once, in order")
        return table


def _stopped(records: tuple[SuiteRecord, ...], stops: Mapping[SuiteName, int]) -> Iterator[SuiteRecord]:
    for record in records:
        height = stops.get(record.name)
        if height is None or record.over(height):
            yield record
        elif record.active_from < height:  # else it was stopped before it began
            yield dataclasses.replace(record, sunset=height)


def _always(kind: SuiteKind, *numbers: int) -> list[SuiteRecord]:
    return [SuiteRecord(name, KNOWN[name], 0) for name in (SuiteName(kind, number) for number in numbers)]


DEFAULT: Final = SuiteTable(
    tuple(
        sorted(
            (
                *_always(SuiteKind.SIGNATURE, 1, 2, 3),
                *_always(SuiteKind.SEAL, 16, 17, 18, 19),
                *_always(SuiteKind.HANDSHAKE, -24, -23, 4),
            ),
            key=lambda record: record.name,
        )
    )
)

__all__ = (
    "DEFAULT",
    "KNOWN",
    "NEVER",
    "BadSuiteRecord",
    "SuiteKind",
    "SuiteName",
    "SuiteRecord",
    "SuiteTable",
    "name_of",
)
