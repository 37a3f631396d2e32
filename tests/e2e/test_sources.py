"""It shows 4: a poisoned RPC for one ledger changes nothing but an alarm; with every source poisoned the lane halts.

Two real ledgers with their RPC servers, in processes of their own; hosts and relayer read alpha over its own node
and further ones, which are proxies in front of the same embedded ledger, poisoned or not.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import lockgate
from lockgate.node.doctor import examine
from lockgate.node.folder import Folder, read_json
from lockgate.node.socket import call
from lockgate.node.spec import HostSpec, LedgerSpec, Spec
from lockgate.node.up import Running, start
from lockgate.runtime.wasm import shipped
from tests.support.proxy import Proxy, honest
from tests.support.sources import poison

SPEC = Spec(
    (LedgerSpec("alpha", "alpha-1", heartbeat=0.5), LedgerSpec("beta", "beta-1", heartbeat=0.5)),
    (HostSpec("alice", "alpha", "echo", ("bob",)), HostSpec("bob", "beta", "echo", ("alice",))),
)
Reports = list[tuple[str, str, dict[str, Any]]]


@contextlib.asynccontextmanager
async def deployed(path: Path, count: int, required: int = 2) -> AsyncIterator[tuple[Running, list[Proxy], Reports]]:
    """A deployment whose hosts and relayer read alpha over `count` proxies and over its own node."""
    if not (shipped.build_folder() / "echo.wasm").exists():
        pytest.skip("the shipped guests are not built; `make install` builds them")
    folder, reports = Folder(path / "data"), []
    async with contextlib.AsyncExitStack() as stack:
        proxies = [await stack.enter_async_context(Proxy(lambda: folder.ledger_address("alpha"))) for _ in range(count)]
        alpha = replace(SPEC.ledgers[0], sources=tuple(p.address for p in proxies), required_sources=required)
        spec = replace(SPEC, ledgers=(alpha, SPEC.ledgers[1]))

        def heard(name: str, kind: str, fields: dict[str, Any]) -> None:
            reports.append((name, kind, fields))

        running = await start(folder, spec, lambda _: None, heard)
        try:
            yield running, proxies, reports
        finally:
            await running.stop()


async def send(folder: Folder, text: str, deadline_s: float = 30.0) -> str:
    """Send from alice to bob and wait for the answer."""
    async with lockgate.connect(folder.root, "alice") as gate, asyncio.timeout(deadline_s):
        return (await gate.call("bob", text.encode())).body.decode()


def alarms(reports: Reports) -> list[dict[str, Any]]:
    return [fields for _, kind, fields in reports if kind == "source_set_aside"]


def test_a_poisoned_source_changes_nothing_but_an_alarm(tmp_path: Path) -> None:
    async def work() -> None:
        async with deployed(tmp_path, 2) as (running, (bad, _), reports):
            assert await send(running.folder, "clean") == "naelc"
            assert alarms(reports) == []
            bad.spoil = poison
            for text in ("one", "two", "three"):
                assert await send(running.folder, text) == text[::-1]
            seen = alarms(reports)
            assert {alarm["source"] for alarm in seen} == {bad.address}
            assert {alarm["code"] for alarm in seen} <= {"sources.lied", "sources.outvoted", "sources.unusable"}
            assert [kind for _, kind, _ in reports if kind == "halted"] == []
            checks = {c.name: c.found for c in await examine(running.folder) if c.name.startswith("sources of")}
            assert checks["sources of relay alpha-beta"].startswith("It reads beta through one node")

    asyncio.run(work())


def test_with_every_source_poisoned_the_lane_halts_and_goes_on_by_itself(tmp_path: Path) -> None:
    async def work() -> None:
        async with deployed(tmp_path, 2, required=3) as (running, proxies, reports):
            folder = running.folder
            assert await send(folder, "clean") == "naelc"
            for proxy in proxies:
                proxy.spoil = poison
            with pytest.raises(TimeoutError):
                await send(folder, "stuck", deadline_s=4.0)
            assert {name for name, kind, _ in reports if kind == "halted"} >= {"relay alpha-beta"}
            shown = read_json(folder.relay("alpha-beta") / "status.json")["clients"]["alpha-1"]["sources"]
            assert shown["halted"] != []
            assert (await call(folder.host("alice") / "host.sock", "status"))["sources"]["alpha"]["required"] == 3
            for proxy in proxies:
                proxy.spoil = honest
            async with asyncio.timeout(90):
                assert await send(folder, "again", deadline_s=90) == "niaga"
            assert {kind for _, kind, _ in reports} >= {"resumed"}

    asyncio.run(work())
