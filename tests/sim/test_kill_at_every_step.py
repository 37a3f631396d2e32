"""Killed after each effect of a handshake, of an exchange of epochs and of a rotation, a host goes on (P1, P8, P18).

Enumerated: the k-th run dies after the k-th effect, until a run has none so late. Each run sends messages of its own,
and ends when they are acknowledged; at the end, over everything that either host ever handed to its ledger: no key and
nonce sealed two things, no message was lost, and none acted twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from lockgate.hosting.config import EpochLimits
from lockgate.primitives.time import seconds
from lockgate.session import Book
from tests.support.hosts import HostWorld, Side
from tests.support.killing import Mortals, PowerCut
from tests.support.tally import counts, tally

ROUNDS = 60  # of settling, until a run must have come to its end
LOOK_AGAIN = seconds(3)  # what waits for a handshake looks again every two seconds
GRACE_S = 120  # past every answer deadline
MOST = 200  # effects: no procedure has so many
Deed = Callable[["Run"], Awaitable[None]]


class Run:
    """One world that goes on through all runs of one procedure, with one of its hosts dying in each."""

    def __init__(self, world: HostWorld, victim: str) -> None:
        self.world = world
        self.mortals = Mortals(world)
        self.victim = world.a if victim == "a" else world.b
        self.bodies: list[tuple[Side, bytes]] = []
        self.deaths: list[str] = []  # after which effect each run died
        self.died = True

    async def start(self, side: Side, kill_after: int = 0) -> None:
        try:
            await self.mortals.start(side, kill_after)
        except PowerCut:
            await self.again()

    async def again(self) -> None:
        """The victim is dead; another process takes over."""
        self.died = True
        self.deaths.append(self.mortals.effects[self.victim.name].done[-1])
        await self.mortals.start(self.victim)

    def arm(self, count: int) -> None:
        self.mortals.effects[self.victim.name].arm(count)

    async def say(self, side: Side, body: bytes) -> None:
        """As an operator does: ask, and again where a host that was killed knows nothing of it."""
        self.bodies.append((side, body))
        await self._until(side, lambda: self._state(side, body) == "acknowledged", lambda: self._send(side, body))

    async def rotate(self, side: Side) -> None:
        target = int(side.host.status()["record"]) + 1
        await self._until(
            side,
            lambda: int(side.host.status()["record"]) >= target,
            lambda: side.host.rotate() if int(side.host.status()["record"]) < target else None,
        )

    @staticmethod
    def _state(side: Side, body: bytes) -> str:
        return next((row.state for row in side.store.all_sent() if row.body == body and row.purpose == "message"), "")

    def _send(self, side: Side, body: bytes) -> Any:
        return None if self._state(side, body) else side.host.send(self.world.other(side).name, "tally@1.0", body, 600)

    async def _until(self, side: Side, over: Callable[[], bool], ask: Callable[[], Any]) -> None:
        asked: asyncio.Future[Any] | None = None
        for _ in range(ROUNDS):
            try:
                if asked is None and (wanted := ask()) is not None:
                    asked = asyncio.ensure_future(wanted)
                    await asyncio.sleep(0)
                await self.world.settle()
            except PowerCut:
                if asked is not None and side is self.victim:
                    asked.cancel()
                    asked = None
                await self.again()
                continue
            if over():
                if asked is not None and not asked.done():
                    asked.cancel()
                return
            if asked is not None and asked.done():
                asked.result()  # what it raised ends the run
                asked = None
            self.world.clock.advance(LOOK_AGAIN)
        raise AssertionError(f"not over after {self.deaths[-1:]}, run {len(self.deaths)}")


def enumerated(victim: str, first: Deed, deed: Callable[[Run, int], Awaitable[None]], limits: EpochLimits) -> list[str]:
    """Run a procedure once for each of its effects, and check what came of all runs. Returns the effects."""

    async def work() -> list[str]:
        async with HostWorld(guest_a=tally, guest_b=tally, sessions=True) as world:
            world.epochs = limits
            run = Run(world, victim)
            for side in world.sides:
                await run.start(side)
            await first(run)
            at = 0
            while run.died:
                at, run.died = at + 1, False
                assert at < MOST
                await deed(run, at)
            await check(run)
            return run.deaths

    return asyncio.run(work())


async def check(run: Run) -> None:
    for side, body in run.bodies:
        rows = [row for row in side.store.all_sent() if row.body == body]
        assert [row.state for row in rows] == ["acknowledged"], body
        assert counts(run.world.other(side))[b"acted/" + body] == 1, body
        assert counts(side)[b"told/" + rows[0].ref] == 1, body
    assert run.mortals.sealed_twice() == []
    # What hosts say to each other leaves no row by which a restart knows that it is answered: its key goes by time.
    run.mortals.effects[run.victim.name].last = 0
    run.world.pass_time(GRACE_S)
    for side in run.world.sides:
        await run.world.turn(side)
    for side in run.world.sides:
        book = Book.from_bytes(run.mortals.cells[side.name]["book"])
        assert not book.awaited
        assert not book.owed


async def nothing(run: Run) -> None: ...


async def one_message(run: Run) -> None:
    await run.say(run.world.a, b"at first")


@pytest.mark.parametrize("victim", ["a", "b"])
def test_P18_killed_after_every_effect_of_a_start_and_a_handshake(victim: str) -> None:
    """A begins it each time. The victim has no session any more: its vault is as new."""

    async def deed(run: Run, at: int) -> None:
        run.mortals.cells[run.victim.name].clear()
        await run.start(run.victim, at)
        await run.say(run.world.a, b"handshake %d" % at)

    deaths = enumerated(victim, nothing, deed, EpochLimits())
    assert {"database", "sessions", "posted"} <= set(deaths)
    assert len(deaths) > 20


@pytest.mark.parametrize("victim", ["a", "b"])
def test_P18_killed_after_every_effect_of_an_exchange_of_epochs(victim: str) -> None:
    """Each message of A asks for another epoch, and the next one is sealed in it."""

    async def deed(run: Run, at: int) -> None:
        run.arm(at)
        for number in range(2):
            await run.say(run.world.a, b"epoch %d of %d" % (number, at))

    deaths = enumerated(victim, one_message, deed, EpochLimits(messages=1))
    assert {"database", "sessions", "posted"} <= set(deaths)
    assert len(deaths) > 10


@pytest.mark.parametrize("victim", ["a", "b"])
def test_P5_P18_killed_after_every_effect_of_a_rotation(victim: str) -> None:
    """A rotates, then both talk: in a new session, between the new records."""

    async def deed(run: Run, at: int) -> None:
        run.arm(at)
        await run.rotate(run.world.a)
        run.world.clock.advance(seconds(11))  # past the ten seconds that a record is held
        for side in run.world.sides:
            await run.say(side, b"rotation %d" % at)

    deaths = enumerated(victim, one_message, deed, EpochLimits())
    assert {"database", "posted"} <= set(deaths)
    assert ("keys made" in deaths) is (victim == "a")
    assert len(deaths) > 20
