"""A file into a sealed blob, in constant memory."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from lockgate.envelope.bulk import BlobId, locator_of
from lockgate.envelope.chunks import CHUNK_BYTES, ChunkSealer, Descriptor, seal_stream
from lockgate.envelope.errors import BulkTooLarge, FileUnreadable
from lockgate.envelope.ports import BlobOffer


def seal_file(path: Path, content_key: bytes, alg: int, blob: BlobId, offer: BlobOffer, most_bytes: int) -> Descriptor:
    """Seal a regular file under a fresh key and offer it as `blob`; return what opens it. Blocks.

    A file that grows meanwhile is sealed as far as it was read, never beyond `most_bytes`. Raises
    FileUnreadable, BulkTooLarge, BulkNoRoom.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe must not block the host
    except OSError as error:
        raise FileUnreadable(error.strerror or "", file=str(path)) from error
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise FileUnreadable("not a regular file", file=str(path))
        if found.st_size > most_bytes:
            raise BulkTooLarge(size=found.st_size, limit=most_bytes)
        sealer = ChunkSealer(content_key, alg)
        offer.put(blob, (chunk.frame for chunk in seal_stream(sealer, _pieces(handle, most_bytes))))
    finally:
        os.close(handle)
    return sealer.finish(locator_of(blob))


def _pieces(handle: int, most_bytes: int) -> Iterator[bytes]:
    read = 0
    while piece := _read(handle):
        read += len(piece)
        if read > most_bytes:
            raise BulkTooLarge("the file grew while it was read", limit=most_bytes)
        yield piece


def _read(handle: int) -> bytes:
    try:
        return os.read(handle, CHUNK_BYTES)
    except OSError as error:
        raise FileUnreadable(error.strerror or "") from error


__all__ = ("seal_file",)
