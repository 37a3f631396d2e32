"""A beacon chain over a real EVM node, slot by slot as real time goes, in a thread: processes can follow it."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lockgate.lab.beacon import Beacon, minimal_network
from lockgate.lab.beacon_node import BeaconNode, EvmSlots, FinalityTags
from lockgate.lab.beacon_rest import application, serving
from lockgate.relay.chains.evm.node import EvmNode
from lockgate.relay.rpc import RpcError

START_S = 60.0


class LiveBeacon:
    """Serves the beacon's API at `beacon`, and at `rpc` the EVM's node, which knows what the beacon made final."""

    def __init__(self, url: str, genesis_time: int) -> None:
        self.node = BeaconNode(Beacon(minimal_network(genesis_time, seconds_per_slot=1)))
        self.rpc = self.beacon = ""
        self.failure: BaseException | None = None
        self._url = url
        self._ready, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> LiveBeacon:
        self._thread.start()
        assert self._ready.wait(START_S), self.failure
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(20)
        assert self.failure is None, self.failure

    def final_root(self) -> str:
        """The root of the newest final block, when there is one: what the chain's publishers would tell."""
        newest = self.node.finality_update()
        return "" if newest is None else "0x" + newest.finalized_header.beacon.root.hex()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self.failure = error
            self._ready.set()

    async def _serve(self) -> None:
        async with EvmNode(self._url) as calls:
            tags = FinalityTags(calls, self.node)

            async def post(request: Request) -> Response:
                asked = await request.json()
                found = await tags.many([(one["method"], one["params"]) for one in asked])
                return JSONResponse([_answer(one["id"], each) for one, each in zip(asked, found, strict=True)])

            proxy = Starlette(routes=[Route("/", post, methods=["POST"])])
            slots = EvmSlots(calls, self.node.beacon)
            async with serving(application(self.node)) as self.beacon, serving(proxy) as self.rpc:
                self._ready.set()
                while not self._stop.is_set():
                    late = int(time.time()) - slots.time
                    if late > 0:
                        await slots.advance(empty=late - 1)
                    await asyncio.sleep(0.1)


def _answer(number: int, found: Any) -> dict[str, Any]:
    if isinstance(found, RpcError):
        failure = {"code": 3, "message": found.detail, "data": found.fields.get("data", "")}
        return {"jsonrpc": "2.0", "id": number, "error": failure}
    return {"jsonrpc": "2.0", "id": number, "result": found}


__all__ = ("LiveBeacon",)
