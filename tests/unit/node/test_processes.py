"""Processes of a deployment, over a program that does what a test tells it."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from lockgate.node import processes
from lockgate.node.folder import Folder, NotWritable
from lockgate.node.processes import Child, Deployment, ProcessEnded
from lockgate.node.spawner import Spawner

REPO = Path(__file__).parents[3]
LIMIT_S = 60.0


class World:
    """A deployment, and everything that its children said."""

    def __init__(self, folder: Folder) -> None:
        self.reports: list[tuple[str, str, dict[str, Any]]] = []
        self.spawner = Spawner.start("tests.support.child")
        self.deployment = Deployment(folder, self._heard, self.spawner)
        self._news = asyncio.Event()

    def _heard(self, name: str, kind: str, fields: dict[str, Any]) -> None:
        self.reports.append((name, kind, fields))
        self._news.set()

    def said(self, kind: str, name: str = "") -> list[dict[str, Any]]:
        return [fields for who, what, fields in self.reports if what == kind and name in {"", who}]

    async def until(self, kind: str, count: int = 1, name: str = "") -> dict[str, Any]:
        while len(self.said(kind, name)) < count:
            self._news.clear()
            await self._news.wait()
        return self.said(kind, name)[count - 1]


@pytest.fixture
def within(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[World], Awaitable[None]]], None]:
    monkeypatch.setenv("PYTHONPATH", str(REPO))
    monkeypatch.setenv("LOCKGATE_PASSPHRASE", "of the test")
    monkeypatch.setattr(processes, "FIRST_RESTART_S", 0.001)

    def run(story: Callable[[World], Awaitable[None]]) -> None:
        async def work() -> None:
            world = World(Folder(tmp_path))
            try:
                async with asyncio.timeout(LIMIT_S):
                    await story(world)
            finally:
                await world.deployment.stop()

        asyncio.run(work())

    return run


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


Within = Callable[[Callable[[World], Awaitable[None]]], None]


def test_S64_a_process_that_dies_leaves_the_rest_and_comes_back(within: Within) -> None:
    async def story(world: World) -> None:
        one, other = await asyncio.gather(
            world.deployment.start("one", "steady"), world.deployment.start("other", "steady")
        )
        first, second = one.pid, other.pid
        assert first > 0, "to kill process 0 is to kill the whole group, this test run with it"
        os.kill(first, signal.SIGKILL)
        assert (await world.until("ended"))["why"] == "killed by SIGKILL"
        await world.until("ready", 2, "one")
        assert await one.run.pid != first
        assert lives(one.pid)
        assert other.pid == second
        assert lives(second)
        assert len(world.said("ready", "other")) == 1

    within(story)


def test_a_process_that_keeps_dying_is_given_up(within: Within) -> None:
    async def story(world: World) -> None:
        await world.deployment.start("one", "exit", "1")
        assert (await world.until("given_up"))["why"] == "exit code 1"
        assert len(world.said("ready")) == 1 + processes.RESTARTS

    within(story)


def test_a_refusal_is_not_tried_again(within: Within) -> None:
    async def story(world: World) -> None:
        await world.deployment.start("one", "exit", "3")
        await world.until("given_up")
        assert len(world.said("ready")) == 1
        assert world.said("ended") == []

    within(story)


def test_a_process_that_does_not_start_says_why_itself(within: Within) -> None:
    async def story(world: World) -> None:
        with pytest.raises(ProcessEnded, match=r"somebody is here \(pid=7\)") as failure:
            await world.deployment.start("one", "refuse")
        assert failure.value.fields["process"] == "one"
        assert "store.in_use" in str(failure.value)

    within(story)


def test_a_process_that_is_not_ready_in_time_is_ended(within: Within, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody would start it again, so it must not run on."""
    monkeypatch.setattr(processes, "START_S", 0.3)

    async def story(world: World) -> None:
        with pytest.raises(ProcessEnded, match="not ready within"):
            await world.deployment.start("one", "mute")
        await world.deployment.children["one"].run.over()
        with pytest.raises(ProcessEnded, match="not ready within 0 s"):
            await world.deployment.resume("one", within_s=0.5)
        await world.deployment.children["one"].run.over()

    within(story)


def test_whoever_stops_waiting_for_a_process_leaves_nothing_that_waits(within: Within) -> None:
    async def story(world: World) -> None:
        before = len(asyncio.all_tasks())
        starting = asyncio.create_task(world.deployment.start("one", "mute"))
        while "one" not in world.deployment.children:
            await asyncio.sleep(0.01)
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await asyncio.sleep(0.05)
        assert len(asyncio.all_tasks()) == before + 1, "what reads its reports goes on, and nothing else"

    within(story)


def test_a_child_that_is_held_stays_down_until_it_is_resumed(within: Within) -> None:
    async def story(world: World) -> None:
        child = await world.deployment.start("one", "steady")
        first = child.pid
        await world.deployment.hold("one")
        await asyncio.sleep(0.05)  # fifty times what it would wait before it started it again
        assert not lives(first)
        assert (len(world.said("ready")), world.said("ended")) == (1, [])
        await world.deployment.resume("one")
        assert child.pid != first
        os.kill(child.pid, signal.SIGKILL)
        await world.until("ready", 3)
        assert len(world.said("ended")) == 1, "it is kept again"

    within(story)


def test_a_child_held_while_it_waits_to_be_started_again_starts_once(
    within: Within, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "FIRST_RESTART_S", 0.3)

    async def story(world: World) -> None:
        child = await world.deployment.start("one", "steady")
        os.kill(child.pid, signal.SIGKILL)
        await world.until("ended")
        await world.deployment.hold("one")
        await world.deployment.resume("one")
        await asyncio.sleep(0.6)
        assert len(world.said("ready")) == 2
        assert lives(child.pid)

    within(story)


