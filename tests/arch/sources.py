"""The project's own files as the arch tests read them, without importing anything."""

from __future__ import annotations

import io
import tokenize
from dataclasses import dataclass
from functools import cache
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
PACKAGE = REPO / "src" / "lockgate"
GENERATED = PACKAGE / "codec" / "wire"  # protoc writes these
# Everything from host and courier down decides and does no I/O (docs/explanation/architecture.md).
PURE = (
    "primitives",
    "codec",
    "crypto",
    "envelope",
    "merkle",
    "session",
    "attest",
    "ibc",
    "lightclients",
    "machine",
    "host",
    "courier",
)


@dataclass(frozen=True, slots=True)
class Comment:
    """One comment of a file."""

    path: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{relative(self.path)}:{self.line}: {self.text}"


def relative(path: Path) -> str:
    return path.relative_to(REPO).as_posix()


def python_files(*folders: str) -> list[Path]:
    """Return the Python files below folders of the repository, generated and built ones left out."""
    found = (path for folder in folders for path in (REPO / folder).rglob("*.py"))
    return sorted(path for path in found if GENERATED not in path.parents and "build" not in path.parts)


def pure_files() -> list[Path]:
    return python_files(*(f"src/lockgate/{package}" for package in PURE))


@cache
def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def comments(path: Path) -> tuple[Comment, ...]:
    tokens = tokenize.generate_tokens(io.StringIO(text_of(path)).readline)
    return tuple(Comment(path, token.start[0], token.string) for token in tokens if token.type == tokenize.COMMENT)


def listed(name: str) -> set[str]:
    """Read an allow-list of this folder: one entry a line, `#` starts a comment."""
    path = Path(__file__).with_name(name)
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    return {line for line in lines if line}
