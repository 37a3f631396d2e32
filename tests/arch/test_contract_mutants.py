"""What `make mutants` spoils: the contracts' statements, each check and each lock, and nothing that only tells."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from tools import mutate_contracts

from tests.arch.sources import REPO


@cache
def mutants() -> Sequence[mutate_contracts.Mutant]:
    return tuple(mutate_contracts.every())


def lines(word: str) -> set[tuple[str, int]]:
    found = set()
    for path in (REPO / "contracts").rglob("*.vy"):
        for number, line in enumerate(path.read_text().split("\n"), 1):
            if path.name != "echo.vy" and line.strip().startswith(word):
                found.add((str(path.relative_to(REPO / "contracts")), number))
    return found


def test_every_check_and_every_lock_is_taken_away_once() -> None:
    checks = [(one.source, one.line) for one in mutants() if one.kind == "check taken away"]
    assert sorted(checks) == sorted(lines("assert "))
    locks = [(one.source, one.line) for one in mutants() if one.kind == "lock taken away"]
    assert sorted(locks) == sorted(lines("@nonreentrant"))


def test_a_mutant_is_another_line_and_no_words_are_spoilt() -> None:
    for one in mutants():
        assert one.after != one.before, one
        assert not one.before.lstrip().startswith(("#", "@notice", "event", "struct", "def ")), one
        if one.kind.endswith("taken away"):
            continue
        assert one.before.split('"')[1::2] == one.after.split('"')[1::2], one


def test_a_line_is_spoilt_in_every_way() -> None:
    found = {after for _, after in mutate_contracts.spoilt('    assert a <= 2 and b != c, "x <= 1"  # 3 <= 4')}
    code = '    assert a {} 2 and b != c, "x <= 1"  # 3 <= 4'
    assert code.format("<") in found
    assert code.format("<=").replace("and", "or") in found
    assert code.format("<=").replace(" 2 ", " 3 ") in found
    assert code.format("<=").replace(" 2 ", " 1 ") in found
    assert code.format("<=").replace("!=", "==") in found
    assert "    pass" in found
    assert len(found) == 6
