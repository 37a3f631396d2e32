"""Snapshots of a ledger's state as files: a folder for each, with its chunks and its metadata.

One that is being written has another name until it is whole, and is cleared away when the next one begins.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from lockgate.storage.ledger import StoreBroken, StoreFull

METADATA: Final = "metadata"
PART: Final = "part"


class SnapshotFiles:
    """Meets `engines.shared.ports.SnapshotStore`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._height = 0
        self._chunks = 0

    def begin(self, height: int, /) -> None:
        with _named():
            shutil.rmtree(self._part, ignore_errors=True)
            self._part.mkdir(mode=0o700, parents=True)
        self._height, self._chunks = height, 0

    def add_chunk(self, data: bytes, /) -> None:
        with _named():
            (self._part / str(self._chunks)).write_bytes(data)
        self._chunks += 1

    def finish(self, metadata: bytes, /) -> None:
        with _named():
            (self._part / METADATA).write_bytes(metadata)
            self.remove(self._height)
            self._part.rename(self._root / str(self._height))

    def listed(self) -> list[tuple[int, bytes]]:
        """Height and metadata of each, the newest first; what does not read is none."""
        heights = (int(path.name) for path in self._root.glob("*") if path.name.isdecimal())
        found = []
        for height in sorted(heights, reverse=True):
            try:
                found.append((height, (self._root / str(height) / METADATA).read_bytes()))
            except OSError:
                continue
        return found

    def chunk(self, height: int, index: int, /) -> bytes | None:
        try:
            return (self._root / str(height) / str(index)).read_bytes()
        except OSError:
            return None

    def remove(self, height: int, /) -> None:
        shutil.rmtree(self._root / str(height), ignore_errors=True)

    @property
    def _part(self) -> Path:
        return self._root / PART


@contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreFull("no space for a snapshot") from error
        raise StoreBroken("a snapshot cannot be written", cause=type(error).__name__) from error


__all__ = ("SnapshotFiles",)
