"""Waiting for what a process needs and another process offers: ledgers start, stop and start again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from lockgate.hosting.work import Report
from lockgate.primitives.errors import Unavailable

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 2.0  # a restarted ledger is found again within this

T = TypeVar("T")


async def patiently(attempt: Callable[[], Awaitable[T]], report: Report) -> T:
    """Try until it works; each failure that time may mend is reported, every other one is raised."""
    pause = FIRST_PAUSE_S
    while True:
        try:
            return await attempt()
        except Unavailable as error:
            report("waiting", {"code": error.code, "detail": str(error)})
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_S)


__all__ = ("patiently",)
