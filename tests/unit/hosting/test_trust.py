"""A host that slept for longer than its trusting period believes nothing until it gets a new fingerprint (P11)."""

from __future__ import annotations

import asyncio

import pytest

from lockgate.hosting.config import TRUSTING_S
from lockgate.lightclients.follower import TrustExpired
from lockgate.primitives.time import seconds
from tests.support import probe
from tests.support.hosts import HostWorld, in_world


def sleep_through(world: HostWorld) -> None:
    """The trusting period passes, and nobody sees a header meanwhile."""
    world.pass_time(TRUSTING_S + 60)


@in_world()
async def test_P11_an_expired_root_stops_the_host_and_asks_for_a_new_fingerprint(world: HostWorld) -> None:
    """[P11] `follower.trust_expired`: whoever waits is told, nothing is posted, and a fresh fingerprint starts it."""
    sleep_through(world)
    status, height = world.b.host.status(), world.b.end.ledger.height
    running = asyncio.ensure_future(world.b.host.run())
    asked = asyncio.ensure_future(world.b.host.command(probe.write(b"k", b"v")))
    with pytest.raises(TrustExpired) as stopped:
        await asyncio.wait_for(running, 5)
    assert stopped.value.code == "follower.trust_expired"
    assert "fingerprint" in stopped.value.next_step
    assert stopped.value.fields["chain_id"] == world.b.end.ledger.genesis.chain_id
    with pytest.raises(TrustExpired):
        await asyncio.wait_for(asked, 5)
    with pytest.raises(TrustExpired):
        await world.b.host.command(b"")
    assert [said["code"] for said in world.b.reported("expired")] == ["follower.trust_expired"]
    assert (world.b.end.ledger.height, world.b.get(b"k")) == (height, None), "nothing was posted"
    again = world.make(world.b)
    with pytest.raises(TrustExpired):
        await again.start()
    assert world.b.end.ledger.height == height
    world.anchors = {side.name: side.end.ledger.height for side in world.sides}
    world.b.host = world.make(world.b)
    await world.b.host.start()
    assert world.b.host.status()["fence"] == status["fence"] + 1
    await world.command(world.b, probe.write(b"k", b"v"))
    assert world.b.get(b"k") == b"v"


@in_world()
async def test_P11_an_expired_root_of_another_ledger_stops_what_goes_over_it(world: HostWorld) -> None:
    """[P11] The own ledger is followed still: the host says so, acts there, and sends nothing to the other."""
    for _ in range(2):
        world.clock.advance(seconds(TRUSTING_S // 2 + 60))
        world.b.end.ledger.block()
        await world.b.host.reader.latest()
    sent = world.b.store.all_sent()
    world.a.end.ledger.block()
    with pytest.raises(TrustExpired):
        await world.send(world.b, b"x")
    assert world.b.store.all_sent() == sent
    assert [said["ledger"] for said in world.b.reported("expired")] == ["a"]
    await world.command(world.b, probe.write(b"own", b"yes"))
    assert world.b.get(b"own") == b"yes"
