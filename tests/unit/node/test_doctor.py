"""The doctor: one good installation, spoiled one thing at a time; each finding says what to do."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from lockgate.hosting.config import HostConfig, LedgerRef
from lockgate.node import doctor
from lockgate.node.cometbft import INSTALL
from lockgate.node.config import load, save
from lockgate.node.doctor import Check, Level, examine
from lockgate.node.folder import Folder
from lockgate.node.issuing import NoOperator
from lockgate.node.passes import BadPass
from lockgate.node.provision import described
from lockgate.node.socket import RemoteRefusal
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos, seconds
from lockgate.runtime.wasm import shipped
from lockgate.storage.signstate import SignState
from tests.support import stories
from tests.support.lab import World

NOW = UnixNanos(1_000 * NANOS_PER_SECOND)


def found(folder: Path, name: str) -> Check:
    return {check.name: check for check in asyncio.run(examine(Folder(folder)))}[name]


def test_a_folder_without_a_deployment_is_fine(tmp_path: Path) -> None:
    checks = asyncio.run(examine(Folder(tmp_path / "none")))
    assert [check for check in checks if check.level is Level.FAIL and not check.name.startswith("guest")] == []
    assert all(check.found.endswith((".", "`.")) for check in checks)
    assert all(check.next_step for check in checks if check.level in {Level.WARN, Level.FAIL})


def test_an_old_python_an_old_sqlite_and_a_broken_library_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 9))
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 30, 0))
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.mlkem", None)
    monkeypatch.setitem(sys.modules, "wasmtime", None)
    for name in ("python", "sqlite", "cryptography", "wasmtime"):
        check = found(tmp_path, name)
        assert check.level is Level.FAIL, name
        assert check.next_step


def test_a_guest_that_is_not_built_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "build_folder", lambda: tmp_path)
    assert found(tmp_path, "guest echo").level is Level.FAIL


def test_a_folder_that_others_can_read_is_named(tmp_path: Path) -> None:
    root = tmp_path / "data"
    root.mkdir(0o700)
    assert found(root, "data folder").level is Level.OK
    keys = root / "hosts" / "alice" / "keys"
    keys.parent.mkdir(parents=True)
    keys.touch(0o644)
    assert "keys" in found(root, "data folder").found
    keys.chmod(0o600)
    root.chmod(0o755)
    assert found(root, "data folder").level is Level.FAIL


@pytest.mark.parametrize(("free", "level"), [(5 << 30, Level.OK), (500 << 20, Level.WARN), (1 << 20, Level.FAIL)])
def test_little_room_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, level: Level) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, free))
    assert found(tmp_path / "absent" / "folder", "disk").level is level


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing on PATH but what a test puts into the folder that this is."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setattr("lockgate.node.cometbft_binary.sys.prefix", str(tmp_path / "venv"))
    return programs


def program(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    (folder / name).chmod(0o700)


def a_cometbft(version: str) -> str:
    return f"#!/bin/sh\n# \tgithub.com/cometbft/cometbft\t{version}\th1:abc=\n"


def cluster(data: Path, name: str) -> None:
    (data / "ledgers" / name).mkdir(parents=True, mode=0o700)
    (data / "ledgers" / name / "cluster.json").write_text('{"nodes": [{"rpc": 1, "p2p": 2}]}')


def test_without_go_and_cometbft_the_way_to_both_is_named_and_nothing_is_wrong(bare: Path) -> None:
    go, cometbft = found(bare.parent / "data", "go"), found(bare.parent / "data", "cometbft")
    assert (go.level, cometbft.level) == (Level.NOTE, Level.NOTE)
    assert "Install Go 1.21 or newer" in go.next_step
    assert cometbft.next_step == f"Install Go 1.21 or newer, then `{INSTALL}`, with Go's bin folder on PATH."


def test_with_go_the_one_command_is_named(bare: Path) -> None:
    program(bare, "go", "#!/bin/sh\necho go version go1.26.8 linux/amd64\n")
    assert found(bare.parent / "data", "go").found.startswith("Go 1.26.8;")
    assert found(bare.parent / "data", "cometbft").next_step.startswith(f"`{INSTALL}`")


@pytest.mark.parametrize("words", ["go version go1.20.14 linux/amd64", "nothing"])
def test_an_old_go_is_named(bare: Path, words: str) -> None:
    program(bare, "go", f"#!/bin/sh\necho {words}\n")
    assert "too old" in found(bare.parent / "data", "go").found


def test_a_cometbft_of_another_line_is_named_with_its_version_and_the_command(bare: Path) -> None:
    program(bare, "cometbft", a_cometbft("v1.0.1"))
    check = found(bare.parent / "data", "cometbft")
    assert check.level is Level.NOTE
    assert "v1.0.1" in check.found
    assert "v0.38.x" in check.found
    assert INSTALL in check.next_step


def test_a_ledger_that_cannot_run_without_cometbft_is_a_fault(bare: Path) -> None:
    data = bare.parent / "data"
    cluster(data, "net")
    check = found(data, "cometbft")
    assert (check.level, "ledger net cannot run" in check.found) == (Level.FAIL, True)
    program(bare, "cometbft", a_cometbft("v0.38.26"))
    check = found(data, "cometbft")
    assert (check.level, "v0.38.26" in check.found) == (Level.OK, True)


@pytest.mark.parametrize(
    ("time", "level"),
    [
        (NOW, Level.OK),
        (UnixNanos(NOW + seconds(30)), Level.OK),
        (UnixNanos(NOW + seconds(50)), Level.FAIL),
        (UnixNanos(NOW - seconds(50)), Level.OK),
        (UnixNanos(NOW - seconds(70)), Level.FAIL),
    ],
)
def test_a_clock_that_is_off_and_a_ledger_that_stands_still_are_named(time: UnixNanos, level: Level) -> None:
    assert doctor._clock("alpha", 5, time, NOW).level is level


@pytest.mark.parametrize(
    ("signed", "stored", "level"),
    [
        (5, 5, Level.OK),
        (6, 5, Level.OK),  # signed, and killed before it was published
        (7, 5, Level.FAIL),
        (4, 5, Level.FAIL),
        (5, None, Level.NOTE),
        (None, 0, Level.NOTE),
        (None, 5, Level.FAIL),
    ],
)
def test_P12_a_store_that_does_not_fit_what_was_signed_is_named(
    tmp_path: Path, signed: int | None, stored: int | None, level: Level
) -> None:
    folder = Folder(tmp_path)
    if signed is not None:
        state = SignState.open(folder.sign_state("alpha"), fresh=True)
        state.record(signed, b"bytes", b"signature")
        state.close()
    assert doctor._sign_state(folder, "alpha", stored).level is level


def test_the_height_of_a_stopped_ledger_is_read_from_its_file(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    assert asyncio.run(doctor._height(folder, "alpha", None)) == 0
    path = folder.ledger("alpha") / "ledger.sqlite"
    path.parent.mkdir(parents=True)
    with sqlite3.connect(path) as connection:
        connection.executescript("CREATE TABLE block (height INTEGER); INSERT INTO block VALUES (3), (4);")
    assert asyncio.run(doctor._height(folder, "alpha", None)) == 4
    path.write_bytes(os.urandom(4096))
    assert asyncio.run(doctor._height(folder, "alpha", None)) is None


def test_clients_and_lanes_are_judged_by_age_status_and_phase() -> None:
    world = World.make()
    opened = stories.ledgers(world)
    alpha = opened.found["alpha"]

    def client(after_s: int) -> Level:
        now = UnixNanos(world.clock.now() + seconds(after_s))
        (row,) = asyncio.run(described(alpha.chain))
        return doctor._client("alpha", row, "beta", now).level

    assert client(60) is Level.OK
    assert client(5 * 86_400) is Level.WARN  # past a third of two weeks: no relayer refreshes it
    stories.pass_time(world, 15 * 86_400)
    assert client(0) is Level.FAIL
    found = {check.name: check for check in asyncio.run(doctor._ledger(alpha, opened))}
    assert found["lane alpha 07-tendermint-0"].level is Level.OK
    world.a.ledger.govern(world.gov, "gov.stop", {"lane": world.lane, "note": "drill"})
    stopped = stories.ledgers(world)
    found = {check.name: check for check in asyncio.run(doctor._ledger(stopped.found["alpha"], stopped))}
    assert found["lane alpha 07-tendermint-0"].level is Level.WARN
    assert "drill" in found["lane alpha 07-tendermint-0"].next_step


@pytest.mark.parametrize(
    ("age", "level", "words"),
    [(3, Level.OK, "Runs, fence 4"), (61, Level.WARN, "61 s old"), (None, Level.WARN, "No list of revoked tokens")],
)
def test_a_host_that_cannot_see_who_was_revoked_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age: int | None, level: Level, words: str
) -> None:
    said = {"fenced_off": None, "rules_changed": {}, "fence": 4, "waiting": 0, "tokens": {"list_age_s": age}}

    async def answers(*_: object) -> dict[str, object]:
        return said

    monkeypatch.setattr(doctor, "call", answers)
    check = asyncio.run(doctor._host(Folder(tmp_path), "alice"))
    assert check.level is level
    assert words in check.found


@pytest.mark.parametrize("why", [NoOperator(), BadPass(), RemoteRefusal("no", code="token.refused")])
def test_a_host_that_may_not_be_asked_is_not_called_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: LockgateError
) -> None:
    async def refuses(*_: object) -> dict[str, object]:
        raise why

    monkeypatch.setattr(doctor, "call", refuses)
    check = asyncio.run(doctor._host(Folder(tmp_path), "alice"))
    assert check.level is Level.WARN
    assert why.code in check.found
    assert check.next_step == why.next_step


@pytest.mark.parametrize(
    ("archive_s", "sessions", "levels", "says"),
    [
        (3_600, True, [Level.OK], "3600 s"),
        (None, True, [Level.NOTE], "in the clear"),
        (3_600, False, [Level.OK, Level.WARN], "opens all that was recorded"),
    ],
)
def test_P18_what_a_thief_of_the_disk_reads_is_said(
    archive_s: int | None, sessions: bool, levels: list[Level], says: str, tmp_path: Path
) -> None:
    folder = Folder(tmp_path)
    ref = LedgerRef("alpha", "alpha-1", "11" * 32, 2, "22" * 32)
    path = folder.host("h") / "endpoint.json"
    path.parent.mkdir(parents=True)
    save(HostConfig("h", "echo", "33" * 32, ("44",), ref, sessions=sessions, archive_s=archive_s), path)
    assert load(path).archive_s == archive_s
    checks = [check for check in asyncio.run(examine(folder)) if check.name == "bodies of host h"]
    assert [check.level for check in checks] == levels
    assert says in checks[-1].found
