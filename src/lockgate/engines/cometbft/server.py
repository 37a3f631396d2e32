"""The ABCI socket of one node: whose request is answered next.

Source: CometBFT v0.38, spec/abci, client and server. A node opens four connections (consensus, mempool, query,
snapshot) and may open them again. Answers on a connection come in the order of its requests; requests of all
connections are handled one by one, a few of each connection in turn: under load thousands of checks wait, and a
block that waited for all of them would make still more wait.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

from google.protobuf.message import DecodeError

from lockgate.codec.protobuf import uvarint
from lockgate.codec.wire import abci_pb2 as abci
from lockgate.engines.cometbft.application import CometBftApplication
from lockgate.engines.cometbft.framing import BadRequest, Frames
from lockgate.primitives.errors import LockgateError

BETWEEN_S: Final = 0.01  # between two moments of work that nobody waits for: requests come first
IDLE_S: Final = 0.2
AT_ONCE: Final = 16  # requests of a connection in a row, some milliseconds, before the others are looked at
QUEUED_BYTES: Final = 1 << 20  # of a connection, beyond which no more of it is read
Failed = Callable[[LockgateError], None]


class _Connection(asyncio.Protocol):
    """One connection of the node: requests that wait, as bytes, and where answers go."""

    def __init__(self, server: AbciServer) -> None:
        self.waiting: deque[bytes] = deque()
        self.ended = False  # nothing more comes; what waits is still answered
        self.full = False  # the node does not take our answers
        self._server = server
        self._frames = Frames()
        self._queued = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.opened(self)

    def data_received(self, data: bytes) -> None:
        try:
            messages = self._frames.feed(data)
        except BadRequest as error:
            self.refuse(error)
            return
        self.waiting += messages
        self._queued += sum(map(len, messages))
        if self._queued > QUEUED_BYTES and self._transport is not None:
            self._transport.pause_reading()
        if messages:
            self._server.wake()

    def eof_received(self) -> bool:
        try:
            self._frames.end()
        except BadRequest as error:
            self.refuse(error)
        self.ended = True
        self._server.wake()
        return True  # half open: what it asked before is answered

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False
        self._server.wake()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self.waiting.clear()
        self._server.closed(self)

    def take(self) -> abci.Request:
        """The next request. Raises BadRequest."""
        data = self.waiting.popleft()
        before, self._queued = self._queued, self._queued - len(data)
        if before > QUEUED_BYTES >= self._queued and self._transport is not None:
            self._transport.resume_reading()
        try:
            return abci.Request.FromString(data)
        except DecodeError as error:
            raise BadRequest("not protobuf", length=len(data)) from error

    def send(self, answers: list[bytes]) -> None:
        if answers and self._transport is not None:
            self._transport.write(b"".join(answers))

    def refuse(self, error: BadRequest) -> None:
        """Answer nothing more of what came over this connection."""
        self.waiting.clear()
        self._server.failed(error)
        self.close()

    def close(self) -> None:
        """Close it when what was answered is written."""
        if self._transport is not None:
            self._transport.close()


class AbciServer:
    """Serves one application on a Unix socket. `failed` is told what stopped a request; the node then stops, too."""

    def __init__(self, application: CometBftApplication, path: Path, failed: Failed) -> None:
        self.failed = failed
        self._application = application
        self._path = path
        self._server: asyncio.Server | None = None
        self._open: deque[_Connection] = deque()  # in turns
        self._working: asyncio.Handle | None = None
        self._idling: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen. A socket that an earlier process left is taken over."""
        self._path.unlink(missing_ok=True)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: _Connection(self), str(self._path))
        self._path.chmod(0o600)
        self._idling = asyncio.create_task(self._idle())

    async def stop(self) -> None:
        """Close every connection; a block that was not committed is gone."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._open):
            connection.close()
        if self._working is not None:
            self._working.cancel()
        if self._idling is not None:
            self._idling.cancel()
        self._application.close()
        self._path.unlink(missing_ok=True)

    # What connections tell.

    def opened(self, connection: _Connection) -> None:
        self._open.append(connection)

    def closed(self, connection: _Connection) -> None:
        self._open.remove(connection)

    def wake(self) -> None:
        """There may be a request to answer."""
        if self._working is None:
            self._working = asyncio.get_running_loop().call_soon(self._work)

    def _work(self) -> None:
        """Answer some requests of the connection whose turn it is. Then the sockets are read again."""
        self._working = None
        connection = next((each for each in self._open if (each.waiting or each.ended) and not each.full), None)
        if connection is None:
            return
        self._open.remove(connection)
        self._open.append(connection)
        answers: list[bytes] = []
        try:
            for _ in range(min(AT_ONCE, len(connection.waiting))):
                encoded = self._answer(connection.take()).SerializeToString()
                answers += (uvarint(len(encoded)), encoded)
        except BadRequest as error:
            connection.send(answers)
            connection.refuse(error)
        except Exception:
            connection.close()  # a bug of ours: the node must not wait for an answer that never comes
            raise
        else:
            connection.send(answers)
            if connection.ended and not connection.waiting:
                connection.close()
        self.wake()

    def _answer(self, request: abci.Request) -> abci.Response:
        """A failure is told to both sides: the node stops on it, as it must where blocks cannot be executed."""
        try:
            return self._application.answer(request)
        except LockgateError as error:
            self.failed(error)
            return abci.Response(exception=abci.ResponseException(error=str(error)))

    async def _idle(self) -> None:
        """Let the application do what no request waits for, a little at a time. Its failure stops nothing else."""
        while True:
            more = False
            try:
                more = self._application.idle()
            except LockgateError as error:
                self.failed(error)
            await asyncio.sleep(BETWEEN_S if more else IDLE_S)


__all__ = ("AbciServer", "BadRequest")
