"""Blobs out of a folder that both hosts reach: a mount, or one that something else keeps in step.

The folder may be slow, and its files may appear late and grow: what is not there yet is `ChannelDown`
and tried again. Reading runs in a thread, since a mount can block.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

from lockgate.envelope.bulk import BlobId
from lockgate.envelope.chunks import Layout
from lockgate.envelope.errors import BlobGone, ChannelBroken, ChannelDown
from lockgate.envelope.ports import Buffer
from lockgate.transport.shelf import open_blob

CHUNK_S: Final = 10.0  # for each chunk; a dead mount must not hold a message up to its deadline


class FolderSource:
    """Meets `BlobSource` with the files that a peer's `Shelf` wrote to `folder`."""

    def __init__(self, folder: Path, *, chunk_s: float = CHUNK_S) -> None:
        self._folder = folder
        self._chunk_s = chunk_s

    async def fetch(self, blob: BlobId, layout: Layout, first: int, end: int, /) -> AsyncGenerator[Buffer, None]:
        try:
            handle, size = open_blob(self._folder, blob)
        except BlobGone as error:
            raise ChannelDown("the folder has no such blob yet") from error
        try:
            if size > layout.total:
                raise ChannelBroken("the blob is longer than its descriptor says", size=size)
            for index in range(first, end):
                yield await self._read(handle, layout, index)
        finally:
            os.close(handle)

    async def _read(self, handle: int, layout: Layout, index: int) -> bytes:
        size = layout.size(index)
        try:
            async with asyncio.timeout(self._chunk_s):
                data = await asyncio.to_thread(os.pread, handle, size, layout.offset(index))
        except OSError as error:  # a timeout is one
            raise ChannelDown("the folder does not answer", index=index) from error
        if len(data) != size:
            raise ChannelDown("the blob is not whole yet", index=index)
        return data


__all__ = ("FolderSource",)
