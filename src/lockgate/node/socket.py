"""The host's Unix socket: one JSON object a line each way, for the command line and the Python API.

The socket lies in the data folder and is readable by its owner only, who is the operator. Bytes travel
as hex. A call is {"verb": …, arguments}; its answer is {"ok": …} or {"error": {code, detail, next}}. A verb that
goes on (`subscribe`, `wait`) answers {"event": …} lines and a last {"ok": {}}; it ends when the caller closes. It is
read no faster than its caller reads: nothing is kept in memory for a slow one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from lockgate.node.folder import NotRunning
from lockgate.primitives.errors import LockgateError, PeerFault

MAX_LINE: Final = 4 * 1024 * 1024  # a command of a megabyte in hex, with room
Answer = dict[str, Any]
Events = AsyncGenerator[Answer, None]
Serve = Callable[[str, dict[str, Any]], Awaitable[Answer | Events]]


class BadCall(PeerFault):
    code = "socket.bad_call"
    summary = "The line is not a call this process knows."
    next_step = "Use the `lockgate` command or the Python API of the same version."


class RemoteRefusal(LockgateError):
    """What the other process answered; its own code is in `fields["code"]`."""

    code = "socket.refused"
    summary = "The host refused the call."
    next_step = "Explain the code in the answer with `lockgate explain`."


async def serve(path: Path, handle: Serve) -> asyncio.Server:
    """Listen on `path`; an old socket file of a dead process is replaced."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)

    async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                answer = await _answer(line, handle)
                if isinstance(answer, dict):
                    await _send(writer, answer)
                else:
                    await _stream(reader, writer, answer)
        except (ConnectionError, ValueError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_unix_server(session, str(path), limit=MAX_LINE)
    os.chmod(path, 0o600)
    return server


async def call(path: Path, verb: str, /, **arguments: Any) -> Answer:
    """One call to a running host. Raises NotRunning or RemoteRefusal."""
    async with contextlib.aclosing(_lines(path, verb, arguments)) as lines:
        async for answer in lines:
            result: Answer = answer["ok"]
            return result
    raise NotRunning("the host closed the connection", socket=str(path))


async def stream(path: Path, verb: str, /, **arguments: Any) -> Events:
    """Events of a verb that goes on, until it ends or the iterator is closed. Raises NotRunning, RemoteRefusal."""
    async with contextlib.aclosing(_lines(path, verb, arguments)) as lines:
        async for answer in lines:
            if "event" not in answer:
                return
            yield answer["event"]
    raise NotRunning("the host closed the connection", socket=str(path))


async def _lines(path: Path, verb: str, arguments: dict[str, Any]) -> Events:
    try:
        reader, writer = await asyncio.open_unix_connection(str(path), limit=MAX_LINE)
    except OSError as error:
        raise NotRunning("the host does not answer", socket=str(path)) from error
    try:
        writer.write(json.dumps({"verb": verb, **arguments}).encode() + b"\n")
        await writer.drain()
        while line := await reader.readline():
            answer: Answer = json.loads(line)
            if "error" in answer:
                raise RemoteRefusal(answer["error"]["detail"], code=answer["error"]["code"])
            yield answer
    except (ConnectionError, ValueError) as error:  # a line above the limit is a ValueError
        raise NotRunning("the host closed the connection", socket=str(path)) from error
    finally:
        writer.close()


async def _stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, events: Events) -> None:
    """Push events until there are no more, or the caller closes or says anything else."""
    gone = asyncio.ensure_future(reader.read(1))
    try:
        while True:
            following = asyncio.ensure_future(_next(events))
            waiting: set[asyncio.Future[Any]] = {gone, following}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
                raise ConnectionResetError
            try:
                event = following.result()
            except LockgateError as error:
                await _send(writer, _refusal(error))
                return
            if event is None:
                await _send(writer, {"ok": {}})
                return
            await _send(writer, {"event": event})
    finally:
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        await events.aclose()


async def _next(events: Events) -> Answer | None:
    return await anext(events, None)


async def _send(writer: asyncio.StreamWriter, answer: Answer) -> None:
    writer.write(json.dumps(answer).encode() + b"\n")
    await writer.drain()


async def _answer(line: bytes, handle: Serve) -> Answer | Events:
    try:
        request = json.loads(line)
        if not isinstance(request, dict) or not isinstance(request.get("verb"), str):
            raise BadCall("not an object with a verb")
        answer = await handle(request.pop("verb"), request)
        return {"ok": answer} if isinstance(answer, dict) else answer
    except LockgateError as error:
        return _refusal(error)
    except (ValueError, TypeError, KeyError) as error:
        return {"error": {"code": BadCall.code, "detail": type(error).__name__}}


def _refusal(error: LockgateError) -> Answer:
    return {"error": {"code": error.code, "detail": error.detail or error.summary}}
