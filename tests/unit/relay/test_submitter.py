"""A submission ends in what the ledger says of it, over a node whose answers a test writes."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from lockgate.codec import cbor
from lockgate.courier.ports import Submitted
from lockgate.crypto import ed25519
from lockgate.machine.transaction import Transaction, read_sign1
from lockgate.primitives.ids import DomainId, Hash32
from lockgate.relay import submitter as submitting
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.rpc import BadAnswer, RpcError, array
from lockgate.relay.submitter import AccountSubmitter, PriceAboveLimit, unjudged

STATUS = {
    "node_info": {"network": "alpha-1"},
    "sync_info": {"latest_block_height": "5", "latest_block_time": "2026-01-05T00:00:00Z"},
}
RULES = {"max_messages": 100, "max_tx_bytes": 1 << 20, "max_tx_gas": 1 << 30, "min_gas_price": 0}
OK = {"code": 0, "log": "", "codespace": "", "events": []}
STALE = {"code": 5, "log": "sequence", "codespace": "lockgate"}
EXPIRED = {"code": 6, "log": "tx.expired", "codespace": "lockgate"}


class Node:
    """Answers `status` and the account; hands out the given answers to a broadcast."""

    def __init__(self, *broadcasts: dict[str, Any] | RpcError, sequence: int = 0) -> None:
        self.broadcasts = list(broadcasts)
        self.account: Any = [sequence, 0]
        self.rules: Any = RULES
        self.calls: list[str] = []
        self.paid = 0, 0
        self.sent: list[Transaction] = []

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        self.calls.append(method)
        if method == "status":
            return STATUS
        if method == "abci_query":
            value = cbor.encode(self.rules if params["path"] == "/lockgate/parameters" else self.account)
            return {"response": {"code": 0, "value": base64.b64encode(value).decode()}}
        if method == "tx":
            if self.calls.count("tx") == 1:
                raise RpcError("tx not found")
            return {"height": "7", "tx_result": OK}
        sent = Transaction.from_body(read_sign1(base64.b64decode(params["tx"]))[2], 10)
        self.paid = sent.fee, sent.gas_limit
        self.sent.append(sent)
        answer = self.broadcasts.pop(0)
        if isinstance(answer, RpcError):
            raise answer
        return answer

    async def close(self) -> None:
        pass


def submitter_on(node: Node, most_price: int = 0) -> AccountSubmitter:
    key = ed25519.SigningKey(bytes(32))
    chain = CometBftChain(node, "alpha-1")  # type: ignore[arg-type]
    return AccountSubmitter(chain, DomainId(Hash32(bytes(32))), key.public_key, key.sign, 1, most_price)


def submit(node: Node, most_price: int = 0) -> Submitted:
    return asyncio.run(submitter_on(node, most_price).submit([("lane.open", {"x": 1})]))


def committed(check: dict[str, Any] = OK, result: dict[str, Any] = OK) -> dict[str, Any]:
    return {"check_tx": check, "tx_result": result, "height": "6"}


def test_one_call_submits_and_waits() -> None:
    node = Node(committed())
    done = submit(node)
    assert (done.code, done.height.height) == (0, 6)
    assert "tx" not in node.calls, "the node has waited, so nothing is asked again and again"


def test_a_refused_transaction_is_a_value_not_a_failure() -> None:
    check = {"code": 9, "log": "tx.fee", "codespace": "lockgate"}
    done = submit(Node(committed(check)))
    assert (done.code, done.log) == (9, "tx.fee")
    failed = {"code": 3, "log": "lane.exists", "codespace": "lockgate"}
    assert submit(Node(committed(result=failed))).log == "lane.exists"


@pytest.mark.parametrize("where", ["check", "block"])
def test_a_transaction_that_came_too_late_is_signed_again(where: str) -> None:
    late = committed(EXPIRED) if where == "check" else committed(result=EXPIRED)
    node = Node(late, committed(), sequence=4)
    assert submit(node).code == 0
    assert node.calls.count("broadcast_tx_commit") == 2
    always = submit(Node(*[late] * 20))
    assert (always.code, unjudged(always)) == (6, True), "in the end whoever asked is told"


def test_a_stale_sequence_is_read_again() -> None:
    node = Node(committed(STALE), committed(), sequence=4)
    assert submit(node).code == 0
    assert node.calls.count("abci_query") == 3, "the rules once, the sequence twice"


@pytest.mark.parametrize(
    "words",
    [
        "timed out waiting for tx to be included in a block",
        "error on broadcastTxCommit: tx already exists in cache",
        "txSub was canceled (reason: CometBFT exited)",
        "ledger.tx_known",
    ],
)
def test_a_transaction_that_is_on_its_way_is_asked_for_and_not_sent_again(words: str) -> None:
    node = Node(RpcError(words))
    done = submit(node)
    assert (done.code, done.height.height) == (0, 7)
    assert node.calls.count("broadcast_tx_commit") == 1


def test_another_failure_is_not_waited_on() -> None:
    node = Node(RpcError("ledger.mempool_full"))
    with pytest.raises(RpcError, match="mempool_full"):
        submit(node)
    assert "tx" not in node.calls


@pytest.mark.parametrize("account", [[], [b"", 0], [[7], 0], ["7", 0], [7], [-1, 0], [1 << 60, 0], {0: 7}, 7, None])
def test_an_account_of_another_shape_is_the_nodes_fault_and_nothing_is_sent(account: Any) -> None:
    """Found by the lab's seeds: a node's answer must end no process."""
    node = Node()
    node.account = account
    with pytest.raises(BadAnswer):
        submit(node)
    assert "broadcast_tx_commit" not in node.calls


@pytest.mark.parametrize("name", sorted(RULES))
@pytest.mark.parametrize("value", [None, b"5", "5", [5], True])
def test_parameters_of_another_shape_are_the_nodes_fault_and_nothing_is_sent(name: str, value: Any) -> None:
    node = Node()
    node.rules = {**RULES, name: value}
    with pytest.raises(BadAnswer):
        submit(node)
    assert "broadcast_tx_commit" not in node.calls


def test_a_check_of_another_shape_is_the_nodes_fault() -> None:
    with pytest.raises(BadAnswer):
        submit(Node({"check_tx": ["code"], "tx_result": OK, "height": "7"}))


@pytest.mark.parametrize("found", [b"range", {0: b""}, [7], [b"a", "b"], None])
def test_a_list_of_another_shape_is_the_nodes_fault(found: Any) -> None:
    response = {"value": base64.b64encode(cbor.encode(found)).decode()}
    with pytest.raises(BadAnswer):
        array(response, bytes)


@pytest.mark.parametrize(("asked", "most", "paid"), [(0, 0, True), (3, 3, True), (1, 0, False), (4, 3, False)])
def test_no_word_of_a_node_makes_an_account_pay_more_than_it_is_to(asked: int, most: int, paid: bool) -> None:
    """A node that named a high price would have the account's whole balance go into fees."""
    node = Node({"check_tx": OK, "tx_result": OK, "height": "7"})
    node.rules = {**RULES, "min_gas_price": asked}
    if paid:
        assert submit(node, most).code == 0
        (fee, gas) = node.paid
        assert fee == gas * asked
    else:
        with pytest.raises(PriceAboveLimit) as refusal:
            submit(node, most)
        assert refusal.value.fields["asked"] == asked
        assert "broadcast_tx_commit" not in node.calls


