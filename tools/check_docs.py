"""Check that the documentation is true: `python tools/check_docs.py [FILE …]`.

- links to files and headings of the repository lead somewhere;
- `python` blocks run, all blocks of a page in one process, in an empty folder;
- `console` and `sh` blocks name commands of `lockgate`, targets of `make` and files of `tools/` that exist;
- `json` and `toml` blocks parse.

A block that cannot run here is preceded by `<!-- not run: REASON -->`; the reason is required.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import typer

REPO = Path(__file__).resolve().parents[1]
PAGES = ("*.md", "docs/**/*.md", "changes/*.md", "bench/**/*.md", "guests/**/*.md", "examples/**/*.md")
PAGE_SECONDS = 120  # the slowest page starts two ledgers and waits for a message to cross
FENCE = re.compile(
    r"^(?:<!-- not run: *(?P<reason>.*?) *-->\n+)?```(?P<language>\w+)[^\n]*\n(?P<text>.*?)^```$", re.M | re.S
)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.+?) *$", re.M)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block of a page."""

    language: str
    text: str
    line: int
    skipped: str | None  # the reason why it is not run


def main() -> int:
    named = [Path(argument).resolve() for argument in sys.argv[1:]]
    pages = named or sorted(
        {path for pattern in PAGES for path in REPO.glob(pattern) if "node_modules" not in path.parts}
    )
    complaints = [f"{name_of(page)}:{text}" for page in pages for text in check(page)]
    for complaint in complaints:
        print(complaint)
    print(f"{len(pages)} pages, {len(complaints)} complaints")
    return 1 if complaints else 0


def name_of(page: Path) -> Path:
    return page.relative_to(REPO) if page.is_relative_to(REPO) else page


def check(page: Path) -> Iterator[str]:
    text = page.read_text()
    blocks = list(blocks_of(text))
    prose = FENCE.sub("", text)
    yield from broken_links(page, prose)
    for block in blocks:
        if block.skipped == "":
            yield f"{block.line}: a block that is not run says why"
        elif block.language in CHECKS:
            yield from (f"{block.line}: {complaint}" for complaint in CHECKS[block.language](block.text))
    python = [block for block in blocks if block.language == "python" and block.skipped is None]
    if python:
        yield from run_python(python)


def blocks_of(text: str) -> Iterator[Block]:
    for found in FENCE.finditer(text):
        line = text.count("\n", 0, found.start("language")) + 1
        yield Block(found["language"], found["text"], line, found["reason"])


def broken_links(page: Path, prose: str) -> Iterator[str]:
    for found in LINK.finditer(prose):
        target, _, heading = found["target"].partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        path = (page.parent / target).resolve() if target else page
        line = prose.count("\n", 0, found.start()) + 1
        if not path.exists():
            yield f"{line}: no file {target}"
        elif heading and path.suffix == ".md" and heading not in anchors(path):
            yield f"{line}: no heading #{heading} in {target or page.name}"


@cache
def anchors(page: Path) -> frozenset[str]:
    return frozenset(
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(page.read_text())
    )


def run_python(blocks: list[Block]) -> Iterator[str]:
    # Blank lines stand for the prose between, so that a traceback names the line of the page.
    source = ""
    for block in blocks:
        source += "\n" * (block.line - source.count("\n")) + block.text
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                [sys.executable, "-"],
                input=source,
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=PAGE_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            yield f"{blocks[0].line}: the python blocks did not end within {PAGE_SECONDS} s"
            return
    if done.returncode:
        yield f"{blocks[0].line}: the python blocks failed:\n{done.stderr[-2000:]}"


def unknown_commands(text: str) -> Iterator[str]:
    for line in text.replace("\\\n", " ").splitlines():
        if "$ " in text and not line.startswith("$ "):
            continue  # output
        try:
            words = shlex.split(line.removeprefix("$ "), comments=True)
        except ValueError as error:
            yield f"not a command line: {line} ({error})"
            continue
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words.pop(0)
        if not words:
            continue
        program, arguments = Path(words[0]).name, words[1:]
        if program == "make":
            yield from (
                f"no target `make {word}`" for word in arguments if "=" not in word and word not in make_targets()
            )
        elif program == "lockgate":
            yield from unknown_lockgate(arguments)
        elif program.startswith("python"):
            scripts = [word for word in arguments if word.startswith("tools/")]
            yield from (f"no file {word}" for word in scripts if not (REPO / word).exists())


@cache
def make_targets() -> frozenset[str]:
    return frozenset(re.findall(r"^([a-z][a-z-]*):", (REPO / "Makefile").read_text(), re.M))


def unknown_lockgate(arguments: list[str]) -> Iterator[str]:
    """Walk the command tree along a command line and complain about what it does not know."""
    command: Any = lockgate_command()  # Any: typer's own copy of click has no exported types
    words = iter(arguments)
    for word in words:
        if word.startswith("-") and word != "-":
            name, _, value = word.partition("=")
            option = next((each for each in command.params if name in (*each.opts, *each.secondary_opts)), None)
            if option is None and name != "--help":
                yield f"`{command.name or 'lockgate'}` has no option {name}"
            elif option is not None and not option.is_flag and not value:
                next(words, None)
        elif hasattr(command, "commands"):
            if word not in command.commands:
                yield f"no command `lockgate {' '.join(arguments)}`"
                return
            command = command.commands[word]


@cache
def lockgate_command() -> Any:
    from lockgate.cli.main import app  # noqa: PLC0415  # slow to import, and most pages name no command

    return typer.main.get_command(app)


def bad_json(text: str) -> Iterator[str]:
    try:
        json.loads(text)
    except ValueError as error:
        yield f"not JSON: {error}"


def bad_toml(text: str) -> Iterator[str]:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        yield f"not TOML: {error}"


CHECKS: dict[str, Callable[[str], Iterator[str]]] = {
    "console": unknown_commands,
    "sh": unknown_commands,
    "json": bad_json,
    "toml": bad_toml,
}

if __name__ == "__main__":
    sys.exit(main())
