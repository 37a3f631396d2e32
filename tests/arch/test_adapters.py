"""A chain adapter is its own files and one line of wiring: what the how-to says is counted here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lockgate.courier.ports import Chain, Ground, HeaderChain, OwnLedger, Submitter, Updater
from tests.arch.sources import PACKAGE, REPO, python_files, relative, text_of

PAGE = REPO / "docs" / "how-to" / "add-a-chain.md"
CHAINS = PACKAGE / "relay" / "chains"
ROW = re.compile(r"^\| `(?P<kind>\w+)` \| (?P<files>[^|]+) \| (?P<lines>\d+) \| (?P<elsewhere>[^|]+) \|$", re.M)
SLACK = 0.2  # the page is right to a fifth; code may grow without it
MOST_WIRING = 1


def rows() -> dict[str, re.Match[str]]:
    return {match["kind"]: match for match in ROW.finditer(text_of(PAGE))}


def files_of(row: re.Match[str]) -> list[Path]:
    return [CHAINS / name for name in re.findall(r"`([\w/.]+)`", row["files"])]


def lines_of(path: Path) -> int:
    return sum(bool(line.strip()) for line in text_of(path).splitlines())


def importers(row: re.Match[str]) -> list[str]:
    """Lines of the package, outside the adapter's own files, that import it."""
    names = "|".join(path.stem for path in files_of(row))
    package = r"lockgate\.relay\.chains"
    named = re.compile(rf"^\s*from {package}(?:\.(?:{names})\b| import .*\b(?:{names})\b)")
    return [
        f"{relative(path)}: {line}"
        for path in python_files("src")
        if path not in files_of(row)
        for line in text_of(path).splitlines()
        if named.match(line)
    ]


@pytest.mark.parametrize("kind", sorted(rows()))
def test_the_how_to_counts_an_adapters_lines(kind: str) -> None:
    counted, said = sum(map(lines_of, files_of(rows()[kind]))), int(rows()[kind]["lines"])
    assert abs(counted - said) <= SLACK * said, f"{kind} has {counted} lines; put the number on the page"


def test_adapters_need_one_line_of_wiring_at_most() -> None:
    wired = {kind: importers(row) for kind, row in rows().items() if row["elsewhere"].strip().isdigit()}
    assert wired, "the page says it of one adapter at least"
    for kind, lines in wired.items():
        assert len(lines) == int(rows()[kind]["elsewhere"]), lines
        assert len(lines) <= MOST_WIRING, lines


def test_what_the_how_to_asks_for_is_what_the_ports_say() -> None:
    named = set(re.findall(r"`(?:Ground\.)?(\w+)(?:\([^`]*\))?`", text_of(PAGE)))
    for port in (Chain, Submitter, OwnLedger, HeaderChain, Ground, Updater):
        assert port.__name__ in named, port
    assert {name for name in vars(Ground) if not name.startswith("_")} - {"height"} <= named
    assert "reach" in named
