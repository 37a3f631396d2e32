"""The package as a whole: public names, errors a reader can use, no entropy drawn."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import lockgate.crypto
from lockgate.crypto import errors
from lockgate.primitives.errors import LockgateError

FOLDER = Path(lockgate.crypto.__file__).parent
MODULES = sorted(path for path in FOLDER.glob("*.py") if path.stem != "__init__")


def test_public_names_are_the_modules():
    assert sorted(lockgate.crypto.__all__) == [path.stem for path in MODULES]
    for name in lockgate.crypto.__all__:
        assert f"`{name}`" in (lockgate.crypto.__doc__ or "")


@pytest.mark.parametrize("name", errors.__all__)
def test_errors_say_what_to_do(name):
    error = getattr(errors, name)
    assert issubclass(error, LockgateError)
    assert error.code.startswith("crypto.")
    assert error.summary.endswith(".")
    assert error.next_step.endswith(".")


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.stem)
def test_nothing_here_draws_entropy(path):
    """No key generation, no library encapsulation, no randomised signature: those are in `keystore`."""
    tree = ast.parse(path.read_text())
    called = {
        node.func.attr for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert not called & {"generate", "generate_key", "generate_private_key", "urandom", "token_bytes"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "encapsulate":
            assert node.args, "the library's encapsulate() takes no argument and draws for itself"
