"""One validator after the other is killed and started again, while a cluster works."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import Final

from lockgate.node import net
from lockgate.node.net import Record

HALVES: Final = ("both", "node", "application")  # of a validator, in turn
DOWN_S: Final = 1.0
BETWEEN_S: Final = 0.5  # after one has caught up, before the next one goes


async def one_at_a_time(record: Record, over: asyncio.Event) -> int:
    """Go on until `over`, and leave every validator up; returns how many were killed. Raises NetNotRunning."""
    for killed in itertools.count():
        if over.is_set():
            return killed
        index = killed % record.validators
        half = HALVES[killed // record.validators % len(HALVES)]
        await net.ask(record, "kill", validator=index, half=half)
        await _unless(over, DOWN_S)
        await net.ask(record, "restart", validator=index)
        await _unless(over, BETWEEN_S)
    raise AssertionError("unreachable")


async def _unless(over: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(over.wait(), seconds)


__all__ = ("one_at_a_time",)
