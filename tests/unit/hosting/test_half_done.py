"""Handshakes and exchanges that come to nothing stand in nobody's way, and leave no secret (P18, P19)."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
from collections.abc import Iterable
from typing import Any

import pytest

from lockgate.hosting.config import EpochLimits
from lockgate.hosting.rules import RulesChanged
from lockgate.hosting.work import StepRefused
from lockgate.lab.paths import expect
from lockgate.primitives.time import DurationNanos
from tests.support import probe
from tests.support.hosts import HostWorld, Side, in_world
from tests.support.talking import ask, session
from tests.unit.hosting.test_rules import change, later


def stop(world: HostWorld) -> None:
    """The authority of A's ledger stops the lane."""
    expect(world.a.end.ledger.govern(world.lab.gov, "gov.stop", {"lane": world.lab.lane, "note": "drill"}))


def resume(world: HostWorld) -> None:
    ledger = world.a.end.ledger
    action = {"action": "lane.resume", "arguments": {"lane": world.lab.lane}}
    expect(ledger.govern(world.lab.gov, "gov.announce", action))
    for _ in range(ledger.genesis.parameters.authority_delay_blocks):
        ledger.block()


def half_done(side: Side) -> list[dict[str, Any]]:
    shakes, epochs = side.host._handshakes, side.host._epochs
    return [one._begun for one in (shakes._ours, shakes._theirs, epochs._ours)]


def reached(roots: Iterable[object]) -> set[str]:
    """Modules of the types of everything that these objects hold."""
    seen: set[int] = set()
    found, left = set(), list(roots)
    while left:
        one = left.pop()
        if id(one) not in seen and not isinstance(one, type):
            seen.add(id(one))
            found.add(type(one).__module__)
            left += gc.get_referents(one)
    return found


async def sending(world: HostWorld, value: bytes) -> asyncio.Task[Any]:
    task = asyncio.ensure_future(world.a.host.send("b", "probe@1.0", probe.write(b"k", value), 600))
    await asyncio.sleep(0)
    return task


async def pass_by(world: HostWorld, rounds: int) -> None:
    for _ in range(rounds):
        await world.settle()
        world.clock.advance(DurationNanos(2_100_000_000))
        await asyncio.sleep(0)
    await world.settle()


@in_world(sessions=True)
async def test_P19_a_handshake_that_the_own_ledger_refuses_is_told_at_once_and_another_can_begin(
    world: HostWorld,
) -> None:
    stop(world)
    task = await sending(world, b"v")
    await pass_by(world, 1)
    assert task.done()
    with pytest.raises(StepRefused, match=r"lane\.stopped"):
        await task
    assert half_done(world.a) == [{}, {}, {}]
    resume(world)
    await ask(world, world.a, probe.write(b"k", b"w"))
    assert world.b.get(b"k") == b"w"
    assert len(world.a.reported("handshake_failed")) == 1


@in_world(sessions=True)
async def test_P19_so_is_a_message_3_that_the_own_ledger_refuses_for_a_while(world: HostWorld) -> None:
    task = await sending(world, b"v")
    await world.turn(world.a)
    world.relay()
    await world.turn(world.b)  # message_2
    stop(world)
    world.a.relayed = world.a.end.ledger.height
    world.relay()
    await world.turn(world.a)
    (ours,) = world.a.host._handshakes._ours
    assert ours.third == {}, "the packet never was"
    resume(world)
    world.clock.advance(DurationNanos(5_000_000_000))
    await pass_by(world, 3)
    await task
    assert world.b.get(b"k") == b"v"


@in_world(sessions=True)
async def test_P16_a_handshake_that_was_withdrawn_with_changed_rules_is_begun_when_they_are_accepted(
    world: HostWorld,
) -> None:
    task = await sending(world, b"v")
    assert await world.a.host.turn()  # the message waits, and an item for a handshake with it
    proven = change(world, world.a)
    later(world)
    await world.turn(world.a)
    with pytest.raises(RulesChanged):
        await asyncio.wait_for(task, 1)
    for side in world.sides:
        side.host.accept_rules("a", [proven])
    await ask(world, world.a, probe.write(b"k", b"w"))
    assert world.b.get(b"k") == b"w"


