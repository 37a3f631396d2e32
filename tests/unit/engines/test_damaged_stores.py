"""A ledger's files on disk: full, shared, cut short, altered, rolled back. It refuses, and says what and where."""

from __future__ import annotations

import random
import shutil
import sqlite3
from pathlib import Path

import pytest

from lockgate.engines.embedded.chain import EmbeddedChain
from lockgate.engines.embedded.recovery import StoreBehind, StoreTampered
from lockgate.lab.clock import SimulatedClock
from lockgate.node import check, ledger
from lockgate.node.folder import Folder
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.time import NANOS_PER_MILLI, UnixNanos, seconds
from lockgate.storage.ledger import LedgerStore, StoreBroken, StoreFull, StoreInUse

BLOCKS = 12
NAME = "alpha"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stopped ledger of a dozen blocks; tests work on copies of it."""
    root = tmp_path_factory.mktemp("good")
    folder = Folder(root)
    ledger.create(folder, NAME, "alpha-1")
    with running(folder) as chain:
        while chain.height < BLOCKS:
            chain.produce([b"not a transaction %d" % chain.height])
    return root


@pytest.fixture
def folder(good: Path, tmp_path: Path) -> Folder:
    shutil.copytree(good, tmp_path / "copy")
    return Folder(tmp_path / "copy")


class running:
    """An open ledger; closed when left."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def __enter__(self) -> EmbeddedChain:
        chain, self._store = ledger.open_chain(self._folder, NAME, durable=False, accept_clock=False)
        return chain

    def __exit__(self, *_: object) -> None:
        self._store.close()


def database(folder: Folder) -> Path:
    return folder.ledger(NAME) / "ledger.sqlite"


def refused(folder: Folder) -> LockgateError:
    """Opening must fail, by name, and leave the lock free."""
    before = database(folder).read_bytes()
    with pytest.raises((StoreTampered, StoreBroken, StoreBehind)) as failure:
        running(folder).__enter__()
    assert database(folder).read_bytes() == before
    return failure.value


def edit(folder: Folder, statement: str, *values: object) -> None:
    connection = sqlite3.connect(database(folder))
    connection.execute(statement, values)
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def test_a_good_copy_opens_and_verifies(folder: Folder) -> None:
    assert check.store(folder, NAME)["blocks"] == BLOCKS
    with running(folder) as chain:
        assert chain.height == BLOCKS
        chain.produce([])


def test_two_processes_cannot_share_a_folder(folder: Folder) -> None:
    with running(folder) as chain:
        with pytest.raises(StoreInUse):
            running(folder).__enter__()
        chain.produce([])
    with running(folder):
        pass


def fill(chain: EmbeddedChain) -> None:
    for _ in range(200):
        chain.produce([bytes(4_000)])


def test_a_full_disk_loses_no_block_and_ends_with_the_space(folder: Folder) -> None:
    with running(folder) as chain:
        store = chain.store
        assert isinstance(store, LedgerStore)
        pages = store.connection.execute("PRAGMA page_count").fetchone()[0]
        store.connection.execute(f"PRAGMA max_page_count={pages + 4}")
        with pytest.raises(StoreFull):
            fill(chain)
        height, root = chain.height, chain.app_hash
        assert store.tip() is not None
        assert chain.state.version == height
        store.connection.execute("PRAGMA max_page_count=1000000")
        assert chain.produce([]).height == height + 1
        assert root != b""
    with running(folder) as chain:
        assert chain.height == height + 1
    check.store(folder, NAME)


@pytest.mark.parametrize("part", [0.999, 0.5, 0.1])
def test_a_file_cut_short_is_refused(folder: Folder, part: float) -> None:
    data = database(folder).read_bytes()
    database(folder).write_bytes(data[: int(len(data) * part)])
    refused(folder)


def test_a_file_of_something_else_is_refused(folder: Folder) -> None:
    database(folder).write_bytes(b"not a database" * 1_000)
    assert isinstance(refused(folder), StoreBroken)


