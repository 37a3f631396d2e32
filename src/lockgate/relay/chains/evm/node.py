"""One EVM node over JSON-RPC: bounded answers, typed failures.

Source: Ethereum execution API (JSON-RPC 2.0 over HTTP).
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol, Self

from lockgate.courier.ports import ChainUnavailable
from lockgate.relay.chains.evm.answers import printable
from lockgate.relay.http import HttpFailed, HttpPool, TooLong, origin
from lockgate.relay.rpc import BadAnswer, RpcError, by_number

MAX_ANSWER: Final = 32 * 1024 * 1024  # logs of a few full blocks, in hex and JSON
TIMEOUT_S: Final = 10.0
RETRIES: Final = 3
FIRST_BACKOFF_S: Final = 0.05
BATCH: Final = 100  # calls in one request; hosted nodes take no more
GATEWAY_ERRORS: Final = range(502, 505)

Call = tuple[str, Sequence[Any]]  # method and parameters


class EvmCalls(Protocol):
    """Whatever answers the methods of an EVM node."""

    async def many(self, calls: Sequence[Call], /) -> list[Any]:
        """Results in order; a call's own RpcError stands in its place. Raises ChainUnavailable, BadAnswer."""
        ...

    async def close(self) -> None: ...


async def ask(node: EvmCalls, method: str, *params: Any) -> Any:
    """One call's result. Raises ChainUnavailable, RpcError, BadAnswer."""
    (answer,) = await node.many([(method, params)])
    if isinstance(answer, RpcError):
        raise answer
    return answer


async def ask_all(node: EvmCalls, calls: Sequence[Call]) -> list[Any]:
    """Results in order. Raises the first call's error beside what `ask` raises."""
    answers = await node.many(calls)
    for answer in answers:
        if isinstance(answer, RpcError):
            raise answer
    return answers


class EvmNode:
    """A node at an address. Closes with the `async with` block it was opened in.

    Every call may reach the node twice: a transaction is its bytes, and the same bytes are one transaction.
    """

    def __init__(self, address: str, *, timeout_s: float = TIMEOUT_S, most: int = MAX_ANSWER) -> None:
        self.name = origin(address)
        try:
            self._pool = HttpPool(address, timeout_s=timeout_s, most=most)
        except HttpFailed as error:
            raise ChainUnavailable(str(error)) from error
        self._ids = itertools.count(1)
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        self._closed = True
        await self._pool.close()

    async def many(self, calls: Sequence[Call], /) -> list[Any]:
        """Meets `EvmCalls` by JSON-RPC batches."""
        found: list[Any] = []
        for start in range(0, len(calls), BATCH):
            found += await self._batch(calls[start : start + BATCH])
        return found

    async def _batch(self, calls: Sequence[Call]) -> list[Any]:
        requests = [
            {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": list(params)}
            for method, params in calls
        ]
        answers = await self._post(requests)
        if not isinstance(answers, list) or len(answers) != len(requests):
            # One error for the whole: the node's words say which, a limit of a batch most often.
            if isinstance(answers, Mapping) and answers.get("error") is not None:
                raise _error_of(answers["error"], calls[0][0], self.name)
            raise BadAnswer("a batch is answered by as many results", node=self.name)
        by_id = by_number(answers)
        found: list[Any] = []
        for request, (method, _) in zip(requests, calls, strict=True):
            answer = by_id.get(request["id"])
            if answer is None or ("result" not in answer and answer.get("error") is None):
                raise BadAnswer("a call without an answer", method=method, node=self.name)
            failure = answer.get("error")
            found.append(answer["result"] if failure is None else _error_of(failure, method, self.name))
        return found

    async def _post(self, requests: list[dict[str, Any]]) -> Any:
        data = json.dumps(requests).encode()
        backoff = FIRST_BACKOFF_S
        for attempt in itertools.count(1):
            try:
                status, body = await self._pool.post(data)
                if status in GATEWAY_ERRORS:
                    raise HttpFailed(f"status {status}")
            except TooLong as error:
                raise BadAnswer("the answer is too long", node=self.name) from error
            except HttpFailed as error:
                if attempt > RETRIES or self._closed:
                    raise ChainUnavailable("the node does not answer", node=self.name, cause=str(error)) from error
                await asyncio.sleep(backoff)
                backoff *= 2
                continue
            try:
                return json.loads(body)
            except (ValueError, RecursionError) as error:
                raise BadAnswer("not JSON", node=self.name, status=status) from error
        raise AssertionError("unreachable")


def _error_of(failure: Any, method: str, node: str) -> RpcError:
    """`data` of the error: what a contract reverted with, in hex, where the node gives it."""
    detail = failure if isinstance(failure, Mapping) else {}
    data = detail.get("data")
    text = data if isinstance(data, str) and data.startswith("0x") else ""
    said = detail.get("message")
    said = said if isinstance(said, str) and said else "error"
    return RpcError(printable(said[:500]), method=method, node=node, data=text)


__all__ = ("BATCH", "Call", "EvmCalls", "EvmNode", "ask", "ask_all")
