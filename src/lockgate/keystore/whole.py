"""Small files that appear whole or not at all, and are there after a power loss as soon as the call returned.

What one file says may let another be erased: a next identity goes from a host's key file once it lies in its reserve,
whose passphrase is a file of its own. So each is on the disk, content and name, before anybody goes on.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path


def write_whole(path: Path, data: bytes, *, overwrite: bool = True, durable: bool = True) -> None:
    """Write a file that its owner alone reads, in a folder that is there.

    Not `durable`, it is whole, but a power loss may leave the one before. Raises FileExistsError unless `overwrite`,
    OSError.
    """
    # mkstemp creates with 0600 and exclusively; the same folder, so that the move is atomic.
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        if overwrite:
            temporary.replace(path)
        else:
            path.hardlink_to(temporary)  # fails where the name is taken; a rename would not
        if durable:
            sync_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """Make a folder, 0700, and those above that are missing, each named durably. Raises OSError."""
    missing = [each for each in (path, *path.parents) if not each.exists()]
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    for each in missing:
        sync_folder(each.parent)


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable: without this a new one may be lost although its content is safe."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


__all__ = ("make_folder", "sync_folder", "write_whole")
