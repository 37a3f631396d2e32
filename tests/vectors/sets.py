"""Finds third-party case sets (I17) and counts what became of their cases.

The root is `$LOCKGATE_VECTORS`, else `../shared/vectors` beside the repository. A set is a folder
`topic/set`; every file in it is consumed. Each set reports one line: `topic/set passed/absent/total`.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
REPORTS: list[str] = []


def vectors_root() -> Path:
    named = os.environ.get("LOCKGATE_VECTORS")
    return Path(named) if named else REPO.parent / "shared" / "vectors"


def data_root() -> Path:
    named = os.environ.get("LOCKGATE_DATA")
    return Path(named) if named else REPO.parent / "shared" / "data"


def vector_set(topic: str, name: str) -> Path:
    """Return the folder of a case set, or skip the test, saying what is missing."""
    folder = vectors_root() / topic / name
    if not folder.is_dir():
        pytest.skip(f"third-party cases {topic}/{name} are not at {vectors_root()}; set LOCKGATE_VECTORS")
    return folder


@dataclass
class Tally:
    """Counts the cases of one set; `close` reports them and fails if a case failed."""

    topic: str
    name: str
    passes: int = 0
    absences: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def passed(self) -> None:
        self.passes += 1

    def absent(self, reason: str) -> None:
        self.absences[reason] += 1

    def failed(self, case: str) -> None:
        self.failures.append(case)

    def check(self, good: bool, case: str) -> None:
        """Count one case as passed when `good`, else as failed under the name `case`."""
        if good:
            self.passed()
        else:
            self.failed(case)

    def close(self) -> None:
        missing = sum(self.absences.values())
        total = self.passes + missing + len(self.failures)
        line = f"{self.topic}/{self.name} {self.passes}/{missing}/{total}"
        REPORTS.append(line)
        for reason, count in sorted(self.absences.items()):
            REPORTS.append(f"  absent {count}: {reason}")
        assert total > 0, f"{self.topic}/{self.name}: no case was found in the folder"
        assert not self.failures, f"{line}; failed: {self.failures[:20]}"
