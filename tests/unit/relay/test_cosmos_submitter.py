"""Transactions of a Cosmos SDK chain: signed as it wants them, in sequence, and never lost or doubled."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable

import pytest

from lockgate.codec.wire import cosmos_pb2 as wire
from lockgate.courier.ports import ChainUnavailable, Submitted, Submitter
from lockgate.primitives.state import Event
from lockgate.relay.chains import cosmos_submitter
from lockgate.relay.chains.cosmos import AccountAbsent, CosmosChain, once
from lockgate.relay.chains.cosmos_submitter import CosmosSubmitter, GasPrice
from lockgate.relay.chains.cosmos_tx import CosmosKey, CosmosTerms, sign
from lockgate.relay.rpc import RpcError
from tests.support.cosmos import GAS_USED, Code, CosmosNode, read

KEY = CosmosKey.of(hashlib.sha256(b"somebody").digest())
MESSAGES = [("/an.example.Msg", b"\x0a\x01x"), ("/another.Msg", b"")]


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cosmos_submitter, "AGAIN_S", 0.05)
    monkeypatch.setattr(cosmos_submitter, "POLL_S", 0.01)
    monkeypatch.setattr(cosmos_submitter, "CONFIRM_S", 2.0)


def against(
    node: CosmosNode, work: Callable[[CosmosSubmitter], Awaitable[object]], *, blocks: bool = True, **more: GasPrice
) -> None:
    async def inside() -> None:
        async def making() -> None:
            while True:
                await asyncio.sleep(0.02)
                node.block()

        maker = asyncio.create_task(making()) if blocks else None
        try:
            await work(CosmosSubmitter(CosmosChain(node, node.chain_id), KEY, **more))
        finally:
            if maker is not None:
                maker.cancel()

    asyncio.run(inside())


def code(done: Submitted) -> Code:
    return done.codespace, done.code


def refusing_first(refusal: Code, times: int = 1) -> Callable[[bytes], Code]:
    asked: list[bytes] = []

    def answer(data: bytes) -> Code:
        asked.append(data)
        return refusal if len(asked) <= times else ("", 0)

    return answer


def test_an_address_is_the_one_the_sdk_derives() -> None:
    # The first test vector of secp256k1, the generator: its compressed point is known everywhere.
    one = CosmosKey.of((1).to_bytes(32))
    assert one.public_key.hex() == "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
    assert one.address == "cosmos1w508d6qejxtdg4y5r3zarvary0c5xw7k6ah60c"


def test_transactions_follow_each_other_in_sequence() -> None:
    node = CosmosNode(KEY, sequence=41)

    async def work(submitter: CosmosSubmitter) -> None:
        port: Submitter = submitter
        for _ in range(2):
            done = await port.submit(MESSAGES)
            assert (code(done), done.responses) == (("", 0), (b"\x08\x02",))
            assert done.height.revision == 1

    against(node, work)
    assert node.sequence == 43
    (body, _) = [wire.TxBody.FromString(wire.TxRaw.FromString(data).body_bytes) for data in node.offered]
    assert [(each.type_url, each.value) for each in body.messages] == MESSAGES


def test_siblings_share_one_sequence_and_wait_for_one_block() -> None:
    node = CosmosNode(KEY)

    async def work(submitter: CosmosSubmitter) -> None:
        lanes = [submitter, *(submitter.sibling(n) for n in range(1, 5))]
        waiting = [asyncio.create_task(lane.submit(MESSAGES)) for lane in lanes]
        while len(node.pool) < 5:
            await asyncio.sleep(0.005)
        node.block()
        assert [code(await each) for each in waiting] == [("", 0)] * 5

    against(node, work, blocks=False)
    assert [read(data).signer_infos[0].sequence for data in dict.fromkeys(node.offered)] == [0, 1, 2, 3, 4]


def test_a_sequence_that_another_process_used_is_read_again() -> None:
    node = CosmosNode(KEY)

    async def work(submitter: CosmosSubmitter) -> None:
        await submitter.submit(MESSAGES)
        node.sequence += 3
        assert code(await submitter.submit(MESSAGES)) == ("", 0)

    against(node, work)
    assert node.sequence == 5


def test_a_refusal_of_the_check_costs_no_sequence() -> None:
    node = CosmosNode(KEY)

    async def work(submitter: CosmosSubmitter) -> None:
        node.check = refusing_first(("channel", 22))
        done = await submitter.submit(MESSAGES)
        assert (code(done), done.log) == (("channel", 22), "the chain's words")
        assert code(await submitter.submit(MESSAGES)) == ("", 0)

    against(node, work)
    assert node.sequence == 1


def test_a_refusal_in_the_block_is_told_with_its_code() -> None:
    node = CosmosNode(KEY)
    node.deliver = lambda _: ("clientv2", 35)

    async def work(submitter: CosmosSubmitter) -> None:
        assert code(await submitter.submit(MESSAGES)) == ("clientv2", 35)

    against(node, work)


def test_gas_is_what_a_simulation_used_and_a_margin() -> None:
    node = CosmosNode(KEY)

    async def work(submitter: CosmosSubmitter) -> None:
        await submitter.submit(MESSAGES)

    against(node, work, price=GasPrice(25, 1_000, "uatom"))
    fee = read(node.offered[0]).fee
    assert fee.gas_limit == GAS_USED * 13 // 10
    assert [(coin.denom, coin.amount) for coin in fee.amount] == [("uatom", str(fee.gas_limit * 25 // 1_000))]


@pytest.mark.parametrize("says", ["a simulation that used all", "out of gas each time"])
def test_a_node_cannot_have_the_account_spent_on_gas(says: str) -> None:
    """The fee is gone for the gas that was asked for, and the chain's validator may be the node's owner."""
    node = CosmosNode(KEY)
    if says.startswith("a simulation"):
        node.simulation = lambda _: 1 << 40
    else:
        node.deliver = lambda _: ("sdk", 11)

    async def work(submitter: CosmosSubmitter) -> None:
        await submitter.submit(MESSAGES)

    against(node, work, price=GasPrice(25, 1_000, "uatom"))
    bound = cosmos_submitter.MESSAGE_GAS * len(MESSAGES) + cosmos_submitter.BYTE_GAS * sum(len(m) for _, m in MESSAGES)
    assert max(read(data).fee.gas_limit for data in node.offered) == bound < cosmos_submitter.MOST_GAS


def test_no_price_is_no_fee() -> None:
    assert GasPrice().fee(1_000_000) is None
    assert GasPrice(1, 1_000, "u").fee(1) == (1, "u")  # rounded up


def test_a_refused_simulation_leaves_the_verdict_to_the_check() -> None:
    node = CosmosNode(KEY)

    def refused(_: bytes) -> int:
        raise RpcError("failed to execute message")

    node.simulation = refused
    node.check = lambda _: ("channelv2", 9)

    async def work(submitter: CosmosSubmitter) -> None:
        assert code(await submitter.submit(MESSAGES)) == ("channelv2", 9)

    against(node, work)
    assert read(node.offered[0]).fee.gas_limit == cosmos_submitter.SIMPLE_GAS * len(MESSAGES)


def test_gas_that_did_not_last_is_raised_once() -> None:
    node = CosmosNode(KEY)
    node.max_gas = 2_000_000
    node.deliver = refusing_first(("sdk", 11), times=2)

    async def work(submitter: CosmosSubmitter) -> None:
        assert code(await submitter.submit(MESSAGES)) == ("sdk", 11)

    against(node, work)
    assert [read(data).fee.gas_limit for data in dict.fromkeys(node.offered)] == [GAS_USED * 13 // 10, 2_000_000]


def test_a_transaction_that_the_pool_dropped_is_offered_again_with_the_same_bytes() -> None:
    node = CosmosNode(KEY)

    async def work(submitter: CosmosSubmitter) -> None:
        waiting = asyncio.create_task(submitter.submit(MESSAGES))
        while not node.pool:
            await asyncio.sleep(0.005)
        node.pool.clear()
        while not node.pool:
            await asyncio.sleep(0.005)
        node.block()
        assert code(await waiting) == ("", 0)

    against(node, work, blocks=False)
    assert len(set(node.offered)) == 1
    assert node.sequence == 1


def test_one_that_was_dropped_for_good_is_told_why_and_its_sequence_is_free() -> None:
    node = CosmosNode(KEY)

    async def work(submitter: CosmosSubmitter) -> None:
        waiting = asyncio.create_task(submitter.submit(MESSAGES))
        while not node.pool:
            await asyncio.sleep(0.005)
        node.pool.clear()
        node.check = refusing_first(("channel", 22))
        assert code(await waiting) == ("channel", 22)
        after = asyncio.create_task(submitter.submit(MESSAGES))
        while not node.pool:
            await asyncio.sleep(0.005)
        node.block()
        assert code(await after) == ("", 0)

    against(node, work, blocks=False)
    assert node.sequence == 1


def test_an_answer_that_was_lost_is_no_second_transaction() -> None:
    node = CosmosNode(KEY)
    lost: list[str] = []

    def losing(method: str) -> None:
        if method == "tx" and not lost:
            lost.append(method)
            raise ChainUnavailable("the line broke")

    async def work(submitter: CosmosSubmitter) -> None:
        with pytest.raises(ChainUnavailable):
            await submitter.submit(MESSAGES)
        node.block()
        waiting = asyncio.create_task(submitter.submit(MESSAGES))
        while not node.pool:
            await asyncio.sleep(0.005)
        node.block()
        assert code(await waiting) == ("", 0)

    node.before = losing
    against(node, work, blocks=False)
    assert node.sequence == 2


def test_a_transaction_that_never_comes_is_unknown_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cosmos_submitter, "CONFIRM_S", 0.2)

    async def work(submitter: CosmosSubmitter) -> None:
        with pytest.raises(ChainUnavailable, match="not seen in a block"):
            await submitter.submit(MESSAGES)

    against(CosmosNode(KEY), work, blocks=False)


def test_an_account_that_nobody_funded_is_named() -> None:
    node = CosmosNode(CosmosKey.of(hashlib.sha256(b"somebody else").digest()))

    async def work(submitter: CosmosSubmitter) -> None:
        with pytest.raises(AccountAbsent):
            await submitter.submit(MESSAGES)

    against(node, work)


def test_a_signature_binds_chain_account_and_sequence() -> None:
    terms = {"chain_id": "simd-1", "account_number": 1, "sequence": 2, "gas_limit": 3}
    signatures = {
        wire.TxRaw.FromString(sign(MESSAGES, KEY, CosmosTerms(**{**terms, **other}))).signatures[0]  # type: ignore[arg-type]
        for other in ({}, {"chain_id": "simd-2"}, {"account_number": 2}, {"sequence": 3}, {"gas_limit": 4})
    }
    assert len(signatures) == 5


def test_what_ibc_go_says_twice_is_there_once() -> None:
    first, other = (Event("recv_packet", (("packet_sequence", str(n)),)) for n in (1, 2))
    again = Event("transfer", (("amount", "1"),))
    assert once([first, again, first, other, again]) == (first, again, other, again)
