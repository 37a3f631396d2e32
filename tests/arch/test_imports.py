"""Who may import whom: the contracts of pyproject.toml hold, and cover every package."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

from tests.arch.sources import PACKAGE, PURE, REPO


def test_the_import_contracts_hold() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-cache"], cwd=REPO, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_purity_contract_names_every_pure_package() -> None:
    contracts = tomllib.loads((REPO / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (forbidden,) = [contract for contract in contracts if contract["type"] == "forbidden"]
    assert set(forbidden["source_modules"]) == {f"lockgate.{package}" for package in PURE}


def test_no_package_is_empty() -> None:
    empty = [
        folder.name
        for folder in PACKAGE.iterdir()
        if (folder / "__init__.py").exists() and not any(path.name != "__init__.py" for path in folder.rglob("*.py"))
    ]
    assert empty == [], "a package appears when its first real content does"
