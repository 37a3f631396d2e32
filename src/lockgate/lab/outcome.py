"""A finished run and the promises checked on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from lockgate.lab.events import EventLog
from lockgate.lab.history import History
from lockgate.lab.journal import Journal
from lockgate.machine.records import LaneOrder
from lockgate.primitives.errors import Misuse


class PromiseBroken(Misuse):
    code = "lab.promise_broken"
    summary = "A simulated run ended in a state that one of the system's promises excludes."
    untouched = "The run is over; its event log shows how it came there."
    next_step = "Repeat the seed with the command in the message, and add it to tests/sim/failed_seeds.txt."


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run left behind."""

    seed: int
    ticks: int
    log: EventLog
    journal: Journal
    history: History
    hostile: str  # the adversary's name
    order: LaneOrder
    story: str = ""  # where the run is one of `lab.stories`, its name

    @property
    def hash(self) -> str:
        """Hash of the event log: two runs of a seed have the same."""
        return self.log.hash

    @property
    def command(self) -> str:
        """What repeats the run."""
        how = f"--story {self.story}" if self.story else f"--ticks {self.ticks}"
        return f"python -m lockgate.lab {self.seed} {how}"

    def check(self, *checkers: Checker) -> Self:
        """Hold each promise against the run. Raises PromiseBroken with the command that repeats it."""
        for checker in checkers:
            complaints = checker.complaints(self)
            if complaints:
                raise PromiseBroken(
                    "; ".join(complaints[:3]),
                    promise=type(checker).__name__,
                    repeat=self.command,
                )
        return self


class Checker(Protocol):
    """One promise."""

    def complaints(self, outcome: Outcome, /) -> Sequence[str]:
        """Say in words where the run breaks the promise; empty where it holds."""
        ...


__all__ = ("Checker", "Outcome", "PromiseBroken")
