"""Fetches blobs over a stream socket; how to connect is all that its two kinds differ in."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from typing import Final

from lockgate.envelope.bulk import BlobId
from lockgate.envelope.chunks import Layout
from lockgate.envelope.errors import BlobGone, ChannelBroken, ChannelDown
from lockgate.envelope.ports import Buffer
from lockgate.primitives.errors import PeerFault, Unavailable
from lockgate.session.edhoc.errors import PeerRefused
from lockgate.transport.links import LinkStream
from lockgate.transport.pipe import Pipe, SocketPipe
from lockgate.transport.wire import ANSWER_BYTES, Request, Status, decode_answer

CONNECT_S: Final = 5.0  # connection, request and answer together
CHUNK_S: Final = 10.0  # for each chunk of 64 KiB; a peer that drips bytes is given up then
Connect = Callable[[], Awaitable[socket.socket]]


Link = Callable[[socket.socket], Awaitable[LinkStream]]  # opens one over a connected socket


class StreamSource:
    """Meets `BlobSource` over a socket that `connect` opens, one for each call; inside a link where one is given."""

    def __init__(
        self, connect: Connect, link: Link | None = None, *, connect_s: float = CONNECT_S, chunk_s: float = CHUNK_S
    ) -> None:
        self._connect = connect
        self._link = link
        self._connect_s = connect_s
        self._chunk_s = chunk_s

    async def fetch(self, blob: BlobId, layout: Layout, first: int, end: int, /) -> AsyncGenerator[Buffer, None]:
        start, stop = layout.offset(first), layout.offset(end)
        if start == stop:
            return
        pipe = await self._asked(Request(blob, start, stop - start))
        try:
            for index in range(first, end):
                chunk = bytearray(layout.size(index))
                with _named("the peer is too slow, or the connection failed", index=index):
                    async with asyncio.timeout(self._chunk_s):
                        await pipe.fill(memoryview(chunk))
                yield chunk
                await asyncio.sleep(0)  # a fast peer must not keep everything else of this process waiting
        finally:
            pipe.abort()

    async def _asked(self, request: Request) -> Pipe:
        """A connection on which the peer is about to send what was asked for."""
        with _named("no answer at the peer's blob address"):
            async with asyncio.timeout(self._connect_s):
                connection = await self._connect()
            pipe: Pipe = SocketPipe(connection)
            try:
                if self._link is not None:
                    pipe = await self._link(connection)
                async with asyncio.timeout(self._connect_s):
                    await pipe.send(request.encode())
                    answer = bytearray(ANSWER_BYTES)
                    await pipe.fill(memoryview(answer))
                match decode_answer(bytes(answer)):
                    case Status.GONE:
                        raise BlobGone("the peer has no such blob")
                    case Status.BUSY:
                        raise ChannelDown("the peer serves as many as it can")
            except BaseException:
                pipe.abort()
                raise
        return pipe


@contextlib.contextmanager
def _named(what: str, **fields: object) -> Iterator[None]:
    """Failures of connections and links in the words of `BlobSource`; what this side itself refuses passes."""
    try:
        yield
    except (ChannelDown, ChannelBroken, BlobGone):
        raise
    except (OSError, Unavailable) as error:  # a timeout is an OSError
        raise ChannelDown(what, **fields) from error
    except (PeerFault, PeerRefused) as error:
        raise ChannelBroken(str(error), **fields) from error


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


__all__ = ("CHUNK_S", "CONNECT_S", "Link", "StreamSource", "connected")
