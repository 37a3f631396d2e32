"""Keys that rotate by themselves: when it is due, and never more often than old sealing keys are kept (S11)."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest

from lockgate.hosting.rotation import KEPT, ROTATED
from lockgate.node import schedule
from lockgate.node.folder import NotRunning
from lockgate.node.schedule import BadSchedule, Memory, host_if_due, parse, read, rotate_if_due, write
from lockgate.node.spec import HostSpec, Spec
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos

DAY = 86_400
START = UnixNanos(1_000_000 * NANOS_PER_SECOND)


class World:
    """A host, its store and a clock: what the schedule looks at."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.time = START
        self.rotations: list[int] = []
        self.failure: Exception | None = None
        self.kept: dict[str, bytes] = {}
        self.said: list[str] = []

    def now(self) -> UnixNanos:
        return self.time

    def monotonic(self) -> int:
        return int(self.time)

    def meta(self, name: str) -> bytes | None:
        return self.kept.get(name)

    async def rotate(self) -> dict[str, Any]:
        if self.failure:
            raise self.failure
        self.rotations.append((self.time - START) // NANOS_PER_SECOND)
        self.kept[ROTATED] = int(self.time).to_bytes(8, "big")
        return {}

    def pass_time(self, seconds: int) -> None:
        self.time = UnixNanos(self.time + seconds * NANOS_PER_SECOND)

    def look(self) -> bool:
        return asyncio.run(host_if_due(self.home, self, self, self.time))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_without_a_period_nothing_rotates(world: World) -> None:
    world.pass_time(3_650 * DAY)
    assert not world.look()
    assert read(world.home).due(None) is None


def test_it_rotates_a_period_after_it_was_set_and_after_each_rotation(world: World) -> None:
    write(world.home, 2 * DAY, world.time)
    for _ in range(20):
        world.look()
        world.pass_time(DAY // 2)
    assert world.rotations == [2 * DAY, 4 * DAY, 6 * DAY, 8 * DAY]


def test_one_by_hand_counts(world: World) -> None:
    write(world.home, 2 * DAY, world.time)
    world.pass_time(DAY)
    asyncio.run(world.rotate())
    world.pass_time(DAY + DAY // 2)
    assert not world.look()
    world.pass_time(DAY // 2)
    assert world.look()


def test_a_rotation_before_it_was_set_is_no_reason_to_hurry(world: World) -> None:
    asyncio.run(world.rotate())
    world.pass_time(10 * DAY)
    write(world.home, 2 * DAY, world.time)
    world.pass_time(2 * DAY - 1)
    assert not world.look()
    world.pass_time(1)
    assert world.look()


def test_what_was_due_while_the_host_was_down_is_made_once(world: World) -> None:
    write(world.home, 2 * DAY, world.time)
    world.pass_time(11 * DAY)
    assert world.look()
    assert not world.look()
    assert world.rotations == [11 * DAY]


def test_setting_the_same_period_again_moves_nothing(world: World) -> None:
    write(world.home, 2 * DAY, world.time)
    before = read(world.home)
    world.pass_time(DAY)
    assert write(world.home, 2 * DAY, world.time) == before
    assert write(world.home, 3 * DAY, world.time).since == world.time
    assert write(world.home, 0, world.time).due(None) is None


@pytest.mark.parametrize("key", ["", "account"])
def test_a_period_set_by_a_clock_that_was_ahead_counts_from_now(world: World, key: str) -> None:
    write(world.home, 2 * DAY, UnixNanos(START + 3_650 * DAY * NANOS_PER_SECOND), key)

    def look() -> bool:
        return asyncio.run(rotate_if_due(world.home, world, world, world, key)) if key else world.look()

    assert not look()
    world.pass_time(2 * DAY - 1)
    assert not look()
    world.pass_time(1)
    assert look()


@pytest.mark.parametrize(
    ("failure", "code"),
    [(NotRunning(), "node.not_running"), (OSError("no room"), "OSError"), (KeyError("x"), "KeyError")],
)
def test_what_fails_is_reported_and_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch, failure: Exception, code: str
) -> None:
    monkeypatch.setattr(schedule, "LOOK_S", 0.001)
    write(world.home, 2 * DAY, world.time)
    world.pass_time(2 * DAY)
    world.failure = failure

    async def story() -> None:
        keeping = asyncio.create_task(
            schedule.keep(
                world.home, world, world, world.now, lambda kind, fields: world.said.append(f"{kind} {fields}")
            )
        )
        while len(world.said) < 2:
            assert not keeping.done(), "it goes on after a failure"
            await asyncio.sleep(0.001)
        assert world.rotations == []
        world.failure = None
        while not world.rotations:
            await asyncio.sleep(0.001)
        keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping

    asyncio.run(asyncio.wait_for(story(), 10))
    assert "rotation_failed" in world.said[0]
    assert code in world.said[0]
    assert world.rotations == [2 * DAY]


def test_a_clock_ahead_of_the_ledger_rotates_a_host_no_more_often(world: World) -> None:
    """What was set by this machine's clock comes late; what follows is counted in the ledger's time."""
    write(world.home, 2 * DAY, UnixNanos(world.time + 5 * DAY * NANOS_PER_SECOND))
    for _ in range(24):
        world.look()
        world.pass_time(DAY // 2)
    assert world.rotations == [7 * DAY, 9 * DAY, 11 * DAY]


def test_a_rotation_of_another_key_that_was_noted_in_the_future_does_not_count(world: World) -> None:
    memory = Memory(world.home, "account")
    write(world.home, 2 * DAY, world.time, "account")
    memory.note(UnixNanos(world.time + 365 * DAY * NANOS_PER_SECOND))
    world.pass_time(DAY)
    assert not asyncio.run(rotate_if_due(world.home, world, memory, world, "account"))
    world.pass_time(DAY)
    assert asyncio.run(rotate_if_due(world.home, world, memory, world, "account"))
    memory.note(world.time)
    assert not asyncio.run(rotate_if_due(world.home, world, memory, world, "account"))


@pytest.mark.parametrize(
    ("text", "seconds"), [("26 h", 26 * 3_600), ("90d", 90 * DAY), ("never", 0), ("3660 d", 3660 * DAY)]
)
def test_periods_are_hours_or_days(text: str, seconds: int) -> None:
    assert parse(text) == seconds
    Spec(hosts=(HostSpec("one", "alpha", "echo", (), rotate_every=text),))


@pytest.mark.parametrize(
    "text", ["", "0 d", "25 h", "1 d", "3661 d", "9999999 d", "30", "30 min", "-30 d", "٣0 d", "30 d "]
)
def test_others_are_refused(text: str) -> None:
    with pytest.raises(BadSchedule):
        parse(text)
    if text:
        with pytest.raises(BadSchedule):
            Spec(hosts=(HostSpec("one", "alpha", "echo", (), rotate_every=text),))


def test_the_shortest_period_lets_old_keys_go_first() -> None:
    assert parse("26 h") * NANOS_PER_SECOND > KEPT
    with pytest.raises(BadSchedule):
        parse("25 h")


@pytest.mark.parametrize(
    "record", ["{", "[]", "{}", '{"every_s": 1, "since_ns": 0}', '{"every_s": "x", "since_ns": 0}']
)
def test_a_record_that_does_not_read_is_named(world: World, record: str) -> None:
    (world.home / schedule.RECORD).write_text(record)
    with pytest.raises(BadSchedule):
        world.look()
    assert world.rotations == []
