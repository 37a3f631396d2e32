"""Hosts with a wire between them: links to proven, current, unrevoked endpoints, and bulk bodies inside (P5, P8)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from lockgate.courier.ports import ChainUnavailable
from lockgate.hosting.acquaintances import NO_FOR_NS, HostStarting, OldStart
from lockgate.hosting.reader import Distrusted, TwoHistories
from lockgate.keystore.software import OsEntropy
from lockgate.machine.errors import EndpointRevoked
from lockgate.primitives.errors import LockgateError
from lockgate.relay.rpc import Calls
from lockgate.session.edhoc.errors import HandshakeFailed, PeerRefused
from lockgate.session.link.errors import LinkTruncated
from lockgate.transport import BlobServer, Linked, LinkStream, Shelf, unix
from tests.support.hosts import HostWorld, Side, in_world
from tests.unit.hosting.test_bulk import MIB, a_file, bulk_of, keeper, send_file, until_answered
from tests.unit.hosting.test_forks import TwoFaced, frozen, replace_host, twin_of
from tests.unit.hosting.test_rotation import revoke, rotate, with_cabinet

LATER = 11_000_000_000  # past the ten seconds that a proven record is held


async def meet(caller: Side, answerer: Side) -> tuple[LinkStream | BaseException, LinkStream | BaseException]:
    """A link between two hosts, or what each of them says of it."""
    here, there = socket.socketpair()
    for end in (here, there):
        end.setblocking(False)
    async with asyncio.timeout(20):
        found = await asyncio.gather(
            LinkStream.call(here, answerer.endpoint.id, caller.host.acquaintances, OsEntropy()),
            LinkStream.answer(there, answerer.host.acquaintances, OsEntropy()),
            return_exceptions=True,
        )
    return found[0], found[1]


def end(*streams: LinkStream | BaseException) -> None:
    for stream in streams:
        assert isinstance(stream, LinkStream)
        stream.abort()


@in_world()
async def test_hosts_meet_over_a_link_as_their_ledgers_prove_them(world: HostWorld) -> None:
    near, far = await meet(world.a, world.b)
    assert isinstance(near, LinkStream)
    assert isinstance(far, LinkStream)
    assert near.peer.record == world.b.endpoint.record.hash
    assert far.peer.endpoint == world.a.endpoint.id
    assert near.name == far.name
    end(near, far)


@in_world()
async def test_P5_after_a_rotation_the_new_record_meets_and_the_old_keys_do_not(world: HostWorld) -> None:
    await with_cabinet(world, world.a)
    old = world.a.host.parts.keys
    await rotate(world, world.a)
    world.clock.advance(LATER)  # type: ignore[arg-type]
    end(*await meet(world.a, world.b))
    thief = world.make(world.a, ring=old)
    thief._steps.fence = world.a.host._steps.fence
    for reader in thief._readers.values():
        await reader.latest()
    world.a.host = thief
    near, far = await meet(world.a, world.b)
    assert isinstance(far, HandshakeFailed)
    assert isinstance(near, PeerRefused)


@in_world()
async def test_P5_a_revoked_endpoint_is_neither_called_nor_met(world: HostWorld) -> None:
    end(*await meet(world.a, world.b))
    revoke(world, world.b)
    world.clock.advance(LATER)  # type: ignore[arg-type]
    near, _ = await meet(world.a, world.b)
    assert isinstance(near, EndpointRevoked)
    near, far = await meet(world.b, world.a)
    assert isinstance(far, HandshakeFailed)
    assert isinstance(near, PeerRefused)


@in_world()
async def test_P5_a_record_that_was_revoked_within_the_ten_seconds_is_caught_by_the_judgement(world: HostWorld) -> None:
    end(*await meet(world.a, world.b))  # proven a moment ago
    revoke(world, world.b)
    await world.a.host.reader.latest()
    await world.a.host.peers.reader(world.a.host.peers.named("b")).latest()
    _, far = await meet(world.b, world.a)
    assert isinstance(far, EndpointRevoked)


@in_world()
async def test_P8_a_copy_with_an_older_fence_is_not_met(world: HostWorld) -> None:
    copy = world.a.host
    world.a.host = world.make(world.a, seed=b"later")
    await world.a.host.start()
    end(*await meet(world.a, world.b))
    world.a.host = copy
    near, far = await meet(world.a, world.b)
    assert isinstance(far, OldStart)
    assert isinstance(near, LinkTruncated)


@in_world()
async def test_a_host_without_a_fence_meets_nobody(world: HostWorld) -> None:
    world.b.host = world.make(world.b)
    near, far = await meet(world.a, world.b)
    assert isinstance(far, HostStarting)
    assert isinstance(near, LockgateError)


@in_world()
async def test_P20_a_link_between_two_histories_freezes_the_ledger_that_has_them(world: HostWorld) -> None:
    await world.send(world.a, b"x")
    height = world.a.host.reader.newest.height
    await replace_host(world, world.b, remote=TwoFaced(world.a.rpc, twin_of(world.a, height), height))
    _, far = await meet(world.a, world.b)
    assert isinstance(far, TwoHistories)
    await world.turn(world.b)
    assert frozen(world.b)
    near, far = await meet(world.a, world.b)
    assert isinstance(far, HandshakeFailed), "whose ledger is distrusted is proven by nothing"
    near, _ = await meet(world.b, world.a)
    assert isinstance(near, Distrusted)


class Counting:
    """Counts what it is asked; while it is `away` it answers nothing."""

    def __init__(self, node: Calls) -> None:
        self._node, self.asked, self.away = node, 0, False

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        self.asked += 1
        await asyncio.sleep(0)
        if self.away:
            raise ChainUnavailable("away")
        return await self._node.call(method, **params)

    async def close(self) -> None: ...


@pytest.mark.parametrize("why", ["away", "revoked", "suite"])
@in_world()
async def test_strangers_do_not_have_a_ledger_asked_for_a_peer_that_cannot_be_proven(
    world: HostWorld, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = Counting(world.b.rpc)
    await replace_host(world, world.a, remote=node)
    met = world.a.host.acquaintances
    assert len(await met.all()) == 1
    world.clock.advance(LATER)  # type: ignore[arg-type]
    with monkeypatch.context() as patch:
        if why == "suite":
            patch.setattr("lockgate.hosting.suites.SuiteTable.active", lambda *_: False)
        elif why == "revoked":
            revoke(world, world.b)
        node.away = why == "away"
        node.asked = 0
        assert await met.all() == []
        once, node.asked = node.asked, 0
        assert once > 0
        assert await asyncio.gather(*(met.all() for _ in range(8))) == [[]] * 8
        assert node.asked == 0
        world.clock.advance(LATER)  # type: ignore[arg-type]
        assert await asyncio.gather(*(met.all() for _ in range(8))) == [[]] * 8
        assert 0 < node.asked <= once, "one of them asked"
        node.asked = 0
    if why != "revoked":
        node.away = False
        world.clock.advance(NO_FOR_NS)  # type: ignore[arg-type]
        assert len(await met.all()) == 1, "it is let in when it can be proven again"


@asynccontextmanager
async def served(world: HostWorld, folder: Path) -> AsyncIterator[list[LockgateError]]:
    """B fetches what A offers, inside links."""
    shelf, told = Shelf(folder / "shelf"), list[LockgateError]()
    endpoint, entropy = world.a.endpoint.id, OsEntropy()
    source = unix.source(
        folder / "s", lambda wire: LinkStream.call(wire, endpoint, world.b.host.acquaintances, entropy)
    )
    world.bulk["a"] = bulk_of(world.a, folder, shelf, {})
    world.bulk["b"] = bulk_of(world.b, folder, Shelf(folder / "other"), {endpoint.hex(): [source]})
    for side in world.sides:
        side.host = world.make(side)
        await side.host.start()
    linked = Linked(world.a.host.acquaintances, entropy, told.append)
    server = asyncio.create_task(BlobServer(shelf.folder, unix.listen(folder / "s"), linked).run())
    try:
        yield told
    finally:
        for bulk in world.bulk.values():
            await bulk.close()
        server.cancel()
        await asyncio.gather(server, return_exceptions=True)


@in_world(guest_b=keeper)
async def test_a_bulk_body_travels_inside_a_link(world: HostWorld, tmp_path: Path) -> None:
    path = a_file(tmp_path, 5 * MIB)
    async with served(world, tmp_path) as told:
        await send_file(world, path)
        await until_answered(world)
        received = world.bulk["b"].bodies.find(world.b.seen().commitment.hex())
        assert received is not None
        assert received.read_bytes() == path.read_bytes()
        assert told == []
