"""Every RPC method: the shape of its answer, and each refusal (I10). Real nodes are compared in tests/interop."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from lockgate.codec import cbor
from lockgate.engines.embedded.rpc_methods import Methods
from lockgate.engines.embedded.rpc_server import MAX_BATCH, MAX_BODY, MAX_SUBSCRIPTIONS, SERVED, application
from lockgate.engines.embedded.rpc_values import RpcFailure
from lockgate.engines.embedded.service import LedgerService
from lockgate.engines.shared.queries import UnknownPath
from lockgate.lab.ledgers import LabLedger
from lockgate.lab.paths import expect
from lockgate.machine import keys
from lockgate.machine.genesis import Genesis
from tests.support.lab import World

INVALID, INTERNAL = -32602, -32603


@pytest.fixture(scope="module")
def world() -> World:
    made = World.make()
    packet = made.send()
    expect(made.deliver(packet))
    expect(made.answer(packet))
    return made


@pytest.fixture(scope="module")
def methods(world: World) -> Methods:
    return methods_of(world.b.ledger)


def methods_of(ledger: LabLedger) -> Methods:
    return Methods(LedgerService(ledger.chain), node_id="ab" * 20, moniker="beta")


def call(methods: Methods, name: str, **params: Any) -> Any:
    return asyncio.run(getattr(methods, name)(**params))


def failure(methods: Methods, name: str, **params: Any) -> RpcFailure:
    with pytest.raises(RpcFailure) as refused:
        call(methods, name, **params)
    return refused.value


TOP = {
    "health": set(),
    "status": {"node_info", "sync_info", "validator_info"},
    "genesis": {"genesis"},
    "consensus_params": {"block_height", "consensus_params"},
    "header": {"header"},
    "block": {"block_id", "block"},
    "commit": {"signed_header", "canonical"},
    "validators": {"block_height", "validators", "count", "total"},
    "block_results": {
        "height", "txs_results", "finalize_block_events", "validator_updates", "consensus_param_updates", "app_hash",
    },
    "abci_info": {"response"},
    "abci_query": {"response"},
    "unconfirmed_txs": {"n_txs", "total", "total_bytes", "txs"},
}  # fmt: skip


@pytest.mark.parametrize("name", TOP)
def test_a_method_answers_in_its_shape_as_json(methods: Methods, name: str) -> None:
    answer = call(methods, name)
    assert set(answer) == TOP[name]
    assert json.loads(json.dumps(answer)) == answer


def test_every_served_method_is_tested() -> None:
    others = {"block_by_hash", "broadcast_tx_sync", "broadcast_tx_async", "broadcast_tx_commit", "tx", "tx_search"}
    assert set(SERVED) == set(TOP) | others | {"block_search"}


def test_heights_are_strings_and_hashes_upper_hex(methods: Methods, world: World) -> None:
    header = call(methods, "header", height="2")["header"]
    assert header["height"] == "2"
    assert header["app_hash"] == header["app_hash"].upper()
    tip = call(methods, "status")["sync_info"]
    assert tip["latest_block_height"] == str(world.b.ledger.height)
    assert tip["earliest_block_height"] == "1"


def test_the_genesis_carries_ours_whole(methods: Methods, world: World) -> None:
    state = call(methods, "genesis")["genesis"]["app_state"]["lockgate"]
    assert Genesis.from_bytes(b64decode(state)) == world.b.ledger.genesis


@pytest.mark.parametrize("name", ["header", "block", "commit", "block_results", "consensus_params"])
@pytest.mark.parametrize(
    ("height", "code", "words"),
    [
        ("-1", INTERNAL, "must be greater than 0"),
        ("1000000", INTERNAL, "less than or equal to the current blockchain height"),
        ("ten", INVALID, "not an int64"),
        (str(1 << 63), INVALID, "not an int64"),
        (True, INVALID, "not an int64"),
    ],
)
def test_a_height_that_is_none_is_refused(methods: Methods, name: str, height: Any, code: int, words: str) -> None:
    refused = failure(methods, name, height=height)
    assert (refused.code, words in refused.data) == (code, True)


def test_the_validators_of_the_next_height_are_known_and_no_further(methods: Methods, world: World) -> None:
    tip = world.b.ledger.height
    assert call(methods, "validators", height=str(tip + 1))["total"] == "1"
    assert failure(methods, "validators", height=str(tip + 2)).code == INTERNAL


@pytest.mark.parametrize(("page", "code"), [("0", INVALID), ("2", INVALID), ("x", INVALID)])
def test_a_page_outside_the_list_is_refused(methods: Methods, page: str, code: int) -> None:
    assert failure(methods, "validators", page=page).code == code


def test_blocks_are_found_by_hash(methods: Methods, world: World) -> None:
    block_id = world.b.ledger.light_block(3).signed_header.commit.block_id
    for form in (block_id.hash.hex(), "0x" + block_id.hash.hex(), b64encode(block_id.hash).decode()):
        assert call(methods, "block_by_hash", hash=form)["block"]["header"]["height"] == "3"
    assert call(methods, "block_by_hash", hash="00" * 32)["block"] is None
    for wrong in ("zz", "00", None):
        assert failure(methods, "block_by_hash", hash=wrong).code == INVALID


def test_transactions_are_found_by_hash_and_by_event(methods: Methods) -> None:
    query = "recv_packet.packet_sequence='1'"
    found = call(methods, "tx_search", query=query)
    assert found["total_count"] == "1"
    (tx,) = found["txs"]
    assert set(tx) == {"hash", "height", "index", "tx_result", "tx"}
    assert call(methods, "tx", hash=tx["hash"]) == tx
    assert call(methods, "tx_search", query=f"tx.hash='{tx['hash']}'")["txs"] == [tx]
    assert call(methods, "tx_search", query=f"{query} AND tx.height={tx['height']}")["txs"] == [tx]
    assert call(methods, "tx_search", query="recv_packet.packet_sequence='9'")["txs"] == []
    assert failure(methods, "tx", hash="00" * 32).code == INTERNAL


@pytest.mark.parametrize("method", ["tx_search", "block_search"])
@pytest.mark.parametrize("query", ["", None, "a", "a=b", "a='b' OR c='d'", " AND ".join(["a.b='c'"] * 9)])
def test_a_query_of_another_language_is_refused(methods: Methods, method: str, query: Any) -> None:
    assert failure(methods, method, query=query).code == INVALID


def query(methods: Methods, path: str, data: bytes = b"", **more: Any) -> dict[str, Any]:
    response: dict[str, Any] = call(methods, "abci_query", path=path, data=data.hex(), **more)["response"]
    return response


def test_a_proven_read_carries_two_operations(methods: Methods, world: World) -> None:
    at = world.b.ledger.height - 1
    response = query(methods, "/store/rules/key", keys.RULES_DOMAIN, height=str(at), prove=True)
    assert [op["type"] for op in response["proofOps"]["ops"]] == ["ics23:iavl", "ics23:simple"]
    assert b64decode(response["value"]) == world.b.ledger.chain.view().get(keys.RULES, keys.RULES_DOMAIN)
    assert response["height"] == str(at)


@pytest.mark.parametrize(
    "path", ["", "/", "/lockgate", "/lockgate/none", "/store/rules", "/store/rules/value", "/cosmos.bank/x"]
)
def test_a_path_nobody_answers_is_an_answer_with_a_code(methods: Methods, path: str) -> None:
    response = query(methods, path)
    assert (response["code"], response["codespace"]) == (UnknownPath.wire or ("", 0))[::-1]  # type: ignore[comparison-overlap]
    assert response["log"].startswith("query.unknown_path")
    assert response["value"] is None


OWN: dict[str, tuple[Callable[[World], bytes], bytes]] = {
    "account": (lambda w: cbor.encode([w.host_b.id, 0]), cbor.encode(["x"])),
    "range": (lambda _: cbor.encode(["lane", b"lane/", b"lane0"]), cbor.encode(["lane"])),
    "endpoint": (lambda w: w.receiver.id, b"no such endpoint"),
    "key_records": (lambda w: w.receiver.id, bytes(32)),
}


@pytest.mark.parametrize("name", OWN)
def test_our_own_queries_answer_and_refuse(methods: Methods, world: World, name: str) -> None:
    good, bad = OWN[name]
    assert query(methods, f"/lockgate/{name}", good(world))["code"] == 0
    refused = query(methods, f"/lockgate/{name}", bad)
    assert refused["code"] != 0
    assert refused["value"] is None


@pytest.mark.parametrize("name", ["inbox", "lanes", "parameters"])
def test_our_own_lists_answer(methods: Methods, world: World, name: str) -> None:
    data = world.receiver.id if name == "inbox" else b""
    assert query(methods, f"/lockgate/{name}", data)["code"] == 0


def test_a_height_that_is_not_kept_is_an_answer_with_a_code(methods: Methods) -> None:
    assert query(methods, "/lockgate/lanes", height="999")["code"] != 0
    assert failure(methods, "abci_query", path=7).code == INVALID
    assert failure(methods, "abci_query", path="/lockgate/lanes", data="zz").code == INVALID
    assert failure(methods, "abci_query", path="/lockgate/lanes", prove="perhaps").code == INVALID


def fence_transaction(world: World) -> bytes:
    return world.a.ledger.signed(world.host_a, [world.sender.take_fence()])


def test_broadcasts_say_what_the_check_said() -> None:
    world = World.make()
    on_a = methods_of(world.a.ledger)
    data = b64encode(fence_transaction(world)).decode()
    done = call(on_a, "broadcast_tx_sync", tx=data)
    assert done["code"] == 0
    assert call(on_a, "unconfirmed_txs")["total"] == "1"
    assert "ledger.tx_known" in failure(on_a, "broadcast_tx_sync", tx=data).data
    refused = call(on_a, "broadcast_tx_sync", tx=b64encode(b"nothing").decode())
    assert refused["log"].startswith("tx.malformed")
    assert call(on_a, "broadcast_tx_async", tx=b64encode(b"nothing").decode())["code"] == 0
    assert failure(on_a, "broadcast_tx_sync", tx="***").code == INVALID


def test_a_commit_is_answered_from_its_block() -> None:
    world = World.make()
    on_a = methods_of(world.a.ledger)
    data = b64encode(fence_transaction(world)).decode()

    async def work() -> dict[str, Any]:
        running = asyncio.create_task(on_a.service.run())
        try:
            return await on_a.broadcast_tx_commit(tx=data)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    height = world.a.ledger.height + 1
    answer = asyncio.run(work())
    assert (answer["tx_result"]["code"], answer["height"]) == (0, str(height))
    refused = call(on_a, "broadcast_tx_commit", tx=b64encode(b"nothing").decode())
    assert (refused["height"], refused["check_tx"]["code"]) == ("0", 2)


# The server around the methods.


@pytest.fixture(scope="module")
def client(methods: Methods) -> TestClient:
    return TestClient(application(methods))


def posted(client: TestClient, body: Any) -> tuple[int, Any]:
    answer = client.post("/", content=body if isinstance(body, (bytes, str)) else json.dumps(body))
    return answer.status_code, answer.json()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("{", -32700),
        ("7", -32600),
        ([], -32600),
        ([{"method": "health"}] * (MAX_BATCH + 1), -32600),
        ({"method": "service"}, -32601),
        ({"method": "__init__"}, -32601),
        ({"method": "status", "params": {"x": 1}}, INVALID),
        ({"method": "status", "params": "x"}, INVALID),
    ],
)
def test_a_call_that_is_none_is_refused_in_json_rpcs_words(client: TestClient, body: Any, code: int) -> None:
    status, answer = posted(client, body)
    assert (status, answer["error"]["code"]) == (500, code)


def test_a_body_too_large_is_cut_off(client: TestClient) -> None:
    status, answer = posted(client, b" " * (MAX_BODY + 1))
    assert (status, answer["error"]["code"]) == (413, -32600)


def test_a_batch_is_answered_call_by_call(client: TestClient) -> None:
    status, answers = posted(client, [{"id": 1, "method": "health"}, {"id": 2, "method": "nothing"}])
    assert status == 200
    assert [answer["id"] for answer in answers] == [1, 2]
    assert ["result" in answer for answer in answers] == [True, False]


def test_parameters_come_by_name_by_place_and_in_the_address(client: TestClient) -> None:
    expected = posted(client, {"id": 1, "method": "header", "params": {"height": "2"}})[1]["result"]
    assert posted(client, {"id": 1, "method": "header", "params": ["2"]})[1]["result"] == expected
    assert client.get("/header?height=2").json()["result"] == expected
    assert client.get("/header?height=999").status_code == 500


def test_subscriptions_are_bounded_and_named_once(client: TestClient) -> None:
    with client.websocket_connect("/websocket") as socket:

        def ask(method: str, text: str) -> dict[str, Any]:
            socket.send_json({"id": 1, "method": method, "params": {"query": text}})
            answer: dict[str, Any] = socket.receive_json()
            return answer

        for number in range(MAX_SUBSCRIPTIONS):
            assert ask("subscribe", f"tm.event='Tx' AND a.b='{number}'")["result"] == {}
        assert ask("subscribe", "tm.event='NewBlock'")["error"]["code"] == INTERNAL
        assert ask("unsubscribe", "never.asked='x'")["error"]["code"] == INTERNAL
        assert ask("unsubscribe", "tm.event='Tx' AND a.b='0'")["result"] == {}
        assert ask("subscribe", "not a query")["error"]["code"] == INVALID
        assert ask("unsubscribe_all", "")["result"] == {}
        socket.send_text("{")
        assert socket.receive_json()["error"]["code"] == -32700
