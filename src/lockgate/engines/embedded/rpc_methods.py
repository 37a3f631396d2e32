"""The CometBFT RPC methods, answered from an embedded ledger (I10).

Shapes are those of CometBFT v0.38: 64-bit numbers as strings, hashes in upper-case hex, bytes in
base64. A method returns the `result` object or raises `RpcFailure`. Any reader of that world (a
light client, a block explorer, our own chain adapter) therefore reads this ledger unchanged.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from lockgate.codec.wire import tendermint_pb2 as wire
from lockgate.engines.embedded.results import BlockResults
from lockgate.engines.embedded.rpc_values import (
    PER_PAGE,
    answer_json,
    bad_params,
    base64_bytes,
    check_json,
    consensus_params_json,
    digest_of,
    event_json,
    flag,
    hex_bytes,
    integer,
    internal,
    page_of,
    parse_search,
    sync_json,
    tx_result_json,
    update_json,
)
from lockgate.engines.embedded.service import LedgerService
from lockgate.engines.shared.document import genesis_document
from lockgate.engines.shared.queries import Queries
from lockgate.lightclients.cometbft import decoding, rpc_json
from lockgate.lightclients.cometbft.types import BlockID, SignedHeader
from lockgate.machine.machine import APP_VERSION, TxResult
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.version import VERSION

COMMIT_TIMEOUT_S: Final = 10.0  # broadcast_tx_commit, CometBFT's timeout_broadcast_tx_commit
COMPATIBLE: Final = "0.38.0"  # the line whose shapes we serve; readers look at the major and minor


class Methods:
    """One ledger's methods. `node_id` is a stable 40-hex name; `moniker` is for people."""

    def __init__(self, service: LedgerService, *, node_id: str, moniker: str) -> None:
        self.service = service
        self.chain = service.chain
        self._queries = Queries(service.chain)
        self._node_id = node_id
        self._moniker = moniker

    async def health(self) -> dict[str, Any]:
        return {}

    async def status(self) -> dict[str, Any]:
        first, last = self._signed(self.chain.store.base_height()), self._signed(self.chain.height)
        key = self.chain.validators.proposer
        return {
            "node_info": {
                "protocol_version": {"p2p": "8", "block": "11", "app": str(APP_VERSION)},
                "id": self._node_id,
                "listen_addr": "",
                "network": self.chain.genesis.chain_id,
                "version": COMPATIBLE,
                "channels": "",
                "moniker": self._moniker,
                "other": {"tx_index": "on", "rpc_address": ""},
            },
            "sync_info": {
                **sync_json("latest", last),
                **sync_json("earliest", first),
                "catching_up": False,
            },
            "validator_info": {
                "address": key.address.hex().upper(),
                "pub_key": rpc_json.validator_to_json(key)["pub_key"],
                "voting_power": str(key.voting_power),
            },
        }

    async def genesis(self) -> dict[str, Any]:
        genesis = self.chain.genesis
        return {"genesis": genesis_document(genesis, consensus_params_json(genesis.parameters.max_block_bytes))}

    async def consensus_params(self, height: Any = None) -> dict[str, Any]:
        return {
            "block_height": str(self._height(height)),
            "consensus_params": consensus_params_json(self.chain.genesis.parameters.max_block_bytes),
        }

    async def header(self, height: Any = None) -> dict[str, Any]:
        return {"header": rpc_json.header_to_json(self._signed(self._height(height)).header)}

    async def block(self, height: Any = None) -> dict[str, Any]:
        return self._block(self._height(height))

    async def block_by_hash(self, hash: Any = None) -> dict[str, Any]:
        height = self.chain.store.height_of_hash(digest_of(hash))
        if height is None:
            return {"block_id": rpc_json.block_id_to_json(BlockID()), "block": None}
        return self._block(height)

    async def commit(self, height: Any = None) -> dict[str, Any]:
        signed = self._signed(self._height(height))
        return {"signed_header": rpc_json.signed_header_to_json(signed), "canonical": True}

    async def validators(self, height: Any = None, page: Any = None, per_page: Any = None) -> dict[str, Any]:
        # The set of the next height is known too: a light client asks for tip + 1.
        at = self._height(height, ahead=1)
        members, total = page_of(self.chain.validators_at(at).validators, page, per_page)
        return {
            "block_height": str(at),
            "validators": [rpc_json.validator_to_json(member) for member in members],
            "count": str(len(members)),
            "total": str(total),
        }

    async def block_results(self, height: Any = None) -> dict[str, Any]:
        at = self._height(height)
        row = self.chain.store.block(at)
        if row is None:
            raise internal(f"no block at height {at}")
        results = BlockResults.from_bytes(row.results)
        return {
            "height": str(at),
            "txs_results": [tx_result_json(result) for result in results.transactions] or None,
            "finalize_block_events": [event_json(event) for event in results.events] or None,
            "validator_updates": [update_json(update) for update in self.chain.validator_updates(at)] or None,
            "consensus_param_updates": consensus_params_json(self.chain.genesis.parameters.max_block_bytes),
            "app_hash": b64encode(row.app_hash).decode(),
        }

    async def abci_info(self) -> dict[str, Any]:
        return {
            "response": {
                "data": "lockgate",
                "version": VERSION,
                "app_version": str(APP_VERSION),
                "last_block_height": str(self.chain.height),
                "last_block_app_hash": b64encode(self.chain.app_hash).decode(),
            }
        }

    async def abci_query(self, path: Any = "", data: Any = "", height: Any = "0", prove: Any = False) -> dict[str, Any]:
        if not isinstance(path, str):
            raise bad_params("path is a string")
        answer = self._queries.answer(path, hex_bytes(data, "data"), integer(height, "height", 0), flag(prove))
        return {"response": answer_json(answer)}

    async def broadcast_tx_sync(self, tx: Any = None) -> dict[str, Any]:
        digest, result = self._submit(tx)
        return {**check_json(result), "hash": digest.hex().upper()}

    async def broadcast_tx_async(self, tx: Any = None) -> dict[str, Any]:
        digest, _ = self._submit(tx)
        return {"code": 0, "data": "", "log": "", "codespace": "", "hash": digest.hex().upper()}

    async def broadcast_tx_commit(self, tx: Any = None) -> dict[str, Any]:
        digest, check = self._submit(tx)
        answer: dict[str, Any] = {
            "check_tx": tx_result_json(check),
            "tx_result": tx_result_json(TxResult()),
            "hash": digest.hex().upper(),
            "height": "0",
        }
        if check.code:
            return answer
        try:
            async with asyncio.timeout(COMMIT_TIMEOUT_S):
                block, number = await self.service.included(digest)
        except TimeoutError as error:
            raise internal("timed out waiting for tx to be included in a block") from error
        except LockgateError as error:
            raise internal(str(error)) from error
        answer["tx_result"] = tx_result_json(block.results.transactions[number])
        answer["height"] = str(block.height)
        return answer

    async def tx(self, hash: Any = None, prove: Any = False) -> dict[str, Any]:
        digest = digest_of(hash)
        found = self.chain.store.transaction(digest)
        if found is None:
            raise internal(f"tx ({digest.hex().upper()}) not found")
        return self._tx(digest, *found)

    async def tx_search(
        self, query: Any = "", prove: Any = False, page: Any = None, per_page: Any = None, order_by: Any = ""
    ) -> dict[str, Any]:
        found = [(h, n) for h, n in self._search(query) if n >= 0]
        if str(order_by) == "desc":
            found.reverse()
        chosen, total = page_of(found, page, per_page)
        txs = [
            tx
            for height, group in groupby(chosen, key=itemgetter(0))
            for tx in self._txs_of(height, [(None, n) for _, n in group])
        ]
        return {"txs": txs, "total_count": str(total)}

    async def block_search(
        self, query: Any = "", page: Any = None, per_page: Any = None, order_by: Any = ""
    ) -> dict[str, Any]:
        heights = sorted({h for h, n in self._search(query) if n < 0})
        if str(order_by) == "desc":
            heights.reverse()
        chosen, total = page_of(heights, page, per_page)
        return {"blocks": [self._block(h) for h in chosen], "total_count": str(total)}

    async def unconfirmed_txs(self, limit: Any = None) -> dict[str, Any]:
        waiting = self.service.pending()
        shown = waiting[: integer(limit, "limit", PER_PAGE)]
        return {
            "n_txs": str(len(shown)),
            "total": str(len(waiting)),
            "total_bytes": str(sum(map(len, waiting))),
            "txs": [b64encode(tx).decode() for tx in shown],
        }

    def _submit(self, tx: Any) -> tuple[bytes, TxResult]:
        try:
            return self.service.submit(base64_bytes(tx))
        except LockgateError as error:
            raise internal(str(error)) from error

    def _height(self, height: Any, *, ahead: int = 0) -> int:
        tip = self.chain.height
        at = integer(height, "height", 0) or tip
        if at < 1:
            raise internal(f"height must be greater than 0, but got {at}")
        if at > tip + ahead:
            raise internal(f"height {at} must be less than or equal to the current blockchain height {tip}")
        base = self.chain.store.base_height()
        if at < base:
            raise internal(f"height {at} is not available, lowest height is {base}")
        return at

    def _signed(self, height: int) -> SignedHeader:
        return self.chain.signed_header(height)

    def _block(self, height: int) -> dict[str, Any]:
        row = self.chain.store.block(height)
        if row is None:
            raise internal(f"no block at height {height}")
        signed = self._signed(height)
        message = decoding.parse(wire.Block, row.block)
        last_commit = decoding.commit(message.last_commit)
        return {
            "block_id": rpc_json.block_id_to_json(signed.commit.block_id),
            "block": rpc_json.block_to_json(signed.header, tuple(message.data.txs), last_commit),
        }

    def _tx(self, digest: bytes | None, height: int, number: int) -> dict[str, Any]:
        return self._txs_of(height, [(digest, number)])[0]

    def _txs_of(self, height: int, wanted: Sequence[tuple[bytes | None, int]]) -> list[dict[str, Any]]:
        """Transactions of one block by number; the block is decoded once."""
        row = self.chain.store.block(height)
        if row is None:
            raise internal(f"no block at height {height}")
        datas = decoding.parse(wire.Block, row.block).data.txs
        results = BlockResults.from_bytes(row.results).transactions
        return [
            {
                "hash": (digest or sha256(datas[number]).digest()).hex().upper(),
                "height": str(height),
                "index": number,
                "tx_result": tx_result_json(results[number]),
                "tx": b64encode(datas[number]).decode(),
            }
            for digest, number in wanted
        ]

    def _search(self, query: Any) -> list[tuple[int, int]]:
        if not isinstance(query, str) or not query:
            raise bad_params("query is a non-empty string")
        terms, low, high = parse_search(query)
        hashes = [value for name, value in terms if name == "tx.hash"]
        others = [term for term in terms if term[0] != "tx.hash"]
        if hashes:
            found = self.chain.store.transaction(digest_of(hashes[0]))
            rows = [] if found is None or not low <= found[0] <= high else [found]
            return [row for row in rows if not others or row in self.chain.store.search(others, row[0], row[0])]
        if others:
            return self.chain.store.search(others, low, high)
        if low != high:
            raise bad_params("a query names an event, a hash or one height")
        block = self.chain.store.block(low)
        count = 0 if block is None else len(BlockResults.from_bytes(block.results).transactions)
        return [(low, n) for n in range(-1, count)] if block is not None else []
