"""A stream of bytes both ways: a bare socket, or a link over one (`links`)."""

from __future__ import annotations

import asyncio
import socket
from typing import Final, Protocol

from lockgate.envelope.errors import ChannelBroken
from lockgate.envelope.ports import Buffer


class Pipe(Protocol):
    """Whoever is cancelled in the midst of a call closes the pipe: what is half read or written is lost."""

    async def send(self, data: Buffer, /) -> None: ...

    async def fill(self, view: memoryview, /) -> None:
        """Receive exactly as many bytes as `view` has. Raises ChannelBroken where the other end stops before."""
        ...

    def abort(self) -> None:
        """Let go of the connection."""
        ...


class SocketPipe:
    """A connected socket as it is; nothing on it is secret or authenticated."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection: Final = connection

    async def send(self, data: Buffer, /) -> None:
        await asyncio.get_running_loop().sock_sendall(self.connection, data)

    async def fill(self, view: memoryview, /) -> None:
        if await received(self.connection, view) < len(view):
            raise ChannelBroken("the connection ended early", missing=len(view))

    def abort(self) -> None:
        self.connection.close()


async def received(connection: socket.socket, view: memoryview) -> int:
    """Receive until `view` is full or the stream ends; returns how many bytes came."""
    loop, count = asyncio.get_running_loop(), 0
    while count < len(view):
        more = await loop.sock_recv_into(connection, view[count:])
        if not more:
            break
        count += more
    return count


__all__ = ("Pipe", "SocketPipe", "received")
