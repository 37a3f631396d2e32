"""What a peer says that it has seen, and no node shows, keeps nothing open (P3, P19, P20)."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest

from lockgate.envelope.content import LedgerView
from lockgate.host.refusal import RefusalWords
from lockgate.hosting import steps
from lockgate.hosting.queue import CURSOR
from lockgate.primitives.ids import Hash32, Height
from lockgate.relay.rpc import Calls, RpcError
from lockgate.session.meeting import Claims
from tests.support import probe
from tests.support.hosts import HostWorld, Side, in_world
from tests.support.talking import ask

FAR = 1 << 60


def made_up(side: Side, height: int) -> LedgerView:
    return LedgerView(Height(side.host.reader.chain.revision, height), Hash32(bytes(32)))


class Pruned:
    """A node that has dropped the headers below a height."""

    def __init__(self, honest: Calls, below: int) -> None:
        self._honest, self._below = honest, below

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        if method == "commit" and int(params.get("height") or self._below) < self._below:
            raise RpcError("height is not available", code=-32603)
        return await self._honest.call(method, **params)

    async def close(self) -> None: ...


async def pass_by(world: HostWorld, seconds: int) -> None:
    for _ in range(seconds):
        await world.settle()
        world.clock.advance(1_000_000_000)  # type: ignore[arg-type]
        await asyncio.sleep(0)


async def refused_with_view(world: HostWorld, patch: pytest.MonkeyPatch, height: int) -> None:
    """B refuses a message of A's, and says that it has seen a header of its ledger which no node shows."""

    def words(code: str, detail: str = "") -> RefusalWords:
        return RefusalWords(code, detail, made_up(world.b, height))

    patch.setattr(steps, "RefusalWords", words)
    await world.send(world.a, probe.refuse("no.credit"))
    await pass_by(world, 12)


@in_world()
async def test_P3_a_refusal_with_a_header_that_nobody_reaches_is_told(
    world: HostWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await refused_with_view(world, monkeypatch, FAR)
    assert (world.a.sent().state, world.a.sent().code) == ("refused", "no.credit")
    assert world.a.get(b"refused") == b"no.credit"
    assert [said["code"] for said in world.a.reported("held")] == ["chain.not_yet"] * 3, "it waited first"
    assert "NotYet" in world.a.reported("rejected")[-1]["cause"]
    await world.send(world.a, b"")
    assert int.from_bytes(world.a.store.meta(CURSOR) or b"", "big") >= world.a.end.ledger.height - 3, "nothing is open"


@in_world()
async def test_P3_a_refusal_with_a_header_that_is_pruned_everywhere_is_told(
    world: HostWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    height = world.b.end.ledger.height + 1
    for _ in range(3):
        world.b.end.ledger.block()
    reader = world.a.host.peers.reader(world.a.host.peers.named("b"))
    await reader.latest()
    reader.chain = world.chain(world.b, Pruned(world.b.rpc, height + 1))
    await refused_with_view(world, monkeypatch, height)
    assert (world.a.sent().state, world.a.sent().code) == ("refused", "no.credit")
    assert "RpcError" in world.a.reported("rejected")[-1]["cause"]


@pytest.mark.parametrize("who", ["a", "b"])
@in_world(sessions=True)
async def test_P19_claims_of_a_header_that_nobody_reaches_end_the_handshake(world: HostWorld, who: str) -> None:
    """B's stand in message_2 and A's in message_3."""
    side = world.a if who == "a" else world.b
    meetings = side.host._handshakes._meetings
    real = meetings.claims

    def claims(peer: Any, **_: Any) -> Claims:
        return dataclasses.replace(real(peer), own_seen=made_up(side, FAR))

    meetings.claims = claims  # type: ignore[method-assign]
    asked = asyncio.ensure_future(ask(world, world.a, probe.write(b"k", b"v")))
    await asyncio.wait({asked})
    assert asked.exception() is not None
    codes = {said["code"] for said in world.a.reported("handshake_failed")}
    assert codes == {"envelope.rejected" if who == "b" else "session.handshake_refused"}
    await pass_by(world, 12)
    assert all(row.state != "sent" for row in world.a.store.all_sent())
    meetings.claims = real  # type: ignore[method-assign]
    world.clock.advance(61_000_000_000)  # type: ignore[arg-type]
    await ask(world, world.a, probe.write(b"k", b"w"))
    assert world.b.get(b"k") == b"w"
