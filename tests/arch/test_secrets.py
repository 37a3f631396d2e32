"""Secrets are compared in constant time and never printed: what the sources say about it (S10).

`==` ends at the first byte that differs, and how long it took tells a stranger how far a guess was right. A dataclass
prints its fields, and what is printed ends up in a log.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.arch.sources import python_files, relative, text_of

# The last word of a name that holds a secret wherever it stands. Keys are public as often as not: not among them.
WORDS = re.compile(r"(?:^|_)(?:secret|seed|passphrase|password|pin|mac|prk|ikm|okm|keystream|shared)$")
TYPES = {"SecretBytes", "Passphrase"}
LAB = "src/lockgate/lab/"  # its seeds are names of runs, and are to be printed


def compared(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Comparisons by `==` or `!=` of which one side is a secret by its name, its type, or because it was revealed."""
    for scope in ast.walk(tree):
        if not isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef | ast.Module):
            continue
        typed = {name for name, kind in annotations(scope) if TYPES & set(re.findall(r"\w+", kind))}
        for node in ast.walk(scope):
            if isinstance(node, ast.Compare) and any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops):
                if any(is_secret(side, typed) for side in (node.left, *node.comparators)):
                    yield node.lineno, ast.unparse(node)


def annotations(scope: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(scope):
        if isinstance(node, ast.arg) and node.annotation is not None:
            yield node.arg, ast.unparse(node.annotation)
        if isinstance(node, ast.AnnAssign):
            target = node.target
            name = target.id if isinstance(target, ast.Name) else getattr(target, "attr", "")
            yield name, ast.unparse(node.annotation)


def is_secret(node: ast.expr, typed: set[str]) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Attribute) and node.func.attr == "reveal"
    if isinstance(node, ast.Subscript):  # a piece of a secret is one
        return is_secret(node.value, typed)
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return bool(WORDS.search(name)) or name in typed


def printed(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Fields of dataclasses that hold a secret by their name, as bytes or text, and that a repr would show."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef) or not any("dataclass" in ast.unparse(d) for d in node.decorator_list):
            continue
        if any(isinstance(item, ast.FunctionDef) and item.name == "__repr__" for item in node.body):
            continue
        for item in node.body:
            if not isinstance(item, ast.AnnAssign) or not isinstance(item.target, ast.Name):
                continue
            bare = bool({"bytes", "str", "bytearray"} & set(re.findall(r"\w+", ast.unparse(item.annotation))))
            hidden = item.value is not None and "repr=False" in ast.unparse(item.value)
            if bare and WORDS.search(item.target.id) and not hidden:
                yield item.lineno, f"{node.name}.{item.target.id}"


def test_S10_no_secret_is_compared_by_equality() -> None:
    found = [
        f"{relative(path)}:{line}: {text}"
        for path in python_files("src")
        for line, text in compared(ast.parse(text_of(path)))
    ]
    assert found == [], "compare secrets by crypto.hashes.equal"


def test_S10_no_dataclass_prints_a_secret() -> None:
    found = [
        f"{relative(path)}:{line}: {text}"
        for path in python_files("src")
        if not str(relative(path)).startswith(LAB)
        for line, text in printed(ast.parse(text_of(path)))
    ]
    assert found == [], "give the field repr=False, or hold it in a SecretBytes"


@pytest.mark.parametrize(
    "source",
    [
        "if shared_secret == other: pass",
        "if a != b.seed: pass",
        "x = key.reveal() == b''",
        "def f(one: SecretBytes, other): return one == other",
        "def f(one: Passphrase | None): return one != None",
        "if self.pin[:4] == b'1234': pass",
        "held: SecretBytes = made()\nheld == other",
    ],
)
def test_the_rule_sees_a_comparison(source: str) -> None:
    assert list(compared(ast.parse(source)))


@pytest.mark.parametrize(
    "source",
    [
        "if len(secret) == 32: pass",
        "if equal(secret, other): pass",
        "if secret is None: pass",
        "if public_key == other.public_key: pass",
        "def f(one: bytes): return one == b''",
    ],
)
def test_the_rule_lets_the_rest_be(source: str) -> None:
    assert not list(compared(ast.parse(source)))


def test_the_rule_sees_a_field() -> None:
    bad = "@dataclass(frozen=True)\nclass A:\n    seed: bytes\n"
    assert list(printed(ast.parse(bad)))
    for good in (
        bad.replace("bytes", "SecretBytes"),
        bad.replace("bytes", "bytes = field(repr=False)"),
        bad.replace("@dataclass(frozen=True)\n", ""),
        bad.replace("seed", "public_key"),
        bad + "    def __repr__(self): return 'A()'\n",
    ):
        assert not list(printed(ast.parse(good)))
