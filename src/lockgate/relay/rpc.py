"""A CometBFT JSON-RPC client: one connection pool, bounded answers, typed failures (I10)."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, Self

import httpx

from lockgate.courier.ports import ChainUnavailable
from lockgate.primitives.errors import PeerFault, Unavailable

MAX_ANSWER: Final = 64 * 1024 * 1024  # block_results of a full block, base64 and JSON around it
TIMEOUT_S: Final = 10.0
RETRIES: Final = 3
FIRST_BACKOFF_S: Final = 0.05


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


class Rpc:
    """Calls one node. Closes with the `async with` block it was opened in.

    `address` may be a function that says where the node is now: it is asked again whenever a connection
    fails, since a node that was restarted may listen at another port. Raises what the function raises.
    """

    def __init__(self, address: str | Callable[[], str], *, timeout_s: float = TIMEOUT_S) -> None:
        self._locate = address if callable(address) else lambda: address
        self.address = self._locate()
        self._client = httpx.AsyncClient(timeout=timeout_s, trust_env=False)
        self._ids = itertools.count(1)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._client.aclose()

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call `method`; retry connection failures; raise ChainUnavailable, RpcError, BadAnswer."""
        request = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        answer = await self._post(request)
        if not isinstance(answer, Mapping):
            raise BadAnswer("not a JSON-RPC object", method=method)
        failure = answer.get("error")
        if failure is not None:
            detail = failure if isinstance(failure, Mapping) else {}
            raise RpcError(
                str(detail.get("data") or detail.get("message") or "error"), method=method, node=self.address
            )
        result = answer.get("result")
        if not isinstance(result, dict):
            raise BadAnswer("no result", method=method)
        return result

    async def _post(self, request: dict[str, Any]) -> Any:
        backoff = FIRST_BACKOFF_S
        for attempt in itertools.count(1):
            try:
                response = await self._client.post(self.address, json=request)
            except httpx.HTTPError as error:
                with contextlib.suppress(Unavailable):
                    self.address = self._locate()
                if attempt > RETRIES:
                    raise ChainUnavailable(
                        "the node does not answer", node=self.address, cause=type(error).__name__
                    ) from error
                await asyncio.sleep(backoff)
                backoff *= 2
                continue
            if len(response.content) > MAX_ANSWER:
                raise BadAnswer("the answer is too long", method=request["method"])
            try:
                return response.json()
            except ValueError as error:
                raise BadAnswer("not JSON", method=request["method"], status=response.status_code) from error
        raise AssertionError("unreachable")


def b64(text: object) -> bytes:
    """Decode base64 of an answer; None is the empty string. Raises BadAnswer."""
    if text is None:
        return b""
    try:
        return base64.b64decode(str(text), validate=True)
    except ValueError as error:
        raise BadAnswer("not base64") from error


def number(text: object) -> int:
    """Read an int64 that CometBFT's JSON carries as a string. Raises BadAnswer."""
    try:
        return int(str(text))
    except ValueError as error:
        raise BadAnswer("not a number", value=text) from error
