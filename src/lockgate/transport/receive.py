"""Fetches one body: the next chunks come in while a thread verifies and writes those before them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import aclosing
from typing import Any, Final, TypeVar

from lockgate.envelope.bulk import BlobId
from lockgate.envelope.chunks import Complete
from lockgate.envelope.ports import BlobSource, Buffer
from lockgate.transport.bodies import Receiving

T = TypeVar("T")
BATCH: Final = 16  # chunks to a thread at once: 1 MiB; two batches are held at most


async def receive(source: BlobSource, blob: BlobId, body: Receiving) -> Complete:
    """Fetch what is missing of `body` and give it its name.

    However this ends, chunks that were verified are recorded, and calling it again goes on after them.
    Raises BlobGone, ChannelBroken, ChannelDown, ChunkRefused, BulkNoRoom.
    """
    layout = body.layout
    writer = _Writer(body)
    try:
        async with aclosing(source.fetch(blob, layout, body.count, layout.count)) as chunks:
            async for chunk in chunks:
                await writer.add(chunk)
        await writer.flush()
        return await _undivided(asyncio.to_thread(body.finish))
    except BaseException:
        await _undivided(writer.settle())
        await _undivided(asyncio.to_thread(body.checkpoint))
        raise


class _Writer:
    """Hands batches to a thread, one at a time: the next fills while the last is verified and written."""

    def __init__(self, body: Receiving) -> None:
        self._body = body
        self._batch: list[Buffer] = []
        self._writing: asyncio.Task[None] | None = None

    async def add(self, chunk: Buffer) -> None:
        self._batch.append(chunk)
        if len(self._batch) == BATCH:
            await self._next()

    async def flush(self) -> None:
        """Wait until everything is written. Raises what verifying or writing raised."""
        await self._next()
        await self._next()

    async def settle(self) -> None:
        """After a failure: keep what is good of what has come. A thread cannot be stopped; wait for it."""
        if self._writing is None or not await _failed(self._writing):
            await _failed(asyncio.create_task(asyncio.to_thread(self._body.take, self._batch)))

    async def _next(self) -> None:
        if self._writing is not None:
            await asyncio.shield(self._writing)
        batch, self._batch = self._batch, []
        self._writing = asyncio.create_task(asyncio.to_thread(self._body.take, batch))


async def _undivided(work: Coroutine[Any, Any, T]) -> T:
    """Wait for a thread's work to its end, however often this is cancelled meanwhile.

    Our caller closes the file and may remove it. A thread that still worked on it would write to whatever is opened
    next under the file's number, and give a removed body its name.
    """
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return task.result()
    if not task.cancelled():
        task.exception()  # looked at: what interrupts goes first
    raise cancelled


async def _failed(task: asyncio.Task[None]) -> bool:
    await asyncio.wait([task])
    return task.cancelled() or task.exception() is not None


__all__ = ("receive",)
