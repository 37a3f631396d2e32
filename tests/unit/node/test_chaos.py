"""Validators killed in turn: one at a time, each half in turn, and all up at the end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from lockgate.node import chaos, net
from lockgate.node.demo import FIRST, borrow
from lockgate.node.folder import Folder
from lockgate.node.net import NetNotRunning, Record

RECORD = Record("net", Path("socket"), 1, "net up", 4, "net-1")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, str]]:
    calls: list[tuple[str, int, str]] = []

    async def ask(_: Record, verb: str, **given: Any) -> dict[str, Any]:
        await asyncio.sleep(0)
        calls.append((verb, given["validator"], given.get("half", "")))
        return {}

    monkeypatch.setattr(net, "ask", ask)
    monkeypatch.setattr(chaos, "DOWN_S", 0.001)
    monkeypatch.setattr(chaos, "BETWEEN_S", 0.001)
    return calls


def test_one_is_down_at_a_time_and_all_are_up_at_the_end(asked: list[tuple[str, int, str]]) -> None:
    async def work() -> int:
        over = asyncio.Event()
        running = asyncio.create_task(chaos.one_at_a_time(RECORD, over))
        while len(asked) < 27:  # in the middle of a kill
            await asyncio.sleep(0)
        over.set()
        return await running

    killed = asyncio.run(work())
    assert killed >= 14
    assert len(asked) == 2 * killed, "what was killed last is up again"
    for number, (kill, restart) in enumerate(zip(asked[::2], asked[1::2], strict=True)):
        assert kill == ("kill", number % 4, chaos.HALVES[number // 4 % 3])
        assert restart == ("restart", number % 4, "")


def test_a_cluster_that_ends_meanwhile_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    async def gone(*_: Any, **__: Any) -> dict[str, Any]:
        raise NetNotRunning("it ended while it was asked")

    monkeypatch.setattr(net, "ask", gone)
    with pytest.raises(NetNotRunning):
        asyncio.run(chaos.one_at_a_time(RECORD, asyncio.Event()))


def test_a_borrowed_ledger_is_the_owners_and_only_its_name_is_the_borrowers(tmp_path: Path) -> None:
    owner, mine = Folder(tmp_path / "owner"), Folder(tmp_path / "mine")
    owner.ledger("net").mkdir(parents=True)
    (owner.ledger("net") / "genesis.cbor").write_bytes(b"genesis")
    (owner.root / "passphrase").write_text("of the owner")
    mine.root.mkdir()
    borrow(mine, RECORD, owner)
    assert (mine.ledger(FIRST) / "genesis.cbor").read_bytes() == b"genesis"
    assert mine.passphrase().text == "of the owner"
    assert mine.names("ledgers") == [FIRST]
