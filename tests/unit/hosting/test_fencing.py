"""Clones, backups and kills: one copy goes on, the others are fenced off with evidence, no effect twice (P1, P8)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from lockgate.host.recovery import Fenced
from lockgate.machine import keys
from lockgate.machine.records import EndpointState
from lockgate.relay.rpc import Calls
from lockgate.storage.host import HostStore
from tests.support.hosts import HostWorld, Side, copy_of, in_world
from tests.support.tally import counts, tally


def on_ledger(side: Side) -> EndpointState:
    data = side.end.ledger.chain.view().get(keys.ENDPOINT, keys.endpoint_state(side.endpoint.id))
    assert data is not None
    return EndpointState.from_bytes(data)


@in_world(guest_b=tally)
async def test_P8_a_clone_and_its_original_one_goes_on(world: HostWorld) -> None:
    """[P8] The clone starts later: it takes the fence, and the original is told at its next step."""
    original = world.b.host
    clone = world.make(world.b, copy_of(world.b.store), seed=b"clone")
    await clone.start()
    await world.send(world.a, b"m1")
    world.relay()
    with pytest.raises(Fenced) as fenced:
        await original.turn()
    document = world.b.evidence.documents[str(fenced.value.fields["evidence"])]
    assert document["kind"] == "fenced-off"
    assert document["saved"]["root"] != document["ledger"]["root"] == on_ledger(world.b).root
    assert document["ledger"]["fence"] == on_ledger(world.b).fence == document["saved"]["fence"] + 1
    assert "evidence" in str(original.status()["fenced_off"])
    with pytest.raises(Fenced):
        await original.command(b"")
    world.b.host = clone
    await world.settle()
    assert counts(world.b) == {b"acted/m1": 1}
    assert world.a.sent().state == "acknowledged"


@in_world(guest_b=tally)
async def test_P8_a_backup_that_is_behind_takes_no_fence(world: HostWorld) -> None:
    """[P8] Restored after the original moved on: it stops before it acts, and the original is not disturbed."""
    backup = copy_of(world.b.store)
    await world.send(world.a, b"m1")
    await world.settle()
    before = on_ledger(world.b)
    restored = world.make(world.b, backup, seed=b"restored")
    with pytest.raises(Fenced):
        await restored.start()
    assert on_ledger(world.b) == before
    assert [row["kind"] for row in world.b.evidence.documents.values()] == ["fenced-off"]
    await world.send(world.a, b"m2")
    await world.settle()
    assert counts(world.b) == {b"acted/m1": 1, b"acted/m2": 1}


@in_world(guest_b=tally)
async def test_P1_copies_taken_at_every_commit_act_no_message_twice(world: HostWorld) -> None:
    """[P1] Each copy of the file is started in its turn; whatever it does, every message acts exactly once."""
    copies: list[HostStore] = []
    store = world.b.store
    honest = store.commit

    def commit(**options: Any) -> Any:
        copies.append(copy_of(store))
        return honest(**options)

    store.commit = commit  # type: ignore[method-assign]
    for number in range(3):
        await world.send(world.a, b"m%d" % number)
        await world.settle()
    store.commit = honest  # type: ignore[method-assign]
    assert len(copies) >= 9, "three commits a message: staged, about to be posted, proven"
    fenced = 0
    for number, copied in enumerate([*copies, copy_of(store)]):
        host = world.make(world.b, copied, seed=b"copy %d" % number)
        await world.send(world.a, b"n%d" % number)
        world.relay()
        try:
            await host.start()
            while await host.turn():
                pass
        except Fenced:
            fenced += 1
            continue
        world.b.host = host
    assert fenced >= len(copies) - 2
    await world.settle()
    acted = counts(world.b)
    assert set(acted.values()) == {1}
    assert len(acted) == 3 + len(copies) + 1
    assert {row.state for row in world.a.store.all_sent()} == {"acknowledged"}


class Killing:
    """A node whose caller is killed at its nth call: before the call is made, or before its answer is read."""

    def __init__(self, honest: Calls, at: int, *, after: bool) -> None:
        self._honest = honest
        self._left = at
        self._after = after

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        self._left -= 1
        if self._left == 0 and not self._after:
            raise asyncio.CancelledError
        answer = await self._honest.call(method, **params)
        if self._left == 0:
            raise asyncio.CancelledError
        return answer

    async def close(self) -> None: ...

    @property
    def survived(self) -> bool:
        return self._left > 0


async def killed_once(world: HostWorld, killing: Killing, seed: bytes) -> None:
    """B is killed at that call while it answers a message, sends one and learns of its end; then it starts again."""
    world.b.host = world.make(world.b, own=killing, seed=seed)
    command: asyncio.Future[dict[str, Any]] | None = None
    try:
        await world.b.host.start()
        command = asyncio.ensure_future(world.b.host.command(b"asked"))
        await asyncio.sleep(0)
        for _ in range(4):
            await world.turn(world.b)
            await world.turn(world.a)
            world.relay()
        await command
    except asyncio.CancelledError:
        if command is not None:
            command.cancel()
    world.b.store = copy_of(world.b.store)
    world.b.host = world.make(world.b, seed=seed + b" again")
    await world.b.host.start()
    await world.settle()


@pytest.mark.parametrize("after", [False, True])
def test_P1_killed_at_every_call_a_host_acts_exactly_once(after: bool) -> None:
    """[P1] Whatever await a step is cut off at, the message acts once, its end is told once, nothing is lost."""

    async def one(at: int) -> bool:
        async with HostWorld(guest_a=tally, guest_b=tally) as world:
            await world.send(world.a, b"m")
            world.relay()
            killing = Killing(world.b.rpc, at, after=after)
            await killed_once(world, killing, b"%d" % at)
            acted = counts(world.b)
            assert acted[b"acted/m"] == 1, at
            told = [count for key, count in acted.items() if key.startswith(b"told/")]
            # The command is the operator's: cut off, it may not have been carried out, and never twice.
            sent = world.b.store.all_sent()
            assert len(sent) == len(told) <= 1, at
            assert set(told) <= {1}, at
            assert counts(world.a)[b"acted/asked"] == len(told), at
            assert world.a.sent().state == "acknowledged", at
            return killing.survived

    at = 1 + after  # every second call from the start, and from the one between
    while not asyncio.run(one(at)):
        at += 2
    assert at > 30, "the scenario calls the ledger at least that often"
