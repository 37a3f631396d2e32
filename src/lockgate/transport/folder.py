"""Blobs out of a folder that both hosts reach: a mount, or one that something else keeps in step.

The folder may be slow, and its files may appear late and grow: what is not there yet is `ChannelDown`
and tried again. Opening and reading run in threads of the source's own, since a mount can block: those of a dead
one stay in it, and must not be the threads that everything else of the process needs.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

from lockgate.envelope.bulk import BlobId
from lockgate.envelope.chunks import Layout
from lockgate.envelope.errors import BlobGone, ChannelBroken, ChannelDown
from lockgate.envelope.ports import Buffer
from lockgate.transport.shelf import open_blob

CHUNK_S: Final = 10.0  # for each chunk; a dead mount must not hold a message up to its deadline
THREADS: Final = 2  # what a host fetches of one peer at once


class FolderSource:
    """Meets `BlobSource` with the files that a peer's `Shelf` wrote to `folder`."""

    def __init__(self, folder: Path, *, chunk_s: float = CHUNK_S) -> None:
        self._folder = folder
        self._chunk_s = chunk_s
        self._threads = ThreadPoolExecutor(THREADS, "folder")

    async def fetch(self, blob: BlobId, layout: Layout, first: int, end: int, /) -> AsyncGenerator[Buffer, None]:
        handle, size = await self._open(blob)
        try:
            if size > layout.total:
                raise ChannelBroken("the blob is longer than its descriptor says", size=size)
            for index in range(first, end):
                yield await self._read(handle, layout, index)
        finally:
            os.close(handle)

    async def _open(self, blob: BlobId) -> tuple[int, int]:
        opening = self._threads.submit(open_blob, self._folder, blob)
        try:
            async with asyncio.timeout(self._chunk_s):
                return await asyncio.wrap_future(opening)
        except BlobGone as error:
            raise ChannelDown("the folder has no such blob yet") from error
        except BaseException as error:
            opening.add_done_callback(_let_go)  # a thread in the mount may come back with a file
            if isinstance(error, TimeoutError):
                raise ChannelDown("the folder does not answer") from error
            raise

    async def _read(self, handle: int, layout: Layout, index: int) -> bytes:
        size = layout.size(index)
        try:
            async with asyncio.timeout(self._chunk_s):
                reading = self._threads.submit(os.pread, handle, size, layout.offset(index))
                data = await asyncio.wrap_future(reading)
        except OSError as error:  # a timeout is one
            raise ChannelDown("the folder does not answer", index=index) from error
        if len(data) != size:
            raise ChannelDown("the blob is not whole yet", index=index)
        return data


def _let_go(opening: Future[tuple[int, int]]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        os.close(opening.result()[0])


__all__ = ("FolderSource",)
