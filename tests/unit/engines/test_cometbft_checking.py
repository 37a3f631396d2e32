"""A stopped validator's store is checked against itself, and validators against each other (I14)."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from lockgate.codec import cbor
from lockgate.engines.shared.audit import StoreTampered
from lockgate.lab.clock import SimulatedClock
from lockgate.lab.ledgers import LabLedger
from lockgate.node import check
from lockgate.node.folder import Folder, write_json
from lockgate.storage.ledger import LedgerStore, StoreInUse
from tests.support.lab import START
from tests.unit.engines.test_cometbft_application import World, ask
from tests.unit.engines.test_cometbft_state_sync import PARAMETERS, abci, application, registration

BLOCKS = 17
NAME = "alpha"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two stopped validators of one ledger; tests work on copies of it."""
    root = tmp_path_factory.mktemp("good")
    home = Folder(root).ledger(NAME)
    ledger = LabLedger("alpha-1", SimulatedClock(START), parameters=PARAMETERS)
    write_json(home / "cluster.json", {"nodes": [{"rpc": 1, "p2p": 2}, {"rpc": 3, "p2p": 4}]})
    (home / "genesis.cbor").write_bytes(ledger.genesis.to_bytes())
    path = home / "validators" / "0" / "application.sqlite"
    store = LedgerStore.open(path)
    world = World(ledger, store, application(ledger, store, root / "snapshots")).begun()
    while ledger.height < BLOCKS:
        world.play(*([registration(ledger)] if ledger.height % 3 == 0 else []))
    store.close()
    (home / "validators" / "1").mkdir()
    shutil.copy(path, home / "validators" / "1")
    return root


@pytest.fixture
def folder(good: Path, tmp_path: Path) -> Folder:
    shutil.copytree(good, tmp_path / "copy")
    return Folder(tmp_path / "copy")


def edit(folder: Folder, statement: str, *values: object, validator: int = 1) -> None:
    connection = sqlite3.connect(folder.ledger(NAME) / "validators" / str(validator) / "application.sqlite")
    assert connection.execute(statement, values).rowcount > 0
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def header(folder: Folder, height: int) -> list[object]:
    connection = sqlite3.connect(folder.ledger(NAME) / "validators" / "1" / "application.sqlite")
    (data,) = connection.execute("SELECT value FROM meta WHERE name = ?", (f"header/{height}",)).fetchone()
    connection.close()
    return list(cbor.decode(data))  # type: ignore[arg-type]  # an array


def test_good_stores_verify(folder: Folder) -> None:
    found = check.store(folder, NAME)
    assert (found["validators"], found["roots"], found["verified"]) == ([0, 1], BLOCKS, True)
    assert len(found["app_hash"]) == 64
    shutil.rmtree(folder.ledger(NAME) / "validators" / "0")
    assert check.store(folder, NAME)["validators"] == [1], "of nodes elsewhere nothing is said"


@pytest.mark.parametrize(("place", "value"), [(0, 1), (1, bytes(32)), (2, bytes(32)), (3, bytes(32))])
def test_an_altered_header_is_found_with_validator_and_height(folder: Folder, place: int, value: object) -> None:
    row = header(folder, 11)
    row[place] = value
    edit(folder, "UPDATE meta SET value = ? WHERE name = ?", cbor.encode(row), "header/11")  # type: ignore[arg-type]
    with pytest.raises(StoreTampered) as found:
        check.store(folder, NAME)
    assert found.value.fields["validator"] == 1
    assert found.value.fields["height"] in {10, 11}, "the header, or the root that it has"


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        ("DELETE FROM meta WHERE name = ?", ("header/11",)),
        ("DELETE FROM meta WHERE name = ?", ("headers/before",)),
        ("UPDATE meta SET value = x'ff' WHERE name = ?", ("header/11",)),
        ("UPDATE tree_roots SET data = substr(data, 1, length(data) - 1) || x'00' WHERE version = ?", (9,)),
        ("DELETE FROM tree_node WHERE number = (SELECT max(number) FROM tree_node) AND ?", (1,)),
    ],
)
def test_what_is_missing_or_does_not_read_is_found(folder: Folder, statement: str, values: tuple[object, ...]) -> None:
    edit(folder, statement, *values)
    with pytest.raises(StoreTampered) as found:
        check.store(folder, NAME)
    assert found.value.fields["validator"] == 1


def test_validators_that_went_unlike_ways_are_found(folder: Folder) -> None:
    """Each store is whole in itself; together they are not."""
    ledger = LabLedger("alpha-1", SimulatedClock(START), parameters=PARAMETERS)
    path = folder.ledger(NAME) / "validators" / "1" / "application.sqlite"
    path.unlink()
    store = LedgerStore.open(path)
    world = World(ledger, store, application(ledger, store, folder.root / "snapshots")).begun()
    while ledger.height < BLOCKS:
        world.play(*([registration(ledger)] if ledger.height % 4 == 0 else []))
    assert ask(world.app, info=abci.RequestInfo()).info.last_block_height == BLOCKS
    store.close()
    with pytest.raises(StoreTampered, match="unlike roots") as found:
        check.store(folder, NAME)
    assert found.value.fields["validators"] == [0, 1]


def test_a_validator_that_runs_is_left_alone(folder: Folder) -> None:
    store = LedgerStore.open(folder.ledger(NAME) / "validators" / "0" / "application.sqlite")
    with pytest.raises(StoreInUse):
        check.store(folder, NAME)
    store.close()
