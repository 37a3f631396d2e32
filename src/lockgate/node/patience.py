"""Waiting for what a process needs and another process offers: ledgers start, stop and start again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

from lockgate.hosting.work import Report
from lockgate.primitives.errors import Unavailable
from lockgate.relay.chains.cometbft import CometBftChain

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 2.0  # a restarted ledger is found again within this
BLOCK_S: Final = 600.0  # for one block: a quiet ledger makes one at each heartbeat

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


async def reached(chain: CometBftChain, height: int) -> None:
    """Wait until a ledger has a height, for as long as it makes blocks. Raises NotYet where the next one stays away."""
    at = (await chain.tip()).height.height
    while at < height:
        at = (await chain.header_at_least(at + 1, BLOCK_S)).height.height


__all__ = ("BLOCK_S", "patiently", "reached", "together")
