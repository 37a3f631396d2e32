"""Serves a shelf on a listening socket. Whoever connects may be hostile: time, memory and connections are bounded.

Without links the kernel copies from file to socket, so a served gigabyte passes through no buffer of ours. With links
nobody is served who is not one of the host's peers, and strangers take no place from those: a handshake that is under
way gives way to a newer one where there are too many.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lockgate.crypto.ports import Encapsulator
from lockgate.envelope.errors import BlobGone, ChannelBroken
from lockgate.primitives.errors import LockgateError
from lockgate.session.link import Acquaintances
from lockgate.transport.links import LinkStream, turn_away
from lockgate.transport.pipe import Pipe, SocketPipe
from lockgate.transport.shelf import open_blob
from lockgate.transport.wire import REQUEST_BYTES, Request, Status, encode_answer

MAX_SESSIONS: Final = 32  # connections at once; a peer needs one for each body it fetches
MAX_OF_PEER: Final = 8  # links of one peer: twice what a host fetches at once
MAX_MEETING: Final = 16  # handshakes under way; the oldest gives way to the next
REQUEST_S: Final = 5.0  # a request is one packet of 52 bytes: who is slower is no host
SLICE_BYTES: Final = 1 << 20
SLICE_S: Final = 30.0  # for each slice: slower than 35 KB/s, a gigabyte would take longer than any deadline
ACCEPT_RETRY_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Linked:
    """Serve inside links: whom to meet, and who is told of a link that was refused, by its code."""

    acquaintances: Acquaintances
    entropy: Encapsulator
    refused: Callable[[LockgateError], None]


class BlobServer:
    """One listening socket over one folder of blobs. `run` serves until cancelled."""

    def __init__(
        self,
        folder: Path,
        listener: socket.socket,
        linked: Linked | None = None,
        *,
        max_sessions: int = MAX_SESSIONS,
        max_of_peer: int = MAX_OF_PEER,
        max_meeting: int = MAX_MEETING,
        request_s: float = REQUEST_S,
        slice_s: float = SLICE_S,
    ) -> None:
        listener.setblocking(False)
        self._folder = folder
        self._listener = listener
        self._linked = linked
        self._max_sessions = max_sessions
        self._max_of_peer = max_of_peer
        self._max_meeting = max_meeting
        self._request_s = request_s
        self._slice_s = slice_s
        self._sessions: set[asyncio.Task[None]] = set()
        self._meeting: dict[asyncio.Task[None], None] = {}  # oldest first
        self._of_peer: Counter[bytes] = Counter()

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
                if len(self._sessions) - len(self._meeting) >= self._max_sessions:
                    self._turn_away(connection)
                    continue
                if len(self._meeting) >= self._max_meeting:
                    oldest = next(iter(self._meeting))
                    del self._meeting[oldest]
                    oldest.cancel()
                session = asyncio.create_task(self._session(connection))
                self._sessions.add(session)
                if self._linked is not None:
                    self._meeting[session] = None
                session.add_done_callback(self._ended)
        finally:
            self._listener.close()
            for session in self._sessions:
                session.cancel()
            await asyncio.gather(*self._sessions, return_exceptions=True)

    def _ended(self, session: asyncio.Task[None]) -> None:
        self._sessions.discard(session)
        self._meeting.pop(session, None)

    async def _session(self, connection: socket.socket) -> None:
        try:
            with connection:
                if self._linked is None:
                    await self._serve(SocketPipe(connection), connection)
                    return
                stream = await LinkStream.answer(connection, self._linked.acquaintances, self._linked.entropy)
                try:
                    async with self._place(stream) as free:
                        await self._serve(stream, None, busy=not free)
                        await stream.close()
                finally:
                    stream.abort()
        except LockgateError as error:  # whoever is at the other end knows why it was cut off
            if self._linked is not None:
                self._linked.refused(error)
        except (OSError, TimeoutError):
            return

    @asynccontextmanager
    async def _place(self, stream: LinkStream) -> AsyncIterator[bool]:
        """A place among those who are served; tells whether there was one."""
        task, peer = asyncio.current_task(), stream.peer.endpoint
        assert task is not None
        self._meeting.pop(task, None)
        served = len(self._sessions) - len(self._meeting)
        free = served <= self._max_sessions and self._of_peer[peer] < self._max_of_peer
        self._of_peer[peer] += 1
        try:
            yield free
        finally:
            self._of_peer[peer] -= 1
            if not self._of_peer[peer]:
                del self._of_peer[peer]

    async def _serve(self, pipe: Pipe, bare: socket.socket | None, *, busy: bool = False) -> None:
        data = bytearray(REQUEST_BYTES)
        async with asyncio.timeout(self._request_s):
            await pipe.fill(memoryview(data))
        request = Request.decode(bytes(data))
        if busy:
            await self._say(pipe, Status.BUSY)
            return
        try:
            handle, size = open_blob(self._folder, request.blob)
        except BlobGone:
            await self._say(pipe, Status.GONE)
            return
        with os.fdopen(handle, "rb", buffering=0) as file:
            end = request.offset + request.length
            if end > size:
                await self._say(pipe, Status.GONE)
                return
            await self._say(pipe, Status.SERVED)
            for offset in range(request.offset, end, SLICE_BYTES):
                count = min(SLICE_BYTES, end - offset)
                async with asyncio.timeout(self._slice_s):
                    if bare is not None:
                        await asyncio.get_running_loop().sock_sendfile(bare, file, offset, count)
                    else:
                        await pipe.send(await asyncio.to_thread(_read, file.fileno(), offset, count))

    async def _say(self, pipe: Pipe, status: Status) -> None:
        async with asyncio.timeout(self._request_s):
            await pipe.send(encode_answer(status))

    def _turn_away(self, connection: socket.socket) -> None:
        if self._linked is not None:
            turn_away(connection, self._linked.entropy)
            return
        with connection, contextlib.suppress(OSError):
            connection.send(encode_answer(Status.BUSY))


def _read(handle: int, offset: int, count: int) -> bytes:
    """Raises ChannelBroken where the file was cut since it was opened."""
    data = os.pread(handle, count, offset)
    if len(data) != count:
        raise ChannelBroken("the blob was cut while it was served")
    return data


__all__ = ("MAX_MEETING", "MAX_OF_PEER", "MAX_SESSIONS", "BlobServer", "Linked")
