"""JSON-RPC batches: bounded, in order, and one call alone is no batch."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from lockgate.relay import rpc
from lockgate.relay.rpc import BadAnswer, Rpc, RpcError


@contextlib.asynccontextmanager
async def node(asked: list[Any], *, unbracketed: bool = False, most: int = 1_000) -> AsyncIterator[Rpc]:
    """A node that answers each call with its own parameters, or an error for the text `bad`."""

    def one(request: dict[str, Any]) -> dict[str, Any]:
        key = request["params"]["key"]
        said = {"error": {"message": "no"}} if key == "bad" else {"result": {"key": key}}
        return {"jsonrpc": "2.0", "id": request["id"], **said}

    async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                size = int(head.split("content-length:")[1].split("\r\n")[0])
                request = json.loads(await reader.readexactly(size))
                asked.append(request)
                answer: Any = [one(each) for each in request] if isinstance(request, list) else one(request)
                if isinstance(request, list) and len(request) > most:
                    answer = {"jsonrpc": "2.0", "id": -1, "error": {"message": "batch request exceeds maximum"}}
                if unbracketed and isinstance(answer, list) and len(answer) == 1:
                    (answer,) = answer
                body = json.dumps(answer).encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        writer.close()

    server = await asyncio.start_server(session, "127.0.0.1", 0)
    try:
        async with Rpc(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", timeout_s=5.0) as client:
            yield client
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize("count", [0, 1, 2, rpc.MAX_BATCH, rpc.MAX_BATCH + 1])
@pytest.mark.parametrize("unbracketed", [False, True])
def test_many_calls_come_back_in_order_from_either_kind_of_node(count: int, unbracketed: bool) -> None:
    """CometBFT answers a batch of one by a single object, so such a batch is never sent."""
    asked: list[Any] = []

    async def work() -> None:
        async with node(asked, unbracketed=unbracketed) as client:
            found = await client.many("echo", [{"key": str(n)} for n in range(count)])
        assert found == [{"key": str(n)} for n in range(count)]

    asyncio.run(work())
    assert all(isinstance(request, dict) or len(request) > 1 for request in asked)


@pytest.mark.parametrize("count", [11, 50, 51, 120])
def test_a_node_that_takes_fewer_at_once_is_asked_for_as_many_from_then_on(count: int) -> None:
    """CometBFT takes ten unless it is told otherwise, and answers the whole of a longer batch by one error."""
    asked: list[Any] = []

    async def work() -> None:
        async with node(asked, most=rpc.COMMON_BATCH) as client:
            for _ in range(2):
                found = await client.many("echo", [{"key": str(n)} for n in range(count)])
                assert found == [{"key": str(n)} for n in range(count)]

    asyncio.run(work())
    assert [isinstance(each, list) and len(each) > rpc.COMMON_BATCH for each in asked].count(True) == 1


def test_a_node_that_takes_no_batch_is_told_apart() -> None:
    async def work() -> None:
        async with node([], most=1) as client:
            with pytest.raises(BadAnswer, match="as many results"):
                await client.many("echo", [{"key": str(n)} for n in range(30)])

    asyncio.run(work())


@pytest.mark.parametrize("keys", [["bad"], ["a", "bad", "b"]])
def test_a_calls_own_error_stands_in_its_place(keys: list[str]) -> None:
    async def work() -> list[Any]:
        async with node([]) as client:
            return list(await client.many("echo", [{"key": key} for key in keys]))

    found = asyncio.run(work())
    assert [isinstance(each, RpcError) for each in found] == [key == "bad" for key in keys]


def test_fewer_answers_than_calls_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with node([]) as client:

            async def short(*_: Any) -> list[Any]:
                return [{}]

            monkeypatch.setattr(client, "_post", short)
            with pytest.raises(BadAnswer, match="as many results"):
                await client.many("echo", [{"key": "a"}, {"key": "b"}])

    asyncio.run(work())


@pytest.mark.parametrize("key", [[], {}, True, "1", None])
def test_b5_an_answer_to_no_call_is_refused_whatever_it_is_named(key: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with node([]) as client:

            async def named(*_: Any) -> list[Any]:
                return [{"id": key, "result": {}}, {"id": 2, "result": {}}]

            monkeypatch.setattr(client, "_post", named)
            with pytest.raises(BadAnswer, match="not a JSON-RPC object"):
                await client.many("echo", [{"key": "a"}, {"key": "b"}])

    asyncio.run(work())
