"""HTTP as the RPC client speaks it, against a server that says exactly what a test hands it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from lockgate.relay.http import MAX_OPEN, HttpFailed, HttpPool, NotConnected, TooLong, origin

T = TypeVar("T")
Session = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return await reader.readexactly(int(length.split(b":")[1]))


def saying(*answers: bytes) -> Session:
    """One answer a request, on one connection; then it is closed."""

    async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await request(reader)
            writer.write(answer)
        writer.close()

    return session


def answer(body: bytes, extra: str = "") -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n{extra}\r\n".encode() + body


def against(session: Session, calls: Callable[[HttpPool], Awaitable[T]], timeout_s: float = 5.0) -> T:
    async def work() -> T:
        server = await asyncio.start_server(session, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            pool = HttpPool(f"http://127.0.0.1:{port}", timeout_s=timeout_s, most=1_000)
            try:
                return await calls(pool)
            finally:
                await pool.close()

    return asyncio.run(work())


async def twice(pool: HttpPool) -> list[bytes]:
    return [(await pool.post(b"{}"))[1], (await pool.post(b"{}"))[1]]


def test_one_connection_carries_call_after_call() -> None:
    opened = 0
    inner = saying(answer(b"one"), answer(b"two"))

    async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened
        opened += 1
        await inner(reader, writer)

    assert against(session, twice) == [b"one", b"two"]
    assert opened == 1


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=1\r\none\r\nA\r\n0123456789\r\n0\r\nX: y\r\n\r\n"


@pytest.mark.parametrize(
    ("said", "body"),
    [
        (CHUNKED, b"one0123456789"),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", b"until the end"),
        (b"HTTP/1.0 500 Oops\r\ncontent-LENGTH:  2\r\n\r\nno", b"no"),
    ],
)
def test_every_way_a_body_ends_is_read(said: bytes, body: bytes) -> None:
    status, found = against(saying(said), lambda pool: pool.post(b"{}"))
    assert (status, found) == (int(said[9:12]), body)


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n" + b"x" * 1001,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3E9\r\n" + b"x" * 1001 + b"\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1001,
    ],
)
def test_a_long_answer_is_not_kept(said: bytes) -> None:
    with pytest.raises(TooLong):
        against(saying(said), lambda pool: pool.post(b"{}"))


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\ncut",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 200_000 + b"\r\n\r\n",
        b"",
    ],
)
def test_what_is_not_an_answer_is_a_failure_of_one_kind(said: bytes) -> None:
    with pytest.raises(HttpFailed) as failure:
        against(saying(said), lambda pool: pool.post(b"{}"))
    assert failure.value.sent


def test_a_connection_closed_meanwhile_is_replaced() -> None:
    assert against(saying(answer(b"x")), twice) == [b"x", b"x"]


def test_a_call_that_may_have_been_read_is_not_sent_again() -> None:
    read: list[bytes] = []

    async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        read.append(await request(reader))
        writer.write(answer(b"x"))
        read.append(await request(reader))
        writer.close()

    async def calls(pool: HttpPool) -> None:
        await pool.post(b"{}")
        with pytest.raises(HttpFailed) as failure:
            await pool.post(b"tx", once=True)
        assert failure.value.sent

    against(session, calls)
    assert read == [b"{}", b"tx"]


def test_a_slow_node_is_given_up() -> None:
    async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    with pytest.raises(HttpFailed, match="in time"):
        against(session, lambda pool: pool.post(b"{}"), timeout_s=0.05)


@pytest.mark.parametrize(("base", "line"), [("", b"GET /a/b?c=1&d=%20 HTTP/1.1"), ("/key", b"GET /key/a/b?c=1&d=%20 ")])
def test_a_path_is_asked_for_below_the_address(base: str, line: bytes) -> None:
    async def work() -> bytes:
        seen = bytearray()

        async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.extend(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer(b"{}"))
            writer.close()

        server = await asyncio.start_server(session, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            pool = HttpPool(f"http://127.0.0.1:{port}{base}", timeout_s=5.0, most=10)
            assert await pool.get("/a/b?c=1&d=%20") == (200, b"{}")
            await pool.close()
        return bytes(seen)

    head = asyncio.run(work())
    assert head.startswith(line)
    assert b"Content-Length" not in head


@pytest.mark.parametrize("target", ["", "a", "/a b", "/a\r\nX: y", "/a#b", "/\u00e9", "http://other/"])
def test_what_would_change_the_request_is_no_path(target: str) -> None:
    async def work() -> None:
        with pytest.raises(HttpFailed, match="not a path"):
            await HttpPool("http://127.0.0.1:1", timeout_s=1.0, most=10).get(target)

    asyncio.run(work())


def test_nobody_listens() -> None:
    async def work() -> None:
        server = await asyncio.start_server(saying(), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        with pytest.raises(NotConnected) as failure:
            await HttpPool(f"http://127.0.0.1:{port}", timeout_s=5.0, most=10).post(b"{}")
        assert not failure.value.sent

    asyncio.run(work())


def test_many_calls_share_few_connections() -> None:
    open_now, most = 0, 0

    async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        try:
            while True:
                writer.write(answer(await request(reader)))
        except asyncio.IncompleteReadError:
            open_now -= 1
            writer.close()

    async def calls(pool: HttpPool) -> list[tuple[int, bytes]]:
        return await asyncio.gather(*(pool.post(str(n).encode()) for n in range(5 * MAX_OPEN)))

    assert against(session, calls) == [(200, str(n).encode()) for n in range(5 * MAX_OPEN)]
    assert most == MAX_OPEN


def test_an_address_of_another_kind_is_refused() -> None:
    with pytest.raises(HttpFailed, match="not an http address"):
        HttpPool("unix:/tmp/socket", timeout_s=1.0, most=10)


def test_what_a_provider_puts_into_an_address_is_sent_and_not_told() -> None:
    heads: list[bytes] = []

    async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        await reader.readexactly(2)
        writer.write(answer(b"[]"))
        writer.close()

    async def work() -> None:
        server = await asyncio.start_server(session, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            address = f"http://user:secret@127.0.0.1:{port}/v3/path?key=secret"
            pool = HttpPool(address, timeout_s=5.0, most=1_000)
            assert await pool.post(b"{}") == (200, b"[]")
            await pool.close()
            assert origin(address) == f"http://127.0.0.1:{port}"
            line, host, *_ = heads[0].split(b"\r\n")
            assert line == b"POST /v3/path?key=secret HTTP/1.1"
            assert host == b"Host: 127.0.0.1:%d" % port

    asyncio.run(work())
    with pytest.raises(HttpFailed) as refused:
        HttpPool("ftp://host/?key=secret", timeout_s=1.0, most=10)
    assert "secret" not in str(refused.value)
