"""JSON-RPC as an EVM node speaks it, against a server that says exactly what a test hands it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from lockgate.codec import abi
from lockgate.courier.ports import ChainUnavailable
from lockgate.relay.chains.evm.interface import ERROR, reason_of
from lockgate.relay.chains.evm.node import BATCH, EvmNode, ask, ask_all
from lockgate.relay.rpc import BadAnswer, RpcError
from tests.unit.relay.test_http import answer, request

Reply = Callable[[list[dict[str, Any]]], bytes]


def against(reply: Reply, work: Callable[[EvmNode], Awaitable[Any]], *, closes: bool = False) -> Any:
    async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                writer.write(reply(json.loads(await request(reader))))
                if closes:
                    writer.close()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def main() -> Any:
        server = await asyncio.start_server(session, "127.0.0.1", 0)
        async with server, EvmNode(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", most=10_000) as node:
            return await work(node)

    return asyncio.run(main())


def saying(*results: Any) -> Reply:
    def reply(asked: list[dict[str, Any]]) -> bytes:
        found = [{"id": one["id"], "jsonrpc": "2.0", **result} for one, result in zip(asked, results, strict=False)]
        return answer(json.dumps(found).encode())

    return reply


def test_results_stand_in_the_order_of_the_calls() -> None:
    def backwards(asked: list[dict[str, Any]]) -> bytes:
        found = [{"id": one["id"], "result": one["params"][0]} for one in reversed(asked)]
        return answer(json.dumps(found).encode())

    calls = [("echo", [number]) for number in range(2 * BATCH + 1)]
    assert against(backwards, lambda node: ask_all(node, calls)) == list(range(2 * BATCH + 1))


def test_a_calls_own_error_stands_in_its_place() -> None:
    failing = saying({"result": "0x1"}, {"error": {"code": 3, "message": "execution reverted", "data": "0x08"}})
    one, other = against(failing, lambda node: node.many([("a", []), ("b", [])]))
    assert one == "0x1"
    assert isinstance(other, RpcError)
    assert (other.detail, other.fields["data"]) == ("execution reverted", "0x08")
    with pytest.raises(RpcError, match="reverted"):
        against(failing, lambda node: ask_all(node, [("a", []), ("b", [])]))


@pytest.mark.parametrize(
    "reply",
    [
        lambda _: answer(b"<html>"),
        lambda _: answer(b"[" * 5_000),
        lambda _: answer(b"[]"),
        lambda _: answer(b"{}"),
        lambda _: answer(b'[{"id": 99, "result": 1}]'),
        lambda _: answer(b"[7]"),
        lambda _: answer(b'[{"id": [], "result": 1}]'),
        lambda _: answer(b'[{"id": {"a": 1}, "result": 1}]'),
        lambda _: answer(b'[{"id": true, "result": 1}]'),
        saying({}),
        saying({"result": "0x" + "00" * 10_000}),
    ],
    ids=[
        *("no json", "deep", "no answers", "an object", "another id", "a number"),
        *("a list for an id", "an object for an id", "true for an id", "neither", "huge"),
    ],
)
def test_nonsense_is_a_bad_answer(reply: Reply) -> None:
    with pytest.raises(BadAnswer):
        against(reply, lambda node: ask(node, "eth_chainId"))


def test_one_error_for_a_batch_is_the_nodes_word() -> None:
    def refuse(_: Any) -> bytes:
        return answer(b'{"id": null, "error": {"code": -32600, "message": "batch too large"}}')

    with pytest.raises(RpcError, match="batch too large"):
        against(refuse, lambda node: ask(node, "eth_chainId"))


def test_an_error_whose_message_is_no_text_is_an_error_all_the_same() -> None:
    failing = saying({"error": {"code": 3, "message": [["much"]]}})
    with pytest.raises(RpcError) as refused:
        against(failing, lambda node: ask(node, "a"))
    assert refused.value.detail == "error"


def test_a_node_that_cuts_or_is_away_is_unavailable() -> None:
    with pytest.raises(ChainUnavailable):
        against(lambda _: answer(b"[1, 2]")[:-3], lambda node: ask(node, "eth_chainId"), closes=True)
    with pytest.raises(ChainUnavailable):
        EvmNode("ftp://127.0.0.1")


def test_words_of_a_node_or_a_contract_cannot_draw_on_a_terminal() -> None:
    failing = saying({"error": {"code": 3, "message": "\x1b[2Jgone\n"}})
    with pytest.raises(RpcError) as refused:
        against(failing, lambda node: ask(node, "a"))
    assert refused.value.detail == "?[2Jgone?"
    reason = ERROR + abi.encode(abi.STRING, "\x1b[31mred")
    assert reason_of(reason) == "?[31mred"