@in_world(sessions=True)
async def test_P19_a_half_open_handshake_expires_by_the_ledgers_time_on_both_sides(world: HostWorld) -> None:
    """No relayer brings the answer back, nor the end of the packet."""
    task = await sending(world, b"v")
    await world.turn(world.a)
    world.relay()
    await world.turn(world.b)
    world.b.relayed = world.b.end.ledger.height
    assert [len(begun) for side in world.sides for begun in half_done(side)] == [1, 0, 0, 0, 1, 0]
    world.pass_time(241)
    await world.turn(world.b)
    assert half_done(world.b) == [{}, {}, {}], "dropped, and not only passed over"
    await pass_by(world, 3)
    await task
    assert world.b.get(b"k") == b"v"
    assert len(world.a.reported("handshake")) == 2


@in_world(sessions=True)
async def test_P18_when_a_handshake_is_done_neither_side_holds_what_its_first_keys_come_of(world: HostWorld) -> None:
    await ask(world, world.a, probe.write(b"k", b"v"))
    for side in world.sides:
        assert half_done(side) == [{}, {}, {}]
    done = world.b.host._handshakes._done._begun
    assert {module for module in reached([done]) if module.startswith("lockgate.")} == {"lockgate.hosting.handshakes"}
    (kept,) = done.values()
    assert {field.name for field in dataclasses.fields(kept)} == {"packet", "until", "third", "fourth", "name"}
    assert len(kept.third) == 32
    world.pass_time(241)
    await world.turn(world.b)
    assert done is not world.b.host._handshakes._done._begun
    assert world.b.host._handshakes._done._begun == {}


@in_world(sessions=True)
async def test_P19_a_message_3_that_comes_again_gets_the_same_answer(world: HostWorld) -> None:
    real, asked = world.b.host._handshakes.answer, list[Any]()

    async def answer(*arguments: Any) -> Any:
        asked.append((arguments, reply := await real(*arguments)))
        return reply

    world.b.host._handshakes.answer = answer  # type: ignore[method-assign]
    await ask(world, world.a, probe.write(b"k", b"v"))
    (_, _), (third, fourth) = asked
    held = session(world.b)["session"]
    assert await real(*third) == fourth
    assert session(world.b)["session"] == held


@in_world(sessions=True)
async def test_P18_an_exchange_that_the_own_ledger_refuses_is_asked_for_again(world: HostWorld) -> None:
    world.a.host.sessions._limits = EpochLimits(messages=1)
    await ask(world, world.a, probe.write(b"k", b"v"))
    stop(world)
    with pytest.raises(StepRefused, match=r"lane\.stopped"):
        await world.send(world.a, probe.write(b"k", b"w"))
    await world.turn(world.a)
    assert len(world.a.reported("refused")) == 2, "the message, and once what it asks for"
    assert half_done(world.a) == [{}, {}, {}]
    resume(world)
    await ask(world, world.a, probe.write(b"k", b"x"))
    assert (world.b.get(b"k"), session(world.a)["epoch"]) == (b"x", 1)


@in_world(sessions=True)
async def test_P18_an_exchange_that_comes_again_gets_the_same_answer_whoever_asked_in_between(world: HostWorld) -> None:
    epochs, asked = world.b.host._epochs, list[Any]()
    real = epochs.answer

    def answer(*arguments: Any) -> Any:
        asked.append((arguments, reply := real(*arguments)))
        return reply

    epochs.answer = answer  # type: ignore[method-assign]
    world.a.host.sessions._limits = EpochLimits(messages=1)
    for value in (b"v", b"w"):
        await ask(world, world.a, probe.write(b"k", value))
    ((peer, commitment, within, body), reply), *_ = asked
    book, other = world.b.host.sessions._book, dataclasses.replace(peer, endpoint="77" * 32)
    held = book.find(world.a.endpoint.id, within.session)
    book.add(bytes.fromhex(other.endpoint), dataclasses.replace(held, epochs=held.epochs[:1]))
    assert real(other, bytes(32), within, body) != reply
    assert real(peer, commitment, within, body) == reply
