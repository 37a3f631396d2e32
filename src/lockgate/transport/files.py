"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from lockgate.envelope.errors import BulkNoRoom

PART: Final = ".part"  # what a file is called until it is whole
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def sync_folder(folder: Path) -> None:
    """Make names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_all(handle: int, pieces: list[bytes]) -> None:
    """Write every byte of `pieces` at the file's position; the disk may take them in parts."""
    views = [memoryview(piece) for piece in pieces]
    while views:
        written = os.writev(handle, views)
        while views and written >= len(views[0]):
            written -= len(views.pop(0))
        if views:
            views[0] = views[0][written:]


@contextmanager
def room_on_disk() -> Iterator[None]:
    """Name a full disk; other failures of the system pass."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise BulkNoRoom("the disk is full") from error
        raise


@contextmanager
def written_whole(path: Path, mode: int) -> Iterator[int]:
    """A handle to write `path` with: synced and named `path` at the end, removed when anything fails."""
    part = path.with_name(path.name + PART)
    with suppress(FileNotFoundError):
        part.unlink()
    try:
        with room_on_disk():
            handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
            try:
                os.fchmod(handle, mode)
                yield handle
                os.fsync(handle)
            finally:
                os.close(handle)
            part.replace(path)
            sync_folder(path.parent)
    except BaseException:
        with suppress(FileNotFoundError):
            part.unlink()
        raise


__all__ = ("PART", "room_on_disk", "sync_folder", "write_all", "written_whole")
