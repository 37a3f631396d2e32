"""Bulk bodies for tests: sealed chunks, the four ways to offer and fetch them, and peers that misbehave."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from lockgate.envelope.bulk import BlobId, locator_of
from lockgate.envelope.chunks import CHUNK_BYTES, ChunkSealer, Descriptor, Layout, seal_stream
from lockgate.envelope.ports import BlobOffer, BlobSource, Buffer
from lockgate.keystore.software import OsEntropy
from lockgate.primitives.errors import LockgateError
from lockgate.transport import BlobServer, Bodies, Linked, LinkStream, MemoryBlobs, Shelf, tcp, unix
from lockgate.transport.folder import FolderSource
from lockgate.transport.stream import Link, StreamSource, connected
from tests.support.links import Friends, endpoint_of

KEY = bytes(range(32))
BLOB = BlobId(b"\x07" * 32)
KINDS = ("memory", "unix", "tcp", "link+unix", "link+tcp", "folder")
BODY = b"".join(bytes([number]) * CHUNK_BYTES for number in range(6)) + b"the end"  # seven chunks


def sealed(body: bytes = BODY, blob: BlobId = BLOB) -> tuple[list[bytes], Descriptor]:
    sealer = ChunkSealer(KEY, 3)
    frames = [bytes(chunk.frame) for chunk in seal_stream(sealer, [body])]
    return frames, sealer.finish(locator_of(blob))


DESCRIPTOR_OF_BODY = sealed()[1]


def bodies_in(folder: Path) -> Bodies:
    return Bodies(folder, body_bytes=1 << 30, total_bytes=4 << 30, keep_free=0)


def linked_as(own: str, *peers: str, told: list[LockgateError] | None = None) -> Linked:
    """Serve as one party of `links`, for others."""
    return Linked(Friends(own, list(peers)), OsEntropy(), (told if told is not None else []).append)


def calling(own: str, peer: str) -> Link:
    return lambda connection: LinkStream.call(connection, endpoint_of(peer), Friends(own, [peer]), OsEntropy())


@dataclass(frozen=True)
class Channel:
    offer: BlobOffer
    source: BlobSource


@asynccontextmanager
async def channel(kind: str, folder: Path) -> AsyncIterator[Channel]:
    """An offer and a source of one kind that reach each other."""
    if kind == "memory":
        blobs = MemoryBlobs()
        yield Channel(blobs, blobs)
        return
    shelf = Shelf(folder / "shelf")
    if kind == "folder":
        yield Channel(shelf, FolderSource(shelf.folder))
        return
    linked, kind = kind.startswith("link+"), kind.removeprefix("link+")
    listener = unix.listen(folder / "s") if kind == "unix" else tcp.listen()
    address = listener.getsockname()
    server = asyncio.create_task(
        BlobServer(shelf.folder, listener, linked_as("bob", "alice") if linked else None).run()
    )
    link = calling("alice", "bob") if linked else None
    try:
        yield Channel(shelf, unix.source(Path(address), link) if kind == "unix" else tcp.source(*address, link))
    finally:
        server.cancel()
        await asyncio.gather(server, return_exceptions=True)


async def fetched(source: BlobSource, layout: Layout, first: int, end: int, blob: BlobId = BLOB) -> list[bytes]:
    return [bytes(chunk) async for chunk in source.fetch(blob, layout, first, end)]


class Spoiled:
    """A source between a receiver and a good one, that alters what passes: `spoil` is told the index."""

    def __init__(self, source: BlobSource, spoil: Callable[[int, bytes], Iterable[bytes]]) -> None:
        self._source = source
        self._spoil = spoil
        self.asked: list[int] = []  # first chunk of each call

    async def fetch(self, blob: BlobId, layout: Layout, first: int, end: int, /) -> AsyncGenerator[Buffer, None]:
        self.asked.append(first)
        index = first
        async for chunk in self._source.fetch(blob, layout, first, end):
            for other in self._spoil(index, bytes(chunk)):
                yield other
            index += 1


Talk = Callable[[socket.socket], Awaitable[None]]


@asynccontextmanager
async def hostile_peer(talk: Talk) -> AsyncIterator[StreamSource]:
    """A source whose peer does as `talk` says, with short patience."""
    listener = tcp.listen()
    listener.setblocking(False)
    loop = asyncio.get_running_loop()

    async def serve() -> None:
        while True:
            connection, _ = await loop.sock_accept(listener)
            connection.setblocking(False)
            with connection:
                try:
                    await talk(connection)
                except OSError:
                    continue  # the other end hung up, as it should

    server = asyncio.create_task(serve())
    try:
        address = listener.getsockname()
        yield StreamSource(lambda: connected(socket.AF_INET, address), connect_s=0.3, chunk_s=0.3)
    finally:
        server.cancel()
        await asyncio.gather(server, return_exceptions=True)
        listener.close()
