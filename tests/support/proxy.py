"""A real HTTP proxy in front of a node's RPC that poisons what passes: lies, lags, cuts, floods, or says nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Self

import uvicorn

from lockgate.engines.embedded.rpc_methods import Methods
from lockgate.engines.embedded.rpc_server import application
from lockgate.relay.http import HttpFailed, HttpPool
from tests.support.relays import Pair


@contextlib.asynccontextmanager
async def served(pair: Pair) -> AsyncIterator[str]:
    """The RPC of ledger alpha of a running pair, on loopback; gives its address."""
    methods = Methods(pair.services[0], node_id="0" * 40, moniker="alpha")
    config = uvicorn.Config(
        application(methods), port=0, log_level="error", lifespan="off", access_log=False, ws="websockets-sansio"
    )
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]  # pytest's
    serving = asyncio.create_task(server.serve())
    try:
        await pair.until(lambda: server.started)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


MOST = 64 * 1024 * 1024
Json = dict[str, Any]
Spoil = Callable[[str, Json, Json], Json]


def honest(method: str, params: Json, result: Json) -> Json:
    return result


@dataclass
class Proxy:
    """Serves on loopback while the `async with` block lasts. What it does may be changed at any time."""

    upstream: Callable[[], str]
    spoil: Spoil = honest
    delay_s: float = 0.0
    cut: bool = False  # the connection closes in the middle of each answer
    flood: int = 0  # bytes of padding in each answer
    served: int = 0
    address: str = ""
    _server: asyncio.Server | None = None
    _open: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        pool = HttpPool(self.upstream(), timeout_s=10.0, most=MOST)
        try:
            while await self._answer(reader, writer, pool):
                pass
        except (OSError, EOFError, HttpFailed, asyncio.CancelledError):
            pass
        finally:
            self._open.discard(task)
            writer.close()
            await pool.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pool: HttpPool) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"post"):
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return False
        request = await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
        _, body = await pool.post(request)
        self.served += 1
        await asyncio.sleep(self.delay_s)
        body = self._spoiled(json.loads(request), body) + b" " * self.flood
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
        writer.write(body[: len(body) // 2] if self.cut else body)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        return not self.cut

    def _spoiled(self, request: Any, body: bytes) -> bytes:
        if self.spoil is honest:
            return body
        requests, answers = (each if isinstance(each, list) else [each] for each in (request, json.loads(body)))
        by_id = {each["id"]: each for each in requests}
        for answer in answers:
            if "result" in answer:
                asked = by_id[answer["id"]]
                answer["result"] = self.spoil(asked["method"], asked["params"], answer["result"])
        return json.dumps(answers if isinstance(request, list) else answers[0]).encode()


__all__ = ("Proxy", "honest", "served")
