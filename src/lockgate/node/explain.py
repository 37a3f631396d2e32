"""Loads every module that names failures, so that all codes can be listed and explained."""

from __future__ import annotations

import importlib
import pkgutil

import lockgate


def load_codes() -> None:
    for module in pkgutil.walk_packages(lockgate.__path__, "lockgate."):
        if ".lab" not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
