"""Python's cycle collector in a ledger's process.

A full collection walks every container there is: tenths of a second over a ledger's state, while no block is made.
It would find nothing, for a block is made without one cycle (a test counts), and what serving leaves behind dies
young. So what a process has loaded is set aside, and full collections come a hundred times more rarely.
"""

from __future__ import annotations

import gc
from typing import Final

FULL_EVERY: Final = 1_000  # collections of the middle generation: some seven million containers that stayed


def settle() -> None:
    """Call when everything is loaded."""
    gc.freeze()
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, FULL_EVERY)


__all__ = ("FULL_EVERY", "settle")
