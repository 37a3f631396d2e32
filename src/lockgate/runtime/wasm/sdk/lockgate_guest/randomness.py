"""Two kinds of random bytes. They are two functions so that no caller gets the wrong one unawares."""

from __future__ import annotations

from ._host import host

_MOST = 32_768  # of one request to the host


def public_random(count: int) -> bytes:
    """Bytes anybody can check afterwards, and whoever orders blocks can influence."""
    return b"".join(host().public_random(part) for part in _parts(count))


def secret_random(count: int) -> bytes:
    """Bytes nobody outside this host can predict, and nobody can check."""
    return b"".join(host().secret_random(part) for part in _parts(count))


def _parts(count: int) -> list[int]:
    whole, rest = divmod(count, _MOST)
    return [_MOST] * whole + [rest] * (rest > 0)
