"""The ABCI socket: requests and responses, each behind its length as a varint.

Source: CometBFT v0.38, spec/abci, client and server. A node opens four connections (consensus, mempool, query,
snapshot) and may open them again. Answers on a connection come in the order of its requests; requests of all
connections are handled one by one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

from google.protobuf.message import DecodeError

from lockgate.codec.protobuf import uvarint
from lockgate.codec.wire import abci_pb2 as abci
from lockgate.engines.cometbft.application import CometBftApplication
from lockgate.primitives.errors import LockgateError, PeerFault

MAX_REQUEST: Final = 128 * 1024 * 1024  # a block of the node's greatest size, with what stands around it
MAX_LENGTH_BYTES: Final = 5
BETWEEN_S: Final = 0.01  # between two moments of work that nobody waits for: requests come first
IDLE_S: Final = 0.2
Failed = Callable[[LockgateError], None]


class BadRequest(PeerFault):
    code = "cometbft.bad_request"
    summary = "What arrived on the application's socket is no ABCI request."
    untouched = "Nothing was executed; the connection was closed."
    next_step = "Only the ledger's own node, of the 0.38 line, speaks on this socket."


async def read_message(reader: asyncio.StreamReader) -> bytes | None:
    """One message without its length; None where the connection ends between two. Raises BadRequest."""
    length = shift = 0
    for place in range(MAX_LENGTH_BYTES):
        byte = await reader.read(1)
        if not byte:
            if place:
                raise BadRequest("the connection ended inside a length")
            return None
        length |= (byte[0] & 0x7F) << shift
        shift += 7
        if byte[0] < 0x80:
            break
    else:
        raise BadRequest("the length takes more than five bytes")
    if length > MAX_REQUEST:
        raise BadRequest("too long", length=length, most=MAX_REQUEST)
    try:
        return await reader.readexactly(length)
    except asyncio.IncompleteReadError as error:
        raise BadRequest("the connection ended inside a message", length=length) from error


class AbciServer:
    """Serves one application on a Unix socket. `failed` is told what stopped a request; the node then stops, too."""

    def __init__(self, application: CometBftApplication, path: Path, failed: Failed) -> None:
        self._application = application
        self._path = path
        self._failed = failed
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._idling: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen. A socket that an earlier process left is taken over."""
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, self._path)
        self._path.chmod(0o600)
        self._idling = asyncio.create_task(self._idle())

    async def stop(self) -> None:
        """Close every connection; a block that was not committed is gone."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._open):
            writer.close()
        if self._idling is not None:
            self._idling.cancel()
        self._application.close()
        self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while (data := await read_message(reader)) is not None:
                try:
                    request = abci.Request.FromString(data)
                except DecodeError as error:
                    raise BadRequest("not protobuf", length=len(data)) from error
                response = self._answer(request)
                encoded = response.SerializeToString()
                writer.write(uvarint(len(encoded)) + encoded)
                if request.WhichOneof("value") == "flush":
                    await writer.drain()
        except BadRequest as error:
            self._failed(error)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _idle(self) -> None:
        """Let the application do what no request waits for, a little at a time. Its failure stops nothing else."""
        while True:
            more = False
            try:
                more = self._application.idle()
            except LockgateError as error:
                self._failed(error)
            await asyncio.sleep(BETWEEN_S if more else IDLE_S)

    def _answer(self, request: abci.Request) -> abci.Response:
        """A failure is told to both sides: the node stops on it, as it must where blocks cannot be executed."""
        try:
            return self._application.answer(request)
        except LockgateError as error:
            self._failed(error)
            return abci.Response(exception=abci.ResponseException(error=str(error)))


__all__ = ("AbciServer", "BadRequest", "read_message")
