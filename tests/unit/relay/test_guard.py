"""Two signed histories freeze every client of their ledger; honest traffic never does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from lockgate.codec.type_urls import TENDERMINT_MISBEHAVIOUR
from lockgate.ibc import host
from lockgate.lab.entropy import SeededEntropy
from lockgate.lab.ledgers import LabLedger
from lockgate.lab.paths import End, create_client
from lockgate.lightclients.cometbft import rpc_json
from lockgate.lightclients.tendermint.messages import decode_misbehaviour, encode_header, encode_misbehaviour
from lockgate.lightclients.tendermint.states import decode_client_state
from lockgate.relay import guard
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.driver import Relayer
from lockgate.relay.rpc import BadAnswer, Calls, RpcError
from lockgate.relay.updaters.grounds import OtherHistory
from tests.support.equivocation import client_message
from tests.support.forgery import forged, update_with
from tests.support.relays import FaultyRpc, Pair, account, relaying

WITHIN_BLOCKS = 20  # on the ledger the client is on, at a heartbeat far quicker than a real one


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "RECHECK_S", 0.05)
    monkeypatch.setattr(guard, "WAIT_S", 0.05)


def frozen(end: End, client: str | None = None) -> bool:
    value = end.ledger.chain.view().get("ibc", host.client_state(client or end.client))
    assert value is not None
    return decode_client_state(value).is_frozen


def submit(pair: Pair, end: End, message: tuple[str, bytes]) -> None:
    """The attacker's transaction on one ledger."""
    service = pair.services[0 if end.ledger is pair.a.ledger else 1]
    _, result = service.submit(end.ledger.signed(end.account, [message]))
    assert result.code == 0, result.log


def guarded(pair: Pair, evidence: list[tuple[str, dict[str, Any]]], **wrap: Any) -> Relayer:
    ends = [pair.endpoint(end, "relayer", wrap.get(end.ledger.genesis.chain_id[:-2])) for end in (pair.a, pair.b)]
    return Relayer(
        *ends,
        lambda kind, fields: pair.reports.append((kind, fields)),
        SeededEntropy(b"relayer"),
        lambda *kept: evidence.append(kept),
    )


def test_a_forged_header_freezes_every_client_of_its_ledger_within_few_blocks() -> None:
    evidence: list[tuple[str, dict[str, Any]]] = []

    async def work() -> None:
        pair = Pair.make(validators=4, heartbeat_s=0.05)
        other = End(pair.b.ledger, account("somebody else"))
        create_client(other, pair.a.ledger)  # a second client of alpha on beta
        async with pair.running(), relaying(guarded(pair, evidence)) as (relayer,):
            await relayer.ready.wait()
            await pair.until(lambda: pair.a.ledger.height > other.trusted + 4)
            lie = forged(pair.a.ledger, other.trusted + 3)
            submit(pair, pair.b, update_with(pair.a.ledger, lie, pair.b.client, pair.b.trusted, pair.b.account))
            given = pair.b.ledger.height
            await pair.until(lambda: frozen(pair.b) and frozen(pair.b, other.client))
            assert pair.b.ledger.height - given <= WITHIN_BLOCKS
            assert not frozen(pair.a), "beta has one history only"
            await pair.until(lambda: relayer.counters.evidence >= 1)
            status = relayer.status()["clients"]["beta-1"]
            await pair.until(lambda: relayer.status()["clients"]["beta-1"]["status"] == "Frozen")
            assert status["client"] == pair.b.client
        assert pair.reported("evidence_refused") == []
        ((name, record),) = evidence
        assert {each["client"] for each in record["misbehaviour"]} == {pair.b.client, other.client}
        assert name == f"alpha-1-{lie.header.height}"
        for each in record["misbehaviour"]:
            assert decode_misbehaviour(bytes.fromhex(each["message"])).is_contradiction

    asyncio.run(work())


