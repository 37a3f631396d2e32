"""Who a host meets over links before and after it runs, and how much strangers make it write."""

from __future__ import annotations

import asyncio

import pytest

from lockgate.envelope.errors import BadEnvelope
from lockgate.hosting.acquaintances import HostStarting
from lockgate.node import bulk
from lockgate.node.bulk import Company
from lockgate.session.link.errors import FrameRefused, LinkTruncated
from tests.support.hosts import HostWorld, in_world


def test_nobody_is_met_before_there_is_a_host() -> None:
    company = Company(lambda name, said: None)
    with pytest.raises(HostStarting):
        asyncio.run(company.all())
    with pytest.raises(HostStarting):
        asyncio.run(company.one(bytes(32)))


@in_world()
async def test_a_hosts_acquaintances_are_the_companys(world: HostWorld) -> None:
    company = Company(lambda name, said: None)
    company.host = world.a.host
    (only,) = await company.all()
    assert only.peer.endpoint == world.b.endpoint.id
    assert await company.one(world.b.endpoint.id) == only
    theirs = world.b.host.acquaintances
    await company.judge(only, await theirs.claims(await theirs.one(world.a.endpoint.id)))
    with pytest.raises(BadEnvelope):
        await company.judge(only, await company.claims(only))  # this side's own views, said back to it


def test_a_flood_of_refused_links_writes_one_line_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(bulk.time, "monotonic", lambda: now[0])
    said: list[dict[str, object]] = []
    company = Company(lambda name, what: said.append({"name": name, **what}))
    for _ in range(1_000):
        company.refused(FrameRefused())
    now[0] += 1.0
    company.refused(LinkTruncated())
    assert [(each["code"], each["unsaid"]) for each in said] == [("link.frame_refused", 0), ("link.truncated", 999)]
