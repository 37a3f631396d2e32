"""An engine is its own folder and what starts it: what the how-to says is counted here."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from lockgate.node import up
from lockgate.node.engine import Engine
from lockgate.node.folder import Folder
from lockgate.node.spec import LedgerSpec
from tests.arch.sources import PACKAGE, REPO, python_files, relative, text_of

PAGE = REPO / "docs" / "how-to" / "add-an-engine.md"
ENGINES = PACKAGE / "engines"
ROW = re.compile(r"^\| `(?P<kind>\w+)` \| `engines/(?P<folder>\w+)` \| (?P<lines>\d+) \| (?P<named>[^|]+) \|$", re.M)
SHARED = re.compile(r"`engines/shared` \((\d+)\)")
SLACK = 0.2  # the page is right to a fifth; code may grow without it
ASSEMBLY = ("node", "cli")  # and the lab, whose ledgers are the embedded one's
LAB = "lab"


def rows() -> dict[str, re.Match[str]]:
    return {match["kind"]: match for match in ROW.finditer(text_of(PAGE))}


def lines_of(folder: str) -> int:
    files = sorted((ENGINES / folder).rglob("*.py"))
    return sum(bool(line.strip()) for path in files for line in text_of(path).splitlines())


def naming(folder: str) -> set[str]:
    """Files of the package, outside `engines` and the lab, that import from an engine's folder."""
    named = re.compile(rf"^\s*(?:from|import) lockgate\.engines\.{folder}\b", re.M)
    found = (path.relative_to(PACKAGE) for path in python_files("src") if named.search(text_of(path)))
    return {str(path) for path in found if path.parts[0] not in ("engines", LAB)}


def test_every_engine_is_on_the_page() -> None:
    folders = {path.name for path in ENGINES.iterdir() if (path / "__init__.py").exists()}
    assert {row["folder"] for row in rows().values()} == folders - {"shared"}


@pytest.mark.parametrize("kind", sorted(rows()))
def test_the_how_to_counts_an_engines_lines(kind: str) -> None:
    counted, said = lines_of(rows()[kind]["folder"]), int(rows()[kind]["lines"])
    assert abs(counted - said) <= SLACK * said, f"{kind} has {counted} lines; put the number on the page"


def test_the_how_to_counts_what_engines_share() -> None:
    (said,) = map(int, SHARED.findall(text_of(PAGE)))
    counted = lines_of("shared")
    assert abs(counted - said) <= SLACK * said, f"{counted} lines; put the number on the page"


@pytest.mark.parametrize("kind", sorted(rows()))
def test_only_what_assembles_a_node_names_an_engine(kind: str) -> None:
    found = naming(rows()[kind]["folder"])
    assert found == set(re.findall(r"`([\w/.]+)`", rows()[kind]["named"])), "put the files on the page"
    assert {name.split("/")[0] for name in found} <= set(ASSEMBLY)


def test_an_engine_is_named_by_one_line_where_people_choose() -> None:
    text = text_of(PACKAGE / "node" / "engine.py")
    for kind in rows():
        assert len(re.findall(rf'^    {kind.upper()} = "{kind}"', text, re.M)) == 1, relative(PACKAGE / "node")


def test_a_deployment_makes_reads_and_starts_each_engine_by_its_own_entry() -> None:
    assert set(up.ENGINES) == set(Engine)
    choosing = re.compile(r"Engine\.(?:EMBEDDED|COMETBFT)\b")
    entries = [line for line in text_of(PACKAGE / "node" / "up.py").splitlines() if choosing.search(line)]
    assert len(entries) == len(Engine), "what differs between engines stands in their entries"


def test_an_engine_of_our_own_takes_a_folder_a_line_and_an_entry(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As the how-to says: nothing else of a deployment asks which engine it is."""
    asked: list[str] = []

    async def start(running: up.Running, spec: LedgerSpec, accept_clock: bool, say: up.Say) -> None:
        asked.append(f"start {spec.name}")

    def make(folder: Folder, spec: LedgerSpec) -> Any:
        asked.append(f"make {spec.name}")

    monkeypatch.setattr(up, "ENGINES", {**up.ENGINES, "small": up.Wiring(make, lambda _, spec: spec, start)})
    spec, running = LedgerSpec("alpha", "alpha-1", engine="small"), object()
    up.create_ledger(Folder(tmp_path), spec)
    asyncio.run(up.start_ledger(running, spec, False, lambda _: None))  # type: ignore[arg-type]  # it asks nothing of it
    assert asked == ["make alpha", "start alpha"]
