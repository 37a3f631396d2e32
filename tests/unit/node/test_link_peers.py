"""Who a host meets over links before and after it runs, and how much strangers make it write."""

from __future__ import annotations

import asyncio

import pytest

from lockgate.envelope.errors import BadEnvelope
from lockgate.hosting.acquaintances import HostStarting
from lockgate.node import bulk
from lockgate.node.bulk import LateAcquaintances
from lockgate.session.link.errors import FrameRefused, LinkTruncated
from tests.support.hosts import HostWorld, in_world


def test_nobody_is_met_before_there_is_a_host() -> None:
    known = LateAcquaintances(lambda name, said: None)
    with pytest.raises(HostStarting):
        asyncio.run(known.all())
    with pytest.raises(HostStarting):
        asyncio.run(known.one(bytes(32)))


@in_world()
async def test_those_of_the_host_are_met_once_it_runs(world: HostWorld) -> None:
    known = LateAcquaintances(lambda name, said: None)
    known.host = world.a.host
    (only,) = await known.all()
    assert only.peer.endpoint == world.b.endpoint.id
    assert await known.one(world.b.endpoint.id) == only
    theirs = world.b.host.acquaintances
    await known.judge(only, await theirs.claims(await theirs.one(world.a.endpoint.id)))
    with pytest.raises(BadEnvelope):
        await known.judge(only, await known.claims(only))  # this side's own views, said back to it


def test_a_flood_of_refused_links_writes_one_line_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(bulk.time, "monotonic", lambda: now[0])
    said: list[dict[str, object]] = []
    known = LateAcquaintances(lambda name, what: said.append({"name": name, **what}))
    for _ in range(1_000):
        known.refused(FrameRefused())
    now[0] += 1.0
    known.refused(LinkTruncated())
    assert [(each["code"], each["unsaid"]) for each in said] == [("link.frame_refused", 0), ("link.truncated", 999)]
