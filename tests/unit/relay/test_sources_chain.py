"""A chain of several nodes: what a poisoned one answers changes nothing but an alarm; two of two halt."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from lockgate.courier.ports import ChainUnavailable, NotYet, Proven
from lockgate.ibc import host
from lockgate.lightclients.cometbft import rpc_json
from lockgate.primitives.errors import PeerFault, Unavailable
from lockgate.primitives.ids import ClientId
from lockgate.relay import sources as pool
from lockgate.relay import sources_calls, sources_chain
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.rpc import BadAnswer, Calls, RpcError
from lockgate.relay.sources import SourcesDisagree, SourcesTooFew
from lockgate.relay.sources_chain import SourcedChain
from lockgate.relay.sources_headers import RefutedBlock
from lockgate.relay.submitter import WAITING, AccountSubmitter
from tests.support.forgery import forged
from tests.support.relays import FaultyRpc, Pair
from tests.support.sources import Alarms, Json, codes, poison, several

Spoil = Callable[[str, Json, Json], Json]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "ANSWER_S", 0.5)
    monkeypatch.setattr(pool, "GRACE_S", 0.1)
    monkeypatch.setattr(pool, "SETTLE_S", 0.3)
    monkeypatch.setattr(pool, "DISSENT_S", 0.2)
    monkeypatch.setattr(sources_chain, "BEHIND_S", 0.1)
    monkeypatch.setattr(sources_calls, "CONFIRM_S", 0.5)


async def everything(chain: CometBftChain, pair: Pair) -> list[Any]:
    """One of each read, at heights that do not move."""
    client = ClientId(pair.a.client)
    at = (await chain.header_at_least(pair.a.ledger.height, 1.0)).height
    keys = [host.packet_commitment(client, sequence) for sequence in (1, 2, 9)]
    found = await chain.prove_many("ibc", keys, at)
    block = await chain.light_block(at.height)
    return [
        [each.value for each in found if isinstance(each, Proven)],
        block.header.app_hash == pair.a.ledger.light_block(at.height).header.app_hash,
        block.validators.hash,
        await chain.blocks_events(range(1, 8)),
        await chain.transactions(5),
        await chain.outstanding(client),
        await chain.received(client, {1, 2}),
        await chain.acknowledged(client, {1, 2}),
        await chain.still_open(client, {1, 2, 9}),
        await chain.clients_of("beta-1"),
        (await chain.client(client)).state,
        await chain.consensus_heights(client),
        await chain.last_sent(client),
        await chain.genesis(),
        (await chain.query("/lockgate/parameters", b""))["value"],
        len((await chain.rpc.call("tx_search", query=f"send_packet.packet_source_client='{client}'"))["txs"]),
    ]  # fmt: skip


def forged_header(method: str, params: Json, result: Json) -> Json:
    return poison(method, params, result) if method == "commit" else result


def absent_signatures(method: str, params: Json, result: Json) -> Json:
    if method == "commit":
        for each in result["signed_header"]["commit"]["signatures"]:
            each |= {
                "block_id_flag": 1,
                "validator_address": "",
                "signature": None,
                "timestamp": "0001-01-01T00:00:00Z",
            }
    return result


def duplicate_signatures(method: str, params: Json, result: Json) -> Json:
    if method == "commit":
        result["signed_header"]["commit"]["signatures"] *= 2
    return result


def other_validators(method: str, params: Json, result: Json) -> Json:
    if method == "validators":
        result["validators"][0]["voting_power"] = "77"
    return result


def bent_value(method: str, params: Json, result: Json) -> Json:
    return poison(method, params, result) if method == "abci_query" and params.get("prove") else result


def no_proof(method: str, params: Json, result: Json) -> Json:
    if method == "abci_query" and params.get("prove"):
        result["response"]["proofOps"]["ops"] = result["response"]["proofOps"]["ops"][:1]
    return result


def no_events(method: str, params: Json, result: Json) -> Json:
    return poison(method, params, result) if method == "block_results" else result


def invented_state(method: str, params: Json, result: Json) -> Json:
    if method == "abci_query" and "channel.v2" in params["path"]:
        result["response"]["value"] = ""
    return result


def no_hits(method: str, params: Json, result: Json) -> Json:
    return poison(method, params, result) if method.endswith("search") else result


def another_chain(method: str, params: Json, result: Json) -> Json:
    if method == "status":
        result["node_info"]["network"] = "gamma-1"
    if method == "commit":
        result["signed_header"]["header"]["chain_id"] = "gamma-1"
    return result


def misshapen(method: str, params: Json, result: Json) -> Json:
    return {"what": [method]}


def too_long(method: str, params: Json, result: Json) -> Json:
    raise BadAnswer("the answer is too long", method=method)


def cut(method: str, params: Json, result: Json) -> Json:
    raise ChainUnavailable("the answer was cut short")


def lags(method: str, params: Json, result: Json) -> Json:
    if method == "status":
        result["sync_info"]["latest_block_height"] = "2"
    return result


CASES: dict[str, tuple[Spoil, str]] = {
    "a header of its own": (forged_header, "sources.lied"),  # nobody signed it
    "a commit whose signatures are absent": (absent_signatures, "sources.lied"),
    "a commit with duplicate signatures": (duplicate_signatures, "sources.lied"),
    "other validators": (other_validators, "sources.lied"),
    "a bent value": (bent_value, "sources.lied"),
    "half a proof": (no_proof, "sources.lied"),
    "no events": (no_events, "sources.outvoted"),
    "a state of its own": (invented_state, "sources.outvoted"),
    "no hits": (no_hits, "sources.outvoted"),
    "another chain": (another_chain, "sources.unusable"),
    "another shape": (misshapen, "sources.unusable"),
    "too much": (too_long, "sources.unusable"),
    "half an answer": (cut, "sources.silent"),
    "old answers": (lags, "sources.behind"),
}


def on_pair(work: Callable[[Pair], Awaitable[None]], sent: int = 3) -> None:
    async def run() -> None:
        pair = Pair.make(heartbeat_s=0.05)
        async with pair.running():
            pair.send(sent)
            await pair.until(lambda: pair.a.ledger.height > 8)
            await work(pair)

    asyncio.run(run())


def nodes(pair: Pair, wraps: list[Callable[[Calls], Calls] | None], required: int = 2) -> tuple[SourcedChain, Alarms]:
    return several([wrap(pair.rpc(pair.a)) if wrap else pair.rpc(pair.a) for wrap in wraps], required)


@pytest.mark.parametrize("place", [0, 2])
@pytest.mark.parametrize("case", CASES)
def test_one_poisoned_of_three_changes_nothing_but_an_alarm(case: str, place: int) -> None:
    spoil, code = CASES[case]

    async def work(pair: Pair) -> None:
        wraps: list[Callable[[Calls], Calls] | None] = [None, None, None]
        wraps[place] = lambda rpc: FaultyRpc(rpc, spoil=spoil)
        chain, alarms = nodes(pair, wraps)
        honest = await everything(CometBftChain(pair.rpc(pair.a), "alpha-1"), pair)
        for _ in range(8):
            assert await everything(chain, pair) == honest
            if codes(alarms):
                break
            await asyncio.sleep(0.06)
        lazy = place == 2 and code == "sources.lied" and case not in {"a header of its own"}
        assert set(codes(alarms)) == (set() if lazy else {code}), "who is not asked for a proof tells no lie"
        assert {fields.get("source") for kind, fields in alarms} <= {str(place)}
        assert chain.sources.status()["halted"] == []

    on_pair(work)


@pytest.mark.parametrize("case", CASES)
def test_b5_one_poisoned_of_two_halts_where_both_must_agree(case: str) -> None:
    """B5: disagreement halts, and failover never lowers the requirement; what is read is always true."""

    async def work(pair: Pair) -> None:
        chain, alarms = nodes(pair, [lambda rpc: FaultyRpc(rpc, spoil=CASES[case][0]), None])
        honest = await everything(CometBftChain(pair.rpc(pair.a), "alpha-1"), pair)
        failure: Unavailable | None = None
        for _ in range(8):
            try:
                assert await everything(chain, pair) == honest
            except NotYet:
                continue  # the tip waits for the other one
            except Unavailable as error:
                failure = error
                break
            await asyncio.sleep(0.06)
        assert isinstance(failure, SourcesTooFew | SourcesDisagree), alarms
        assert chain.sources.status()["halted"] != []
        assert "halted" in {kind for kind, _ in alarms}

    on_pair(work)


def test_with_every_source_poisoned_alike_nothing_that_is_proven_is_believed() -> None:
    """The sources agree on a header that nobody signed: no commit holds, so there is no light block."""

    async def work(pair: Pair) -> None:
        chain, alarms = nodes(pair, [lambda rpc: FaultyRpc(rpc, spoil=forged_header)] * 3)
        with pytest.raises(Unavailable):
            await chain.light_block(5)
        assert set(codes(alarms)) == {"sources.lied"}
        with pytest.raises(Unavailable):
            await chain.light_block(5)
        assert chain.sources.status()["halted"] == ["sources.disagree", "sources.too_few"]

    on_pair(work)


def test_a_proof_from_the_wrong_store_is_refused_and_the_next_source_asked() -> None:
    async def work(pair: Pair) -> None:
        class Confused(FaultyRpc):
            async def call(self, method: str, **params: Any) -> Json:
                if params.get("prove"):
                    params["path"] = "store/lane/key"
                return await super().call(method, **params)

        chain, alarms = nodes(pair, [Confused, None, None])
        at = (await chain.header_at_least(8)).height
        key = host.packet_commitment(pair.a.client, 1)
        proven = await chain.prove("ibc", key, at)
        assert proven.value is not None
        assert codes(alarms) == ["sources.lied"]
        with pytest.raises(PeerFault):
            sources_chain._check_proof(chain._memo(b"\x01" * 32), (b"ibc", key), proven)

    on_pair(work)


def test_another_heights_header_is_no_answer() -> None:
    async def work(pair: Pair) -> None:
        class Older(FaultyRpc):
            async def call(self, method: str, **params: Any) -> Json:
                if method == "commit":
                    params["height"] = str(int(params["height"]) - 1)
                return await super().call(method, **params)

        chain, alarms = nodes(pair, [Older, None, None])
        assert (await chain.signed_header(5)).header.height == 5
        assert codes(alarms) == ["sources.unusable"]

    on_pair(work)


def test_who_vouched_for_a_header_that_the_light_client_refutes_has_lied() -> None:
    async def work(pair: Pair) -> None:
        chain, alarms = nodes(pair, [None, None, lambda rpc: FaultyRpc(rpc, spoil=forged_header)])
        await chain.signed_header(5)
        alarms.clear()
        chain.refuted(5, RefutedBlock("not signed by anyone trusted"))
        assert [(fields["code"], fields["source"]) for _, fields in alarms] == [
            ("sources.lied", "0"),
            ("sources.lied", "1"),
        ]
        with pytest.raises(SourcesTooFew):
            await chain.tip()

    on_pair(work)


@pytest.mark.parametrize(
    "how", ["refuses", "swallows", "swallows for later", "is silent", "errs", "knows it", "bends the check", "no check"]
)
def test_a_transaction_gets_in_although_the_first_source_betrays_it(how: str) -> None:
    async def work(pair: Pair) -> None:
        class Betrayer(FaultyRpc):
            async def call(self, method: str, **params: Any) -> Json:
                if not method.startswith("broadcast"):
                    return await super().call(method, **params)
                if how == "is silent":
                    raise ChainUnavailable("gone")
                if how in ("errs", "knows it"):
                    raise RpcError("mempool is full" if how == "errs" else WAITING[0])
                if how == "no check":
                    return {"check_tx": ["accepted"]}
                height = str(pair.a.ledger.height + (1_000_000 if how == "swallows for later" else 1))
                code = {"refuses": 9, "bends the check": "none"}.get(how, 0)
                done = {"code": 0, "data": "", "log": "", "events": []}
                return {"check_tx": {"code": code, "codespace": "lockgate"}, "tx_result": done, "height": height}

        chain, alarms = nodes(pair, [Betrayer, None, None])
        end = pair.a
        key = end.account.key
        submitter = AccountSubmitter(chain, end.ledger.genesis.domain_id, key.public_key, key.sign, 9)
        message = pair._message(end, b"x", 100)
        if how.startswith("swallows"):
            with pytest.raises(ChainUnavailable):
                await submitter.submit([message])
            assert codes(alarms) == ["sources.lied" if how == "swallows" else "sources.outvoted"]
        done = await submitter.submit([message])
        assert done.code == 0
        assert len(pair.open_packets()) == 4

    on_pair(work)


def test_an_alarm_names_what_was_said_and_what_refutes_it() -> None:
    async def work(pair: Pair) -> None:
        chain, alarms = nodes(pair, [lambda rpc: FaultyRpc(rpc, spoil=other_validators), None, None])
        await chain.light_block(5)
        ((_, alarm),) = alarms
        assert str(alarm["detail"]).startswith(f"sources.lied: {RefutedBlock.code}: validators expected=")
        assert (alarm["chain"], alarm["source"], alarm["what"]) == ("alpha-1", "0", "validators of 5")

        def other_height(method: str, params: Json, result: Json) -> Json:
            if params.get("prove"):
                result["response"]["height"] = "3"
            return result

        chain, alarms = nodes(pair, [lambda rpc: FaultyRpc(rpc, spoil=other_height), None, None])
        at = (await chain.header_at_least(8)).height
        assert (await chain.prove("ibc", host.packet_commitment(pair.a.client, 1), at)).value is not None
        assert "sources.refuted_proof" in str(alarms[0][1]["detail"])

    on_pair(work)


def test_two_signed_headers_of_a_height_are_kept_for_the_light_client() -> None:
    async def work(pair: Pair) -> None:
        lie = forged(pair.a.ledger, 6)

        def fork(method: str, params: Json, result: Json) -> Json:
            if method == "commit" and params["height"] == "6":
                result["signed_header"] = rpc_json.signed_header_to_json(lie)
            return result

        chain, alarms = nodes(pair, [None, None, lambda rpc: FaultyRpc(rpc, spoil=fork)])
        assert (await chain.light_block(6)).header == pair.a.ledger.light_block(6).header
        assert codes(alarms) == ["sources.outvoted"]
        (conflict,) = chain.take_conflicts()
        assert [(name, block.header.app_hash) for name, block in conflict.blocks] == [
            ("0", pair.a.ledger.light_block(6).header.app_hash),
            ("2", lie.header.app_hash),
        ]
        assert chain.take_conflicts() == []

    on_pair(work)


def test_proven_reads_go_to_one_source() -> None:
    async def work(pair: Pair) -> None:
        rpcs = [FaultyRpc(pair.rpc(pair.a)) for _ in range(3)]
        chain, _ = several(rpcs)
        at = (await chain.header_at_least(8)).height
        await chain.light_block(at.height)
        for sequence in range(1, 9):
            await chain.prove("ibc", host.packet_commitment(pair.a.client, sequence), at)
        assert [rpc.calls.count("abci_query") for rpc in rpcs] == [8, 0, 0]
        assert [rpc.calls.count("validators") for rpc in rpcs] == [1, 0, 0]

    on_pair(work)


def test_the_first_block_is_the_one_that_enough_sources_have() -> None:
    def from_height(first: int) -> Callable[[Calls], Calls]:
        def shown(method: str, params: Json, result: Json) -> Json:
            if method == "status":
                result["sync_info"]["earliest_block_height"] = str(first)
            return result

        return lambda rpc: FaultyRpc(rpc, shown)

    async def work(pair: Pair) -> None:
        for required, first in ((1, 1), (2, 4), (3, 9)):
            chain, _ = nodes(pair, [from_height(9), None, from_height(4)], required)
            assert await chain.earliest() == first

    on_pair(work)
