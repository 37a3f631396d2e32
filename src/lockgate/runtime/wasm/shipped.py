"""The guests that come with Lockgate: where their sources are, where they are built, and loading them.

In a checkout the sources are `guests/` and the builds `guests/build/`. In an installed wheel the sources
are data of this package and the builds go to the user's cache folder.
"""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path
from typing import Final

from lockgate.runtime.errors import BadProject, NotBuilt
from lockgate.runtime.wasm.cache import CodeCache
from lockgate.runtime.wasm.project import FILE

NAMES: Final = ("iv-solver", "quote-sender", "echo")
_PACKAGE: Final = Path(__file__).parent
_IS_CHECKOUT: Final = _PACKAGE.parents[2].name == "src"  # else an installed wheel's site-packages
_SOURCES: Final = _PACKAGE.parents[3] / "guests" if _IS_CHECKOUT else _PACKAGE / "guests"


def source_folder(name: str) -> Path:
    """Return a shipped guest's project folder; raises BadProject."""
    folder = _SOURCES / name
    if name in NAMES and (folder / FILE).is_file():
        return folder
    raise BadProject("no guest of this name is shipped", name=name)


def build_folder() -> Path:
    """Return the folder of the components that are built here."""
    if _IS_CHECKOUT:
        return _SOURCES / "build"
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "lockgate" / f"guests-{version('lockgate')}"


def code_cache() -> CodeCache:
    """Open the cache of machine code beside the components."""
    return CodeCache(build_folder() / "code", build_folder() / "key" / "code.key")


def component(name: str) -> bytes:
    """Return a shipped guest's component; raises NotBuilt."""
    try:
        return (build_folder() / f"{name}.wasm").read_bytes()
    except OSError:
        raise NotBuilt("no component", guest=name, folder=build_folder()) from None


__all__ = ("NAMES", "build_folder", "code_cache", "component", "source_folder")