@pytest.mark.parametrize("seed", range(8))
def test_bytes_altered_at_random_are_found_by_verify(folder: Folder, seed: int) -> None:
    """Some of the 64 fall into free pages and slack, which hold nothing; all of them never do."""
    rng = random.Random(seed)
    data = bytearray(database(folder).read_bytes())
    for _ in range(64):
        data[rng.randrange(100, len(data))] ^= 1 + rng.randrange(255)
    database(folder).write_bytes(bytes(data))
    with pytest.raises(LockgateError) as failure:
        check.store(folder, NAME)
    assert failure.value.code in {StoreTampered.code, StoreBroken.code}


SPOILS: dict[str, tuple[str, tuple[object, ...]]] = {
    "block bytes": (
        "UPDATE block SET block = substr(block, 1, 40) || x'00' || substr(block, 42) WHERE height = ?",
        (7,),
    ),
    "results": ("UPDATE block SET results = x'828080' WHERE height = ?", (7,)),
    "root": ("UPDATE block SET app_hash = zeroblob(32) WHERE height = ?", (7,)),
    "signature": ("UPDATE block SET signed = (SELECT signed FROM block WHERE height = 6) WHERE height = ?", (7,)),
    "time": ("UPDATE block SET time = time + 1 WHERE height = ?", (7,)),
    "missing": ("DELETE FROM block WHERE height = ?", (7,)),
    "no bytes": ("UPDATE block SET signed = 'text' WHERE height = ?", (7,)),
}


@pytest.mark.parametrize("name", SPOILS)
def test_an_altered_block_is_refused_with_its_height(folder: Folder, name: str) -> None:
    statement, values = SPOILS[name]
    edit(folder, statement, *values)
    failure = refused(folder)
    assert failure.fields["height"] in {7, 8}, "the block itself, or the one that its record must match"
    with pytest.raises(StoreTampered) as found:
        check.store(folder, NAME)
    assert found.value.fields["height"] == failure.fields["height"]


def test_an_altered_root_record_is_refused_with_its_height(folder: Folder) -> None:
    connection = sqlite3.connect(database(folder))
    rows = connection.execute("SELECT version, data FROM tree_roots ORDER BY version").fetchall()
    connection.close()
    spoiled = bytearray(rows[8][1])
    spoiled[-1] ^= 1
    edit(folder, "UPDATE tree_roots SET data = ? WHERE version = 9", bytes(spoiled))
    failure = refused(folder)
    assert (failure.code, failure.fields["height"]) == (StoreTampered.code, 9)


def test_an_altered_tree_node_is_found_by_verify(folder: Folder) -> None:
    connection = sqlite3.connect(database(folder))
    number, data = connection.execute("SELECT number, data FROM tree_node ORDER BY number LIMIT 1").fetchone()
    connection.close()
    spoiled = bytearray(data)
    spoiled[-1] ^= 1
    edit(folder, "UPDATE tree_node SET data = ? WHERE number = ?", bytes(spoiled), number)
    with pytest.raises(StoreTampered) as found:
        check.store(folder, NAME)
    assert found.value.fields["height"] == 1, "the version whose node it is"


def test_P12_a_ledger_restored_from_a_backup_refuses_to_sign(folder: Folder, tmp_path: Path) -> None:
    backup = tmp_path / "backup.sqlite"
    shutil.copy(database(folder), backup)
    with running(folder) as chain:
        chain.produce([])
        chain.produce([])
    shutil.copy(backup, database(folder))
    for left in ("-wal", "-shm"):
        database(folder).with_name("ledger.sqlite" + left).unlink(missing_ok=True)
    failure = refused(folder)
    assert failure.code == "signer.store_behind"
    assert "revision" in failure.next_step


def test_P13_a_clock_set_back_costs_nothing(folder: Folder) -> None:
    with running(folder) as chain:
        last = chain.time
        chain._time.clock = SimulatedClock(UnixNanos(last - seconds(3_600)))
        chain._time.anchor = 0
        assert chain.produce([]).signed.header.time == last + NANOS_PER_MILLI
