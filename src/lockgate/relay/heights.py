"""One method asked for several heights at once. Raises what any of them raises."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from lockgate.relay.rpc import Calls, RpcError, call_many

RESULTS_LATE: Final = "could not find results"  # CometBFT's words
RESULTS_WAIT_S: Final = 2.0  # far longer than a block takes to execute
ASK_AGAIN_S: Final = 0.05


async def of_heights(rpc: Calls, method: str, heights: Sequence[int]) -> list[dict[str, Any]]:
    """The answers in the order of the heights."""
    answers = await call_many(rpc, method, [{"height": str(height)} for height in heights])
    found = []
    for answer in answers:
        if isinstance(answer, RpcError):
            raise answer
        found.append(answer)
    return found


async def results_of(rpc: Calls, heights: Sequence[int]) -> list[dict[str, Any]]:
    """`block_results`, waited for: a node shows a block a moment before it has what the block did."""
    now = asyncio.get_running_loop().time
    deadline = now() + RESULTS_WAIT_S
    while True:
        try:
            return await of_heights(rpc, "block_results", heights)
        except RpcError as error:
            if RESULTS_LATE not in str(error) or now() >= deadline:
                raise
        await asyncio.sleep(ASK_AGAIN_S)


__all__ = ("of_heights", "results_of")
