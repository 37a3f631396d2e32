"""A host with nothing to do rests, and a block, a command or what was put off wakes it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from lockgate.hosting import host as driver
from lockgate.primitives.time import seconds
from lockgate.relay.rpc import Calls
from tests.support import probe
from tests.support.hosts import HostWorld, in_world
from tests.unit.hosting.test_lying_nodes import Lying

PATIENCE_S = 5.0


@pytest.fixture(autouse=True)
def no_look_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but what a test does wakes the host."""
    monkeypatch.setattr(driver, "REST_S", 3_600.0)


@contextlib.asynccontextmanager
async def running(world: HostWorld, own: Calls | None = None) -> AsyncIterator[None]:
    """Host b as its process runs it, once it has come to rest."""
    world.b.host = world.make(world.b, own=own)
    task = asyncio.ensure_future(world.b.host.run())
    try:
        await asyncio.wait_for(world.b.host.ready.wait(), PATIENCE_S)
        await asyncio.sleep(0.2)
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Announcing(Lying):
    """A lying node that announces its blocks."""

    async def beats(self) -> AsyncIterator[None]:
        async for _ in self._honest.beats():  # type: ignore[attr-defined]  # the lab's node does
            yield


async def until(seen: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not seen():
            await asyncio.sleep(0.01)


@in_world()
async def test_an_idle_host_asks_its_ledger_nothing_until_a_block_is_announced(world: HostWorld) -> None:
    async with running(world):
        before = dict(world.b.rpc.served)
        await asyncio.sleep(0.5)
        assert world.b.rpc.served == before
        await world.send(world.a, probe.write(b"k", b"v"))
        world.relay()  # makes blocks without the service: nobody announces them
        await asyncio.sleep(0.1)
        assert world.b.get(b"k") is None
        world.b.host._wake.set()
        await until(lambda: world.b.get(b"k") == b"v")


@in_world()
async def test_a_block_wakes_a_host_at_once(world: HostWorld) -> None:
    async with running(world):
        await world.send(world.a, probe.write(b"k", b"v"))
        world.relay()
        await announce_a_block(world)
        await until(lambda: world.b.get(b"k") == b"v")


async def announce_a_block(world: HostWorld) -> None:
    """A block that the running service makes, as for anybody's transaction."""
    submitter = world.b.host._submitter.sibling(7)
    await submitter.submit([world.b.endpoint.grant(world.lab.lane, world.a.endpoint)])


@in_world()
async def test_a_command_wakes_a_host_at_once(world: HostWorld) -> None:
    async with running(world):
        done = await asyncio.wait_for(world.b.host.command(probe.output(b"here")), PATIENCE_S)
        assert done["output"] == b"here".hex()


@in_world()
async def test_what_was_put_off_is_due_again_without_a_block(world: HostWorld) -> None:
    """The longest rest is never longer than the time to the next attempt."""
    await world.send(world.a, probe.write(b"k", b"v"))
    world.relay()

    def hide(method: str, params: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if method == "block":
            answer["block"]["data"]["txs"] = []
        return answer

    node = Announcing(world.b.rpc, hide)
    async with running(world, own=node):
        await until(lambda: bool(world.b.reported("held")))
        assert 0 < world.b.host._queue.rest_s(3_600.0) <= 1
        node.lies = False
        world.clock.advance(seconds(2))
        await until(lambda: world.b.get(b"k") == b"v")
