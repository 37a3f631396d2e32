"""Both ports in memory, for tests and simulations."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable

from lockgate.envelope.bulk import BlobId
from lockgate.envelope.chunks import Layout
from lockgate.envelope.errors import BlobGone, BulkNoRoom, ChannelBroken
from lockgate.envelope.ports import Buffer


class MemoryBlobs:
    """An offer and its source in one; holds at most `most_bytes`."""

    def __init__(self, most_bytes: int = 1 << 28) -> None:
        self._most = most_bytes
        self._blobs: dict[BlobId, bytes] = {}

    def put(self, blob: BlobId, chunks: Iterable[Buffer], /) -> int:
        data = b"".join(bytes(chunk) for chunk in chunks)
        if sum(map(len, self._blobs.values())) + len(data) > self._most:
            raise BulkNoRoom("memory for blobs is full", limit=self._most)
        self._blobs[blob] = data
        return len(data)

    def withdraw(self, blob: BlobId, /) -> None:
        self._blobs.pop(blob, None)

    def keep_only(self, blobs: Iterable[BlobId], /) -> None:
        kept = set(blobs)
        self._blobs = {blob: data for blob, data in self._blobs.items() if blob in kept}

    async def fetch(self, blob: BlobId, layout: Layout, first: int, end: int, /) -> AsyncGenerator[Buffer, None]:
        data = self._blobs.get(blob)
        if data is None or len(data) < layout.offset(end):
            raise BlobGone("no such blob")
        if len(data) > layout.total:
            raise ChannelBroken("the blob is longer than its descriptor says", size=len(data))
        for index in range(first, end):
            start = layout.offset(index)
            yield data[start : start + layout.size(index)]


__all__ = ("MemoryBlobs",)
