"""Every failure is explained: its class says what happened and what to do, a page lists it, a test reaches it."""

from __future__ import annotations

import ast
import re
from functools import cache
from itertools import pairwise

import pytest
from tools.generate_errors import load_every_module

from lockgate.machine.errors import CODESPACE
from lockgate.primitives.errors import LockgateError, Misuse, PeerFault, Refused, Unavailable, error_codes
from tests.arch.sources import REPO, listed, python_files, relative, text_of

CODE = re.compile(r"^[a-z0-9_-]+(\.[a-z0-9_-]+)+$")
KINDS = (PeerFault, Refused, Unavailable, Misuse)
OF_NO_KIND = {
    "machine.fault": "a defect of ours, caught so that one transaction cannot stop a ledger",
    "socket.refused": "carries another process's failure, whose own kind stands in its code",
}
GUEST_SIDE = "sdk"  # the guests' own library: its refusals are words to a peer, not failures of ours
ALLOWED = "codes_without_a_test.txt"


@cache
def shipped() -> dict[str, type[LockgateError]]:
    """The codes of the package itself; a test may register its own."""
    load_every_module()
    return {code: error for code, error in error_codes().items() if error.__module__.startswith("lockgate.")}


@pytest.fixture(scope="module")
def words_of_the_tests() -> set[str]:
    """Every identifier and dotted code that stands in a test."""
    text = "\n".join(text_of(path) for path in python_files("tests") if path.parent.name != "arch")
    return set(re.findall(r"[A-Za-z_]\w*", text)) | set(re.findall(r"[\"']([a-z0-9_.-]+)[\"']", text))


def test_every_code_is_well_formed_and_of_one_kind() -> None:
    wrong = [code for code in shipped() if not CODE.fullmatch(code)]
    kinds = {code: sum(issubclass(error, kind) for kind in KINDS) for code, error in shipped().items()}
    assert wrong == [], "a code is package.what_happened"
    assert {code for code, count in kinds.items() if count != 1} - OF_NO_KIND.keys() == set(), "one of the four kinds"


def test_no_two_codes_share_a_number_of_ours_on_the_wire() -> None:
    """Numbers of other codespaces are those of their own programs, where several of ours may be one."""
    numbers = sorted(
        (error.wire, code) for code, error in shipped().items() if error.wire and error.wire[0] == CODESPACE
    )
    assert [pair for pair in pairwise(numbers) if pair[0][0] == pair[1][0]] == []


def test_every_code_says_what_happened_and_what_to_do() -> None:
    incomplete = [
        f"{code} ({error.__name__}): {attribute}"
        for code, error in shipped().items()
        for attribute in ("summary", "untouched", "next_step")
        if not getattr(error, attribute).endswith(".")
    ]
    assert incomplete == [], "a sentence each, with its full stop"


def test_what_is_raised_has_a_code() -> None:
    """A refusal without one would surface unexplained. A bug of the caller's may crash as a bare `Misuse`."""
    classes = {kind.__name__ for kind in (LockgateError, PeerFault, Refused, Unavailable)}
    bare = [
        f"{relative(path)}:{node.lineno}: {ast.unparse(node)}"
        for path in python_files("src")
        if GUEST_SIDE not in path.parts
        for node in ast.walk(ast.parse(text_of(path)))
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and ast.unparse(node.exc.func) in classes
    ]
    assert bare == []


def test_every_code_is_on_the_page() -> None:
    page = REPO / "docs" / "reference" / "errors.md"
    if not page.exists():
        pytest.skip("docs/reference/errors.md is not generated yet; run make generate")
    listed_codes = set(re.findall(r"^### `(.+)`$", text_of(page), re.M))
    assert listed_codes == set(shipped()), "run make generate"


def test_every_code_is_reached_by_a_test(words_of_the_tests: set[str]) -> None:
    unreached = {code for code, error in shipped().items() if not {code, error.__name__} & words_of_the_tests}
    allowed = listed(ALLOWED)
    assert unreached - allowed == set(), "no test names this code or its class"
    assert allowed - unreached == set(), f"a test names these now: take them off {ALLOWED}"
