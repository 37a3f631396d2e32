"""A relayer that reads a ledger through several nodes: It shows 4, and evidence seen at two of them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest

from lockgate.ibc import host
from lockgate.lightclients.cometbft import rpc_json
from lockgate.lightclients.tendermint.states import decode_client_state
from lockgate.relay import driver
from lockgate.relay import sources as pool
from lockgate.relay.rpc import Calls
from tests.support.forgery import forged
from tests.support.relays import FaultyRpc, Pair, relaying
from tests.support.sources import Json, poison, relayer_over

Wraps = list[Callable[[Calls], Calls] | None]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "BACKOFF_S", 0.01)
    monkeypatch.setattr(driver, "BACKOFF_MAX_S", 0.05)
    monkeypatch.setattr(driver, "IDLE_S", 0.05)
    monkeypatch.setattr(driver, "SCAN_EVERY_S", 0.5)
    monkeypatch.setattr(pool, "LIED_S", (0.2, 0.4))
    monkeypatch.setitem(pool.PAUSES, pool.SourceUnusable, (0.1, 0.2))
    monkeypatch.setitem(pool.PAUSES, pool.SourceSilent, (0.1, 0.2))


class Poisoned(FaultyRpc):
    """Answers poison while `is_bad` says so."""

    is_bad = True

    async def call(self, method: str, **params: Any) -> Json:
        self.spoil = poison if self.is_bad else None
        return await super().call(method, **params)


def test_a_poisoned_source_of_three_changes_nothing_but_an_alarm() -> None:
    async def work() -> None:
        pair = Pair.make()
        async with pair.running(), relaying(relayer_over(pair, [Poisoned, None, None])) as (relayer,):
            pair.send(20)
            pair.send(20, on=pair.b)
            await pair.ended(20)
            await pair.ended(20, pair.b)
            shown = relayer.status()["clients"]["alpha-1"]["sources"]
        assert pair.reported("failed") == pair.reported("parked") == pair.reported("halted") == []
        assert {alarm["source"] for alarm in pair.reported("source_set_aside")} == {"0"}
        assert (shown["required"], shown["halted"], len(shown["nodes"])) == (2, [], 3)
        assert sorted(pair.history(pair.b, "recv_packet")) == list(range(1, 21))
        assert sorted(pair.history(pair.a, "recv_packet")) == list(range(1, 21))

    asyncio.run(work())


@pytest.mark.parametrize("count", [2, 3])
def test_with_every_source_poisoned_the_lane_halts_and_goes_on_by_itself(count: int) -> None:
    nodes: list[Poisoned] = []

    def wrap(rpc: Calls) -> Calls:
        nodes.append(Poisoned(rpc))
        return nodes[-1]

    async def work() -> None:
        pair = Pair.make()
        async with pair.running(), relaying(relayer_over(pair, [wrap] * count)) as (relayer,):
            pair.send(5)
            await pair.until(lambda: bool(pair.reported("halted")))
            await asyncio.sleep(0.5)
            assert pair.received() == []
            assert relayer.status()["clients"]["alpha-1"]["sources"]["halted"] != []
            nodes[0].is_bad = False
            await asyncio.sleep(0.5)
            assert pair.received() == [], "one good source is fewer than must agree"
            for node in nodes:
                node.is_bad = False
            await pair.ended(5)
            await pair.until(lambda: relayer.status()["clients"]["alpha-1"]["sources"]["halted"] == [])
        assert pair.reported("resumed")
        assert sorted(pair.history(pair.b, "recv_packet")) == [1, 2, 3, 4, 5]

    asyncio.run(work())


@pytest.mark.parametrize("count", [2, 3])
def test_two_signed_headers_seen_at_two_sources_freeze_the_client(count: int) -> None:
    """P20, C6: the second history is seen by nobody but one node of the relayer's."""
    evidence: list[tuple[str, dict[str, Any]]] = []

    async def work() -> None:
        pair = Pair.make(validators=4)
        lies: dict[str, Any] = {}

        def fork(method: str, params: Json, result: Json) -> Json:
            if method == "commit" and int(params["height"]) >= lies.get("at", 1 << 60):
                height = int(params["height"])
                result["signed_header"] = rpc_json.signed_header_to_json(forged(pair.a.ledger, height))
            return result

        wraps: Wraps = [None] * (count - 1) + [lambda rpc: FaultyRpc(rpc, spoil=fork)]
        relayer = relayer_over(pair, wraps, keep=lambda *kept: evidence.append(kept))
        async with pair.running(), relaying(relayer):
            await relayer.ready.wait()
            lies["at"] = pair.a.ledger.height + 2
            await pair.until(lambda: _frozen(pair))
        assert int(evidence[0][0].removeprefix("alpha-1-")) >= lies["at"]
        assert [each["client"] for each in evidence[0][1]["misbehaviour"]] == [pair.b.client]

    asyncio.run(work())


def test_a_header_of_made_up_validators_is_no_evidence() -> None:
    async def work() -> None:
        pair = Pair.make(validators=4)

        def strangers(method: str, params: Json, result: Json) -> Json:
            if method == "commit" and int(params["height"]) > 6:
                lie = forged(pair.a.ledger, int(params["height"]), signed_by="stranger")
                result["signed_header"] = rpc_json.signed_header_to_json(lie)
            return result

        relayer = relayer_over(pair, [lambda rpc: FaultyRpc(rpc, spoil=strangers), None, None])
        async with pair.running(), relaying(relayer):
            pair.send(5)
            await pair.ended(5)
            await pair.until(lambda: bool(pair.reported("source_set_aside")))
        assert {alarm["source"] for alarm in pair.reported("source_set_aside")} == {"0"}
        assert not _frozen(pair)
        (alarm, *_) = pair.reported("source_set_aside")
        assert re.fullmatch(r"header \d+", str(alarm["what"]))

    asyncio.run(work())


def _frozen(pair: Pair) -> bool:
    value = pair.b.ledger.chain.view().get("ibc", host.client_state(pair.b.client))
    assert value is not None
    return decode_client_state(value).is_frozen
