"""How much of the past a cluster keeps is said once, and never below what is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from lockgate.engines.cometbft.retention import TooFewBlocks
from lockgate.lab.clock import SimulatedClock
from lockgate.lab.ledgers import LabLedger
from lockgate.node.folder import Folder, NotInitialised, read_json, write_json
from lockgate.node.kept import keep, kept
from tests.support.lab import START


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path)
    home = made.ledger("net")
    home.mkdir(parents=True)
    (home / "genesis.cbor").write_bytes(LabLedger("net-1", SimulatedClock(START)).genesis.to_bytes())
    write_json(home / "cluster.json", {"nodes": [{"rpc": 1, "p2p": 2}], "snapshot_every": 7})
    return made


def test_what_was_said_holds_until_something_else_is(folder: Folder) -> None:
    assert kept(folder, "net") == (10_000, 0)
    keep(folder, "net", blocks=200_000)
    keep(folder, "net")
    keep(folder, "net", versions=500)
    assert kept(folder, "net") == (500, 200_000)
    keep(folder, "net", blocks=0)
    assert kept(folder, "net") == (500, 0)
    assert read_json(folder.ledger("net") / "cluster.json")["snapshot_every"] == 7


@pytest.mark.parametrize("said", [{"blocks": 99_999}, {"blocks": -1}, {"versions": 99}])
def test_too_little_is_refused_and_not_written(folder: Folder, said: dict[str, int]) -> None:
    before = (folder.ledger("net") / "cluster.json").read_bytes()
    with pytest.raises(TooFewBlocks):
        keep(folder, "net", **said)
    assert (folder.ledger("net") / "cluster.json").read_bytes() == before


@pytest.mark.parametrize(("value", "error"), [(5, TooFewBlocks), ("many", NotInitialised), (None, NotInitialised)])
def test_a_record_that_was_edited_is_judged_when_a_validator_starts(
    folder: Folder, value: object, error: type[Exception]
) -> None:
    path = folder.ledger("net") / "cluster.json"
    write_json(path, {**read_json(path), "keep_blocks": value})
    with pytest.raises(error):
        kept(folder, "net")
