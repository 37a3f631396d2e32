"""What an engine that keeps state, and leaves blocks to others, needs of a disk (met by `storage`)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Protocol


class AppStore(Protocol):
    """Waiting packets and small named values. Writes happen inside `commit()`, one atomic transaction."""

    def commit(self) -> AbstractContextManager[None]: ...

    def add_bodies(self, bodies: Mapping[bytes, bytes | None], /) -> None:
        """Put packets that wait into their table; None takes one out."""
        ...

    def body(self, key: bytes, /) -> bytes | None: ...

    def body_keys(self) -> list[bytes]:
        """Of every packet that waits, ascending."""
        ...

    def meta(self, name: str, /) -> bytes | None: ...

    def set_meta(self, name: str, value: bytes, /) -> None: ...

    def remove_meta(self, name: str, /) -> None: ...


class SnapshotStore(Protocol):
    """Snapshots on their way out, by height. One is begun at a time, and seen when it is finished."""

    def begin(self, height: int, /) -> None:
        """Begin one; what was begun before and not finished is gone."""
        ...

    def add_chunk(self, data: bytes, /) -> None: ...

    def finish(self, metadata: bytes, /) -> None: ...

    def listed(self) -> list[tuple[int, bytes]]:
        """Height and metadata of each, the newest first."""
        ...

    def chunk(self, height: int, index: int, /) -> bytes | None: ...

    def remove(self, height: int, /) -> None: ...


__all__ = ("AppStore", "SnapshotStore")