def test_a_sibling_pays_no_more() -> None:
    assert submitter_on(Node(), 7).sibling(2).most_price == 7


def test_the_ledgers_bounds_are_read_again_when_they_are_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """[P16] Governance may have changed them; and a node that lied may have been replaced (seed 382 of the lab)."""

    async def work() -> None:
        node = Node()
        submitter = submitter_on(node)
        first = await submitter.limits()
        node.rules = {**RULES, "max_messages": 7}
        assert await submitter.limits() == first, "a minute is not over"
        loop = asyncio.get_running_loop()
        later = loop.time() + submitting.LIMITS_HOLD_S
        monkeypatch.setattr(loop, "time", lambda: later)
        assert (await submitter.limits()).messages == 7

    asyncio.run(work())


RETIRED = {"code": 122, "log": "tx.key_not_current", "codespace": "lockgate"}


@pytest.mark.parametrize("where", ["check", "block"])
def test_a_transaction_of_a_replaced_key_is_signed_again_with_the_new_one(where: str) -> None:
    """The account stays the same, and is named beside the key; all its nonce lanes change over (S11)."""
    first, second = ed25519.SigningKey(bytes(32)), ed25519.SigningKey(b"2" * 32)
    refused = committed(RETIRED) if where == "check" else committed(result=RETIRED)
    node = Node(refused, committed(), committed(), sequence=4)
    asked: list[str] = []

    async def renew() -> tuple[bytes, submitting.Sign]:
        asked.append("key")
        return second.public_key, second.sign

    chain = CometBftChain(node, "alpha-1")  # type: ignore[arg-type]
    domain = DomainId(Hash32(bytes(32)))
    one = AccountSubmitter(chain, domain, first.public_key, first.sign, 1, renew=renew)
    other, account = one.sibling(2), one.signer

    async def both() -> tuple[Submitted, Submitted]:
        return await one.submit([("lane.open", {"x": 1})]), await other.submit([("lane.open", {"x": 1})])

    done = asyncio.run(both())
    assert [each.code for each in done] == [0, 0]
    assert asked == ["key"]
    assert one.signer == other.signer == account
    assert [(sent.public_key, sent.account, sent.sequence) for sent in node.sent] == [
        (first.public_key, account, 4),
        (second.public_key, account, 4),
        (second.public_key, account, 4),
    ]
    assert [sent.named for sent in node.sent] == [None, account, account]


def test_a_replaced_key_without_a_successor_here_is_the_ledgers_refusal() -> None:
    node = Node(committed(RETIRED))
    assert submit(node).code == 122

    async def nothing() -> None:
        return None

    node = Node(committed(RETIRED))
    one = submitter_on(node)
    one._credential.renew = nothing
    assert asyncio.run(one.submit([("lane.open", {"x": 1})])).code == 122
