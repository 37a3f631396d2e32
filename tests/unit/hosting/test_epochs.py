"""A session's keys come of a fresh exchange after some use, under traffic and whatever is lost (P18)."""

from __future__ import annotations

import asyncio
from typing import Any

from lockgate.hosting.config import EpochLimits
from lockgate.session import Book
from tests.support import probe
from tests.support.hosts import HostWorld, Side, in_world
from tests.support.recorder import record
from tests.support.talking import ask, choices, restarted, session


async def healing(world: HostWorld, limits: EpochLimits) -> None:
    """Both hosts with these limits, and a session between them."""
    world.epochs = limits
    for side in world.sides:
        await restarted(world, side)
    await ask(world, world.a, probe.write(b"k", b"v"))


def epochs_of(world: HostWorld, side: Side) -> list[int]:
    return [choice.epoch for choice in choices(world, side) if choice.session is not None]


@in_world(sessions=True)
async def test_P18_after_so_many_messages_an_epoch_is_followed_by_another(world: HostWorld) -> None:
    await healing(world, EpochLimits(messages=3))
    for number in range(8):
        await ask(world, world.a, probe.write(b"k", b"%d" % number))
    assert world.b.get(b"k") == b"7"
    assert session(world.a)["session"] == session(world.b)["session"]
    assert epochs_of(world, world.a) == [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2]
    assert session(world.b)["keys_kept"] == 0
    assert world.a.host.status()["sent"]["acknowledged"] == 9


@in_world(sessions=True)
async def test_P18_so_is_one_that_is_old_or_carried_much(world: HostWorld) -> None:
    await healing(world, EpochLimits(size=10_000))
    await ask(world, world.a, probe.write(b"k", bytes(11_000)))
    await ask(world, world.a, probe.write(b"k", b"x"))
    assert session(world.a)["epoch"] == session(world.b)["epoch"] == 1
    world.epochs = EpochLimits(age_s=60)
    await restarted(world, world.a)
    world.pass_time(61)
    await ask(world, world.a, probe.write(b"k", b"x"))
    assert session(world.a)["epoch"] == session(world.b)["epoch"] == 2


@in_world(sessions=True)
async def test_P18_whoever_has_every_key_of_an_epoch_opens_nothing_of_the_next(world: HostWorld) -> None:
    """A thief reads both books in the middle of an epoch; the fresh exchange heals: with them he opens no more."""
    await healing(world, EpochLimits(messages=2))
    stolen = [Book.from_bytes(world.vaults[side.name].load() or b"") for side in world.sides]
    for number in range(4):
        await ask(world, world.a, probe.write(b"k", b"%d" % number))
    later = [one for one in record(world, world.a) if one.in_session]
    assert [one.opened_with(stolen) is not None for one in later] == [False, True, True, True, False, False]
    assert epochs_of(world, world.a) == [0, 0, 0, 0, 1, 1]


@in_world(sessions=True)
async def test_a_message_of_the_epoch_before_still_opens_after_the_next_has_begun(world: HostWorld) -> None:
    await healing(world, EpochLimits(messages=2))
    await ask(world, world.a, probe.write(b"k", b"1"))
    task = asyncio.ensure_future(world.a.host.send("b", "probe@1.0", probe.write(b"late", b"v"), 600))
    await asyncio.sleep(0)
    await world.a.host.turn()
    await task
    (late,) = world.sent(world.a)
    world.a.relayed = world.a.end.ledger.height
    await world.turn(world.a)  # the exchange
    await world.settle()
    await ask(world, world.a, probe.write(b"k", b"2"))
    assert session(world.b)["epoch"] == 1
    assert world.b.get(b"late") is None
    world.deliver(world.b, late)
    await world.settle()
    assert world.b.get(b"late") == b"v"


