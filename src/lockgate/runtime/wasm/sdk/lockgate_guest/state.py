"""Key-value state: the only thing that lasts between calls. Keys and values are non-empty bytes."""

from __future__ import annotations

from collections.abc import Iterator

from ._host import host

_PAGE = 256


def get(key: bytes) -> bytes | None:
    return host().get(key)


def put(key: bytes, value: bytes) -> None:
    host().set(key, value)


def delete(key: bytes) -> None:
    host().delete(key)


def scan(prefix: bytes, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
    """Yield the pairs whose key starts with `prefix`, ascending; those behind prefix + `after`, if given."""
    start = prefix + after + b"\0" if after else prefix
    end = _after(prefix)
    while pairs := host().scan(start, end, _PAGE):
        yield from pairs
        start = pairs[-1][0] + b"\0"


def _after(prefix: bytes) -> bytes:
    """Return the first key behind all that start with `prefix`; empty when there is none."""
    trimmed = prefix.rstrip(b"\xff")
    return trimmed[:-1] + bytes((trimmed[-1] + 1,)) if trimmed else b""
