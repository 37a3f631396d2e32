"""GET and POST over kept connections, with bounded answers: what node APIs need of HTTP/1.1 (RFC 9112).

A relayer or a host makes thousands of small calls to one node, and a general client spends more on each
than the node does to answer it. The messages are `httptools`' to parse; here are only the connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from typing import Final
from urllib.parse import urlsplit

import httptools

MAX_READ: Final = 65_536
MAX_HEAD: Final = 2 * MAX_READ  # bytes read until a head has ended, with what came of the body along with it
MAX_OPEN: Final = 16  # connections; a batch of a hundred proofs goes through them in turn
PORTS: Final = {"http": 80, "https": 443}
_TARGET: Final = re.compile(r"/[A-Za-z0-9/_.~?&=%-]*")  # nothing that would end the request's line


class HttpFailed(OSError):
    """No usable answer came: refused, cut short, too slow, or not HTTP. `sent`: the node may have read the call."""

    sent = True


class NotConnected(HttpFailed):
    """No connection came about, so the node has read nothing."""

    sent = False


class TooLong(HttpFailed):
    """The answer passed its bound; nothing of it was kept."""


def origin(address: str) -> str:
    """A node's address as it may be told: user, path and query may hold a key of its provider."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


class HttpPool:
    """Connections to one address. Each call has one to itself while it lasts; further calls wait their turn."""

    def __init__(self, address: str, *, timeout_s: float, most: int) -> None:
        parts = urlsplit(address)
        if parts.scheme not in PORTS or not parts.hostname:
            raise HttpFailed("not an http address")  # not shown: it may hold a key of a provider
        self._host = parts.hostname
        self._port = parts.port or PORTS[parts.scheme]
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._path = parts.path or "/"
        self._query = f"?{parts.query}" if parts.query else ""  # providers take their key there
        self._netloc = parts.netloc.rpartition("@")[2]
        self._timeout_s = timeout_s
        self._most = most
        self.lost = 0  # kept connections that the node closed
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._turns = asyncio.Semaphore(MAX_OPEN)

    async def close(self) -> None:
        """Close what is idle. Calls under way are their callers' to cancel."""
        while self._idle:
            _, writer = self._idle.pop()
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def post(self, body: bytes, *, once: bool = False) -> tuple[int, bytes]:
        """Return status and body. Raises HttpFailed, TooLong.

        A kept connection that the node has closed meanwhile is no failure: the call goes over a new one,
        unless it must reach the node at most `once` and may have been read.
        """
        kind = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        return await self._call(self._head("POST", self._path + self._query, kind) + body, once=once)

    async def get(self, target: str) -> tuple[int, bytes]:
        """Return status and JSON body of a path below the address, with its query. Raises as `post`."""
        if not _TARGET.fullmatch(target):
            raise HttpFailed(f"not a path: {target!r}")
        return await self._call(self._head("GET", self._path.rstrip("/") + target, "Accept: application/json\r\n"))

    def _head(self, method: str, target: str, fields: str) -> bytes:
        return f"{method} {target} HTTP/1.1\r\nHost: {self._netloc}\r\n{fields}\r\n".encode()

    async def _call(self, request: bytes, *, once: bool = False) -> tuple[int, bytes]:
        try:
            async with self._turns, asyncio.timeout(self._timeout_s):
                while self._idle:
                    reader, writer = self._idle.pop()
                    if reader.at_eof():
                        self.lost += 1
                        writer.close()
                        continue
                    try:
                        return await self._exchange(reader, writer, request)
                    except _Stale:
                        self.lost += 1
                        if once:
                            raise
                return await self._exchange(*await self._connect(), request)
        except TimeoutError as error:
            raise HttpFailed("no answer in time") from error
        except HttpFailed:
            raise
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
            raise HttpFailed(type(error).__name__) from error

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            return await asyncio.open_connection(self._host, self._port, ssl=self._tls, limit=MAX_READ)
        except OSError as error:
            raise NotConnected(type(error).__name__) from error

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
    ) -> tuple[int, bytes]:
        answer = _Answer(self._most)
        try:
            writer.write(request)
            try:
                piece = await reader.read(MAX_READ)
            except ConnectionError as error:
                raise _Stale("closed before it answered") from error
            if not piece:
                raise _Stale("closed before it answered")
            while piece and not answer.complete:
                answer.feed(piece)
                if not answer.complete:
                    piece = await reader.read(MAX_READ)
            return answer.status, answer.ended()
        finally:
            if answer.complete and answer.stays:
                self._idle.append((reader, writer))
            else:
                writer.close()


class _Stale(HttpFailed):
    """The node closed a connection before a byte of the answer came."""


class _Answer:
    """One response, as httptools calls it out. Nothing past the bound is kept."""

    def __init__(self, most: int) -> None:
        self.complete = False
        self.stays = False  # the connection can carry another call
        self.status = 0
        self._most = most
        self._parser = httptools.HttpResponseParser(self)
        self._body = bytearray()
        self._head_bytes = 0
        self._framed = False  # the body's end is told, not shown by the connection's

    def feed(self, data: bytes) -> None:
        """Raises HttpFailed, TooLong."""
        if not self.status:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD:
                raise HttpFailed("the head is too long")
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            raise TooLong("the body") from error
        except httptools.HttpParserError as error:
            raise HttpFailed(type(error).__name__) from error

    def ended(self) -> bytes:
        """The body, when nothing more comes. Raises HttpFailed for one that was cut short."""
        if not self.complete and (not self.status or self._framed):
            raise HttpFailed("the answer was cut short")
        return bytes(self._body)

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() in {b"content-length", b"transfer-encoding"}:
            self._framed = True

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        if len(self._body) + len(data) > self._most:
            raise TooLong("the body")
        self._body += data

    def on_message_complete(self) -> None:
        self.complete, self.stays = True, self._parser.should_keep_alive()


__all__ = ("HttpFailed", "HttpPool", "NotConnected", "TooLong", "origin")
