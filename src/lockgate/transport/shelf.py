"""A folder of sealed blobs: what this host offers to its peers until the packets that name them end."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from lockgate.envelope.bulk import BlobId
from lockgate.envelope.errors import BlobGone
from lockgate.envelope.ports import Buffer
from lockgate.transport.files import PART, written_whole

SUFFIX: Final = ".blob"
_LABEL: Final = b"lockgate/blob-name/1"


def file_name(blob: BlobId) -> str:
    """Name of a blob's file. It is a hash: who lists the folder does not learn locators."""
    return hashlib.sha256(_LABEL + blob).hexdigest() + SUFFIX


def open_blob(folder: Path, blob: BlobId) -> tuple[int, int]:
    """A handle on a blob's file and its length in bytes; raises BlobGone.

    Links and devices are not followed: whoever may write to a shared folder could point at others' files.
    """
    try:
        handle = os.open(folder / file_name(blob), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise BlobGone("no such blob") from error
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode):
        os.close(handle)
        raise BlobGone("no such blob")
    return handle, found.st_size


class Shelf:
    """Meets `BlobOffer` with one file per blob."""

    def __init__(self, folder: Path, mode: int = 0o600) -> None:
        """`mode` is that of the files: in a folder shared with other users they need to be readable."""
        folder.mkdir(mode=0o700 if mode == 0o600 else 0o755, parents=True, exist_ok=True)
        self.folder: Final = folder
        self._mode = mode

    def put(self, blob: BlobId, chunks: Iterable[Buffer], /) -> int:
        size = 0
        with (
            written_whole(self.folder / file_name(blob), self._mode) as handle,
            os.fdopen(handle, "wb", 0, closefd=False) as file,
        ):
            for chunk in chunks:
                view = memoryview(chunk)
                while view:
                    written = file.write(view)
                    size += written
                    view = view[written:]
        return size

    def withdraw(self, blob: BlobId, /) -> None:
        with suppress(FileNotFoundError):
            (self.folder / file_name(blob)).unlink()

    def keep_only(self, blobs: Iterable[BlobId], /) -> None:
        kept = {file_name(blob) for blob in blobs}
        for entry in self.folder.iterdir():
            if entry.name.endswith((SUFFIX, SUFFIX + PART)) and entry.name not in kept:
                entry.unlink(missing_ok=True)


__all__ = ("SUFFIX", "Shelf", "file_name", "open_blob")
