"""Waits that differ from relayer to relayer.

Relayers that failed together, on a ledger that was away or on a packet that was refused, would come back
together, and again after every doubling. So each waits between half and the whole of what it should.
"""

from __future__ import annotations

from typing import Final

from lockgate.primitives.ports import Rng

LEAST: Final = 0.5  # of a wait: what is left of the pause that a doubling promises
_BYTES: Final = 4  # far finer than any clock that reads it


class Jitter:
    """Draws shares of waits."""

    def __init__(self, rng: Rng) -> None:
        self._rng = rng

    def share(self) -> float:
        """From LEAST up to, not including, one."""
        return LEAST + (1 - LEAST) * int.from_bytes(self._rng.bytes(_BYTES), "big") / (1 << 8 * _BYTES)


__all__ = ("Jitter",)
