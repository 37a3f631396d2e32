"""Tags tie specification, code and tests together: none dangles, and each promise has a test named by its tag.

A tag is defined where a page of `docs/` opens a heading, a bold phrase or a table row with it: `## P8 Fencing`,
`**P8 Fencing.**`, `| S3 | …`. P: protocol decisions, I: interface decisions, S: requirements; A and C: the incident
rows that become attack replays.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.arch.sources import REPO, listed, python_files, relative, text_of

CITED = re.compile(r"(?<![\w-])([PIS]\d{1,2})(?![\w-])")
DEFINED = re.compile(r"^(?:#+ +|\| *|[-*]? *)(?:\*\*)?([PISABC]\d{1,2})\b", re.M)
NAMED_BY_TAG = re.compile(r"def test_(?:\w+_)?([pabc])(\d{1,2})_", re.I)
# What the foundation promises; later issues add their own.
PROMISES = {f"P{number}" for number in (*range(1, 18), 20, 21)}
ATTACKS = (
    {f"A{number}" for number in (1, 2, 3, 4, 7, 8, 9, 10, 15)}
    | {f"B{number}" for number in range(1, 6)}
    | {"C1", "C3", "C4", "C5", "C6"}
)
STATES = ("done", "partial", "open")
REQUIREMENTS = REPO / "docs" / "requirements.md"
ROW = re.compile(r"^\| *(S\d+) *\|(.*)\|$", re.M)


def defined_tags() -> set[str]:
    pages = list((REPO / "docs").rglob("*.md"))
    return {tag for page in pages for tag in DEFINED.findall(text_of(page))}


def citing_files() -> list[Path]:
    schemas = [path for path in (REPO / "schemas").rglob("*") if path.suffix in {".proto", ".cddl"}]
    return python_files("src", "tests", "tools", "bench") + schemas


def test_no_tag_dangles() -> None:
    if not any((REPO / "docs" / "spec").glob("*.md")):
        pytest.skip("docs/spec has no page yet: nothing defines a tag")
    known = defined_tags()
    dangling = [
        f"{relative(path)}: {tag}"
        for path in citing_files()
        for tag in sorted(set(CITED.findall(text_of(path))) - known)
        if path != Path(__file__)
    ]
    assert dangling == [], "cited, and defined on no page of docs/:\n" + "\n".join(dangling)


def test_every_promise_and_attack_has_a_test_named_by_its_tag() -> None:
    named = {
        f"{letter.upper()}{number}"
        for path in python_files("tests")
        for letter, number in NAMED_BY_TAG.findall(text_of(path))
    }
    missing = (PROMISES | ATTACKS) - named
    allowed = listed("tags_without_a_test.txt")
    assert missing - allowed == set(), "no test is named test_<tag>_…"
    assert allowed - missing == set(), "these have tests now: take them off tags_without_a_test.txt"


def requirement_rows() -> dict[str, list[str]]:
    if not REQUIREMENTS.exists():
        pytest.skip("docs/requirements.md is not written yet")
    rows = ROW.findall(text_of(REQUIREMENTS))
    tags = [tag for tag, _ in rows]
    assert len(set(tags)) == len(tags), "a requirement has two rows"
    return {tag: [cell.strip() for cell in cells.split("|")] for tag, cells in rows}


def test_every_requirement_has_a_row() -> None:
    """Rows are `| S3 | requirement | command | test | state |`."""
    rows = requirement_rows()
    assert set(rows) == {f"S{number}" for number in range(1, 97)}
    assert [tag for tag, cells in rows.items() if len(cells) != 4] == [], "not five cells"
    assert {tag: cells[3] for tag, cells in rows.items() if cells[3] not in STATES} == {}, f"state is one of {STATES}"


def test_every_requirement_row_names_what_exists() -> None:
    """A row that is `done` names a command and a test; every named path, and test in it, is there."""
    complaints = []
    for tag, (_, command, tests, state) in requirement_rows().items():
        paths = re.findall(r"`([^`]+)`", tests.partition("missing:")[0])
        if state == "done" and not (command and paths):
            complaints.append(f"{tag} is done and names no command or no test")
        for path in paths:
            file, _, test = path.partition("::")
            if not (REPO / file).exists():
                complaints.append(f"{tag}: no {file}")
            elif test and f"def {test}(" not in text_of(REPO / file):
                complaints.append(f"{tag}: no {test} in {file}")
    assert complaints == []
