"""Waiting for what a process needs and another process offers: ledgers start, stop and start again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

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


async def together(*steps: Coroutine[Any, Any, object]) -> None:
    """Run steps at once. When one fails the others are cancelled, and have ended when its failure is raised."""
    tasks = [asyncio.ensure_future(step) for step in steps]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


__all__ = ("patiently", "together")
