"""One chain through several nodes: what a poisoned, lagging or silent one can and cannot do (B5, C3, S67)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from lockgate.courier.ports import ChainUnavailable
from lockgate.ibc import host
from lockgate.primitives.ids import Height
from lockgate.relay.chains.evm.answers import hexed
from lockgate.relay.chains.evm.chain import EvmChain
from lockgate.relay.chains.evm.node import Call, ask
from lockgate.relay.chains.evm.nodes import EvmNodes, TooFewNodes
from lockgate.relay.rpc import RpcError
from tests.support.evm_node import CLIENT, FakeNode, chain_of

Spoil = Callable[[str, Sequence[Any], Any], Any]


class Seen:
    """Another node of the same chain: its own lies, its own lag. Meets `EvmCalls`."""

    def __init__(self, chain: FakeNode, spoil: Spoil | None = None, *, behind: int = 0, silent: bool = False) -> None:
        self.chain, self.spoil, self.behind, self.silent = chain, spoil, behind, silent
        self.sent: list[str] = []

    async def close(self) -> None: ...

    async def many(self, calls: Sequence[Call], /) -> list[Any]:
        if self.silent:
            raise ChainUnavailable("silent")
        found: list[Any] = []
        for method, params in calls:
            if method == "eth_sendRawTransaction":
                self.sent.append(params[0])
                found.append(hexed(b"\x01" * 32))
                continue
            if method == "eth_getBlockByNumber" and params[0] == "latest" and self.behind:
                params = [hex(len(self.chain.blocks) - 1 - self.behind), False]
            (answer,) = await self.chain.many([(method, params)])
            if self.spoil is not None and not isinstance(answer, RpcError):
                answer = self.spoil(method, params, answer)
            found.append(answer)
        return found


def through(*nodes: Seen, required: int = 2, finality: str = "2") -> tuple[EvmChain, list[tuple[str, dict[str, Any]]]]:
    chain, told = chain_of(nodes[0].chain, finality)
    named = [(f"node {place}", node) for place, node in enumerate(nodes)]
    chain.node = EvmNodes(named, required, lambda name, fields: told.append((name, fields)))
    return chain, told


def alarms(told: list[tuple[str, dict[str, Any]]]) -> set[str]:
    return {fields["node"] for name, fields in told if name == "alarm"}


def sent_one() -> FakeNode:
    node = FakeNode()
    node.send()
    node.mine(9)
    return node


def another_root(method: str, _: Sequence[Any], answer: Any) -> Any:
    return {**answer, "stateRoot": "0x" + "66" * 32} if method == "eth_getBlockByNumber" else answer


def another_word(method: str, _: Sequence[Any], answer: Any) -> Any:
    return "0x" + "66" * 32 if method == "eth_getStorageAt" else answer


def no_logs(method: str, _: Sequence[Any], answer: Any) -> Any:
    return [] if method == "eth_getLogs" else answer


def another_chain(method: str, _: Sequence[Any], answer: Any) -> Any:
    return "0x1" if method == "eth_chainId" else answer


def far_ahead(method: str, params: Sequence[Any], answer: Any) -> Any:
    return {**answer, "number": hex(10**9)} if method == "eth_getBlockByNumber" and params[0] == "latest" else answer


def nonsense(method: str, params: Sequence[Any], answer: Any) -> Any:
    return {"much": [params] * 3}


def bottomless(method: str, params: Sequence[Any], answer: Any) -> Any:
    """What JSON can hold, and nobody can print."""
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    return dict.fromkeys(answer, deep) if isinstance(answer, dict) else deep


def bottomless_root(method: str, params: Sequence[Any], answer: Any) -> Any:
    return {**answer, "storageHash": bottomless(method, params, [])} if method == "eth_getProof" else answer


async def read(chain: EvmChain) -> tuple[Any, ...]:
    """What a courier asks, as values that can be compared."""
    tip = await chain.tip()
    proof = await chain.prove("ibc", host.packet_commitment(CLIENT, 1), tip.height)
    events = [block.events for block in await chain.blocks_events(range(1, 4))]
    return tip, await chain.outstanding(CLIENT), await chain.received(CLIENT, {1}), proof, events


def honest() -> tuple[Any, ...]:
    return asyncio.run(read(chain_of(sent_one())[0]))


@pytest.mark.parametrize(
    "spoil",
    [another_root, another_word, no_logs, another_chain, far_ahead, nonsense, bottomless, bottomless_root],
)
def test_b5_one_poisoned_node_of_three_changes_nothing_but_an_alarm(spoil: Spoil) -> None:
    node = sent_one()
    chain, told = through(Seen(node), Seen(node, spoil), Seen(node))
    found = asyncio.run(read(chain))
    assert [str(one) for one in found[1:4]] == [str(one) for one in asyncio.run(read(chain_of(node)[0]))[1:4]]
    assert alarms(told) <= {"node 1"}
    if spoil not in (nonsense, far_ahead, bottomless, bottomless_root):
        assert alarms(told) == {"node 1"}


@pytest.mark.parametrize("spoil", [another_root, another_word, no_logs, another_chain])
def test_b5_two_nodes_that_contradict_each_other_halt_and_neither_is_believed(spoil: Spoil) -> None:
    node = sent_one()
    chain, told = through(Seen(node), Seen(node, spoil))
    with pytest.raises(ChainUnavailable):
        asyncio.run(read(chain))
    assert alarms(told) == {"node 0", "node 1"}, "nobody can say which of them is right"


def test_c3_failing_over_never_lowers_what_is_required() -> None:
    node = sent_one()
    one, other, third = Seen(node), Seen(node), Seen(node, silent=True)
    chain, _ = through(one, other, third)
    asyncio.run(read(chain))
    other.silent = True
    with pytest.raises(ChainUnavailable, match="too few"):
        asyncio.run(chain.tip())
    other.silent = False
    assert asyncio.run(chain.tip()).height == Height(0, 7)


def test_a_node_that_is_behind_is_waited_for_and_is_no_liar() -> None:
    node = sent_one()
    chain, told = through(Seen(node), Seen(node, behind=3), Seen(node))
    assert asyncio.run(chain.tip()).height == Height(0, 7)
    chain, told = through(Seen(node), Seen(node, behind=3))
    assert asyncio.run(chain.tip()).height == Height(0, 4), "as far as both are"
    assert alarms(told) == set()


def test_the_newest_block_is_one_block_for_all() -> None:
    """What is asked of the newest block is asked of the agreed one, by its hash."""
    node = sent_one()
    asked: list[Any] = []

    def note(method: str, params: Sequence[Any], answer: Any) -> Any:
        if method == "eth_getStorageAt":
            asked.append(params[-1])
        return answer

    chain, _ = through(Seen(node, note), Seen(node, behind=2))
    asyncio.run(chain.received(CLIENT, {1}))
    assert asked == [{"blockHash": hexed(node.blocks[7].hash)}]


def test_a_transaction_is_offered_to_all_and_taken_by_one() -> None:
    node = sent_one()
    one, other = Seen(node), Seen(node, silent=True)
    third = Seen(node)
    chain, _ = through(one, other, third)
    assert asyncio.run(ask(chain.node, "eth_sendRawTransaction", "0x02")) == hexed(b"\x01" * 32)
    assert (one.sent, third.sent) == (["0x02"], ["0x02"])


def test_health_says_who_contradicts() -> None:
    node = sent_one()
    chain, _ = through(Seen(node), Seen(node, another_word), Seen(node, silent=True), Seen(node))
    asyncio.run(read(chain))
    assert isinstance(chain.node, EvmNodes)
    shown: Any = chain.health()
    assert shown["required"] == 2
    assert shown["alarms"] == 1
    states = {each["source"]: each["state"] for each in shown["nodes"]}
    assert states["node 1"] == "differs on eth_getStorageAt"
    assert "silent" in states["node 2"]
    assert states["node 0"] == states["node 3"] == "answers"


def test_no_more_can_be_required_than_there_are() -> None:
    with pytest.raises(TooFewNodes):
        EvmNodes([("only", FakeNode())], 2, lambda *_: None)


class Broken(Seen):
    """A node whose answer breaks what reads it."""

    error: Exception

    async def many(self, calls: Sequence[Call], /) -> list[Any]:
        raise self.error


@pytest.mark.parametrize("error", [TypeError("unhashable type: 'list'"), RecursionError("too deep")])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_b5_an_answer_that_breaks_its_reader_is_one_nodes_and_stops_no_other(place: int, error: Exception) -> None:
    node = sent_one()
    broken, nodes = Broken(node), [Seen(node), Seen(node)]
    broken.error = error
    nodes.insert(place, broken)
    chain, told = through(*nodes)
    assert asyncio.run(chain.tip()).height == Height(0, 7)
    assert ("node", {"node": f"node {place}", "state": repr(error)}) in told


def counts(*said: str | None, required: int = 2, method: str = "eth_getTransactionCount") -> int:
    """What nodes that say these numbers are taken to say."""
    node = sent_one()
    nodes = [
        Seen(node, silent=True) if one is None else Seen(Numbers(), lambda _method, _params, _answer, one=one: one)
        for one in said
    ]
    chain, _ = through(*nodes, required=required)
    return int(asyncio.run(ask(chain.node, method, "0x01", "pending")), 16)


class Numbers(FakeNode):
    """Numbers are this test's."""

    def eth_getTransactionCount(self, *_: Any) -> str:
        return "0x0"

    eth_estimateGas = eth_maxPriorityFeePerGas = eth_getTransactionCount


