"""A lab beacon's light client API over HTTP, on the loopback address. Source: ethereum/beacon-APIs.

It is strict: an unknown route, parameter or form is the client's mistake and is answered as one.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import Any, Final, Protocol

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lockgate.lightclients.ethereum import Bootstrap, Fork, Network, Update, json_form
from lockgate.lightclients.ethereum.network import MAX_UINT64

MAX_UPDATES: Final = 128  # in one answer: MAX_REQUEST_LIGHT_CLIENT_UPDATES
_ROOT: Final = re.compile(r"0x[0-9a-f]{64}")
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,18}")
LIGHT: Final = "/eth/v1/beacon/light_client"


class Light(Protocol):
    """What a beacon has for light clients; None where it has nothing."""

    @property
    def network(self) -> Network: ...

    def bootstrap(self, root: bytes, /) -> Bootstrap | None: ...

    def best_update(self, period: int, /) -> Update | None: ...

    def finality_update(self) -> Update | None: ...

    def optimistic_update(self) -> Update | None: ...


class _Failure(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def application(beacon: Light) -> Starlette:
    """The ASGI application of one beacon."""
    api = _Api(beacon)
    routes = {
        "/eth/v1/beacon/genesis": api.genesis,
        "/eth/v1/config/spec": api.spec,
        f"{LIGHT}/bootstrap/{{root}}": api.bootstrap,
        f"{LIGHT}/updates": api.updates,
        f"{LIGHT}/finality_update": api.finality_update,
        f"{LIGHT}/optimistic_update": api.optimistic_update,
    }
    return Starlette(
        routes=[Route(path, endpoint, methods=["GET"]) for path, endpoint in routes.items()],
        exception_handlers={_Failure: _failed},
    )


@asynccontextmanager
async def serving(app: Starlette) -> AsyncIterator[str]:
    """Serve on a free port of the loopback address; yields the address."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        server = _Server(uvicorn.Config(app, log_level="error", lifespan="off", access_log=False))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


class _Server(uvicorn.Server):
    """Leaves signals to the process that it runs in."""

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]  # a generator upstream
        return nullcontext()


class _Api:
    def __init__(self, beacon: Light) -> None:
        self._beacon = beacon

    async def genesis(self, request: Request) -> Response:
        _parameters(request)
        network = self._beacon.network
        return JSONResponse(
            {
                "data": {
                    "genesis_time": str(network.genesis_time),
                    "genesis_validators_root": "0x" + network.genesis_validators_root.hex(),
                    "genesis_fork_version": "0x" + network.forks[0].version.hex(),
                }
            }
        )

    async def spec(self, request: Request) -> Response:
        _parameters(request)
        network = self._beacon.network
        data = {
            "SECONDS_PER_SLOT": str(network.seconds_per_slot),
            "SLOTS_PER_EPOCH": str(network.slots_per_epoch),
            "EPOCHS_PER_SYNC_COMMITTEE_PERIOD": str(network.epochs_per_period),
            "SYNC_COMMITTEE_SIZE": str(network.committee_size),
        }
        for fork in list(Fork)[1:]:
            scheduled = network.forks[fork] if fork < len(network.forks) else None
            version = scheduled.version if scheduled else bytes((fork, 0, 0, 0))
            data[f"{fork.name}_FORK_EPOCH"] = str(scheduled.epoch if scheduled else MAX_UINT64)
            data[f"{fork.name}_FORK_VERSION"] = "0x" + version.hex()
        return JSONResponse({"data": data})

    async def bootstrap(self, request: Request) -> Response:
        _parameters(request)
        root = request.path_params["root"]
        if not _ROOT.fullmatch(root):
            raise _Failure(400, "a block root is 32 bytes in hex behind 0x")
        found = self._beacon.bootstrap(bytes.fromhex(root[2:]))
        if found is None:
            raise _Failure(404, "no bootstrap of this block")
        return JSONResponse(self._versioned(found.header.beacon.slot, json_form.bootstrap_to_json(found)))

    async def updates(self, request: Request) -> Response:
        asked = _parameters(request, "start_period", "count")
        start, count = (_number(asked, name) for name in ("start_period", "count"))
        found = []
        for period in range(start, start + min(count, MAX_UPDATES)):
            update = self._beacon.best_update(period)
            if update is None:
                break  # what is answered is without gaps
            found.append(self._update(update))
        return JSONResponse(found)

    async def finality_update(self, request: Request) -> Response:
        return self._newest(request, self._beacon.finality_update())

    async def optimistic_update(self, request: Request) -> Response:
        return self._newest(request, self._beacon.optimistic_update())

    def _newest(self, request: Request, update: Update | None) -> Response:
        _parameters(request)
        if update is None:
            raise _Failure(404, "nothing was signed yet")
        return JSONResponse(self._update(update))

    def _update(self, update: Update) -> dict[str, Any]:
        return self._versioned(update.attested_header.beacon.slot, json_form.update_to_json(update))

    def _versioned(self, slot: int, data: dict[str, Any]) -> dict[str, Any]:
        return {"version": self._beacon.network.fork(slot).name.lower(), "data": data}


def _parameters(request: Request, *names: str) -> Mapping[str, str]:
    given = request.query_params.multi_items()
    if sorted(name for name, _ in given) != sorted(names):
        raise _Failure(400, f"the parameters are: {', '.join(names) or 'none'}")
    return dict(given)


def _number(given: Mapping[str, str], name: str) -> int:
    if not _NUMBER.fullmatch(given[name]):
        raise _Failure(400, f"{name} is a number")
    return int(given[name])


async def _failed(_: Request, failure: Exception) -> Response:
    assert isinstance(failure, _Failure)
    return JSONResponse({"code": failure.status, "message": str(failure)}, failure.status)


__all__ = ("Light", "application", "serving")
