"""HTTP and WebSocket around the RPC methods, as CometBFT serves them.

POST / takes one JSON-RPC request or a batch; GET /method takes URI parameters; /websocket takes the
same requests and `subscribe`. Bodies, batches and subscriptions are bounded; a reader that does not
keep up is disconnected, as CometBFT does, and scans the gap by height.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from lockgate.engines.embedded.chain import NewBlock
from lockgate.engines.embedded.rpc_methods import Methods
from lockgate.engines.embedded.rpc_values import (
    RpcFailure,
    bad_params,
    event_json,
    internal,
    parse_query,
    tx_result_json,
)
from lockgate.lightclients.cometbft import rpc_json
from lockgate.primitives.errors import LockgateError

MAX_BODY: Final = 4_000_000  # a transaction of 1 MiB in base64, in a small batch
MAX_BATCH: Final = 100
MAX_SUBSCRIPTIONS: Final = 10  # per connection; CometBFT allows 5 per client
SERVED: Final = (
    "health", "status", "genesis", "consensus_params", "header", "block", "block_by_hash", "commit",
    "validators", "block_results", "abci_info", "abci_query", "broadcast_tx_sync", "broadcast_tx_async",
    "broadcast_tx_commit", "tx", "tx_search", "block_search", "unconfirmed_txs",
)  # fmt: skip


def application(methods: Methods) -> Starlette:
    """The ASGI application of one ledger."""
    server = _Server(methods)
    routes = [
        Route("/", server.post, methods=["POST"]),
        Route("/{method}", server.get, methods=["GET"]),
        WebSocketRoute("/websocket", server.websocket),
    ]
    return Starlette(routes=routes)


class _Server:
    def __init__(self, methods: Methods) -> None:
        self._methods = methods

    async def post(self, request: Request) -> Response:
        body = bytearray()
        try:
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY:
                    return _respond(_error(None, RpcFailure(-32600, "Invalid Request", "body too large")), 413)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is left to read it
        try:
            calls = json.loads(body)
        except ValueError:
            return _respond(_error(None, RpcFailure(-32700, "Parse error")), 500)
        if isinstance(calls, list):
            if not 0 < len(calls) <= MAX_BATCH:
                return _respond(_error(None, RpcFailure(-32600, "Invalid Request", "batch size")), 500)
            return _respond([await self._call(call) for call in calls], 200)
        answer = await self._call(calls)
        return _respond(answer, 500 if "error" in answer else 200)

    async def get(self, request: Request) -> Response:
        call = {"id": -1, "method": request.path_params["method"], "params": dict(request.query_params)}
        answer = await self._call(call)
        return _respond(answer, 500 if "error" in answer else 200)

    async def _call(self, call: Any) -> dict[str, Any]:
        if not isinstance(call, Mapping):
            return _error(None, RpcFailure(-32600, "Invalid Request"))
        name, params = call.get("method"), call.get("params") or {}
        if name not in SERVED:
            return _error(call.get("id"), RpcFailure(-32601, "Method not found"))
        method = getattr(self._methods, name)
        if isinstance(params, list):
            params = dict(zip(inspect.signature(method).parameters, params, strict=False))
        try:
            if not isinstance(params, dict) or set(params) - set(inspect.signature(method).parameters):
                raise bad_params("unknown parameter")
            result = await method(**params)
        except RpcFailure as failure:
            return _error(call.get("id"), failure)
        except LockgateError as refusal:
            return _error(call.get("id"), internal(str(refusal)))
        return {"jsonrpc": "2.0", "id": call.get("id"), "result": result}

    async def websocket(self, socket: WebSocket) -> None:
        await socket.accept()
        subscriptions: dict[str, tuple[Any, list[tuple[str, str]]]] = {}
        feed = asyncio.create_task(self._feed(socket, subscriptions))
        try:
            while True:
                await socket.send_json(await self._websocket_call(await socket.receive_text(), subscriptions))
        except WebSocketDisconnect:
            pass
        finally:
            feed.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await feed

    async def _websocket_call(
        self, text: str, subscriptions: dict[str, tuple[Any, list[tuple[str, str]]]]
    ) -> dict[str, Any]:
        try:
            call = json.loads(text)
        except ValueError:
            return _error(None, RpcFailure(-32700, "Parse error"))
        if not isinstance(call, Mapping):
            return _error(None, RpcFailure(-32600, "Invalid Request"))
        name, params, number = call.get("method"), call.get("params") or {}, call.get("id")
        if name not in {"subscribe", "unsubscribe", "unsubscribe_all"}:
            return await self._call(call)
        if isinstance(params, list):
            params = {"query": params[0]} if params else {}
        query = str(params.get("query", "")) if isinstance(params, Mapping) else ""
        try:
            if name == "unsubscribe_all":
                subscriptions.clear()
            elif name == "unsubscribe":
                if subscriptions.pop(query, None) is None:
                    raise internal("subscription not found")
            else:
                if len(subscriptions) >= MAX_SUBSCRIPTIONS or query in subscriptions:
                    raise internal("already subscribed, or too many subscriptions")
                subscriptions[query] = (number, parse_query(query))
        except RpcFailure as failure:
            return _error(number, failure)
        return {"jsonrpc": "2.0", "id": number, "result": {}}

    async def _feed(self, socket: WebSocket, subscriptions: dict[str, tuple[Any, list[tuple[str, str]]]]) -> None:
        async for block in self._methods.service.blocks():
            for query, (number, terms) in list(subscriptions.items()):
                for value, kind, events in _messages(block):
                    if all(wanted in events.get(name, ()) for name, wanted in terms):
                        data = {"type": f"tendermint/event/{kind}", "value": value}
                        result = {"query": query, "data": data, "events": events}
                        await socket.send_json({"jsonrpc": "2.0", "id": number, "result": result})
        await socket.close(1011)


def _messages(block: NewBlock) -> list[tuple[dict[str, Any], str, dict[str, list[str]]]]:
    own = block.signed.header
    header = rpc_json.header_to_json(own)
    block_events = _indexed(block.results.events)
    new_block = {
        "block": rpc_json.block_to_json(own, block.transactions, block.last_commit),
        "block_id": rpc_json.block_id_to_json(block.block_id),
        "result_finalize_block": {
            "events": [event_json(event) for event in block.results.events],
            "tx_results": [tx_result_json(result) for result in block.results.transactions],
            "validator_updates": [],
            "app_hash": b64encode(block.app_hash).decode(),
        },
    }
    found: list[tuple[dict[str, Any], str, dict[str, list[str]]]] = [
        (new_block, "NewBlock", {**block_events, "tm.event": ["NewBlock"]}),
        ({"header": header}, "NewBlockHeader", {**block_events, "tm.event": ["NewBlockHeader"]}),
    ]
    for number, result in enumerate(block.results.transactions):
        tx_result = {
            "height": str(block.height),
            "index": number,
            "tx": b64encode(block.transactions[number]).decode(),
            "result": _without_zeros(tx_result_json(result)),
        }
        value = {"TxResult": _without_zeros(tx_result)}
        events = _indexed(result.events)
        events |= {
            "tm.event": ["Tx"],
            "tx.height": [str(block.height)],
            "tx.hash": [block.hashes[number].hex().upper()],
        }
        found.append((value, "Tx", events))
    return found


def _without_zeros(message: dict[str, Any]) -> dict[str, Any]:
    """CometBFT pushes this one message as proto JSON, where a field of its default value is left out."""
    return {name: value for name, value in message.items() if value not in (None, 0, "", "0", [])}


def _indexed(events: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for event in events:
        for key, value in event.attributes:
            found.setdefault(f"{event.type}.{key}", []).append(value)
    return found


def _error(number: Any, failure: RpcFailure) -> dict[str, Any]:
    error: dict[str, Any] = {"code": failure.code, "message": failure.message}
    if failure.data:
        error["data"] = failure.data
    return {"jsonrpc": "2.0", "id": number, "error": error}


def _respond(answer: Any, status: int) -> JSONResponse:
    return JSONResponse(answer, status_code=status)


__all__ = ("SERVED", "application")
