"""Loads every module that names failures, so that all codes can be listed and explained."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Final

import lockgate

# The lab is an extra, the guests' SDK runs inside the sandbox, `__main__` modules are programs.
APART: Final = (".lab", ".sdk", "__main__")


def load_codes() -> None:
    for module in pkgutil.walk_packages(lockgate.__path__, "lockgate."):
        if not any(part in module.name for part in APART):
            importlib.import_module(module.name)
