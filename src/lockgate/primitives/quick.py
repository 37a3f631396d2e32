"""Two things that a batch of packets asks for by the thousand, without their detours.

`make(Kind, fields)` is a named tuple from a tuple of its fields, all of them and in order: what the
constructor does, without a Python frame of its own.

`short_sha256` is SHA-256 of few bytes. OpenSSL's sets up a context by name for each digest, which for a
node of a tree takes longer than to hash it; the interpreter's own module has no such cost, and is three
times slower from some hundred bytes on. Where an interpreter comes without it, OpenSSL's serves.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from typing import Final, Protocol


class Digest(Protocol):
    """What a hash function returns."""

    def update(self, data: bytes, /) -> None: ...

    def digest(self) -> bytes: ...

    def copy(self) -> Digest: ...


_found: Callable[[bytes], Digest] = hashlib.sha256
with contextlib.suppress(ImportError):
    from _sha256 import sha256 as _found  # type: ignore[import-not-found, no-redef]  # CPython up to 3.11; no stubs
with contextlib.suppress(ImportError):
    from _sha2 import sha256 as _found  # type: ignore[import-not-found, no-redef]  # from 3.12; no stubs

short_sha256: Final[Callable[[bytes], Digest]] = _found
SHORT: Final = 192  # bytes up to which `short_sha256` is the faster one, measured on x86-64
make = tuple.__new__

__all__ = ("SHORT", "make", "short_sha256")
