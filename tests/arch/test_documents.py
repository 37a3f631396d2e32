"""A reader who follows a page to the code finds it there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.arch.sources import PACKAGE, REPO, text_of

STEP = re.compile(r"`(?P<file>[\w/]+\.py): (?P<name>\w+)`")


def defined_in(path: Path) -> set[str]:
    """Return the functions, methods and classes of a module."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name for node in ast.walk(ast.parse(text_of(path))) if isinstance(node, kinds)}


def test_the_packet_journey_of_the_readme_names_real_functions() -> None:
    """Steps are written `file: function`, below `src/lockgate/`."""
    steps = [(PACKAGE / match["file"], match["name"]) for match in STEP.finditer(text_of(REPO / "README.md"))]
    assert len(steps) > 10, "the README follows one packet from a person's request to a proof"
    missing = [f"{path.name}: {name}" for path, name in steps if not path.exists() or name not in defined_in(path)]
    assert missing == []


def test_the_readme_starts_with_its_two_commands() -> None:
    first_block = re.search(r"```sh\n(.*?)```", text_of(REPO / "README.md"), re.S)
    assert first_block is not None
    assert first_block[1].split() == ["make", "demo", "make", "test"]


def test_every_package_is_in_the_readme() -> None:
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    tables = "\n".join(line for line in text_of(REPO / "README.md").splitlines() if line.startswith("|"))
    assert packages - set(re.findall(r"`(\w+)`", tables)) == set()


def test_every_decision_is_listed_and_has_its_parts() -> None:
    """ADRs: context, drivers, options with their costs, decision, what it hurts; one page."""
    folder = REPO / "docs" / "adr"
    index = text_of(folder / "README.md")
    for page in sorted(folder.glob("[0-9]*.md")):
        assert f"({page.name})" in index, f"{page.name} is not in the index"
        for part in ("Context", "Drivers", "Options", "Decision", "What it hurts"):
            assert re.search(rf"^(\*\*|## ){part}", text_of(page), re.M), f"{page.name} has no part {part!r}"
        assert text_of(page).count("\n") <= 60, f"{page.name} is longer than a page"


def test_every_page_is_on_the_map() -> None:
    """`docs/README.md` leads to every page, or to the index of its room."""
    docs = REPO / "docs"
    linked = set(re.findall(r"\(([\w/.-]+\.md)\)", text_of(docs / "README.md")))
    indexed = {str(Path(index).parent) for index in linked if index.endswith("README.md")}
    pages = {page.relative_to(docs) for page in docs.rglob("*.md")}
    lost = {str(page) for page in pages if str(page) not in linked and str(page.parent) not in indexed}
    assert lost - {"README.md"} == set()
