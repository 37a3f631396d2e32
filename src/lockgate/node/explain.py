"""Loads every module that names failures, so that all codes can be listed and explained."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import Final

import lockgate
from lockgate.primitives.errors import LockgateError, error_codes

# The lab is an extra, the guests' SDK runs inside the sandbox, `__main__` modules are programs.
APART: Final = (".lab", ".sdk", "__main__")


@cache
def load_codes() -> None:
    """Once in a process: a walk over every module takes a good part of a second."""
    for module in pkgutil.walk_packages(lockgate.__path__, "lockgate."):
        if not any(part in module.name for part in APART):
            importlib.import_module(module.name)


def failure(code: str) -> type[LockgateError] | None:
    """The failure of a code; None for one that this version does not know."""
    load_codes()
    return error_codes().get(code)


def explained(code: str) -> tuple[str, str]:
    """What a code means and what to do; for one of another version or program, that it is not ours."""
    error = failure(code)
    if error is None:
        return "A code that this version does not know.", "Ask whoever runs the receiving endpoint."
    return error.summary, error.next_step


__all__ = ("explained", "failure", "load_codes")
