"""A CometBFT JSON-RPC client: one connection pool, bounded answers, typed failures (I10).

Calls are the truth. A WebSocket subscription beside them only says that there is something new to ask
for: it may be late, silent or gone, and nothing depends on it but latency.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final, Protocol, Self, TypeVar, runtime_checkable

from google.protobuf.message import DecodeError
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from lockgate.codec import cbor
from lockgate.courier.ports import ChainUnavailable
from lockgate.primitives.errors import LockgateError, PeerFault, Unavailable
from lockgate.relay.http import HttpFailed, HttpPool, TooLong, origin

MAX_DIGITS: Final = 18  # of an event's number, which is below 2^63; nothing is counted that far
MAX_ANSWER: Final = 64 * 1024 * 1024  # block_results of a full block, base64 and JSON around it
TIMEOUT_S: Final = 10.0
RETRIES: Final = 3
FIRST_BACKOFF_S: Final = 0.05
RECONNECT_S: Final = 0.2  # first wait before a lost subscription is made again, doubling up to:
RECONNECT_MAX_S: Final = 30.0
MAX_BATCH: Final = 50  # calls in one request; our own nodes allow more, but answers of proofs are long
COMMON_BATCH: Final = 10  # what a CometBFT node takes unless its operator raised it (rpc.max_request_batch_size)
GATEWAY_ERRORS: Final = range(502, 505)  # said by something between us and the node; it may pass
NEW_HEADER: Final = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "subscribe",
    "params": {"query": "tm.event='NewBlockHeader'"},
}

# What a hostile or broken node can make a reader of its answers stumble over.
STUMBLES: Final = (
    LockgateError,
    DecodeError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)

T = TypeVar("T")


class BadAnswer(PeerFault):
    code = "rpc.bad_answer"
    summary = "A node's answer does not have the shape the method promises."
    next_step = "Check the node's version and address; another node may serve."


class RpcError(ChainUnavailable):
    code = "rpc.error"
    summary = "A node answered a call with an error."
    next_step = "Read the node's message; a pruned or future height needs another node or a later call."


class Calls(Protocol):
    """Whatever answers the methods of the CometBFT JSON-RPC: a node over HTTP, or one in this process."""

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Return the `result` object. Raises ChainUnavailable, RpcError, BadAnswer."""
        ...

    async def close(self) -> None: ...


@runtime_checkable
class Pushes(Protocol):
    """Says when a block was made. Meeting it is optional: readers poll where it is not met."""

    def beats(self) -> AsyncIterator[None]:
        """One item per new block, for as long as the node is there."""
        ...


@runtime_checkable
class Batches(Protocol):
    """Takes many calls of one method in few round trips. Optional too."""

    async def many(self, method: str, params: Sequence[Mapping[str, Any]]) -> list[dict[str, Any] | RpcError]:
        """Results in the order of `params`; a call's own error stands in its place."""
        ...


async def call_many(rpc: Calls, method: str, params: Sequence[Mapping[str, Any]]) -> list[dict[str, Any] | RpcError]:
    """`Batches.many` where the node's adapter has it, single calls elsewhere."""
    if isinstance(rpc, Batches):
        return await rpc.many(method, params)
    found: list[dict[str, Any] | RpcError] = []
    for each in params:
        try:
            found.append(await rpc.call(method, **each))
        except RpcError as error:
            found.append(error)
    return found


