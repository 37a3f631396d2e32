"""Time, as the ledger's last signed header has it. It stands still during a call."""

from __future__ import annotations

from ._host import host


def time_ns() -> int:
    """Return nanoseconds since 1970."""
    return host().time()
