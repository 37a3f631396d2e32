"""The list of revoked tokens: read from a host's ledger with its own light client, and written to it (P22)."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from lockgate.hosting.reader import ProvenReader
from lockgate.machine import keys
from lockgate.machine.records import EndpointState
from lockgate.machine.tokens import ID_BYTES, KEY_S, RevokedTokens
from lockgate.node.config import load as load_config
from lockgate.node.folder import Folder
from lockgate.node.identity import Cabinet
from lockgate.node.provision import OPERATOR_LANE, LedgerAccess, SetupFailed, open_chain
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.ids import Height
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos
from lockgate.relay.rpc import Rpc
from lockgate.relay.submitter import ANY_PRICE
from lockgate.session.tokens import MAX_LIFETIME_S, Seen

EVERY_S: Final = 5.0  # a list must be no older than a minute


class Watch:
    """The newest list that a host has proven."""

    def __init__(self, reader: ProvenReader, endpoint: bytes) -> None:
        self._reader = reader
        self._endpoint = endpoint
        self.seen: Seen | None = None

    async def keep(self) -> None:
        """Prove it anew again and again, until cancelled. Where that fails, it grows old, and the door says so."""
        while True:
            try:
                await self.look()
            except LockgateError:
                pass  # the host's own work meets the same, and reports it
            except Exception as error:  # nobody watches this task, and without it the door takes only new tokens
                told = {"message": "the list of revoked tokens was not read", "exception": error}
                asyncio.get_running_loop().call_exception_handler(told)
            await asyncio.sleep(EVERY_S)

    def status(self, now: UnixNanos) -> dict[str, int | None]:
        """How many tokens and keys are on the list, and its age in seconds; None before the first."""
        if self.seen is None:
            return {"revoked": None, "list_age_s": None}
        return {"revoked": len(self.seen.ids), "list_age_s": max(0, (now - self.seen.time) // NANOS_PER_SECOND)}

    async def look(self) -> None:
        """Prove it under the newest header that the host trusts. Raises what the node and its proof cause.

        The host brings its light client forward itself: two histories that a header shows are for its own work to meet.
        """
        block = self._reader.newest
        place = Height(self._reader.chain.revision, block.height)
        key = keys.revoked_tokens(self._endpoint)
        data = self._reader.check(keys.ENDPOINT, key, await self._reader.chain.prove(keys.ENDPOINT, key, place))
        ids = frozenset[bytes]() if data is None else RevokedTokens.from_bytes(data).ids
        self.seen = Seen(ids, block.header.time)


async def revoke(folder: Folder, host: str, one: bytes, until: int = 0) -> dict[str, Any]:
    """Put a token's id, or the hash of an issuing key, on the list of a host's endpoint, by an account of its own.

    `until` 0: as long as any token of that id can live, or a key is kept. Raises NotRunning, SetupFailed.
    """
    config = load_config(folder.host(host) / "endpoint.json")
    name, endpoint = config.local.name, bytes.fromhex(config.endpoint)
    cabinet, rpc = Cabinet(folder, host), Rpc(lambda: folder.ledger_address(name))
    try:
        chain = await open_chain(rpc)
        newest = (await chain.header_at_least(2)).height.height
        place = Height(chain.revision, newest)
        proven = await chain.prove(keys.ENDPOINT, keys.endpoint_state(endpoint), place)
        if proven.value is None:
            raise SetupFailed("the endpoint is not registered", ledger=name, endpoint=config.endpoint)
        account = cabinet.account(EndpointState.from_bytes(proven.value).record_index)
        access = await LedgerAccess.over(name, chain, account, OPERATOR_LANE, ANY_PRICE)
        kept = until or int(time.time()) + (MAX_LIFETIME_S if len(one) == ID_BYTES else KEY_S - 3_600)
        done = await access.do(("token.revoke", {"endpoint": endpoint, "id": one, "until": kept}))
    finally:
        await rpc.close()
        cabinet.close()
    return {"ledger": name, "endpoint": config.endpoint, "id": one.hex(), "until": kept, "height": str(done.height)}


__all__ = ("Watch", "revoke")
