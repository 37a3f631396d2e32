"""Whoever is at the other end of a blob channel may be anybody: each side stays bounded and says what is wrong."""

from __future__ import annotations

import asyncio
import os
import socket
import tracemalloc
from pathlib import Path

import pytest

from lockgate.envelope.bulk import BlobId
from lockgate.envelope.errors import BlobGone, ChannelBroken, ChannelDown
from lockgate.primitives.errors import LockgateError
from lockgate.transport import BlobServer, Shelf, tcp
from lockgate.transport.folder import FolderSource
from lockgate.transport.shelf import file_name
from lockgate.transport.stream import StreamSource, connected
from lockgate.transport.wire import ANSWER_BYTES, REQUEST_BYTES, Request, Status, encode_answer
from tests.support.blobs import BLOB, Talk, fetched, hostile_peer, sealed

FRAMES, DESCRIPTOR = sealed()
LAYOUT = DESCRIPTOR.layout


async def request_of(connection: socket.socket) -> Request:
    data = await asyncio.get_running_loop().sock_recv(connection, REQUEST_BYTES)
    return Request.decode(data)


async def garbage(connection: socket.socket) -> None:
    await request_of(connection)
    await asyncio.get_running_loop().sock_sendall(connection, b"HTTP/1.1 200 OK\r\n\r\n")


async def unknown_status(connection: socket.socket) -> None:
    await request_of(connection)
    await asyncio.get_running_loop().sock_sendall(connection, encode_answer(Status.SERVED)[:-1] + b"\x09")


async def hangs_up(connection: socket.socket) -> None:
    await request_of(connection)


async def half_a_chunk(connection: socket.socket) -> None:
    await request_of(connection)
    await asyncio.get_running_loop().sock_sendall(connection, encode_answer(Status.SERVED) + FRAMES[0][:1_000])


async def silent(connection: socket.socket) -> None:
    await asyncio.sleep(60)


async def drips(connection: socket.socket) -> None:
    """One byte now and then: never silent, and never done."""
    await request_of(connection)
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(connection, encode_answer(Status.SERVED))
    while True:
        await loop.sock_sendall(connection, b"x")
        await asyncio.sleep(0.05)


async def gone(connection: socket.socket) -> None:
    await request_of(connection)
    await asyncio.get_running_loop().sock_sendall(connection, encode_answer(Status.GONE))


async def busy(connection: socket.socket) -> None:
    await asyncio.get_running_loop().sock_sendall(connection, encode_answer(Status.BUSY))


@pytest.mark.parametrize(
    ("talk", "refusal"),
    [
        (garbage, ChannelBroken),
        (unknown_status, ChannelBroken),
        (hangs_up, ChannelBroken),
        (half_a_chunk, ChannelBroken),
        (silent, ChannelDown),
        (drips, ChannelDown),
        (gone, BlobGone),
        (busy, ChannelDown),
    ],
)
def test_a_peer_that_misbehaves_is_named(talk: Talk, refusal: type[LockgateError]) -> None:
    async def work() -> None:
        async with hostile_peer(talk) as source:
            async with asyncio.timeout(5):
                with pytest.raises(refusal):
                    await fetched(source, LAYOUT, 0, LAYOUT.count)

    asyncio.run(work())


def test_an_endless_stream_is_read_as_far_as_the_layout_goes() -> None:
    async def endless(connection: socket.socket) -> None:
        await request_of(connection)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(connection, encode_answer(Status.SERVED))
        while True:
            await loop.sock_sendall(connection, bytes(1 << 20))

    async def work() -> tuple[int, int]:
        async with hostile_peer(endless) as source:
            tracemalloc.start()
            try:
                count = 0
                async for chunk in source.fetch(BLOB, LAYOUT, 0, LAYOUT.count):
                    count += len(chunk)
                return count, tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

    count, peak = asyncio.run(work())
    assert count == LAYOUT.total
    assert peak < 4 << 20


def test_nobody_listens() -> None:
    listener = tcp.listen()
    address = listener.getsockname()
    listener.close()
    with pytest.raises(ChannelDown):
        asyncio.run(fetched(tcp.source(*address), LAYOUT, 0, 1))


# The serving side.


async def served(shelf: Shelf, talk: Talk, **limits: float) -> None:
    """Talk to a server over raw sockets, then see that it still serves a good peer."""
    listener = tcp.listen()
    address = listener.getsockname()
    server = asyncio.create_task(BlobServer(shelf.folder, listener, **limits).run())  # type: ignore[arg-type]
    try:
        with await connected(socket.AF_INET, address) as connection:
            async with asyncio.timeout(5):
                await talk(connection)
        source = StreamSource(lambda: connected(socket.AF_INET, address))
        assert await fetched(source, LAYOUT, 0, LAYOUT.count) == FRAMES
    finally:
        server.cancel()
        await asyncio.gather(server, return_exceptions=True)


