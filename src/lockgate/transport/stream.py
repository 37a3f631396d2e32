"""Fetches blobs over a stream socket; how to connect is all that its two kinds differ in."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final

from lockgate.envelope.bulk import BlobId
from lockgate.envelope.chunks import Layout
from lockgate.envelope.errors import BlobGone, ChannelDown
from lockgate.envelope.ports import Buffer
from lockgate.transport.wire import ANSWER_BYTES, Request, Status, decode_answer, fill

CONNECT_S: Final = 5.0  # connection, request and answer together
CHUNK_S: Final = 10.0  # for each chunk of 64 KiB; a peer that drips bytes is given up then
Connect = Callable[[], Awaitable[socket.socket]]


class StreamSource:
    """Meets `BlobSource` over a socket that `connect` opens, one for each call."""

    def __init__(self, connect: Connect, *, connect_s: float = CONNECT_S, chunk_s: float = CHUNK_S) -> None:
        self._connect = connect
        self._connect_s = connect_s
        self._chunk_s = chunk_s

    async def fetch(self, blob: BlobId, layout: Layout, first: int, end: int, /) -> AsyncGenerator[Buffer, None]:
        start, stop = layout.offset(first), layout.offset(end)
        if start == stop:
            return
        with await self._asked(Request(blob, start, stop - start)) as connection:
            for index in range(first, end):
                chunk = bytearray(layout.size(index))
                try:
                    async with asyncio.timeout(self._chunk_s):
                        await fill(connection, memoryview(chunk))
                except TimeoutError as error:
                    raise ChannelDown("the peer is too slow", index=index) from error
                except OSError as error:
                    raise ChannelDown("the connection failed", index=index) from error
                yield chunk
                await asyncio.sleep(0)  # a fast peer must not keep everything else of this process waiting

    async def _asked(self, request: Request) -> socket.socket:
        """A connection on which the peer is about to send what was asked for."""
        connection: socket.socket | None = None
        try:
            async with asyncio.timeout(self._connect_s):
                connection = await self._connect()
                await asyncio.get_running_loop().sock_sendall(connection, request.encode())
                answer = bytearray(ANSWER_BYTES)
                await fill(connection, memoryview(answer))
            match decode_answer(bytes(answer)):
                case Status.GONE:
                    raise BlobGone("the peer has no such blob")
                case Status.BUSY:
                    raise ChannelDown("the peer serves as many as it can")
        except BaseException as error:
            if connection is not None:
                connection.close()
            if isinstance(error, OSError):  # a timeout is one
                raise ChannelDown("no answer at the peer's blob address") from error
            raise
        return connection


async def connected(family: socket.AddressFamily, address: str | tuple[str, int]) -> socket.socket:
    """A stream socket connected to `address`."""
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, address)
    except BaseException:
        connection.close()
        raise
    return connection


__all__ = ("CHUNK_S", "CONNECT_S", "StreamSource", "connected")
