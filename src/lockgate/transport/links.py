"""Links over stream sockets: TCP, Unix, whatever is connected. The state machine is `lockgate.session.link`.

    stream = await LinkStream.call(await connected(family, address), endpoint, acquaintances, entropy)
    await stream.send(b"...")
    data = await stream.receive()      # one record's content; empty when the peer has closed
    await stream.close()

A link heals by itself while both sides receive. Memory is bounded by one record in each direction.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator
from typing import Final, Self

from lockgate.crypto.ports import Encapsulator
from lockgate.envelope.ports import Buffer
from lockgate.primitives.errors import LockgateError, Unavailable
from lockgate.session.link import MAX_CONTENT, Acquaintances, Asked, Closed, Data, Event, Link, LinkLimits, Presented
from lockgate.session.link.errors import LinkOver, LinkSlow, LinkTruncated
from lockgate.session.meeting import Party
from lockgate.transport.pipe import received

HANDSHAKE_S: Final = 10.0  # of a meeting, with the proofs that it takes
FRAME_S: Final = 10.0  # for a frame that has begun, and for one that is written: slower than 7 KB/s is no peer
LINGER_S: Final = 2.0  # a closed link waits for its peer's end: to close on unread data would cut off what is under way
TICK_S: Final = 15.0  # how often an idle link looks at the age of its keys


class LinkStream:
    """One end of an open link over a connected, non-blocking stream socket, which is the link's from then on.

    One task receives, any number send. `idle_s` bounds how long a peer may be silent between two frames.
    """

    def __init__(
        self,
        connection: socket.socket,
        link: Link,
        acquaintances: Acquaintances,
        *,
        idle_s: float | None = None,
        frame_s: float = FRAME_S,
        tick_s: float = TICK_S,
    ) -> None:
        self._connection: Final = connection
        self._link: Final = link
        self._acquaintances: Final = acquaintances
        self._idle_s, self._frame_s, self._tick_s = idle_s, frame_s, tick_s
        self._writing = asyncio.Lock()
        self._left = b""  # of a record that `fill` took a part of
        self._ticking: asyncio.Task[None] | None = None
        self._failure: LockgateError | None = None
        self._users = 0  # calls that wait on the connection: it is closed behind the last, or they would wait for ever
        self._over = False
        if connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # a record is whole when it is written
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def __repr__(self) -> str:
        return f"LinkStream({self._link!r})"

    @classmethod
    async def call(
        cls,
        connection: socket.socket,
        endpoint: bytes,
        acquaintances: Acquaintances,
        entropy: Encapsulator,
        *,
        limits: LinkLimits | None = None,
        handshake_s: float = HANDSHAKE_S,
        idle_s: float | None = None,
        frame_s: float = FRAME_S,
        tick_s: float = TICK_S,
    ) -> Self:
        """Open a link to one endpoint.

        Raises what refuses it: LinkSlow, LinkBusy, LinkTruncated, what `Link.receive` raises, and what acquaintances
        raise. The connection is closed then.
        """
        with _closing(connection):
            try:
                async with asyncio.timeout(handshake_s):
                    sides = await acquaintances.one(endpoint)
                    claims = await acquaintances.claims(sides)
                    link = Link.call(sides, claims, entropy, time.monotonic_ns(), limits)
                    stream = cls(connection, link, acquaintances, idle_s=idle_s, frame_s=frame_s, tick_s=tick_s)
                    return await stream._meet()
            except TimeoutError as error:
                raise LinkSlow("no handshake in time") from error

    @classmethod
    async def answer(
        cls,
        connection: socket.socket,
        acquaintances: Acquaintances,
        entropy: Encapsulator,
        *,
        limits: LinkLimits | None = None,
        handshake_s: float = HANDSHAKE_S,
        idle_s: float | None = None,
        frame_s: float = FRAME_S,
        tick_s: float = TICK_S,
    ) -> Self:
        """Meet whoever has connected. Raises as `call` does."""
        with _closing(connection):
            try:
                async with asyncio.timeout(handshake_s):
                    link = Link.answer(entropy, time.monotonic_ns(), limits)
                    stream = cls(connection, link, acquaintances, idle_s=idle_s, frame_s=frame_s, tick_s=tick_s)
                    return await stream._meet()
            except TimeoutError as error:
                raise LinkSlow("no handshake in time") from error

    @property
    def peer(self) -> Party:
        """Who is at the other end, as its proven key record says."""
        return self._link.peer

    @property
    def name(self) -> bytes:
        """The link's public name, the same at both ends: what a token may be bound to (P22)."""
        return self._link.name

    async def send(self, data: Buffer, /) -> None:
        """Send bytes of any length, in as many records as they take. Raises LinkSlow, LinkStale, LinkTruncated."""
        view = memoryview(data)
        with self._aborting():
            for start in range(0, len(view), MAX_CONTENT):
                async with self._writing:
                    self._link.send(bytes(view[start : start + MAX_CONTENT]), time.monotonic_ns())
                    await self._flush()

    async def receive(self) -> bytes:
        """The next record's content, whole; empty when the peer has closed the link in order.

        Raises LinkTruncated for any other end, LinkBroken, LinkSlow, and what else ends a link.
        """
        if self._left:
            left, self._left = self._left, b""
            return left
        with self._aborting():
            while not self._link.closed:
                event = await self._event(self._idle_s)
                if isinstance(event, Data):
                    return event.content
                if isinstance(event, Closed):
                    break
        return b""

    async def fill(self, view: memoryview, /) -> None:
        """Receive exactly as many bytes as `view` has. Raises LinkTruncated where the peer closed before."""
        while view:
            content = await self.receive()
            if not content:
                raise LinkTruncated("the peer closed the link early", missing=len(view))
            count = min(len(view), len(content))
            view[:count] = content[:count]
            view, self._left = view[count:], content[count:]

    async def close(self) -> None:
        """Say that nothing more is sent, and let go of the connection when the peer has heard it."""
        with contextlib.suppress(LockgateError, OSError), self._aborting():
            async with self._writing:
                self._link.close(time.monotonic_ns())
                await self._flush()
            if not self._users:  # else another task receives, and sees the peer's end itself
                await self._linger()
        self.abort()

    def abort(self) -> None:
        """Let go of the connection without a word: the peer finds the link truncated."""
        if self._ticking is not None and self._ticking is not asyncio.current_task():
            self._ticking.cancel()
        self._link.abort()
        self._over = True
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)  # wakes whoever waits on it
        if not self._users:
            self._connection.close()

    async def _linger(self) -> None:
        """Read and drop what comes until the peer ends as well, for a short while."""
        self._connection.shutdown(socket.SHUT_WR)
        loop = asyncio.get_running_loop()
        with contextlib.suppress(TimeoutError), self._using():
            async with asyncio.timeout(LINGER_S):
                while await loop.sock_recv(self._connection, MAX_CONTENT):
                    pass

    # The meeting.

    async def _meet(self) -> Self:
        with self._aborting():
            async with self._writing:
                await self._flush()
            while not self._link.open:
                await self._event(None)
        self._ticking = asyncio.create_task(self._keep())
        return self

    async def _event(self, idle_s: float | None) -> Event | None:
        """Read one part of a frame, and do what it asks for."""
        link = self._link
        buffer = bytearray(link.wanted)
        try:
            if not await self._read(buffer, idle_s if link.between else self._frame_s):
                link.ended()
                raise LinkTruncated("the link has ended")
            event = link.receive(buffer, time.monotonic_ns())
            if isinstance(event, Asked):
                link.answer_with(await self._acquaintances.all(), time.monotonic_ns())
            elif isinstance(event, Presented):
                await self._acquaintances.judge(event.sides, event.claims)
                claims = await self._acquaintances.claims(event.sides)
                link.accept(claims, time.monotonic_ns())
        except LockgateError as error:
            if isinstance(error, Unavailable):
                link.busy()  # cut off without a word, a peer would take a host that starts for a broken one
            with contextlib.suppress(LockgateError):  # a peer in a handshake is told that it failed, if it listens
                async with self._writing:
                    await self._flush()
            raise
        async with self._writing:
            await self._flush()
        return event

    async def _read(self, buffer: bytearray, seconds: float | None) -> bool:
        try:
            with self._using():
                async with asyncio.timeout(seconds):
                    return await received(self._connection, memoryview(buffer)) == len(buffer)
        except TimeoutError as error:
            raise LinkSlow("the peer sends nothing more") from error
        except OSError as error:
            raise LinkTruncated("the connection failed") from error

    async def _flush(self) -> None:
        data = b"".join(self._link.take())
        if not data:
            return
        try:
            with self._using():
                async with asyncio.timeout(self._frame_s):
                    await asyncio.get_running_loop().sock_sendall(self._connection, data)
        except TimeoutError as error:
            raise LinkSlow("the peer does not read") from error
        except OSError as error:
            raise LinkTruncated("the connection failed") from error

    async def _keep(self) -> None:
        """Step the keys of an idle link forward, and heal it when that is due."""
        try:
            with self._aborting():
                while self._link.open:
                    await asyncio.sleep(self._tick_s)
                    if self._link.tick(time.monotonic_ns()):
                        sides = await self._acquaintances.one(self._link.peer.endpoint)
                        self._link.heal(sides, await self._acquaintances.claims(sides), time.monotonic_ns())
                    async with self._writing:
                        await self._flush()
        except LockgateError as error:
            self._failure = error  # whoever sends or receives next is told

    @contextlib.contextmanager
    def _using(self) -> Iterator[None]:
        if self._over:
            raise LinkTruncated("the link has ended")
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            if self._over and not self._users:
                self._connection.close()

    @contextlib.contextmanager
    def _aborting(self) -> Iterator[None]:
        """Whatever ends the link or interrupts it lets go of the connection."""
        if self._failure is not None:
            raise self._failure
        try:
            yield
        except BaseException as error:
            self.abort()
            if self._failure is not None and isinstance(error, (LinkOver, LinkTruncated, OSError)):
                raise self._failure from error
            raise


@contextlib.contextmanager
def _closing(connection: socket.socket) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        raise


def turn_away(connection: socket.socket, entropy: Encapsulator) -> None:
    """Tell whoever has connected that no more links are taken, as far as that can be said without waiting."""
    link = Link.answer(entropy, 0)
    link.busy()
    with connection, contextlib.suppress(OSError):
        connection.send(b"".join(link.take()))


__all__ = ("FRAME_S", "HANDSHAKE_S", "TICK_S", "LinkStream", "turn_away")
