"""The rules a host has accepted: others stop it over that ledger until its operator accepts them (P16)."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest

from lockgate.hosting.config import HostConfig
from lockgate.hosting.rules import Rules, RulesChanged, RulesNotPinned
from lockgate.lab.paths import expect
from lockgate.primitives.time import seconds
from tests.support import probe
from tests.support.hosts import HostWorld, Side, in_world, rules_of
from tests.unit.hosting.test_forks import twin_of

LONGER_THAN_A_MINUTE = 61


def announce(world: HostWorld, side: Side, most: int = 64) -> None:
    change = {"action": "parameters.set", "arguments": {"parameters": {"max_messages": most}}}
    expect(side.end.ledger.govern(world.lab.gov, "gov.announce", change))


def take_effect(side: Side) -> str:
    """The announced rules come due; returns their digest."""
    for _ in range(side.end.ledger.genesis.parameters.authority_delay_blocks + 1):
        side.end.ledger.block()
    return rules_of(side)


def change(world: HostWorld, side: Side) -> str:
    announce(world, side)
    return take_effect(side)


def later(world: HostWorld) -> None:
    world.clock.advance(seconds(LONGER_THAN_A_MINUTE))
    for side in world.sides:
        side.end.ledger.block()


def state_of(side: Side) -> tuple[object, ...]:
    """What a host would have changed by acting."""
    return side.host.status()["root"], side.host.status()["fence"], side.store.all_sent(), side.store.all_seen(10)


@in_world()
async def test_P16_a_ledger_with_other_rules_stops_its_host_until_they_are_accepted(world: HostWorld) -> None:
    """[P16] The own ledger: nothing acts, whoever asks is told, what came waits, and acceptance lets it go on."""
    pinned = rules_of(world.b)
    proven = change(world, world.b)
    later(world)
    world.a.host.accept_rules("b", [proven])
    await world.send(world.a, probe.write(b"k", b"v"))
    world.relay()
    before = state_of(world.b)
    await world.turn(world.b)
    with pytest.raises(RulesChanged) as refusal:
        await world.send(world.b, b"x")
    assert {"ledger": "b", "pinned": pinned, "proven": proven}.items() <= refusal.value.fields.items()
    assert refusal.value.fields["height"] <= world.b.end.ledger.height
    assert [(said["ledger"], said["proven"]) for said in world.b.reported("rules_changed")] == [("b", proven)]
    assert state_of(world.b) == before, "nothing was written"
    assert world.b.get(b"k") is None
    assert "b" in world.b.host.status()["rules_changed"]
    world.b.host.accept_rules("b", [proven])
    await world.turn(world.b)
    assert world.b.get(b"k") == b"v"
    assert world.b.host.status()["rules_changed"] == {}


@in_world()
async def test_P16_a_remote_ledger_with_other_rules_is_not_acted_over(world: HostWorld) -> None:
    """[P16] Sends to it are refused, messages from it and ends on it wait; the own ledger goes on."""
    await world.command(world.b, probe.send("a", probe.output(b"")))
    world.relay()
    await world.turn(world.a)
    world.relay()
    proven = change(world, world.a)
    later(world)
    before = state_of(world.b)
    await world.turn(world.b)
    with pytest.raises(RulesChanged):
        await world.send(world.b, b"x")
    assert state_of(world.b) == before, "nothing was written"
    assert world.b.sent().state == "sent", "its end was not taken from a ledger under other rules"
    assert {said["code"] for said in world.b.reported("held")} == {RulesChanged.code}
    await world.command(world.b, probe.write(b"own", b"yes"))
    assert world.b.get(b"own") == b"yes"
    world.b.host.accept_rules("a", [proven])
    await world.turn(world.b)
    assert world.b.sent().state == "acknowledged"


@in_world()
async def test_P16_a_timeout_proven_by_a_ledger_with_other_rules_waits(world: HostWorld) -> None:
    await world.send(world.b, b"x", timeout_s=30)
    (packet,) = world.sent(world.b)
    proven = change(world, world.a)
    later(world)
    expect(world.time_out(world.b, packet))
    before = state_of(world.b)
    await world.turn(world.b)
    assert state_of(world.b) == before
    world.b.host.accept_rules("a", [proven])
    await world.turn(world.b)
    assert world.b.sent().state == "timed_out"


@in_world()
async def test_P16_messages_from_a_ledger_with_other_rules_wait(world: HostWorld) -> None:
    await world.send(world.a, probe.write(b"k", b"v"))
    world.relay()
    proven = change(world, world.a)
    world.clock.advance(seconds(LONGER_THAN_A_MINUTE - 10))
    before = state_of(world.b)
    await world.turn(world.b)
    assert state_of(world.b) == before
    assert world.b.reported("held")[0]["code"] == RulesChanged.code
    world.b.host.accept_rules("a", [proven])
    await world.turn(world.b)
    assert world.b.get(b"k") == b"v"


@in_world()
async def test_P16_rules_accepted_beforehand_pass_without_a_stop(world: HostWorld) -> None:
    """[P16] The pin is a set: the announced digest is in it before it comes due."""
    announce(world, world.b)
    old, new = rules_of(world.b), change_elsewhere()
    world.b.host.accept_rules("b", [old, new])
    await world.send(world.b, b"before")
    assert take_effect(world.b) == new
    later(world)
    await world.send(world.b, b"after")
    assert world.b.reported("rules_changed") == []


def change_elsewhere() -> str:
    """The digest the announced rules will have, from a world where they are due."""
    world = HostWorld()
    return change(world, world.b)


@in_world()
async def test_P16_a_start_under_other_rules_takes_no_fence(world: HostWorld) -> None:
    proven = change(world, world.b)
    fence = world.b.host.status()["fence"]
    height = world.b.end.ledger.height
    world.b.host = world.make(world.b)
    with pytest.raises(RulesChanged):
        await world.b.host.start()
    assert world.b.end.ledger.height == height, "nothing was posted"
    world.b.host.accept_rules("b", [proven])
    await world.b.host.start()
    assert world.b.host.status()["fence"] == fence + 1


@in_world()
async def test_P16_a_running_host_waits_and_takes_the_new_pin_up(world: HostWorld) -> None:
    """[P16] The process stays, says why it does nothing, and goes on when it is told."""
    proven = change(world, world.b)
    world.b.host = world.make(world.b)
    running = asyncio.ensure_future(world.b.host.run())
    try:
        with pytest.raises(RulesChanged):
            await asyncio.wait_for(world.b.host.send("a", "probe@1.0", b"x", 60), 5)
        world.b.host.accept_rules("b", [proven])
        assert (await asyncio.wait_for(world.b.host.send("a", "probe@1.0", b"x", 60), 5))["packets"]
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@in_world()
async def test_P16_the_digest_is_proven_again_within_a_minute_and_not_at_every_step(world: HostWorld) -> None:
    asked: list[int] = []
    reader = world.b.host.reader
    honest = reader.value

    async def counted(store: str, key: bytes, height: int) -> bytes | None:
        asked.extend([height] * (key == b"digest"))
        return await honest(store, key, height)

    reader.value = counted  # type: ignore[method-assign]  # to count
    for _ in range(3):
        await world.send(world.b, b"x")
    assert asked == []
    world.clock.advance(seconds(60))
    await world.turn(world.b)
    assert len(asked) == 1, "an idle host proves it, too"


@in_world()
async def test_P16_a_second_history_found_on_the_way_is_not_passed_over(world: HostWorld) -> None:
    """[P16, P20] What proves the rules of another ledger proves its two histories, too."""
    world.a.end.ledger.block()
    height = world.a.end.ledger.height
    await world.b.host.peers.reader(world.b.host.peers.named("a")).reach(height)
    twin = twin_of(world.a, height)
    reader = world.b.host.peers.reader(world.b.host.peers.named("a"))

    async def latest() -> int:
        reader.judge(twin.light_block(height))
        raise AssertionError("a second history")

    reader.latest = latest  # type: ignore[method-assign]  # a node that shows the other one
    world.clock.advance(seconds(LONGER_THAN_A_MINUTE))
    await world.b.host.turn()
    assert world.b.reported("two_histories")
    assert reader.distrusted is not None


@in_world()
async def test_P16_rules_that_come_back_need_no_operator(world: HostWorld) -> None:
    change(world, world.b)
    later(world)
    await world.turn(world.b)
    assert world.b.host.status()["rules_changed"]
    announce(world, world.b, world.b.end.ledger.genesis.parameters.max_messages)
    take_effect(world.b)
    later(world)
    await world.send(world.b, b"x")
    assert world.b.host.status()["rules_changed"] == {}


@in_world()
async def test_P16_a_host_whose_configuration_pins_nothing_does_not_start(world: HostWorld) -> None:
    config = world.config(world.b)
    for bare in (
        dataclasses.replace(config, local=dataclasses.replace(config.local, rules=())),
        dataclasses.replace(config, remotes=(dataclasses.replace(config.remotes[0], rules=()),)),
    ):
        with pytest.raises(RulesNotPinned) as refusal:
            rules_for(world, bare)
        assert "accept-rules" in refusal.value.next_step
    rules_for(world, config)


def rules_for(world: HostWorld, config: HostConfig) -> Rules:
    readers: dict[str, Any] = {"a": world.a.host.reader, "b": world.b.host.reader}
    return Rules(config, readers, world.clock, lambda kind, said: None)
