"""Links between nodes: bytes pass both ways, a cut one passes none and closes, a healed one goes on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from lockgate.node import links as module
from lockgate.node.links import Links
from lockgate.node.ports import free_listener

LIMIT_S = 20.0
QUIET_S = 0.2  # a byte across the loopback takes a thousandth of it


class Node:
    """Answers every line with its own name before it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.accepted = 0
        self.port = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        listener = free_listener()
        self.port = listener.getsockname()[1]
        self._server = await asyncio.start_server(self._serve, sock=listener)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                writer.write(self.name.encode() + b" " + line)
        writer.close()

    def stop(self) -> None:
        assert self._server is not None
        self._server.close()


Story = Callable[[list[Node], Links], Awaitable[None]]


def told(story: Story, count: int = 4) -> None:
    async def work() -> None:
        nodes = [Node(f"node {number}") for number in range(count)]
        for node in nodes:
            await node.start()
        links = Links([node.port for node in nodes])
        await links.start()
        try:
            async with asyncio.timeout(LIMIT_S):
                await story(nodes, links)
        finally:
            await links.stop()
            for node in nodes:
                node.stop()

    asyncio.run(work())


async def dial(links: Links, near: int, far: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", links.ports_from(near)[far])


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(b"hello\n")
    return await reader.readline()


async def silent(reader: asyncio.StreamReader) -> bool:
    """Neither a byte nor an end comes."""
    try:
        async with asyncio.timeout(QUIET_S):
            await reader.read(1)
    except TimeoutError:
        return True
    return False


def test_every_node_reaches_every_other_one() -> None:
    async def story(nodes: list[Node], links: Links) -> None:
        for near in range(4):
            for far in set(range(4)) - {near}:
                assert await answer(*await dial(links, near, far)) == f"node {far} hello\n".encode()
        assert links.cut == ()

    told(story)


def test_a_partition_closes_what_crosses_it_and_nothing_else() -> None:
    async def story(nodes: list[Node], links: Links) -> None:
        open_ = {pair: await dial(links, *pair) for pair in ((0, 1), (0, 2), (3, 1), (2, 3))}
        for connection in open_.values():
            await answer(*connection)
        links.partition({0, 1})
        for pair, (reader, writer) in open_.items():
            crosses = (pair[0] in {0, 1}) != (pair[1] in {0, 1})
            if crosses:
                with contextlib.suppress(ConnectionError):
                    assert await reader.read(1) == b""
            else:
                assert await answer(reader, writer) == f"node {pair[1]} hello\n".encode()
        assert links.cut == ((0, 2), (0, 3), (1, 2), (1, 3))

    told(story)


def test_a_cut_link_holds_what_is_dialled_and_lets_it_through_when_it_heals() -> None:
    """Both ways: no byte reaches the other node, whichever dials."""

    async def story(nodes: list[Node], links: Links) -> None:
        links.partition({3})
        there, back = await dial(links, 0, 3), await dial(links, 3, 0)
        for _, writer in (there, back):
            writer.write(b"early\n")
        assert await silent(there[0])
        assert await silent(back[0])
        assert nodes[3].accepted == nodes[0].accepted == 0
        links.heal()
        assert await there[0].readline() == b"node 3 early\n"
        assert await back[0].readline() == b"node 0 early\n"
        assert links.cut == ()

    told(story)


def test_another_partition_replaces_the_first() -> None:
    async def story(nodes: list[Node], links: Links) -> None:
        links.partition({0, 1})
        links.partition({3})
        assert links.cut == ((0, 3), (1, 3), (2, 3))
        assert await answer(*await dial(links, 0, 2)) == b"node 2 hello\n"

    told(story)


def test_a_cut_link_keeps_few_that_wait() -> None:
    async def story(nodes: list[Node], links: Links) -> None:
        links.partition({1})
        dialled = [await dial(links, 0, 1) for _ in range(module.MOST_HELD + 2)]
        closed = dialled[0][0]
        with contextlib.suppress(ConnectionError):
            assert await closed.read(1) == b""
        assert await silent(dialled[-1][0])
        links.heal()
        assert await answer(*dialled[-1]) == b"node 1 hello\n"

    told(story)


def test_a_node_that_is_down_refuses_through_its_link() -> None:
    async def story(nodes: list[Node], links: Links) -> None:
        nodes[1].stop()
        reader, _ = await dial(links, 0, 1)
        with contextlib.suppress(ConnectionError):
            assert await reader.read(1) == b""

    told(story)


def test_a_slow_reader_holds_the_writer_back() -> None:
    """What one node sends is kept in no buffer without end while the other does not read."""

    async def story(nodes: list[Node], links: Links) -> None:
        stuck: asyncio.Future[asyncio.StreamReader] = asyncio.get_running_loop().create_future()

        def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            reader._transport.pause_reading()  # type: ignore[attr-defined]
            stuck.set_result(reader)

        listener = free_listener()
        server = await asyncio.start_server(accepted, sock=listener)
        pair = Links([1, listener.getsockname()[1]])
        await pair.start()
        _, writer = await dial(pair, 0, 1)
        await stuck
        sent = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                while sent < 1 << 28:
                    writer.write(bytes(1 << 20))
                    sent += 1 << 20
                    await writer.drain()
        assert sent < 1 << 26, "socket buffers hold a few megabytes, not all of it"
        writer.transport.abort()
        await pair.stop()
        server.close()

    told(story, count=2)
