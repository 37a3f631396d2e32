"""A ledger's RPC without a socket: the same methods, called in this process.

What `relay.rpc.Rpc` is to a node over HTTP, this is to a ledger in memory. Everything above it (chain
reader, submitter, host, relayer) is the real code; only the transport and the JSON text are left out.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from functools import cache
from typing import Any

from lockgate.engines.embedded.rpc_methods import Methods
from lockgate.engines.embedded.rpc_server import SERVED
from lockgate.engines.embedded.rpc_values import RpcFailure
from lockgate.engines.embedded.service import LedgerService
from lockgate.lab.ledgers import LabLedger
from lockgate.primitives.errors import LockgateError
from lockgate.relay.rpc import RpcError

HEARTBEAT_S = 3_600.0  # blocks on demand only: time in the lab moves when the lab says so


class LabRpc:
    """Meets `relay.rpc.Calls` and `Pushes`. `served` counts calls by method, for those who measure."""

    def __init__(self, methods: Methods) -> None:
        self._methods = methods
        self.served: dict[str, int] = {}

    @classmethod
    def of(cls, service: LedgerService) -> LabRpc:
        """The RPC of a running service; whoever holds the service runs it."""
        name = service.chain.genesis.chain_id
        return cls(Methods(service, node_id=name.encode().hex().ljust(40, "0")[:40], moniker=name))

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call one method as the server would. Raises RpcError with the ledger's own words."""
        self.served[method] = self.served.get(method, 0) + 1
        handler = getattr(self._methods, method) if method in SERVED else None
        if handler is None or set(params) - _parameters(method):
            raise RpcError("no such method, or an unknown parameter", method=method)
        try:
            result: dict[str, Any] = await handler(**params)
        except RpcFailure as failure:
            raise RpcError(failure.data or failure.message, method=method) from failure
        except LockgateError as refusal:
            raise RpcError(str(refusal), method=method) from refusal
        return result

    async def beats(self) -> AsyncIterator[None]:
        """Meets `relay.rpc.Pushes`."""
        async for _ in self._methods.service.blocks():
            yield None

    async def close(self) -> None:
        """Nothing is held open."""


@cache
def _parameters(method: str) -> frozenset[str]:
    return frozenset(inspect.signature(getattr(Methods, method)).parameters) - {"self"}


def service_of(ledger: LabLedger) -> LedgerService:
    """A service over a lab ledger; run it as a task, and it makes blocks on demand."""
    return LedgerService(ledger.chain, heartbeat_s=HEARTBEAT_S)
