"""The host's socket: calls, refusals, streams that are pushed, and callers that go away."""

from __future__ import annotations

import asyncio
import contextlib
import json
import stat
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from lockgate.node import socket
from lockgate.node.folder import NotRunning
from lockgate.node.socket import MAX_LINE, BadCall, RemoteRefusal, call, serve, stream
from lockgate.primitives.errors import Refused

MUCH = 4_000_000  # bytes: more than lie between two processes that wait for each other


class Never(Refused):
    code = "test.never"
    summary = "No."
    next_step = "None."


class Desk:
    """A handler with one verb of each sort; `closed` is set when a stream was closed."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()
        self.more = asyncio.Event()

    async def handle(self, verb: str, arguments: dict[str, Any]) -> Any:
        match verb:
            case "echo":
                return {"said": arguments["word"]}
            case "refuse":
                raise Never("not this", word=1)
            case "count":
                return self.count(int(arguments["to"]))
            case "ever":
                return self.ever()
            case "much":
                return {"said": "x" * MUCH}
            case "flood":
                return self.flood()
        raise BadCall("no such verb")

    async def count(self, to: int) -> AsyncGenerator[dict[str, Any], None]:
        for number in range(to):
            if number == 3:
                raise Never("no further")
            yield {"number": number}

    async def ever(self) -> AsyncGenerator[dict[str, Any], None]:
        try:
            yield {"number": 0}
            await self.more.wait()
            yield {"number": 1}
            await asyncio.Event().wait()
        finally:
            self.closed.set()

    async def flood(self) -> AsyncGenerator[dict[str, Any], None]:
        for number in range(1_000):
            yield {"number": number, "said": "x" * MUCH}


def run(tmp_path: Path, work: Any) -> None:
    async def all_of_it() -> None:
        desk = Desk()
        path = tmp_path / "desk.sock"
        async with await serve(path, None, desk.handle):
            async with asyncio.timeout(30):
                await work(path, desk)

    asyncio.run(all_of_it())


def test_a_call_is_answered_or_refused_with_the_code_of_the_refusal(tmp_path: Path) -> None:
    async def work(path: Path, desk: Desk) -> None:
        assert await call(path, "echo", word="x") == {"said": "x"}
        with pytest.raises(RemoteRefusal, match="not this") as refused:
            await call(path, "refuse")
        assert refused.value.fields["code"] == Never.code
        with pytest.raises(RemoteRefusal) as unknown:
            await call(path, "what")
        assert unknown.value.fields["code"] == BadCall.code
        with pytest.raises(RemoteRefusal) as missing:
            await call(path, "echo")
        assert missing.value.fields["code"] == BadCall.code
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    run(tmp_path, work)


def test_a_stream_is_pushed_as_it_comes_and_ends_or_breaks_as_its_source_does(tmp_path: Path) -> None:
    async def work(path: Path, desk: Desk) -> None:
        assert [event async for event in stream(path, "count", to=2)] == [{"number": 0}, {"number": 1}]
        breaking = stream(path, "count", to=9)
        assert [(await anext(breaking))["number"] for _ in range(3)] == [0, 1, 2]
        with pytest.raises(RemoteRefusal, match="no further"):
            await anext(breaking)
        events = stream(path, "ever")
        assert await anext(events) == {"number": 0}
        following = asyncio.ensure_future(anext(events))
        desk.more.set()
        assert await following == {"number": 1}
        await events.aclose()

    run(tmp_path, work)


@pytest.mark.parametrize("how", ["close", "speak"])
def test_a_caller_that_goes_away_ends_its_stream(tmp_path: Path, how: str) -> None:
    async def work(path: Path, desk: Desk) -> None:
        reader, writer = await asyncio.open_unix_connection(str(path))
        assert json.loads(await reader.readline()) == {"nonce": ""}
        asked = {"call": json.dumps({"verb": "ever"}), "nonce": "", "shown": ""}
        writer.write(json.dumps(asked).encode() + b"\n")
        assert json.loads(await reader.readline()) == {"event": {"number": 0}}
        if how == "close":
            writer.close()
        else:
            writer.write(b"\n")
        await desk.closed.wait()
        writer.close()

    run(tmp_path, work)


def asked(verb: str) -> bytes:
    return json.dumps({"call": json.dumps({"verb": verb}), "nonce": "", "shown": ""}).encode() + b"\n"


@pytest.mark.parametrize(("verb", "idle_s", "after_s"), [("much", 1.5, 0.2), ("flood", 0.2, 0.6)])
def test_who_reads_nothing_loses_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str, idle_s: float, after_s: float
) -> None:
    """One answer is waited for a while, a stream as long as its token lasts and that while more."""
    monkeypatch.setattr(socket, "MAX_CALLERS", 1)
    monkeypatch.setattr(socket, "LOOK_S", 0.05)
    monkeypatch.setattr(socket, "IDLE_S", idle_s)
    left = 60.0
    monkeypatch.setattr(socket, "_left", lambda *_: left)

    async def work(path: Path, desk: Desk) -> None:
        nonlocal left
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(asked(verb))
        await asyncio.sleep(after_s)
        with pytest.raises(RemoteRefusal) as busy:
            await call(path, "echo", word="x")
        assert busy.value.fields["code"] == socket.TooManyCallers.code
        left = 0.0
        answer = None
        async with asyncio.timeout(10):
            while answer is None:
                with contextlib.suppress(RemoteRefusal, NotRunning):
                    answer = await call(path, "echo", word="x")
                await asyncio.sleep(0.01)
        assert answer == {"said": "x"}
        await asyncio.sleep(0.3)
        assert len(await reader.read()) < MUCH, "what was not read is not kept"
        writer.close()

    run(tmp_path, work)


def test_who_reads_late_is_told_where_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its token ends while the host waits for it: no event is lost, and the last line says why it is the last."""
    monkeypatch.setattr(socket, "LOOK_S", 0.05)
    left = 60.0
    monkeypatch.setattr(socket, "_left", lambda *_: left)

    async def work(path: Path, desk: Desk) -> None:
        nonlocal left
        reader, writer = await asyncio.open_unix_connection(str(path), limit=2 * MUCH)
        writer.write(asked("flood"))
        await asyncio.sleep(0.5)
        left = 0.0
        await asyncio.sleep(0.2)
        assert "nonce" in json.loads(await reader.readline())
        numbers = []
        while "event" in (said := json.loads(await reader.readline())):
            numbers.append(said["event"]["number"])
        assert numbers == list(range(len(numbers)))
        assert (said["error"]["code"], said["error"]["resume"]) == (socket.TokenEnded.code, {"since": numbers[-1]})
        writer.close()

    run(tmp_path, work)


def test_a_host_that_is_not_there_or_leaves_is_not_running(tmp_path: Path) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def talk_nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"{" * 10 + b"\n")
        writer.close()

    async def work() -> None:
        with pytest.raises(NotRunning):
            await call(tmp_path / "absent.sock", "echo")
        (tmp_path / "file.sock").touch()
        with pytest.raises(NotRunning):
            await call(tmp_path / "file.sock", "echo")
        for number, handler in enumerate((hang_up, talk_nonsense)):
            path = tmp_path / f"{number}.sock"
            async with await asyncio.start_unix_server(handler, str(path)):
                with pytest.raises(NotRunning):
                    await call(path, "echo")
                with pytest.raises(NotRunning):
                    await anext(stream(path, "count"))

    asyncio.run(work())


def test_a_line_without_an_end_is_cut_off(tmp_path: Path) -> None:
    async def work(path: Path, desk: Desk) -> None:
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(b"x" * (MAX_LINE + 1_000_000))
        try:
            await writer.drain()
            assert await reader.read() == b'{"nonce": ""}\n'
        except ConnectionError:
            pass
        writer.close()
        assert await call(path, "echo", word="still there") == {"said": "still there"}

    run(tmp_path, work)
