"""What a ledger's process asks of Python's cycle collector."""

from __future__ import annotations

import gc

from lockgate.node import collector


def test_what_is_loaded_is_set_aside_and_full_collections_are_rare() -> None:
    before = gc.get_threshold()
    try:
        collector.settle()
        assert gc.isenabled(), "what dies young is still collected"
        assert gc.get_threshold() == (*before[:2], collector.FULL_EVERY)
        assert gc.get_freeze_count() > 10_000
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
