"""A package's public names are its `__all__`; `public_names.txt` pins them, so that a change of the surface is a diff.

`python -m tests.arch.test_public_names` writes the file anew.
"""

from __future__ import annotations

import importlib
from pathlib import Path

from tests.arch.sources import PACKAGE, relative

PINNED = Path(__file__).with_name("public_names.txt")
HEAD = "# Public names of each package. Written by `python -m tests.arch.test_public_names`; read the diff.\n"


def packages() -> list[str]:
    """Return the dotted names of every package but generated ones and the guests' own library."""
    folders = [path.parent for path in PACKAGE.rglob("__init__.py") if not {"sdk", "wit", "wire"} & set(path.parts)]
    return sorted(relative(folder).removeprefix("src/").replace("/", ".") for folder in folders)


def surface() -> dict[str, list[str]]:
    modules = {name: importlib.import_module(name) for name in packages()}
    return {name: sorted(module.__all__) for name, module in modules.items() if hasattr(module, "__all__")}


def lines() -> list[str]:
    return [f"{package}: {' '.join(names)}" for package, names in surface().items()]


def test_the_public_names_are_the_pinned_ones() -> None:
    pinned = [line for line in PINNED.read_text().splitlines() if not line.startswith("#")]
    assert lines() == pinned, "if the change is meant: python -m tests.arch.test_public_names"


def test_every_package_says_what_is_public() -> None:
    assert set(packages()) - surface().keys() == set(), "no __all__ in __init__.py"


def test_every_public_name_exists() -> None:
    missing = []
    for package, names in surface().items():
        module = importlib.import_module(package)
        for name in names:
            if not hasattr(module, name):
                try:
                    importlib.import_module(f"{package}.{name}")  # a package may name its modules
                except ModuleNotFoundError:
                    missing.append(f"{package}.{name}")
    assert missing == []


if __name__ == "__main__":
    PINNED.write_text(HEAD + "".join(f"{line}\n" for line in lines()))
