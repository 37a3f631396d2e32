"""Real nodes over loopback, one behind a proxy that poisons it: what the fakes do, byte for byte on a socket."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from lockgate.primitives.errors import Unavailable
from lockgate.relay import rpc as rpc_module
from lockgate.relay import sources as pool
from lockgate.relay import sources_chain
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.rpc import Rpc
from tests.support.proxy import Proxy, served
from tests.support.relays import Pair
from tests.support.sources import Json, codes, poison, several
from tests.unit.relay.test_sources_chain import another_chain, bent_value, everything, lags, no_events

SMALL = 1 << 20
CASES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "lies": ({"spoil": poison}, {"sources.lied", "sources.unusable", "sources.outvoted"}),
    "lies about values": ({"spoil": bent_value}, {"sources.lied"}),
    "hides events": ({"spoil": no_events}, {"sources.outvoted"}),
    "lags": ({"spoil": lags}, {"sources.behind"}),
    "is slow": ({"delay_s": 30.0}, {"sources.silent"}),
    "serves another chain": ({"spoil": another_chain}, {"sources.unusable"}),
    "cuts its answers": ({"cut": True}, {"sources.silent"}),
    "sends huge ones": ({"flood": SMALL}, {"sources.unusable"}),
}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc_module, "MAX_ANSWER", SMALL)
    monkeypatch.setattr(pool, "ANSWER_S", 1.0)
    monkeypatch.setattr(pool, "GRACE_S", 0.1)
    monkeypatch.setattr(pool, "SETTLE_S", 0.3)
    monkeypatch.setattr(sources_chain, "BEHIND_S", 0.1)


@pytest.mark.parametrize("case", CASES)
def test_a_proxy_poisons_one_of_three(case: str) -> None:
    async def work() -> None:
        pair = Pair.make(heartbeat_s=0.05)
        async with pair.running(), served(pair) as address, Proxy(lambda: address) as bad:
            pair.send(3)
            await pair.until(lambda: pair.a.ledger.height > 8)
            rpcs = [Rpc(each) for each in (bad.address, address, address)]
            chain, alarms = several(rpcs)
            try:
                honest = await everything(CometBftChain(rpcs[1], "alpha-1"), pair)
                assert await everything(chain, pair) == honest
                assert alarms == [], "an honest proxy is as good as its node"
                for name, value in CASES[case][0].items():
                    setattr(bad, name, value)
                for _ in range(20):
                    assert await everything(chain, pair) == honest
                    if codes(alarms):
                        break
                    await asyncio.sleep(0.06)
                assert set(codes(alarms)) <= CASES[case][1]
                assert {fields["source"] for _, fields in alarms} == {"0"}
            finally:
                await chain.rpc.close()

    asyncio.run(work())


def test_with_both_behind_poisoning_proxies_nothing_is_read() -> None:
    async def work() -> None:
        pair = Pair.make(heartbeat_s=0.05)
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(pair.running())
            address = await stack.enter_async_context(served(pair))
            proxies = [await stack.enter_async_context(Proxy(lambda: address)) for _ in range(2)]
            rpcs = [await stack.enter_async_context(Rpc(proxy.address)) for proxy in proxies]
            await pair.until(lambda: pair.a.ledger.height > 8)
            chain, alarms = several(rpcs)
            await everything(chain, pair)

            def other_poison(method: str, params: Json, result: Json) -> Json:
                result = poison(method, params, result)
                if method == "commit":
                    result["signed_header"]["header"]["data_hash"] = "AB" * 32
                return result

            proxies[0].spoil, proxies[1].spoil = poison, other_poison
            for _ in range(3):
                with pytest.raises(Unavailable, match=r"sources\."):
                    await everything(chain, pair)
            assert chain.sources.status()["halted"] != []
            assert "halted" in {kind for kind, _ in alarms}

    asyncio.run(work())
