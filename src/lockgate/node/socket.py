"""The host's Unix socket: one JSON object a line each way, for the command line and the Python API.

The socket lies in the data folder and is readable by its owner only, who is the operator. Bytes travel
as hex. An answer is {"ok": …} or {"error": {code, detail}}.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from lockgate.node.folder import NotRunning
from lockgate.primitives.errors import LockgateError, PeerFault

MAX_LINE: Final = 4 * 1024 * 1024  # a command of a megabyte in hex, with room
Serve = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]


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
                writer.write(json.dumps(await _answer(line, handle)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_unix_server(session, str(path), limit=MAX_LINE)
    os.chmod(path, 0o600)
    return server


async def call(path: Path, verb: str, **arguments: Any) -> dict[str, Any]:
    """One call to a running host. Raises NotRunning or RemoteRefusal."""
    try:
        reader, writer = await asyncio.open_unix_connection(str(path), limit=MAX_LINE)
    except OSError as error:
        raise NotRunning("the host does not answer", socket=str(path)) from error
    try:
        writer.write(json.dumps({"verb": verb, **arguments}).encode() + b"\n")
        await writer.drain()
        line = await reader.readline()
    except ConnectionError as error:
        raise NotRunning("the host closed the connection", socket=str(path)) from error
    finally:
        writer.close()
    if not line:
        raise NotRunning("the host closed the connection", socket=str(path))
    answer = json.loads(line)
    if "error" in answer:
        raise RemoteRefusal(answer["error"]["detail"], code=answer["error"]["code"])
    result: dict[str, Any] = answer["ok"]
    return result


async def _answer(line: bytes, handle: Serve) -> dict[str, Any]:
    try:
        request = json.loads(line)
        if not isinstance(request, dict) or not isinstance(request.get("verb"), str):
            raise BadCall("not an object with a verb")
        return {"ok": await handle(request.pop("verb"), request)}
    except LockgateError as error:
        return {"error": {"code": error.code, "detail": str(error)}}
    except (ValueError, TypeError, KeyError) as error:
        return {"error": {"code": BadCall.code, "detail": type(error).__name__}}
