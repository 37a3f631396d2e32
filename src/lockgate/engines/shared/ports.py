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

    def meta(self, name: str, /) -> bytes | None: ...

    def set_meta(self, name: str, value: bytes, /) -> None: ...


__all__ = ("AppStore",)
