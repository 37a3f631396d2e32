"""A guest project: a folder with `guest.toml` and the guest's source."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from lockgate.runtime.errors import BadProject

FILE: Final = "guest.toml"
MAX_TOML: Final = 1 << 20  # bytes; a guest.toml has ten lines, a tests.toml may carry bodies
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,63}\Z")
_MODULE: Final = re.compile(r"[A-Za-z_]\w{0,63}\Z", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """What `guest.toml` says, with paths made absolute."""

    folder: Path
    name: str
    language: Literal["python", "wat"]
    module: str = ""  # python: the module with a `Guest` named `guest`
    paths: tuple[Path, ...] = ()  # python: the guest's own Python path
    source: Path | None = None  # wat: the component's text


def read_project(folder: Path) -> Project:
    """Read and check a project; raises BadProject."""
    folder = folder.resolve()
    table = read_toml(folder / FILE).get("guest")
    if not isinstance(table, dict):
        raise BadProject("guest.toml has no table [guest]", folder=folder)
    name = _text(table, "name", folder)
    if not _NAME.match(name):
        raise BadProject("a name is lower-case letters, digits and hyphens", name=name, folder=folder)
    language = _text(table, "language", folder)
    if language == "wat":
        return Project(folder=folder, name=name, language="wat", source=folder / _text(table, "source", folder))
    if language != "python":
        raise BadProject('language is "python" or "wat"', language=language, folder=folder)
    module = _text(table, "module", folder)
    if not _MODULE.match(module):
        raise BadProject("module is a Python identifier", module=module, folder=folder)
    paths = table.get("paths", ["."])
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise BadProject("paths is a list of folders", folder=folder)
    python_path = tuple((folder / path).resolve() for path in paths)
    return Project(folder=folder, name=name, language="python", module=module, paths=python_path)


def read_toml(path: Path) -> dict[str, Any]:
    """Parse a TOML file; raises BadProject with the reason."""
    try:
        if path.stat().st_size > MAX_TOML:
            raise BadProject("larger than such a file may be", file=path, most=MAX_TOML)
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as wrong:
        raise BadProject(str(wrong), file=path) from None


def _text(table: dict[str, Any], key: str, folder: Path) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value:
        raise BadProject(f"guest.toml needs the text {key}", folder=folder)
    return value


__all__ = ("FILE", "Project", "read_project", "read_toml")
