"""Received bulk bodies as private files (0600): a body has its name only when it is whole and verified.

While it comes, a body is `NAME.part` beside a record of how far it is good, `NAME.progress`, written only
after the content it speaks of is on disk. A later process goes on from there; content past the record is
overwritten. Names are the host's own, never a peer's.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from lockgate.envelope.chunks import CHUNK_BYTES, ChunkOpener, Complete, Descriptor, Layout, Progress
from lockgate.envelope.errors import BulkNoRoom, BulkTooLarge, DescriptorMalformed
from lockgate.envelope.ports import Buffer
from lockgate.transport.files import PART, room_on_disk, sync_folder, write_all, written_whole

PROGRESS: Final = ".progress"
CHECKPOINT_CHUNKS: Final = 256  # 16 MiB: what a kill costs at most
KEEP_FREE: Final = 256 << 20  # bytes of the disk that bulk bodies leave to everything else
STALE_S: Final = 2 * 86_400  # a packet lives one day at most (P13)
_MODE: Final = 0o600


class Bodies:
    """A folder of received bodies, bounded: each body by `body_bytes`, all of them together by `total_bytes`."""

    def __init__(self, folder: Path, *, body_bytes: int, total_bytes: int, keep_free: int = KEEP_FREE) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder: Final = folder
        self._body_bytes = body_bytes
        self._total_bytes = total_bytes
        self._keep_free = keep_free
        self._coming: dict[str, int] = {}  # lengths of bodies under way

    def find(self, name: str) -> Path | None:
        """The file of a whole body."""
        path = self.folder / name
        return path if path.is_file() else None

    def begin(self, name: str, descriptor: Descriptor) -> Receiving:
        """Start to receive a body, or go on with it. It has its whole room until `rest` or `end`.

        Raises BulkTooLarge, BulkNoRoom.
        """
        length = descriptor.length
        if length > self._body_bytes:
            raise BulkTooLarge(size=length, limit=self._body_bytes)
        others = sum(size for other, size in self._coming.items() if other != name) + self._held()
        free = shutil.disk_usage(self.folder).free - self._keep_free
        if others + length > self._total_bytes or length - self._written(name) > free:
            raise BulkNoRoom("too many bodies are kept", size=length, kept=others, free=free)
        receiving = Receiving(self.folder / name, descriptor)
        self._coming[name] = length
        return receiving

    def rest(self, name: str) -> None:
        """A body waits for whoever has the rest of it: it takes the room of what has come."""
        self._coming[name] = self._written(name)

    def end(self, name: str) -> None:
        """A body is no longer under way: its room is what its file takes."""
        self._coming.pop(name, None)

    def remove(self, name: str) -> None:
        """Delete a body, whole or not."""
        self.end(name)
        for path in _files(self.folder / name):
            path.unlink(missing_ok=True)

    def keep_until(self, name: str, until: int) -> None:
        """Note with a whole body, as the time of its file, until when somebody may need it: UnixNanos."""
        os.utime(self.folder / name, ns=(until, until))

    def whole(self) -> dict[str, int]:
        """All whole bodies by name, with what was noted, or when they came."""
        found = [path for path in self.folder.iterdir() if not path.name.endswith((PART, PROGRESS))]
        return {path.name: path.stat().st_mtime_ns for path in found}

    def forget_stale(self) -> None:
        """Remove unfinished bodies that no packet can still be waiting for."""
        oldest = time.time() - STALE_S
        for path in self.folder.iterdir():
            if path.name.endswith((PART, PROGRESS)) and path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)

    def _written(self, name: str) -> int:
        """Bytes of an unfinished body that are on the disk."""
        part = _files(self.folder / name)[1]
        return part.stat().st_size if part.exists() else 0

    def _held(self) -> int:
        return sum(path.stat().st_size for path in self.folder.iterdir() if not path.name.endswith((PART, PROGRESS)))


class Receiving:
    """One body under way. Its calls block; `take` and `finish` are for a worker thread."""

    def __init__(self, path: Path, descriptor: Descriptor) -> None:
        self._path = path
        self._part, self._record = _files(path)[1:]
        progress = self._saved(descriptor)
        self._opener = ChunkOpener(descriptor, progress)
        self._saved_count = self._opener.progress.count
        with room_on_disk():
            self._handle = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, _MODE)
            os.ftruncate(self._handle, min(self.count * CHUNK_BYTES, descriptor.length))
            os.lseek(self._handle, 0, os.SEEK_END)

    @property
    def layout(self) -> Layout:
        return self._opener.descriptor.layout

    @property
    def count(self) -> int:
        """Chunks that are verified and written."""
        return self._opener.progress.count

    def take(self, frames: Iterable[Buffer]) -> None:
        """Verify sealed chunks in order and write their content.

        What was good before a refused chunk stands. Raises ChunkRefused, StreamLength, BulkNoRoom.
        """
        contents: list[bytes] = []
        try:
            for frame in frames:
                contents.append(self._opener.open(frame))  # noqa: PERF401  # kept when a later one is refused
        finally:
            self._write(contents)
        if self.count - self._saved_count >= CHECKPOINT_CHUNKS:
            self.checkpoint()

    def checkpoint(self) -> None:
        """Make what is written durable, and record it, so that a later process goes on from here."""
        progress = self._opener.progress
        if progress.count == self._saved_count or self._handle < 0:
            return
        with room_on_disk():
            os.fdatasync(self._handle)
        with written_whole(self._record, _MODE) as handle:
            write_all(handle, [progress.encode()])
        self._saved_count = progress.count

    def finish(self) -> Complete:
        """Give the body its name. Raises StreamLength when chunks are missing."""
        complete = self._opener.finish()
        with room_on_disk():
            os.fsync(self._handle)
        self._part.replace(self._path)
        sync_folder(self._path.parent)
        self._record.unlink(missing_ok=True)
        self.close()
        return complete

    def close(self) -> None:
        """Let the file go; what was received stays for a later one."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _write(self, contents: list[bytes]) -> None:
        try:
            with room_on_disk():
                write_all(self._handle, [content for content in contents if content])
        except BaseException:
            # The tree has run ahead of the file: only what is recorded counts now.
            self.close()
            raise

    def _saved(self, descriptor: Descriptor) -> Progress | None:
        """The record of this very body, if the content it speaks of is there."""
        with suppress(OSError, DescriptorMalformed):
            progress = Progress.decode(self._record.read_bytes())
            needed = min(progress.count * CHUNK_BYTES, descriptor.length)
            if (
                progress.root == descriptor.root
                and progress.count <= descriptor.count
                and self._part.stat().st_size >= needed
            ):
                return progress
        return None


def _files(path: Path) -> Sequence[Path]:
    """The whole body, the unfinished one, its record."""
    return path, path.with_name(path.name + PART), path.with_name(path.name + PROGRESS)


__all__ = ("Bodies", "Receiving")
