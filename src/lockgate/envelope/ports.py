"""What bulk bodies need of a transport: a place to offer sealed chunks, and a way to fetch a peer's.

A channel is untrusted. It carries ciphertext, and every chunk is verified by whoever fetched it, so all
that a channel can do is not deliver; an adapter turns that into one of three failures, in bounded time
and memory. Adapters: Unix socket, TCP, a shared folder (`transport`), and memory.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from typing import Protocol

from lockgate.envelope.bulk import BlobId
from lockgate.envelope.chunks import Layout

Buffer = bytes | bytearray | memoryview


class BlobOffer(Protocol):
    """Where a sender puts sealed bodies until their packets have ended. The calls may block."""

    def put(self, blob: BlobId, chunks: Iterable[Buffer], /) -> int:
        """Store the chunks one behind another; return their bytes.

        The blob can be fetched when this returns, and is not there at all when it raises. Raises
        BulkNoRoom, or what `chunks` raises.
        """
        ...

    def withdraw(self, blob: BlobId, /) -> None:
        """Delete a blob; nothing happens when there is none."""
        ...

    def keep_only(self, blobs: Iterable[BlobId], /) -> None:
        """Delete every blob but these: what a killed process left behind."""
        ...


class BlobSource(Protocol):
    """Where the blobs of one peer are fetched."""

    def fetch(self, blob: BlobId, layout: Layout, first: int, end: int, /) -> AsyncGenerator[Buffer, None]:
        """Yield sealed chunks first..end-1 in order, each of the length `layout` gives it, unverified.

        Holds one chunk at a time; the caller closes it when it stops early. Raises BlobGone,
        ChannelBroken, ChannelDown.
        """
        ...


__all__ = ("BlobOffer", "BlobSource", "Buffer")
