"""The same, for programs without an event loop: one thread runs one, and every call waits for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Collection, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from lockgate.node.api.connection import DEFAULT_SCHEMA, DEFAULT_TIMEOUT_S, Connection, Packet, Place, connect, verify
from lockgate.node.api.values import Ended, Happened, Received, Reply, Sent
from lockgate.node.findings import Finding
from lockgate.node.story import Story

T = TypeVar("T")


class SyncConnection:
    """`Connection` with plain methods; see there. Use as a context manager, from any one thread."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="lockgate", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._do(self._connection.__aenter__())
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def send(
        self, to: str, body: bytes | Path, *, schema: str = DEFAULT_SCHEMA, timeout: int = DEFAULT_TIMEOUT_S
    ) -> Sent:
        return self._do(self._connection.send(to, body, schema=schema, timeout=timeout))

    def wait(self, message: Sent | str, *, patience: float | None = None) -> Ended:
        return self._do(self._connection.wait(message, patience=patience))

    def call(
        self,
        to: str,
        body: bytes | Path,
        *,
        schema: str = DEFAULT_SCHEMA,
        timeout: int = DEFAULT_TIMEOUT_S,
        patience: float | None = None,
    ) -> Reply:
        return self._do(self._connection.call(to, body, schema=schema, timeout=timeout, patience=patience))

    def command(self, data: bytes) -> bytes:
        return self._do(self._connection.command(data))

    def subscribe(self, since: int | None = None) -> Iterator[Happened]:
        events = self._connection.subscribe(since)
        try:
            while True:
                yield self._do(_next(events))
        except StopAsyncIteration:
            return
        finally:
            self._do(events.aclose())

    def inbox(self, limit: int = 100) -> list[Received]:
        return self._do(self._connection.inbox(limit))

    def outbox(self, limit: int = 100, before: Ended | str = "") -> list[Ended]:
        return self._do(self._connection.outbox(limit, before))

    def status(self) -> dict[str, Any]:
        return self._do(self._connection.status())

    def trace(self, packet: Packet, *, rpc: Sequence[str] = ()) -> Story:
        return self._do(self._connection.trace(packet, rpc=rpc))

    def prove(self, packet: Packet, *, rpc: Sequence[str] = (), start: int = 0) -> bytes:
        return self._do(self._connection.prove(packet, rpc=rpc, start=start))

    @staticmethod
    def verify(bundle: bytes, trust: Collection[str] = ()) -> Finding:
        return verify(bundle, trust)

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def connect_sync(place: Place, host: str | None = None) -> SyncConnection:
    """`connect`, for programs without an event loop."""
    return SyncConnection(connect(place, host))


async def _next(events: AsyncIterator[Happened]) -> Happened:
    return await anext(events)


__all__ = ("SyncConnection", "connect_sync")