def test_P20_evidence_that_froze_one_ledgers_clients_is_carried_to_those_on_the_others() -> None:
    """Somebody submits both headers once. The relayer knows no node of the ledger that signed them."""
    evidence: list[tuple[str, dict[str, Any]]] = []

    async def work() -> None:
        pair = Pair.make(heartbeat_s=0.05)
        liar = LabLedger("gamma-1", pair.clock, validators=4)
        ends = [End(end.ledger, account(f"{name} {end.client}")) for name in ("x", "y") for end in (pair.a, pair.b)]
        for end in ends:  # two on alpha and two on beta, made at unlike heights
            create_client(end, liar)
            liar.block()
            liar.block()
        told = ends[1]
        height = liar.height
        both = [
            encode_header(signed, liar.chain.validators, liar.at(told.trusted), liar.chain.validators)
            for signed in (liar.chain.signed_header(height), forged(liar, height))
        ]
        message = client_message(told, TENDERMINT_MISBEHAVIOUR, encode_misbehaviour(told.client, *both))
        honest = End(pair.a.ledger, account("of beta"))
        create_client(honest, pair.b.ledger)
        async with pair.running(), relaying(guarded(pair, evidence)) as (relayer,):
            await relayer.ready.wait()
            submit(pair, told, message)
            await pair.until(lambda: all(frozen(end) for end in ends))
            assert relayer.counters.evidence == 1, "alpha has shown it to its other client itself"
            assert not frozen(honest)
            assert not frozen(pair.a)
        assert pair.reported("evidence_refused") == []
        (kept,) = {name for name, _ in evidence}
        assert kept == f"gamma-1-{height}"

    asyncio.run(work())


def test_a_header_ahead_of_its_ledger_is_compared_when_the_height_comes() -> None:
    async def work() -> None:
        pair = Pair.make(heartbeat_s=0.05)
        async with pair.running(), relaying(guarded(pair, [])) as (relayer,):
            await relayer.ready.wait()
            lie = forged(pair.a.ledger, pair.a.ledger.height + 12)
            submit(pair, pair.b, update_with(pair.a.ledger, lie, pair.b.client, pair.b.trusted, pair.b.account))
            await pair.until(lambda: frozen(pair.b))
            assert pair.a.ledger.height >= lie.header.height

    asyncio.run(work())


def test_honest_updates_are_compared_and_freeze_nothing() -> None:
    async def work() -> None:
        pair = Pair.make()
        async with pair.running(), relaying(guarded(pair, []), pair.relayer("another")) as (relayer, _):
            await relayer.ready.wait()
            for _ in range(5):
                pair.send(2)
                pair.send(2, on=pair.b)
                await asyncio.sleep(0.05)
            await pair.ended(10)
            await pair.ended(10, pair.b)
            await pair.until(lambda: relayer.counters.misbehaviour_checks >= 4)
        assert relayer.counters.evidence == 0
        assert not frozen(pair.a)
        assert not frozen(pair.b)
        assert pair.reported("not_evidence") == []

    asyncio.run(work())


def test_a_node_that_lags_is_no_evidence() -> None:
    """The node of alpha does not have the height that another, honest relayer already submitted."""
    lag = {"height": 0}

    async def behind(method: str, params: dict[str, Any]) -> None:
        if lag["height"] and method in {"commit", "validators"} and int(params.get("height") or 0) > lag["height"]:
            raise RpcError("height must be less than or equal to the current blockchain height")

    def lagging(rpc: Calls) -> FaultyRpc:
        return FaultyRpc(rpc, before=behind)

    async def work() -> None:
        pair = Pair.make()
        async with pair.running(), relaying(guarded(pair, [], alpha=lagging)) as (relayer,):
            await relayer.ready.wait()
            lag["height"] = pair.a.ledger.height
            async with relaying(pair.relayer("another")):
                pair.send(3)
                await pair.ended(3)
            await pair.until(lambda: relayer.counters.misbehaviour_checks >= 1)
            await asyncio.sleep(0.3)
            assert not frozen(pair.b)
        assert relayer.counters.evidence == 0

    asyncio.run(work())