async def rest_of(connection: socket.socket) -> bytes:
    """Everything until the server hangs up."""
    loop, found = asyncio.get_running_loop(), b""
    try:
        while data := await loop.sock_recv(connection, 1 << 16):
            found += data
    except ConnectionResetError:
        pass
    return found


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    made = Shelf(tmp_path / "shelf")
    made.put(BLOB, FRAMES)
    return made


@pytest.mark.parametrize("asked", [b"GET / HTTP/1.1\r\n" * 4, bytes(REQUEST_BYTES), b"LGB1" + bytes(48)])
def test_a_server_hangs_up_on_garbage(shelf: Shelf, asked: bytes) -> None:
    async def talk(connection: socket.socket) -> None:
        await asyncio.get_running_loop().sock_sendall(connection, asked)
        assert await rest_of(connection) == b""

    asyncio.run(served(shelf, talk))


def test_a_server_hangs_up_on_who_does_not_ask(shelf: Shelf) -> None:
    async def talk(connection: socket.socket) -> None:
        await asyncio.get_running_loop().sock_sendall(connection, b"LGB1")
        assert await rest_of(connection) == b""

    asyncio.run(served(shelf, talk, request_s=0.1))


def test_a_server_gives_up_on_who_does_not_read(tmp_path: Path) -> None:
    """A request for much, and nothing read: the slice does not leave, and the connection is closed."""
    shelf = Shelf(tmp_path)
    shelf.put(BLOB, FRAMES)
    long = BlobId(b"\x09" * 32)
    (shelf.folder / file_name(long)).touch()
    os.truncate(shelf.folder / file_name(long), 64 << 20)  # sparse; more than sockets buffer

    async def talk(connection: socket.socket) -> None:
        await asyncio.get_running_loop().sock_sendall(connection, Request(long, 0, 64 << 20).encode())
        await asyncio.sleep(0.4)
        assert len(await rest_of(connection)) < 64 << 20

    asyncio.run(served(shelf, talk, slice_s=0.1))


@pytest.mark.parametrize(("offset", "length"), [(0, 1 << 63), (1 << 63, 1), (LAYOUT.total, 1), (0, LAYOUT.total + 1)])
def test_a_range_outside_the_blob_is_refused(shelf: Shelf, offset: int, length: int) -> None:
    async def talk(connection: socket.socket) -> None:
        await asyncio.get_running_loop().sock_sendall(connection, Request(BLOB, offset, length).encode())
        assert await rest_of(connection) == encode_answer(Status.GONE)

    asyncio.run(served(shelf, talk))


def test_connections_past_the_limit_are_turned_away(shelf: Shelf) -> None:
    async def work() -> None:
        listener = tcp.listen()
        address = listener.getsockname()
        server = asyncio.create_task(BlobServer(shelf.folder, listener, max_sessions=1).run())
        with await connected(socket.AF_INET, address):
            await asyncio.sleep(0.05)  # the only place is taken
            with pytest.raises(ChannelDown):
                await fetched(tcp.source(*address), LAYOUT, 0, 1)
        server.cancel()
        await asyncio.gather(server, return_exceptions=True)

    asyncio.run(work())


def test_an_answer_has_its_length() -> None:
    assert {len(encode_answer(status)) for status in Status} == {ANSWER_BYTES}


# The shared folder.


def test_the_shelf_does_not_show_its_locators(shelf: Shelf) -> None:
    (name,) = os.listdir(shelf.folder)
    assert BLOB.hex() not in name
    assert (shelf.folder / name).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("what", ["link", "fifo", "folder"])
def test_only_regular_files_of_a_folder_are_read(tmp_path: Path, what: str) -> None:
    """Whoever writes to a shared folder must not make a host read its other files, or hang."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"".join(FRAMES))
    shared = tmp_path / "shared"
    shared.mkdir()
    place = shared / file_name(BLOB)
    match what:
        case "link":
            place.symlink_to(secret)
        case "fifo":
            os.mkfifo(place)
        case _:
            place.mkdir()
    with pytest.raises(ChannelDown):
        asyncio.run(fetched(FolderSource(shared), LAYOUT, 0, 1))


def test_a_killed_sender_leaves_nothing_after_the_next_start(shelf: Shelf) -> None:
    (shelf.folder / (file_name(BlobId(bytes(32))) + ".part")).write_bytes(b"half")
    (shelf.folder / "README").write_bytes(b"not ours")
    shelf.keep_only([BLOB])
    assert sorted(os.listdir(shelf.folder)) == sorted(["README", file_name(BLOB)])