def test_one_that_was_given_up_can_be_resumed_and_one_that_is_deaf_is_killed(
    within: Within, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "HOLD_S", 0.2)

    async def story(world: World) -> None:
        await world.deployment.start("one", "exit", "3")
        await world.until("given_up")
        await world.deployment.resume("one")
        await world.until("given_up", 2)
        deaf = await world.deployment.start("two", "deaf")
        await world.deployment.hold("two")
        assert not lives(deaf.pid)

    within(story)


def test_stop_ends_the_deaf_too(within: Within, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "STOP_S", 0.2)
    pids: list[int] = []

    async def story(world: World) -> None:
        started = [await world.deployment.start(verb, verb) for verb in ("steady", "deaf")]
        pids.extend(child.pid for child in started)

    within(story)
    assert len(pids) == 2
    assert not any(map(lives, pids))


def test_children_run_on_without_the_spawner(within: Within) -> None:
    async def story(world: World) -> None:
        child: Child = await world.deployment.start("one", "steady")
        world.spawner.process.kill()
        world.spawner.process.wait()
        with pytest.raises(ProcessEnded, match="is gone"):
            await world.deployment.start("two", "steady")
        assert lives(child.pid)
        os.kill(child.pid, signal.SIGKILL)
        assert "gone" in (await world.until("given_up"))["why"]

    within(story)


def test_a_child_has_its_own_everything(within: Within) -> None:
    async def story(world: World) -> None:
        await asyncio.gather(*(world.deployment.start(f"child {n}", "draw") for n in range(3)))
        for ready in world.said("ready"):
            assert ready["session"] == ready["pid"]
            assert ready["threads"] == 1
            assert ready["child_signal"], "a child's own children are its own to wait for"
            assert len(ready["descriptors"]) == 4, "its three streams, and the folder being listed"
            assert ready["roots"] > 1, "what opens the key files came through its own pipe"
        drawn = world.said("drawn")
        for source in ("kernel", "openssl", "libsodium", "python"):
            assert len({each[source] for each in drawn}) == 3, f"{source}: two processes drew the same"

    within(story)


def test_what_children_inherit_is_code_alone() -> None:
    program = """
import os, threading, sys
from lockgate.node.spawner import PROGRAM, preload
preload(PROGRAM)
print(threading.active_count(), len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd")))
print("asyncio loop" if sys.modules["asyncio"].events._get_running_loop() else "no loop")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=REPO)
    assert done.stdout == "1 1 4\nno loop\n"


def spoil_log(child: Child) -> None:
    """As on a full disk: the file of its log cannot be written any more."""
    child.log.unlink(missing_ok=True)
    child.log.mkdir()


def test_a_process_whose_log_cannot_be_written_is_watched_all_the_same(within: Within) -> None:
    pids: list[int] = []

    async def story(world: World) -> None:
        child = await world.deployment.start("one", "steady")
        spoil_log(child)
        for life in (2, 3):
            os.kill(await child.run.pid, signal.SIGKILL)
            await world.until("ready", life)
        pids.append(await child.run.pid)
        assert lives(pids[0])
        assert world.said("given_up") == []

    within(story)
    assert not lives(pids[0]), "and stopped"


def test_whoever_hears_reports_may_have_nowhere_to_write_them(within: Within) -> None:
    pids: list[int] = []

    async def story(world: World) -> None:
        other = await world.deployment.start("other", "steady")
        child = await world.deployment.start("one", "steady")
        heard = world.deployment._on_report

        def full(name: str, kind: str, fields: dict[str, Any]) -> None:
            heard(name, kind, fields)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        world.deployment._on_report = full
        os.kill(child.pid, signal.SIGKILL)
        await world.until("ready", 2, "one")
        os.kill(await child.run.pid, signal.SIGKILL)
        await world.until("ready", 3, "one")
        pids.extend((other.pid, await child.run.pid))

    within(story)
    assert not any(map(lives, pids))


def test_a_reader_that_failed_holds_no_end_up(within: Within) -> None:
    """What a process said is lost then; that it ended, and that the others are stopped, is not."""
    pids: list[int] = []

    async def story(world: World) -> None:
        child, other = [await world.deployment.start(name, "steady") for name in ("one", "other")]
        heard = world.deployment._on_report

        def once(name: str, kind: str, fields: dict[str, Any]) -> None:
            heard(name, kind, fields)
            if name == "one" and kind == "ready":
                raise ValueError("of whoever hears it")

        world.deployment._on_report = once
        os.kill(child.pid, signal.SIGKILL)
        await world.until("ready", 2, "one")
        os.kill(await child.run.pid, signal.SIGKILL)
        await world.until("ended", 2, "one")
        await world.until("ready", 3, "one")
        pids.extend((other.pid, await child.run.pid))

    within(story)
    assert not any(map(lives, pids))


def test_a_process_that_cannot_be_started_again_is_given_up_in_words_and_leaves_nothing_open(
    within: Within, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(_: Folder) -> None:
        raise NotWritable("Permission denied", file="passphrase")

    async def story(world: World) -> None:
        child = await world.deployment.start("one", "steady")
        os.kill(child.pid, signal.SIGKILL)
        monkeypatch.setattr(Folder, "passphrase", unreadable)
        assert "Permission denied" in (await world.until("given_up"))["why"]
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(NotWritable):
            await world.deployment.resume("one")
        assert len(os.listdir("/proc/self/fd")) == before

    within(story)
