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
async def node(asked: list[Any], *, unbracketed: bool = False) -> AsyncIterator[Rpc]:
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
