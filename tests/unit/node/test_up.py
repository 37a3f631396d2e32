"""What `up` refuses before it starts anything."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lockgate.lab.clock import SimulatedClock
from lockgate.lab.ledgers import LabLedger
from lockgate.machine.records import LaneOrder
from lockgate.node import demo, up
from lockgate.node.cometbft_binary import NoCometBft
from lockgate.node.demo import NotSettled
from lockgate.node.engine import Engine
from lockgate.node.folder import DiskFull, Folder, NotWritable, write_json
from lockgate.node.processes import Deployment
from lockgate.node.spawner import Spawner
from lockgate.node.spec import BadConfig, LedgerSpec, Spec, read_spec
from lockgate.node.up import AlreadyRunning, Running
from tests.support.lab import START

PAIR = '[[ledger]]\nname = "a"\nchain_id = "a-1"\n[[ledger]]\nname = "b"\nchain_id = "b-1"\n'


def host(name: str, ledger: str, peers: str) -> str:
    return f'[[host]]\nname = "{name}"\nledger = "{ledger}"\nguest = "echo"\npeers = {peers}\n'


def test_a_file_describes_a_deployment(tmp_path: Path) -> None:
    path = tmp_path / "deployment.toml"
    path.write_text(PAIR + host("x", "a", '["y"]') + host("y", "b", '["x"]'))
    spec = read_spec(path)
    assert spec.order is LaneOrder.UNORDERED
    assert [ledger.port for ledger in spec.ledgers] == [0, 0], "ports are found, not fixed"
    assert spec.hosts[0].peers == ("y",)
    path.write_text("")
    assert read_spec(path) == read_spec(None) == Spec()


@pytest.mark.parametrize(
    "text",
    [
        "not toml",
        "[other]\nx = 1\n",
        '[[ledger]]\nname = "a"\nchain_id = "a-1"\n',
        '[[ledger]]\nname = "a"\nchain_id = "a-1"\ncolour = "red"\n',
        PAIR.replace('"b"', '"a"') + host("x", "a", "[]"),
        PAIR + host("x", "c", "[]"),
        PAIR + host("x", "a", '["z"]'),
        PAIR + host("x", "a", '["x"]'),
        PAIR + host("x", "a", "[]") + host("x", "b", "[]"),
    ],
)
def test_a_file_that_describes_none_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "deployment.toml"
    path.write_text(text)
    with pytest.raises(BadConfig):
        read_spec(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadConfig) as refusal:
        read_spec(tmp_path / "none.toml")
    assert "none.toml" in str(refusal.value.fields["file"])


def test_a_disk_that_is_nearly_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=5 << 20))
    with pytest.raises(DiskFull, match="5 MB are free and 64 MB needed"):
        up.take(Folder(tmp_path / "data"))


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(NotWritable):
        up.take(Folder(tmp_path / "data"))


def test_a_second_deployment_is_told_of_the_first(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    lock = up.take(folder)
    with pytest.raises(AlreadyRunning) as early:
        up.take(folder)
    assert set(early.value.fields) == {"folder"}, "the first has not come far enough to say more"
    write_json(tmp_path / up.RECORD, {"pid": 4711, "ledgers": {"alpha": "http://127.0.0.1:1"}})
    with pytest.raises(AlreadyRunning) as refusal:
        up.take(folder)
    assert (refusal.value.fields["pid"], refusal.value.fields["alpha"]) == (4711, "http://127.0.0.1:1")
    os.close(lock)
    os.close(up.take(folder))


def test_a_demo_that_does_not_settle_says_how_far_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    async def call(*_: object) -> dict[str, Any]:
        return {"sent": {"acknowledged": 2, "refused": 0, "timed_out": 1}}

    monkeypatch.setattr(demo, "call", call)
    monkeypatch.setattr(demo, "SETTLE_S", 0.0)
    settle: Callable[..., Awaitable[None]] = demo._settle
    with pytest.raises(NotSettled) as failure:
        asyncio.run(settle(Path("host.sock"), 5, lambda *_: None))
    assert (failure.value.fields["ended"], failure.value.fields["sent"]) == (3, 5)


@pytest.mark.parametrize("order", list(LaneOrder))
def test_a_deployment_says_the_order_of_its_lane(tmp_path: Path, order: LaneOrder) -> None:
    path = tmp_path / "deployment.toml"
    path.write_text(f'order = "{order.name.lower()}"\n')
    assert read_spec(path) == Spec(order=order)


def test_another_kind_of_client_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "deployment.toml"
    hosts = host("x", "a", '["y"]') + host("y", "b", '["x"]')
    good = hosts + PAIR.replace('name = "a"', 'name = "a"\nclient = "composite"\nattestors = 5\nquorum = 4')
    path.write_text(good)
    spec = read_spec(path).ledgers[0]
    assert (spec.client, spec.attestors, spec.quorum) == ("composite", 5, 4)
    path.write_text(good.replace("composite", "08-wasm"))
    with pytest.raises(BadConfig, match="07-tendermint, attested, composite"):
        read_spec(path)


@pytest.mark.parametrize("order", ['"fifo"', "1", "[]"])
def test_another_order_is_refused_by_name(tmp_path: Path, order: str) -> None:
    path = tmp_path / "deployment.toml"
    path.write_text(f"order = {order}\n")
    with pytest.raises(BadConfig):
        read_spec(path)


def test_when_one_ledger_does_not_start_the_other_is_left_off_before_anything_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster that went on starting while its deployment was stopped would leave its processes behind."""
    happened: list[str] = []

    async def begin(_: Running, ledger: LedgerSpec, *__: object) -> None:
        if ledger.name == "b":
            await asyncio.sleep(0.01)
            raise NoCometBft("none here")
        try:
            await asyncio.sleep(30)
        finally:
            await asyncio.sleep(0.01)
            happened.append("left off")

    async def stop(self: Deployment) -> None:
        happened.append("stopped")
        await ended(self)

    ended, made = Deployment.stop, LabLedger("a-1", SimulatedClock(START)).genesis
    monkeypatch.setattr(Deployment, "stop", stop)
    monkeypatch.setitem(up.ENGINES, Engine.EMBEDDED, up.Wiring(lambda *_: made, lambda _, spec: spec, begin))
    spec = Spec(ledgers=tuple(LedgerSpec(name, f"{name}-1") for name in "ab"), hosts=())

    async def work() -> None:
        spawner = Spawner.start("tests.support.child")
        with pytest.raises(NoCometBft):
            await up.start(Folder(tmp_path), spec, lambda _: None, lambda *_: None, spawner)

    asyncio.run(asyncio.wait_for(work(), 20))
    assert happened == ["left off", "stopped"]
    os.close(up.take(Folder(tmp_path)))
