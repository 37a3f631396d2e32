"""Nodes that fail, lag or lie: no crash, no bad submission; and a relayer killed anywhere starts from nothing."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable
from typing import Any

import pytest

from lockgate.courier.ports import ChainUnavailable
from lockgate.engines.embedded.results import BlockResults
from lockgate.ibc import wire
from lockgate.lightclients.cometbft import rpc_json
from lockgate.relay import driver
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.rpc import BadAnswer, Calls, RpcError
from lockgate.relay.updaters.grounds import OtherHistory
from tests.support.forgery import forged
from tests.support.relays import FaultyRpc, Pair, relaying

Spoil = Callable[[str, dict[str, Any], dict[str, Any]], dict[str, Any]]


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "BACKOFF_S", 0.01)
    monkeypatch.setattr(driver, "BACKOFF_MAX_S", 0.05)
    monkeypatch.setattr(driver, "SCAN_EVERY_S", 0.5)


def spoiled(spoil: Spoil) -> dict[str, Callable[[Calls], Calls]]:
    return {name: lambda rpc: FaultyRpc(rpc, spoil=spoil) for name in ("alpha-1", "beta-1")}


def all_end_once(wrap: dict[str, Callable[[Calls], Calls]], count: int = 8) -> Pair:
    """Packets of both directions end once through nodes that are `wrap`ped."""
    pair = Pair.make()

    async def work() -> None:
        async with pair.running(), relaying(pair.relayer(wrap=wrap)):
            pair.send(count)
            pair.send(count, on=pair.b)
            await pair.ended(count, deadline_s=60)
            await pair.ended(count, pair.b, deadline_s=60)

    asyncio.run(work())
    for end, other in ((pair.a, pair.b), (pair.b, pair.a)):
        assert sorted(pair.history(other, "recv_packet")) == list(range(1, count + 1))
        assert sorted(pair.history(end, "acknowledge_packet")) == list(range(1, count + 1))
    return pair


@pytest.mark.parametrize("error", [ChainUnavailable, RpcError, BadAnswer])
def test_one_call_in_twelve_fails(error: type[Exception]) -> None:
    draw = random.Random(3)

    async def sometimes(method: str, params: dict[str, Any]) -> None:
        if draw.random() < 1 / 12:
            raise error("on purpose")

    all_end_once({name: lambda rpc: FaultyRpc(rpc, before=sometimes) for name in ("alpha-1", "beta-1")})


def test_answers_are_lost_after_the_transaction_was_taken() -> None:
    """The fate of a submission is unknown: it is looked up by its hash, and never repeated blindly."""
    turn = itertools.count()

    def lost(method: str, params: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
        if method == "broadcast_tx_commit" and next(turn) % 2 == 0:
            raise ChainUnavailable("the answer was lost")
        return result

    pair = all_end_once(spoiled(lost))
    assert pair.reported("failed") == []


def test_events_come_twice_and_in_reverse() -> None:
    def shuffled(method: str, params: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
        if method == "block_results":
            for each in result.get("txs_results") or ():
                each["events"] = (each["events"] * 2)[::-1]
        return result

    all_end_once(spoiled(shuffled))


def test_a_node_behind_a_balancer_is_older_now_and_then() -> None:
    turn = itertools.count()

    def older(method: str, params: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
        if method == "status" and next(turn) % 3 == 1:
            info = result["sync_info"]
            info["latest_block_height"] = str(max(2, int(info["latest_block_height"]) - 3))
        return result

    all_end_once(spoiled(older))


NONSENSE: list[Any] = [
    None,
    {},
    [],
    "text",
    -1,
    {"attributes": 7},
    {"type": "send_packet", "attributes": [{"key": "x"}]},
]


def test_truncated_and_misshapen_answers_stop_nothing() -> None:
    draw = random.Random(7)

    def misshapen(method: str, params: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
        if method == "broadcast_tx_commit" or draw.random() > 0.06:
            return result
        key = draw.choice(sorted(result))
        return {**result, key: draw.choice(NONSENSE)} if draw.random() < 0.7 else {}

    pair = all_end_once(spoiled(misshapen), count=4)
    assert pair.reported("parked") == []


def hostile_packet(pair: Pair, sequence: int, body: bytes) -> str:
    """A packet that was never sent, under a sequence that was."""
    (event,) = [
        e for h in range(1, pair.a.ledger.height + 1) for e in _sends(pair, h) if e.get("packet_sequence") == "1"
    ]
    packet = wire.read_packet(bytes.fromhex(event.get("encoded_packet_hex") or ""))
    payload = packet.payloads[0]
    forged_payload = type(payload)(
        source_port=payload.source_port,
        destination_port=payload.destination_port,
        version=payload.version,
        encoding=payload.encoding,
        value=body,
    )
    changed = type(packet)(
        sequence=sequence,  # type: ignore[arg-type]  # a number
        source_client=packet.source_client,
        destination_client=packet.destination_client,
        timeout=packet.timeout,
        payloads=(forged_payload,),
    )
    return wire.encode_packet(changed).hex()


def _sends(pair: Pair, height: int) -> list[Any]:
    row = pair.a.ledger.chain.store.block(height)
    assert row is not None
    return [
        e
        for result in BlockResults.from_bytes(row.results).transactions
        for e in result.events
        if e.type == "send_packet"
    ]


def test_a10_forged_events_lead_to_no_submission() -> None:
    """A hostile node of the source swaps packets in events, in searches and in blocks; the proofs tell."""

    async def work() -> None:
        pair = Pair.make()

        def swapped(method: str, params: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
            lists = [each["events"] for each in result.get("txs_results") or ()]
            lists += [item["tx_result"]["events"] for item in result.get("txs") or ()]
            for event in [e for events in lists for e in events if e["type"] == "send_packet"]:
                for attribute in event["attributes"]:
                    if attribute["key"] == "encoded_packet_hex":
                        sequence = int(next(a["value"] for a in event["attributes"] if a["key"] == "packet_sequence"))
                        attribute["value"] = hostile_packet(pair, sequence, b"stolen")
            return result

        wrap = {"alpha-1": lambda rpc: FaultyRpc(rpc, spoil=swapped)}
        async with pair.running():
            async with relaying(pair.relayer(wrap=wrap)) as (relayer,):
                await relayer.ready.wait()
                pair.send(3)
                await pair.until(lambda: bool(pair.reported("news")))
                await asyncio.sleep(0.2)
                assert relayer.counters.submitted == 0
                assert pair.received() == []
            # An honest node, and the same packets go through.
            assert await pair.relayer().clear() == 0
        assert pair.open_packets() == []

    asyncio.run(work())


def test_a_header_that_does_not_verify_is_never_submitted() -> None:
    """The node of alpha serves headers signed by strangers; nothing reaches beta."""

    async def work() -> None:
        pair = Pair.make()

        def strangers(method: str, params: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
            if method == "commit" and int(params["height"]) > pair.b.trusted:
                lie = forged(pair.a.ledger, int(params["height"]), signed_by="stranger")
                return {"signed_header": rpc_json.signed_header_to_json(lie), "canonical": True}
            return result

        wrap = {"alpha-1": lambda rpc: FaultyRpc(rpc, spoil=strangers)}
        async with pair.running(), relaying(pair.relayer(wrap=wrap)) as (relayer,):
            await relayer.ready.wait()
            pair.send(2)
            await pair.until(lambda: any("receive" in str(f.get("what")) for f in pair.reported("unavailable")))
            assert relayer.counters.submitted == 0
        assert pair.received() == []
        assert pair.reported("failed") == [], "no packet is to blame"

    asyncio.run(work())


def test_a_lie_about_a_validator_set_is_not_kept() -> None:
    """Also one about the set after the trusted block: an honest answer later is believed."""
    lies = itertools.count()

    def spoil(method: str, params: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if method == "validators" and next(lies) < 24:
            member = answer["validators"][0]
            member["voting_power"] = str(int(member["voting_power"]) + 1)
        return answer

    all_end_once(spoiled(spoil), count=3)
    assert next(lies) > 24


def test_an_answer_that_is_no_protobuf_is_named_and_stops_no_worker() -> None:
    """Also the one that pruning asks for, now and then: it ended the whole relayer."""

    def spoil(method: str, params: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if method == "abci_query" and str(params["path"]).endswith("/NextSequenceSend"):
            answer["response"]["value"] = "/w=="
        return answer

    async def work() -> None:
        pair = Pair.make()
        async with pair.running():
            for end in pair.relayer(wrap=spoiled(spoil)).ends:
                with pytest.raises(BadAnswer):
                    await end.chain.last_sent(end.client)

    asyncio.run(work())
    all_end_once(spoiled(spoil), count=3)


def test_a_node_on_another_history_is_told_apart_before_anything_is_sent() -> None:
    async def work() -> None:
        pair = Pair.make()

        def another(method: str, params: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
            if method == "commit":
                lie = forged(pair.a.ledger, int(params["height"]))
                return {"signed_header": rpc_json.signed_header_to_json(lie), "canonical": True}
            return result

        wrap = {"alpha-1": lambda rpc: FaultyRpc(rpc, spoil=another)}
        async with pair.running(), relaying(pair.relayer(wrap=wrap)) as (relayer,):
            await relayer.ready.wait()
            pair.send(2)
            await pair.until(lambda: any(f.get("code") == OtherHistory.code for f in pair.reported("unavailable")))
            assert relayer.counters.submitted == 0

    asyncio.run(work())


@pytest.mark.parametrize("method", ["abci_query", "broadcast_tx_commit", "tx", "block_results", "tx_search", "commit"])
@pytest.mark.parametrize("call", [1, 4, 9])
def test_killed_at_any_step_and_started_from_nothing(method: str, call: int) -> None:
    """The relayer dies in its n-th call of a method, before or after it was carried out; another one starts."""

    async def work() -> None:
        pair = Pair.make()
        async with pair.running():
            pair.send(6, per_tx=3)
            await pair.until(lambda: len(pair.open_packets()) == 6)
            died = asyncio.Event()
            count = itertools.count(1)

            def stop(name: str, params: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
                if name == method and next(count) == call:
                    died.set()
                if died.is_set():
                    raise ChainUnavailable("the process is gone")
                return result

            async with relaying(pair.relayer(wrap=spoiled(stop))):
                pair.send(2)
                done = asyncio.create_task(pair.ended(8))
                await asyncio.wait({done, asyncio.ensure_future(died.wait())}, return_when=asyncio.FIRST_COMPLETED)
                done.cancel()
                await asyncio.gather(done, return_exceptions=True)
            assert await pair.relayer().clear() == 0
            await pair.ended(8)
        assert sorted(pair.history(pair.b, "recv_packet")) == list(range(1, 9))
        assert sorted(pair.history(pair.a, "acknowledge_packet")) == list(range(1, 9))

    asyncio.run(work())


def test_a_header_of_another_height_is_no_answer() -> None:
    """Whoever reads a single header believes its time before any verification."""
    pair = Pair.make()
    rpc = FaultyRpc(pair.rpc(pair.a), spoil=lambda method, params, answer: answer)
    chain = CometBftChain(rpc, pair.a.ledger.genesis.chain_id)

    async def work() -> None:
        true = await rpc.inner.call("commit", height="2")
        rpc.spoil = lambda method, params, answer: true
        assert (await chain.signed_header(2)).header.height == 2
        with pytest.raises(BadAnswer):
            await chain.signed_header(1)

    asyncio.run(work())
