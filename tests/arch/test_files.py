"""House rules a reader would otherwise have to check by eye (STYLE: files and comments, tests)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.arch.sources import REPO, Comment, comments, python_files, relative, text_of

MAX_LINES = 400  # beyond it a noun is missing
CODE = ("src", "tools", "bench", "guests", "examples")
WITH_TESTS = (*CODE, "tests")
IGNORE = re.compile(r"#\s*type:\s*ignore(?P<codes>\[[^\]]+\])?(?P<rest>.*)")
# ruff polices the codes; what a reader needs beside a silenced security or import rule is the reason.
NOQA = re.compile(r"#\s*noqa\b(?P<codes>:\s*[A-Z]+\d+(,\s*[A-Z]+\d+)*)?")
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
# Spelt in pieces, so that this file is no example of what it forbids.
MACHINE = re.compile(
    "|".join((r"(?<![\w.])/" + r"work/", r"/ro" + r"ot/", r"/home/" + r"[a-z]+/", r"extra-index" + r"-url"))
)
SKIPS = ("skip", "skipif", "xfail", "importorskip")


def all_comments(*folders: str) -> Iterator[Comment]:
    for path in python_files(*folders):
        yield from comments(path)


def test_no_source_file_is_too_long() -> None:
    lengths = {relative(path): text_of(path).count("\n") for path in python_files("src")}
    assert {path: lines for path, lines in lengths.items() if lines > MAX_LINES} == {}


def test_every_type_ignore_names_its_code_and_its_reason() -> None:
    """The reason is a comment behind it or on the line above; `import-…` codes speak for themselves."""
    found = []
    for comment in all_comments(*CODE):
        match = IGNORE.search(comment.text)
        if match is None:
            continue
        codes, reason = match["codes"] or "", match["rest"].replace("noqa", "").strip("# :")
        above = text_of(comment.path).splitlines()[comment.line - 2].lstrip()
        explained = reason or above.startswith("#") or codes.startswith("[import-")
        if not codes or not explained:
            found.append(str(comment))
    assert found == []


def test_every_noqa_names_its_rule() -> None:
    matches = ((comment, NOQA.search(comment.text)) for comment in all_comments(*WITH_TESTS))
    assert [str(comment) for comment, match in matches if match and not match["codes"]] == []


def test_nothing_is_left_for_later() -> None:
    found = [str(comment) for comment in all_comments(*WITH_TESTS) if UNFINISHED.search(comment.text)]
    found += [
        f"{relative(path)}:{node.lineno}: raise NotImplementedError"
        for path in python_files(*CODE)
        if "NotImplementedError" in text_of(path)
        for node in ast.walk(ast.parse(text_of(path)))
        if isinstance(node, ast.Raise) and "NotImplementedError" in ast.unparse(node)
    ]
    assert found == []


def test_no_machine_is_named() -> None:
    """Paths of somebody's machine and addresses of package indexes do not belong into the repository."""
    suffixes = {".py", ".md", ".txt", ".toml", ".in", ".go", ".mod", ".wit", ".proto", ".cddl"}
    roots = [REPO / folder for folder in (*WITH_TESTS, "docs", "changes", "requirements", "schemas", ".ci")]
    paths = [
        path for root in roots for path in root.rglob("*") if path.suffix in suffixes and "build" not in path.parts
    ]
    paths += [*REPO.glob("*.md"), REPO / "Makefile", REPO / "pyproject.toml", REPO / ".ci" / "run"]
    found = [
        f"{relative(path)}: {match[0]}" for path in paths if path.is_file() for match in MACHINE.finditer(text_of(path))
    ]
    assert found == []


def skips_without_reason(path: Path) -> Iterator[str]:
    if not any(skip in text_of(path) for skip in SKIPS):
        return
    for node in ast.walk(ast.parse(text_of(path))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in SKIPS:
            owner = ast.unparse(node.func.value)
            if not owner.startswith("pytest"):
                continue
            reasons = [keyword.value for keyword in node.keywords if keyword.arg in ("reason", "msg")]
            positional = node.args if owner == "pytest" else node.args[1:]
            if not any(not isinstance(reason, ast.Constant) or reason.value for reason in (*reasons, *positional)):
                yield f"{relative(path)}:{node.lineno}: {ast.unparse(node)}"
        elif isinstance(node, ast.FunctionDef):
            for decorator in node.decorator_list:
                if ast.unparse(decorator) in {f"pytest.mark.{skip}" for skip in SKIPS}:
                    yield f"{relative(path)}:{node.lineno}: {ast.unparse(decorator)}"


def test_every_skip_has_a_reason() -> None:
    assert [found for path in python_files("tests") for found in skips_without_reason(path)] == []
