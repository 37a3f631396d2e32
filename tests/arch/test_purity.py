"""The core is a function of its inputs: no clock, entropy, I/O or process state is named in a pure layer.

The import contract forbids modules. This scan finds what can be reached without importing one of them: builtins,
and methods of libraries that draw their own entropy.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.arch.sources import pure_files, relative, text_of

BUILTINS = {
    "open": "reads or writes a file",
    "input": "waits for a person",
    "print": "writes to the terminal",
    "breakpoint": "stops the process",
    "__import__": "hides an import",
    "eval": "runs text",
    "exec": "runs text",
    "id": "differs from run to run",
    "hash": "of text and bytes differs from run to run",
}
METHODS = {
    "now": "reads the clock",
    "utcnow": "reads the clock",
    "today": "reads the clock",
    "urandom": "draws entropy",
    "uuid1": "draws entropy",
    "uuid4": "draws entropy",
    "generate": "draws a key from the library's own entropy",
    "generate_key": "draws a key from the library's own entropy",
    "import_module": "hides an import",
    "getenv": "reads the environment",
}
# `hash` inside a value's own __hash__ stays in the process and orders nothing.
HASH_IN = "__hash__"


def offences(path: Path) -> Iterator[str]:
    for function, node in calls(ast.parse(text_of(path))):
        called = node.func
        if isinstance(called, ast.Name) and called.id in BUILTINS and (called.id, function) != ("hash", HASH_IN):
            yield f"{relative(path)}:{node.lineno}: {called.id}() {BUILTINS[called.id]}"
        if isinstance(called, ast.Attribute) and called.attr in METHODS:
            yield f"{relative(path)}:{node.lineno}: .{called.attr}() {METHODS[called.attr]}"


def calls(tree: ast.AST, function: str = "") -> Iterator[tuple[str, ast.Call]]:
    """Yield every call with the name of the function around it."""
    for node in ast.iter_child_nodes(tree):
        inside = node.name if isinstance(node, ast.FunctionDef) else function
        if isinstance(node, ast.Call):
            yield inside, node
        yield from calls(node, inside)


def test_no_pure_layer_reaches_for_the_world() -> None:
    found = [offence for path in pure_files() for offence in offences(path)]
    assert found == [], "\n" + "\n".join(found)


def test_no_pure_layer_holds_mutable_state_of_the_process() -> None:
    """A module-level name that a function rebinds makes one run depend on the runs before it."""
    found = [
        f"{relative(path)}:{node.lineno}: global {', '.join(node.names)}"
        for path in pure_files()
        for node in ast.walk(ast.parse(text_of(path)))
        if isinstance(node, ast.Global)
    ]
    assert found == []


@pytest.mark.parametrize(
    "line",
    ["open('x')", "datetime.now()", "hash('x')", "Ed25519PrivateKey.generate()", "[id(x) for x in y]", "os.urandom(3)"],
)
def test_the_scan_finds(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "module.py"
    module.write_text(f"def f():\n    return {line}\n")
    monkeypatch.setattr("tests.arch.test_purity.relative", str)
    assert len(list(offences(module))) == 1
