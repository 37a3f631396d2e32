"""The page of attacks names tests that are there, by the ids of the incidents they replay."""

from __future__ import annotations

import re
from functools import cache

import pytest

from tests.arch.sources import REPO, text_of

PAGE = REPO / "docs" / "explanation" / "attacks.md"
ROW = re.compile(r"^\| ([A-Z]\d+) \|(.*)\|$", re.M)
FILE = re.compile(r"`(tests/[\w/]+\.py)`")
PART = re.compile(r"`(tests/[\w/]+\.py)`|\(`test_(\w+?)_…`\)")
TEST = re.compile(r"^(?:async )?def test_((?:[a-dm]\d+_)+)", re.M | re.I)
WANTED = {"B1", "B2", "B3", "B4", "B5", "C1", "C3", "C6"}


def rows() -> dict[str, str]:
    return dict(ROW.findall(text_of(PAGE)))


@cache
def ids_in(path: str) -> frozenset[str]:
    """The incidents that tests of a file are named by."""
    found = TEST.findall(text_of(REPO / path))
    return frozenset(name.upper() for names in found for name in names.strip("_").split("_"))


def test_every_file_on_the_page_is_there() -> None:
    files = FILE.findall(text_of(PAGE))
    assert len(files) > 40
    assert [path for path in files if not (REPO / path).is_file()] == []


@pytest.mark.parametrize("name", sorted(rows()))
def test_files_that_a_row_names_by_its_id_have_such_a_test(name: str) -> None:
    waiting: list[str] = []
    for path, prefix in PART.findall(rows()[name]):
        if path:
            waiting.append(path)
        else:
            assert prefix.upper() == name
            assert [path for path in waiting if name not in ids_in(path)] == []
            waiting = []


@pytest.mark.parametrize("name", sorted(WANTED))
def test_an_incident_of_keys_or_replay_is_replayed_and_its_row_says_where(name: str) -> None:
    named = [path for path in FILE.findall(rows()[name]) if name in ids_in(path)]
    assert len(named) >= 2, "on our ledgers, and on the contracts or the nodes they are read through"
