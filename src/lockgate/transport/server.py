"""Serves a shelf on a listening socket. Whoever connects may be hostile: time, memory and connections are bounded.

The kernel copies from file to socket, so a served gigabyte passes through no buffer of ours.
"""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import Final

from lockgate.envelope.errors import BlobGone, ChannelBroken
from lockgate.transport.shelf import open_blob
from lockgate.transport.wire import REQUEST_BYTES, Request, Status, encode_answer, fill

MAX_SESSIONS: Final = 32  # connections at once; a peer needs one for each body it fetches
REQUEST_S: Final = 5.0  # a request is one packet of 52 bytes: who is slower is no host
SLICE_BYTES: Final = 1 << 20
SLICE_S: Final = 30.0  # for each slice: slower than 35 KB/s, a gigabyte would take longer than any deadline
ACCEPT_RETRY_S: Final = 0.2


class BlobServer:
    """One listening socket over one folder of blobs. `run` serves until cancelled."""

    def __init__(
        self,
        folder: Path,
        listener: socket.socket,
        *,
        max_sessions: int = MAX_SESSIONS,
        request_s: float = REQUEST_S,
        slice_s: float = SLICE_S,
    ) -> None:
        listener.setblocking(False)
        self._folder = folder
        self._listener = listener
        self._max_sessions = max_sessions
        self._request_s = request_s
        self._slice_s = slice_s
        self._sessions: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    connection, _ = await loop.sock_accept(self._listener)
                except OSError:
                    # Out of descriptors, or the connection was reset before it was taken.
                    await asyncio.sleep(ACCEPT_RETRY_S)
                    continue
                connection.setblocking(False)
                if len(self._sessions) >= self._max_sessions:
                    _turn_away(connection)
                    continue
                session = asyncio.create_task(self._session(connection))
                self._sessions.add(session)
                session.add_done_callback(self._sessions.discard)
        finally:
            self._listener.close()
            for session in self._sessions:
                session.cancel()
            await asyncio.gather(*self._sessions, return_exceptions=True)

    async def _session(self, connection: socket.socket) -> None:
        with connection:
            try:
                data = bytearray(REQUEST_BYTES)
                async with asyncio.timeout(self._request_s):
                    await fill(connection, memoryview(data))
                await self._answer(connection, Request.decode(bytes(data)))
            except (OSError, TimeoutError, ChannelBroken):
                return  # whoever is at the other end knows why it was cut off

    async def _answer(self, connection: socket.socket, request: Request) -> None:
        loop = asyncio.get_running_loop()
        try:
            handle, size = open_blob(self._folder, request.blob)
        except BlobGone:
            await self._say(connection, Status.GONE)
            return
        with os.fdopen(handle, "rb", buffering=0) as file:
            end = request.offset + request.length
            if end > size:
                await self._say(connection, Status.GONE)
                return
            await self._say(connection, Status.SERVED)
            for offset in range(request.offset, end, SLICE_BYTES):
                async with asyncio.timeout(self._slice_s):
                    await loop.sock_sendfile(connection, file, offset, min(SLICE_BYTES, end - offset))

    async def _say(self, connection: socket.socket, status: Status) -> None:
        async with asyncio.timeout(self._request_s):
            await asyncio.get_running_loop().sock_sendall(connection, encode_answer(status))


def _turn_away(connection: socket.socket) -> None:
    with connection:
        try:
            connection.send(encode_answer(Status.BUSY))
        except OSError:
            return


__all__ = ("MAX_SESSIONS", "BlobServer")
