"""What was sealed and never left takes nothing along: no keys that stay, no counters that others use (P18)."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from lockgate.hosting.config import HostConfig, PeerRef
from lockgate.hosting.handshakes import HandshakeRefused
from lockgate.hosting.work import Item
from lockgate.lab.endpoints import LabEndpoint
from lockgate.lab.paths import expect
from lockgate.session import Book
from lockgate.storage.host import Sent
from lockgate.storage.ledger import StoreFull
from tests.support import probe
from tests.support.hosts import HostWorld, in_world
from tests.support.lab import account
from tests.support.talking import ask, choices, restarted


def book_of(world: HostWorld) -> Book:
    return world.a.host.sessions._book


async def with_third(world: HostWorld) -> None:
    """A knows an endpoint "m" beside B, whose host is away for ever."""
    third = LabEndpoint(b"third", (account("third").id,))
    expect(world.b.end.ledger.transact(account("third"), third.register()))
    honest = world.config

    def config(side: object) -> HostConfig:
        found = honest(world.a if side is world.a else world.b)
        if side is world.b:
            return found
        lane, near, far = world.lab.lane.hex(), world.a.end.client, world.b.end.client
        peers = {**found.peers, "m": PeerRef(third.id.hex(), "b", lane, near, far)}
        return dataclasses.replace(found, peers=peers)

    world.config = config  # type: ignore[method-assign]
    await restarted(world, world.a)


@in_world(sessions=True)
async def test_a_call_that_waits_for_one_peers_session_uses_up_nothing_of_anothers(world: HostWorld) -> None:
    await with_third(world)
    await ask(world, world.a, probe.write(b"k", b"v"))
    script = probe.send("b", probe.write(b"k", b"w")) + probe.send("m") + probe.output(b"")
    asked = asyncio.ensure_future(world.a.host.command(script))
    await asyncio.sleep(0)
    for _ in range(10):
        await world.settle()
        world.clock.advance(2_100_000_000)  # type: ignore[arg-type]
        await asyncio.sleep(0)
    with pytest.raises(HandshakeRefused):
        await asyncio.wait_for(asked, 1)
    assert book_of(world).awaited == {}
    await ask(world, world.a, probe.write(b"k", b"x"))
    assert choices(world, world.a)[-1].place == 1, "the one after the first"
    assert world.b.get(b"k") == b"x"


@in_world(sessions=True)
async def test_where_the_disk_is_full_the_keys_of_what_was_sealed_go(
    world: HostWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ask(world, world.a, probe.write(b"k", b"v"))
    full = [True]
    real = world.a.store.add_sent

    def add_sent(row: Sent) -> None:
        if full:
            raise StoreFull
        real(row)

    monkeypatch.setattr(world.a.store, "add_sent", add_sent)
    sending = asyncio.ensure_future(world.a.host.send("b", "probe@1.0", probe.write(b"k", b"w"), 600))
    await asyncio.sleep(0)
    for _ in range(3):
        with pytest.raises(StoreFull):
            await world.a.host.turn()
        assert book_of(world).awaited == {}
    full.clear()
    await world.turn(world.a)
    await sending
    await world.settle()
    assert world.b.get(b"k") == b"w"


@in_world(sessions=True)
async def test_a_decision_that_is_not_acted_upon_lets_its_keys_go(
    world: HostWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message is sealed, and then what its item waits for does not come."""
    await ask(world, world.a, probe.write(b"k", b"v"))
    asked, real = world.a.host._asked, world.a.host._asked.decide

    async def decide(item: Item) -> object:
        await real(item)
        raise StoreFull

    monkeypatch.setattr(asked, "decide", decide)
    for _ in range(2):
        with pytest.raises(StoreFull):
            await world.send(world.a, probe.write(b"k", b"w"))
    monkeypatch.setattr(asked, "decide", real)
    await ask(world, world.a, probe.write(b"k", b"x"))
    assert book_of(world).awaited == {}
    assert world.b.get(b"k") == b"x"