@in_world(sessions=True)
async def test_of_two_exchanges_that_cross_the_initiators_goes_on(world: HostWorld) -> None:
    await healing(world, EpochLimits())
    await ask(world, world.b, probe.write(b"k", b"v"))
    for side in world.sides:
        side.host.sessions._limits = EpochLimits(messages=1)
    tasks = [asyncio.ensure_future(s.host.send(world.other(s).name, "probe@1.0", b"", 600)) for s in world.sides]
    await asyncio.sleep(0)
    for side in world.sides:
        await world.turn(side)
    await asyncio.gather(*tasks)
    for side in world.sides:
        side.host.sessions._limits = EpochLimits()
    await world.settle()
    refused = [(side.name, said["code"]) for side in world.sides for said in side.reported("handshake_refused")]
    assert refused == [("a", "session.crossed")]
    assert session(world.a)["epoch"] == session(world.b)["epoch"] == 1
    for side in world.sides:
        await ask(world, side, probe.write(b"k", b"w"))
    assert (world.a.get(b"k"), world.b.get(b"k")) == (b"w", b"w")


@in_world(sessions=True)
async def test_one_that_dies_before_it_knows_its_half_stands_follows_the_other_into_the_epoch(world: HostWorld) -> None:
    await healing(world, EpochLimits(messages=1))
    task = asyncio.ensure_future(world.a.host.send("b", "probe@1.0", probe.write(b"k", b"w"), 600))
    await asyncio.sleep(0)
    await world.turn(world.a)
    await task
    world.relay()
    settled = world.b.host.sessions.settled
    world.b.host.sessions.settled = lambda commitments, now: False  # type: ignore[method-assign]
    await world.b.host.turn()
    world.b.host.sessions.settled = settled  # type: ignore[method-assign]
    await restarted(world, world.b)
    assert session(world.b)["epoch"] == 0, "nobody told it that the other holds the next one"
    await ask(world, world.b, probe.write(b"k", b"x"))
    world.epochs = EpochLimits()
    await restarted(world, world.a)
    await ask(world, world.a, probe.write(b"k", b"y"))
    assert (world.a.get(b"k"), world.b.get(b"k")) == (b"x", b"y")
    assert session(world.b)["epoch"] == session(world.a)["epoch"] >= 1


@in_world(sessions=True)
async def test_where_the_halves_do_not_fit_another_session_is_made(world: HostWorld) -> None:
    await healing(world, EpochLimits(messages=1))
    real = world.b.host._epochs.answer

    def spoiled(*arguments: Any) -> Any:
        reply = real(*arguments)
        return type(reply)(reply.body[:-1])

    world.b.host._epochs.answer = spoiled  # type: ignore[method-assign]
    await ask(world, world.a, probe.write(b"k", b"1"))
    assert {said["code"] for said in world.a.reported("epoch_failed")} == {"edhoc.malformed"}
    world.b.host._epochs.answer = real  # type: ignore[method-assign]
    for number in range(3):
        await ask(world, world.a, probe.write(b"k", b"%d" % number))
    assert world.b.get(b"k") == b"2"
    held = [[one["session"] for one in side.host.status()["sessions"]] for side in world.sides]
    assert held[0][-1] == held[1][-1]
    world.pass_time(5 * 3_600)
    await ask(world, world.a, probe.write(b"k", b"3"))
    assert session(world.a)["session"] == session(world.b)["session"]
    assert session(world.a)["session"] not in held[0], "in five hours without a word, all of them are over"


@in_world(sessions=True)
async def test_one_that_asked_and_died_does_not_hold_the_epoch_and_says_so(world: HostWorld) -> None:
    await healing(world, EpochLimits(messages=1))
    world.epochs = EpochLimits()
    await ask(world, world.a, probe.write(b"k", b"1"))  # asks for the epoch, too
    world.b.host.sessions._limits = EpochLimits()
    world.a.host = world.make(world.a)  # before the other's half came
    await world.settle()
    await world.a.host.start()
    await world.settle()
    for side in world.sides:
        await ask(world, side, probe.write(b"k", b"2"))
        await ask(world, side, probe.write(b"k", b"3"))
    assert (world.a.get(b"k"), world.b.get(b"k")) == (b"3", b"3")
