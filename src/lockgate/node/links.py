"""The links between a cluster's nodes, and cutting them: what a partition of the network is, on one machine.

Each node reaches each other one through a forwarder of its own, a listening port of the supervising process. A link
that is cut closes its connections, and holds the new ones without a byte passing either way, as a network does that
drops every packet; when it heals, those that still wait go through, and the nodes' own redialling does the rest.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Sequence
from typing import Final

from lockgate.node.ports import free_listener

MOST_HELD: Final = 4  # connections of one cut link that wait; a node gives one up after 20 s and dials again
Pair = tuple[int, int]  # of validators, the lower one first


class _Half(asyncio.Protocol):
    """One end of a forwarded connection: what it receives is written to the other end, no faster than that takes it."""

    def __init__(self, link: _Link) -> None:
        self.link = link
        self.other: _Half | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self.transport = None
        self.link.open.discard(self)
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class _Dialled(_Half):
    """The end at which a node dials; nothing is read from it before the other end is there."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert self.transport is not None
        self.transport.pause_reading()
        self.link.dialled(self)


class _Link:
    """From one node to another: where the first one dials, and where the second one listens."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.cut = False
        self.open: set[_Half] = set()
        self._held: deque[_Dialled] = deque()
        self._joining: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        listener = free_listener()
        self.port = int(listener.getsockname()[1])
        self._server = await asyncio.get_running_loop().create_server(lambda: _Dialled(self), sock=listener)

    def dialled(self, near: _Dialled) -> None:
        self.open.add(near)
        if not self.cut:
            self._join(near)
            return
        self._held.append(near)
        if len(self._held) > MOST_HELD:
            self._held.popleft().abort()

    def set_cut(self, cut: bool) -> None:
        if cut and not self.cut:
            self.cut = True
            self._abort_all()
        elif self.cut and not cut:
            self.cut = False
            while self._held:
                self._join(self._held.popleft())

    def _join(self, near: _Dialled) -> None:
        task = asyncio.create_task(self._connect(near))
        self._joining.add(task)
        task.add_done_callback(self._joining.discard)

    async def _connect(self, near: _Dialled) -> None:
        far = _Half(self)
        try:
            await asyncio.get_running_loop().create_connection(lambda: far, "127.0.0.1", self.target)
        except OSError:
            near.abort()  # the node is down: whoever dials it is told
            return
        if near.transport is None or self.cut:
            near.abort()
            far.abort()
            return
        self.open.add(far)
        near.other, far.other = far, near
        near.transport.resume_reading()

    def _abort_all(self) -> None:
        for task in list(self._joining):
            task.cancel()
        for half in list(self.open):
            half.abort()

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self._abort_all()
        self._held.clear()
        await asyncio.gather(*self._joining, return_exceptions=True)


class Links:
    """Every link of a cluster. `ports` are those at which its nodes listen for each other, by validator."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._links = {
            (near, far): _Link(port) for far, port in enumerate(ports) for near in range(len(ports)) if near != far
        }

    async def start(self) -> None:
        """Listen. Raises PortBusy."""
        try:
            for link in self._links.values():
                await link.start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        await asyncio.gather(*(link.stop() for link in self._links.values()))

    def ports_from(self, near: int) -> dict[int, int]:
        """Where a validator reaches each other one."""
        return {far: link.port for (here, far), link in self._links.items() if here == near}

    def partition(self, group: Collection[int]) -> None:
        """Cut every link between these validators and the others, both ways; all other links are whole."""
        for (near, far), link in self._links.items():
            link.set_cut((near in group) != (far in group))

    def heal(self) -> None:
        self.partition(())

    @property
    def cut(self) -> tuple[Pair, ...]:
        """Pairs that are cut."""
        return tuple(sorted(pair for pair, link in self._links.items() if link.cut and pair[0] < pair[1]))


__all__ = ("Links", "Pair")