class Rpc:
    """Calls one node. Closes with the `async with` block it was opened in.

    `address` may be a function that says where the node is now: it is asked again whenever a connection
    fails, since a node that was restarted may listen at another port. Raises what the function raises.
    """

    def __init__(self, address: str | Callable[[], str], *, timeout_s: float = TIMEOUT_S) -> None:
        self._locate = address if callable(address) else lambda: address
        self.address = self._locate()
        self.reconnects = 0
        self._batch = MAX_BATCH
        self._lost = 0
        self._timeout_s = timeout_s
        self._pool = self._pool_at(self.address)
        self._ids = itertools.count(1)
        self._sockets: set[ClientConnection] = set()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        self._closed = True
        for socket in list(self._sockets):
            await socket.close()
        await self._pool.close()

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call `method`; retry connection failures; raise ChainUnavailable, RpcError, BadAnswer."""
        answer = await self._post(self._request(method, params), method)
        return self._result(answer, method)

    async def many(self, method: str, params: Sequence[Mapping[str, Any]]) -> list[dict[str, Any] | RpcError]:
        """Meets `Batches`: JSON-RPC batches of a bounded size. Raises ChainUnavailable, BadAnswer."""
        found: list[dict[str, Any] | RpcError] = []
        while len(found) < len(params):
            requests = [self._request(method, each) for each in params[len(found) : len(found) + self._batch]]
            if len(requests) == 1:  # some nodes answer a batch of one by a single object
                answers: Any = [await self._post(requests[0], method)]
            else:
                answers = await self._post(requests, method)
            if isinstance(answers, Mapping) and len(requests) > COMMON_BATCH:
                self._batch = COMMON_BATCH  # one error for all of it: more than this node takes at once
                continue
            if not isinstance(answers, list) or len(answers) != len(requests):
                raise BadAnswer("a batch is answered by as many results", method=method)
            by_id = by_number(answers)
            for request in requests:
                try:
                    found.append(self._result(by_id.get(request["id"]), method))
                except RpcError as error:
                    found.append(error)
        return found

    async def beats(self) -> AsyncIterator[None]:
        """Meets `Pushes` by a subscription to headers, made again whenever it is lost."""
        wait_s = RECONNECT_S
        while not self._closed:
            try:
                address = self.address.replace("http", "ws", 1) + "/websocket"
                async with connect(address, max_size=MAX_ANSWER, proxy=None, compression=None) as socket:
                    self._sockets.add(socket)
                    try:
                        await socket.send(json.dumps(NEW_HEADER))
                        async for _ in socket:
                            wait_s = RECONNECT_S
                            yield None
                    finally:
                        self._sockets.discard(socket)
            except (OSError, TimeoutError, WebSocketException):
                await self._find_again()
            if not self._closed:
                self.reconnects += 1
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, RECONNECT_MAX_S)

    def _request(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": dict(params)}

    def _result(self, answer: Any, method: str) -> dict[str, Any]:
        if not isinstance(answer, Mapping):
            raise BadAnswer("not a JSON-RPC object", method=method)
        failure = answer.get("error")
        if failure is not None:
            detail = failure if isinstance(failure, Mapping) else {}
            raise RpcError(
                str(detail.get("data") or detail.get("message") or "error"), method=method, node=origin(self.address)
            )
        result = answer.get("result")
        if not isinstance(result, dict):
            raise BadAnswer("no result", method=method)
        return result

    @property
    def losses(self) -> int:
        """How often a connection was lost. What answers since may be another node, or the same one restored."""
        return self.reconnects + self._lost + self._pool.lost

    async def _find_again(self) -> None:
        """The node may be at another address now; whoever calls it is told when it is away."""
        self._lost += 1
        with contextlib.suppress(Unavailable):
            found = self._locate()
            if found != self.address:
                self.address, old = found, self._pool
                self._lost += old.lost
                self._pool = self._pool_at(found)
                await old.close()

    def _pool_at(self, address: str) -> HttpPool:
        try:
            return HttpPool(address, timeout_s=self._timeout_s, most=MAX_ANSWER)
        except HttpFailed as error:
            raise ChainUnavailable(str(error)) from error

    async def _post(self, request: dict[str, Any] | list[dict[str, Any]], method: str) -> Any:
        backoff = FIRST_BACKOFF_S
        data = json.dumps(request).encode()
        # A transaction whose fate is unknown is its signer's to settle: sending it again hides what happened.
        once = method.startswith("broadcast_tx")
        for attempt in itertools.count(1):
            try:
                status, body = await self._pool.post(data, once=once)
                if status in GATEWAY_ERRORS:
                    raise HttpFailed(f"status {status}")
            except TooLong as error:
                raise BadAnswer("the answer is too long", method=method) from error
            except HttpFailed as error:
                await self._find_again()
                if attempt > RETRIES or self._closed or (once and error.sent):
                    raise ChainUnavailable(
                        "the node does not answer", node=origin(self.address), cause=str(error)
                    ) from error
                await asyncio.sleep(backoff)
                backoff *= 2
                continue
            try:
                return json.loads(body)
            except (ValueError, RecursionError) as error:
                raise BadAnswer("not JSON", method=method, status=status) from error
        raise AssertionError("unreachable")


def b64(text: object) -> bytes:
    """Decode base64 of an answer; None is the empty string. Raises BadAnswer."""
    if text is None:
        return b""
    try:
        return base64.b64decode(str(text), validate=True)
    except ValueError as error:
        raise BadAnswer("not base64") from error


def array(response: Mapping[str, Any], kind: type[T]) -> tuple[T, ...]:
    """The CBOR array that a query of our own answers with, each item of one type. Raises BadAnswer and Malformed."""
    found: Any = cbor.decode(b64(response.get("value")))
    if type(found) is not tuple or any(type(item) is not kind for item in found):
        raise BadAnswer("not an array of what the query promises", items=kind.__name__)
    return found


def by_number(answers: Sequence[Any]) -> dict[object, Mapping[str, Any]]:
    """The answers of a batch by the number of their call; whatever else a node puts there answers none."""
    return {answer["id"]: answer for answer in answers if isinstance(answer, Mapping) and type(answer.get("id")) is int}


def counted(text: str) -> int:
    """Read a count or a height that an event carries: ASCII digits, below 2^63 as rows hold it. Raises BadAnswer."""
    if not (text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS):
        raise BadAnswer("an event's number is none", value=text[:40])
    return int(text)


def number(text: object) -> int:
    """Read an int64 that CometBFT's JSON carries as a string. Raises BadAnswer."""
    try:
        return int(str(text))
    except ValueError as error:
        raise BadAnswer("not a number", value=text) from error
