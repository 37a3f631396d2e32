"""Serves an attestor's protocol on listening sockets. Whoever connects may be hostile: all is bounded.

One request is worked on per connection, and so many connections at once; a frame has a length that is read
first, a request a time in which it must be there. What is asked for is verified or refused, so a stranger who
reaches the socket learns what the ledger shows anyway, and costs a signature.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from lockgate.courier.attesting import (
    LENGTH_BYTES,
    MAX_FRAME,
    Answer,
    AttestorUnusable,
    NotAttested,
    Request,
    decode_request,
    encode_answer,
    frame_length,
)
from lockgate.primitives.errors import Unavailable

MAX_SESSIONS: Final = 64  # connections at once: a relayer has one for each batch it waits with
IDLE_S: Final = 10.0  # between two requests of a connection, and for one to arrive
WRITE_S: Final = 10.0
Serve = Callable[[Request], Awaitable[Answer]]


class AttestorBusy(Unavailable):
    code = "attestor.busy"
    summary = "The attestor serves as many connections as it takes at once."
    next_step = "Ask again; a relayer does so by itself."


class AttestorServer:
    """Serves until `close`."""

    def __init__(self, serve: Serve, *, max_sessions: int = MAX_SESSIONS, idle_s: float = IDLE_S) -> None:
        self._serve = serve
        self._max_sessions = max_sessions
        self._idle_s = idle_s
        self._servers: list[asyncio.Server] = []
        self._sessions: set[asyncio.Task[None]] = set()

    async def listen(self, listeners: Sequence[socket.socket]) -> None:
        for listener in listeners:
            self._servers.append(await asyncio.start_server(self._connected, sock=listener, limit=MAX_FRAME))

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        for session in list(self._sessions):
            session.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "a connection is served by a task"
        self._sessions.add(task)
        task.add_done_callback(self._sessions.discard)
        try:
            if len(self._sessions) > self._max_sessions:
                await self._say(writer, NotAttested(AttestorBusy.code, AttestorBusy.summary))
                return
            while True:
                async with asyncio.timeout(self._idle_s):
                    length = frame_length(await reader.readexactly(LENGTH_BYTES))
                    body = await reader.readexactly(length)
                await self._say(writer, await self._serve(decode_request(body)))
        except AttestorUnusable as fault:
            with contextlib.suppress(OSError, TimeoutError):
                await self._say(writer, NotAttested(fault.code, fault.detail))
        except (OSError, EOFError, TimeoutError):
            pass  # whoever is at the other end knows why it ended
        finally:
            writer.close()

    async def _say(self, writer: asyncio.StreamWriter, answer: Answer) -> None:
        async with asyncio.timeout(WRITE_S):
            writer.write(encode_answer(answer))
            await writer.drain()


__all__ = ("AttestorBusy", "AttestorServer")
