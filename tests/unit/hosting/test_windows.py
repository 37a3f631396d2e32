"""Replay windows: of starts that the ledger shows, and no longer than something may come again (P8, I15)."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest

from lockgate.host import memory
from lockgate.host.windows import WIDTH, Replayed, Window
from lockgate.hosting.peers import FenceNotShown
from lockgate.primitives.time import UnixSeconds
from tests.support import probe
from tests.support.hosts import HostWorld, Side, in_world
from tests.support.talking import restarted

SENDER, OTHER = b"s" * 32, b"t" * 32
NOW = UnixSeconds(1_000)


class Windows:
    """The windows of a state tree, as a host changes them."""

    def __init__(self) -> None:
        self.held: dict[bytes, bytes] = {}

    def accept(self, fence: int, counter: int, timeout: int, now: int = NOW) -> None:
        start, end = memory.windows_of(SENDER)
        of_sender = sorted((key, value) for key, value in self.held.items() if start <= key < end)
        key = memory.window_key(SENDER, fence)
        for one, value in memory.accepted(of_sender, key, counter, UnixSeconds(timeout), UnixSeconds(now)):
            if value is None:
                del self.held[one]
            else:
                self.held[one] = value

    @property
    def fences(self) -> list[int]:
        return [int.from_bytes(key[-8:], "big") for key in sorted(self.held)]


def test_P8_an_id_is_accepted_once_while_its_start_is_remembered() -> None:
    windows = Windows()
    windows.accept(1, 0, 1_600)
    windows.accept(1, 5, 1_100)
    windows.accept(2, 0, 1_600, now=1_500)
    for fence, counter in ((1, 0), (1, 5), (2, 0)):
        with pytest.raises(Replayed):
            windows.accept(fence, counter, 1_600, now=1_599)
    windows.accept(1, 3, 1_600, now=1_599)
    assert windows.fences == [1, 2]


def test_I15_an_earlier_start_goes_when_all_that_it_sent_has_timed_out() -> None:
    windows = Windows()
    windows.accept(1, 0, 1_600)
    windows.accept(1, 1, 1_100)
    windows.accept(2, 0, 1_700)
    windows.accept(2, 1, 1_700, now=1_600)
    assert windows.fences == [1, 2], "a ledger at 1,600 takes nothing of it, and that is the first second of it"
    windows.accept(2, 2, 1_700, now=1_601)
    assert windows.fences == [2]


def test_the_newest_start_stays_however_long_it_is_silent() -> None:
    windows = Windows()
    windows.accept(7, 0, 1_600)
    with pytest.raises(Replayed):
        windows.accept(7, 0, 900_000, now=800_000)
    windows.accept(6, 0, 800_001, now=800_000)  # it came late
    assert windows.fences == [6, 7]


def test_windows_of_others_are_not_looked_at() -> None:
    windows = Windows()
    windows.held[memory.window_key(OTHER, 1)] = Window(until=1).to_bytes()
    windows.accept(2, 0, 1_600)
    windows.accept(3, 0, 1_600, now=2_000)
    assert windows.fences == [3, 1]


def test_a_step_clears_so_many_and_the_next_one_more() -> None:
    windows = Windows()
    for fence in range(memory.SWEEP + 9):
        windows.accept(fence, 0, 1_600)
    windows.accept(900, 0, 3_000, now=2_000)
    assert len(windows.fences) == 10
    windows.accept(900, 1, 3_000, now=2_000)
    assert windows.fences == [900]


def test_a_window_of_an_earlier_build_is_read() -> None:
    window = Window(4, 0b10001, 1_600)
    assert Window.from_bytes(window.to_bytes()) == window
    assert Window.from_bytes(window.to_bytes()[: 8 + WIDTH // 8]) == Window(4, 0b10001)


def fences_held(side: Side) -> list[int]:
    return [int.from_bytes(key[-8:], "big") for key, _ in side.host.parts.tree.host_scan(memory.WINDOW)]


def naming(side: Side, other: int) -> None:
    """The host's envelopes name another fence than the ledger's messages that carry them."""
    steps: Any = side.host._steps
    true = steps._seal

    def seal(peer: Any, record: Any, place: Any, choice: Any, *rest: Any) -> bytes:
        sealed: bytes = true(peer, record, place, dataclasses.replace(choice, fence=choice.fence + other), *rest)
        return sealed

    steps._seal = seal


@in_world()
async def test_I15_starts_of_a_peer_leave_nothing_behind(world: HostWorld) -> None:
    first = world.a.host.status()["fence"]
    for number in range(3):
        await world.send(world.a, probe.write(b"k", b"v"), timeout_s=60)
        await world.settle()
        await restarted(world, world.a, seed=b"%d" % number)
    assert fences_held(world.b) == [first, first + 1, first + 2]
    world.pass_time(62)
    await world.send(world.a, probe.write(b"k", b"w"), timeout_s=60)
    await world.settle()
    assert (fences_held(world.b), world.b.get(b"k")) == ([first + 3], b"w")


@in_world()
async def test_P8_what_a_start_sent_arrives_after_the_next_has_begun(world: HostWorld) -> None:
    await world.send(world.a, probe.write(b"k", b"v"))
    await restarted(world, world.a, seed=b"2")
    await world.send(world.a, probe.write(b"l", b"v"))
    await world.settle()
    fence = world.a.host.status()["fence"]
    assert (world.b.get(b"k"), world.b.get(b"l"), fences_held(world.b)) == (b"v", b"v", [fence - 1, fence])


@pytest.mark.parametrize("other", [1, 1 << 20, -1])
@in_world()
async def test_P8_a_fence_that_the_ledger_does_not_show_for_the_message_is_refused(
    world: HostWorld, other: int
) -> None:
    """One that nobody took, and one of before: each would leave a window of its own in the state."""
    await world.send(world.a, probe.write(b"k", b"v"))
    await world.settle()
    naming(world.a, other)
    await world.send(world.a, probe.write(b"k", b"w"))
    await world.settle()
    assert (world.b.seen(2).state, world.b.seen(2).code) == ("refused", "envelope.rejected")
    assert FenceNotShown.__name__ in world.b.reported("rejected")[-1]["cause"]
    assert (world.b.get(b"k"), fences_held(world.b)) == (b"v", [world.a.host.status()["fence"]])


@in_world(sessions=True)
async def test_P8_what_makes_sessions_is_held_to_it_as_well(world: HostWorld) -> None:
    naming(world.a, 1 << 20)
    asking = asyncio.ensure_future(world.a.host.send("b", "probe@1.0", probe.write(b"k", b"v"), 600))
    await asyncio.sleep(0)
    await world.settle()
    asking.cancel()
    assert (fences_held(world.b), session_count(world.b)) == ([], 0)
    assert FenceNotShown.__name__ in world.b.reported("rejected")[0]["cause"]


def session_count(side: Side) -> int:
    return len(side.host.status()["sessions"])