def test_a_node_on_a_history_nobody_signed_is_no_evidence() -> None:
    """The relayer's own node of alpha shows headers signed by strangers: it cannot freeze anything."""

    async def work() -> None:
        pair = Pair.make(heartbeat_s=0.05)

        def strangers(method: str, params: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
            if method == "commit" and int(params["height"]) > pair.b.trusted:
                lie = forged(pair.a.ledger, int(params["height"]), signed_by="stranger")
                return {"signed_header": rpc_json.signed_header_to_json(lie), "canonical": True}
            return result

        def hostile(rpc: Calls) -> FaultyRpc:
            return FaultyRpc(rpc, spoil=strangers)

        async with pair.running(), relaying(guarded(pair, [], alpha=hostile)) as (relayer,):
            async with relaying(pair.relayer("another")):
                pair.send(3)
                await pair.ended(3)
            await pair.until(lambda: relayer.counters.misbehaviour_checks >= 1)
            await asyncio.sleep(0.3)
            assert not frozen(pair.b)
        assert relayer.counters.evidence == 0
        assert pair.reported("evidence_refused") == [], "nothing was submitted that a client would refuse"

    asyncio.run(work())


def test_P20_a_ledger_that_lost_a_history_it_had_signed_is_found_by_the_first_packet_after() -> None:
    """[P20] The client's newest header was found equal when it was given; since the restore its ledger has another."""
    evidence: list[tuple[str, dict[str, Any]]] = []

    class Restored(FaultyRpc):
        losses = 0

    async def work() -> None:
        pair = Pair.make()
        lost: list[int] = []

        def other(method: str, params: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
            if method == "commit" and int(params["height"]) in lost:
                lie = forged(pair.a.ledger, int(params["height"]))
                return {"signed_header": rpc_json.signed_header_to_json(lie), "canonical": True}
            return result

        nodes: list[Restored] = []

        def restored(rpc: Calls) -> Calls:
            nodes.append(Restored(rpc, spoil=other))
            return nodes[-1]

        async with pair.running(), relaying(guarded(pair, evidence, alpha=restored)) as (relayer,):
            await relayer.ready.wait()
            pair.send(1)
            await pair.ended(1)
            await pair.until(lambda: relayer.counters.misbehaviour_checks >= 1)
            assert not frozen(pair.b)
            trusted = relayer.ends[1].tracked
            assert trusted is not None
            lost.append(trusted.latest.height)
            nodes[0].losses += 1
            pair.send(1)
            await pair.until(lambda: frozen(pair.b))
            assert not frozen(pair.a)
        assert [name for name, _ in evidence] == [f"alpha-1-{lost[0]}"]
        assert OtherHistory.code in {row["code"] for row in pair.reported("unavailable")}

    asyncio.run(work())


def test_witnesses_must_agree_before_anything_is_called_evidence() -> None:
    async def work() -> None:
        pair = Pair.make(heartbeat_s=0.05)
        relayer = guarded(pair, [])

        def differs(method: str, params: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
            if method == "commit":
                lie = forged(pair.a.ledger, int(params["height"]), b"\x77" * 32)
                return {"signed_header": rpc_json.signed_header_to_json(lie), "canonical": True}
            return result

        witness = CometBftChain(FaultyRpc(pair.rpc(pair.a), spoil=differs), "alpha-1")
        relayer.ends[0].witnesses = (witness,)
        async with pair.running(), relaying(relayer):
            await relayer.ready.wait()
            await pair.until(lambda: pair.a.ledger.height > pair.b.trusted + 4)
            lie = forged(pair.a.ledger, pair.b.trusted + 3)
            submit(pair, pair.b, update_with(pair.a.ledger, lie, pair.b.client, pair.b.trusted, pair.b.account))
            await pair.until(lambda: bool(pair.reported("sources_disagree")))
            await asyncio.sleep(0.2)
            assert not frozen(pair.b), "two sources, two opinions: people must look"

    asyncio.run(work())


def flood(pair: Pair, client: str, trusted: int, count: int) -> None:
    """Headers of heights that alpha is far from, all for one client, in one transaction."""
    ahead = pair.a.ledger.height + 5_000
    messages = [
        update_with(pair.a.ledger, forged(pair.a.ledger, ahead + number), client, trusted, pair.b.account)
        for number in range(count)
    ]
    _, result = pair.services[1].submit(pair.b.ledger.signed(pair.b.account, messages))
    assert result.code == 0, result.log


def test_headers_of_heights_that_never_come_hold_up_nothing_and_ask_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody can make clients that name a ledger, and flood them. A block is fetched once for all that it brought."""
    monkeypatch.setattr(guard, "LOOKS_MOST", 20)

    async def work() -> None:
        pair = Pair.make(validators=4, heartbeat_s=0.05)
        other = End(pair.b.ledger, account("somebody else"))
        create_client(other, pair.a.ledger)
        nodes: list[FaultyRpc] = []

        def watched(rpc: Calls) -> FaultyRpc:
            nodes.append(FaultyRpc(rpc))
            return nodes[-1]

        async with pair.running(), relaying(guarded(pair, [], beta=watched)) as (relayer,):
            await relayer.ready.wait()
            for _ in range(3):
                flood(pair, other.client, other.trusted, 8)
                await asyncio.sleep(0.1)
            await asyncio.sleep(0.3)
            assert nodes[0].calls.count("block") == 3, "not for each header, and not again while none has come"
            await pair.until(lambda: relayer.counters.not_compared == 3)
            (told,) = pair.reported("not_compared")
            assert told["client"] == other.client, "once, not for each"
            assert not relayer._guard._waiting
            lie = forged(pair.a.ledger, other.trusted + 1)
            submit(pair, pair.b, update_with(pair.a.ledger, lie, pair.b.client, pair.b.trusted, pair.b.account))
            await pair.until(lambda: frozen(pair.b))

    asyncio.run(work())


def test_what_one_client_was_given_and_no_node_explains_holds_up_no_other() -> None:
    async def work() -> None:
        pair = Pair.make(validators=4, heartbeat_s=0.05)
        other = End(pair.b.ledger, account("somebody else"))
        create_client(other, pair.a.ledger)
        poisoned: list[int] = []

        async def misshapen(method: str, params: dict[str, Any]) -> None:
            if method == "block" and int(params["height"]) in poisoned:
                raise BadAnswer("not a block")

        async with (
            pair.running(),
            relaying(guarded(pair, [], beta=lambda rpc: FaultyRpc(rpc, before=misshapen))) as (relayer,),
        ):
            await relayer.ready.wait()
            await pair.until(lambda: pair.a.ledger.height > pair.b.trusted + 4)
            poisoned.extend(range(pair.b.ledger.height + 1, pair.b.ledger.height + 3))
            message = update_with(
                pair.a.ledger, pair.a.ledger.chain.signed_header(other.trusted + 2), other.client, other.trusted,
                pair.b.account,
            )  # fmt: skip
            submit(pair, pair.b, message)
            await pair.until(lambda: pair.b.ledger.height > poisoned[-1])
            lie = forged(pair.a.ledger, pair.b.trusted + 3)
            submit(pair, pair.b, update_with(pair.a.ledger, lie, pair.b.client, pair.b.trusted, pair.b.account))
            await pair.until(lambda: frozen(pair.b), 3.0)

    asyncio.run(work())


def test_a_header_whose_block_its_ledgers_node_let_go_is_told() -> None:
    async def work() -> None:
        pair = Pair.make(heartbeat_s=0.05)
        other = End(pair.b.ledger, account("somebody else"))
        create_client(other, pair.a.ledger)
        first: list[int] = []

        async def gone(method: str, params: dict[str, Any]) -> None:
            if first and method in {"commit", "validators"} and int(params.get("height") or first[0]) < first[0]:
                raise RpcError("not available")

        def shown(method: str, _: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
            if first and method == "status":
                result["sync_info"]["earliest_block_height"] = str(first[0])
            return result

        pruned = guarded(pair, [], alpha=lambda rpc: FaultyRpc(rpc, shown, gone))
        async with pair.running(), relaying(pruned) as (relayer,):
            await relayer.ready.wait()
            await pair.until(lambda: pair.a.ledger.height > other.trusted + 5)
            first.append(other.trusted + 4)
            header = pair.a.ledger.chain.signed_header(other.trusted + 2)
            submit(pair, pair.b, update_with(pair.a.ledger, header, other.client, other.trusted, pair.b.account))
            await pair.until(lambda: relayer.counters.not_compared == 1)
            assert not relayer._guard._waiting
            assert pair.reported("not_compared")[0]["client"] == other.client

    asyncio.run(work())
