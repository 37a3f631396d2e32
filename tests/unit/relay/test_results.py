"""A node shows a block a moment before it has what the block did, and is asked again; nothing else is."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from lockgate.relay import heights
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.rpc import RpcError
from tests.support.relays import FaultyRpc, Pair


def asked(words: str, times: int) -> int:
    """How often block_results was asked for, of a node that says these words so many times first."""
    said = 0

    async def before(method: str, params: dict[str, Any]) -> None:
        nonlocal said
        if method == "block_results" and said < times:
            said += 1
            raise RpcError(words)

    async def work() -> int:
        pair = Pair.make()
        async with pair.running():
            rpc = FaultyRpc(pair.rpc(pair.a), before=before)
            await CometBftChain(rpc, "alpha-1").block_events(2)
            return rpc.calls.count("block_results")

    return asyncio.run(work())


def test_results_that_are_late_are_waited_for() -> None:
    assert asked("could not find results for height #2", 3) == 4


def test_results_that_do_not_come_are_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heights, "RESULTS_WAIT_S", 0.1)
    with pytest.raises(RpcError, match="could not find results"):
        asked("could not find results for height #2", 1_000)


def test_another_failure_is_not_asked_about_again() -> None:
    with pytest.raises(RpcError, match="height 2 is not available"):
        asked("height 2 is not available", 1)