def test_b5_no_one_node_says_which_nonce_is_free() -> None:
    """Whoever signs above what waits, signs what is never included, and everything after it."""
    assert counts("0x5", "0x5", "0x40") == 5
    assert counts("0x5", "0x5", "0x0") == 5
    assert counts("0x6", "0x5", None) == 5, "so many have reached"
    with pytest.raises(ChainUnavailable):
        counts("0x5", "many", "more")


def test_b5_no_one_node_makes_it_dear() -> None:
    method = "eth_maxPriorityFeePerGas"
    assert counts("0x5", "0xffffff", method=method) == 5
    assert counts("0x5", "0xffffff", "0x6", method=method) == 6
    assert counts("0x5", "0xffffff", None, method=method) == 5


def test_b5_no_one_node_has_a_call_fail_in_its_block_where_it_is_paid_for() -> None:
    """Gas that is too little is paid for nothing; what is left over costs nothing."""
    method = "eth_estimateGas"
    assert counts("0x5", "0xffff", method=method) == 0xFFFF
    assert counts("0x5", "0x5", "0x2", method=method) == 5
    assert counts("0x5", "0xffffff", "0x6", method=method) == 6


def refused(*said: str | None) -> Any:
    """What is made of estimates, None for a contract's refusal."""

    def word(one: str | None) -> Seen:
        seen = Seen(Numbers(), lambda _method, _params, _answer: one)
        if one is None:
            seen.spoil = lambda _method, _params, _answer: RpcError("execution reverted")
        return seen

    chain, _ = through(*map(word, said))
    return asyncio.run(ask(chain.node, "eth_estimateGas", {}))


def test_b5_what_enough_nodes_do_not_see_go_through_is_not_signed() -> None:
    for said in ((None, "0x5"), ("0x5", None)):
        with pytest.raises(ChainUnavailable, match="too few nodes agree"):
            refused(*said)
    with pytest.raises(RpcError, match="reverted"):
        refused(None, None, "0x5")
    assert refused("0x5", "0x5", None) == "0x5"
