"""A Cosmos SDK chain's node as far as one account's transactions go: signatures, sequences, a pool, blocks."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Callable
from typing import Any

from google.protobuf.any_pb2 import Any as AnyMessage

from lockgate.codec.wire import cosmos_pb2 as wire
from lockgate.codec.wire import tendermint_pb2
from lockgate.crypto import ecdsa
from lockgate.crypto.ec import SECP256K1
from lockgate.crypto.hashes import SHA256
from lockgate.relay.chains.cosmos_tx import CosmosKey
from lockgate.relay.rpc import RpcError

Code = tuple[str, int]
OK: Code = ("", 0)
ACCOUNT_NUMBER = 7
GAS_USED = 40_000


class CosmosNode:
    """Meets `relay.rpc.Calls`. The pool takes up to the next block what its check admits, in order of sequence."""

    def __init__(self, key: CosmosKey, chain_id: str = "simd-1", sequence: int = 0) -> None:
        self.key = key
        self.chain_id = chain_id
        self.sequence = sequence  # committed
        self.height = 5
        self.pool: list[bytes] = []
        self.blocks: dict[bytes, tuple[int, Code, int]] = {}  # hash -> height, code, gas wanted
        self.offered: list[bytes] = []
        self.check: Callable[[bytes], Code] = lambda _: OK  # what the chain says of the messages
        self.deliver: Callable[[bytes], Code] = lambda _: OK
        self.simulation: Callable[[bytes], int] = lambda _: GAS_USED
        self.max_gas = -1
        self.before: Callable[[str], None] = lambda _: None  # may raise

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        await asyncio.sleep(0)
        self.before(method)
        found: dict[str, Any] = getattr(self, "_" + method)(**params)
        return found

    async def close(self) -> None:
        """Nothing is open."""

    def block(self) -> None:
        """Everything in the pool, in one block."""
        self.height += 1
        for data in self.pool:
            terms = read(data)
            self.blocks[hashlib.sha256(data).digest()] = (self.height, self.deliver(data), terms.fee.gas_limit)
            self.sequence += 1
        self.pool.clear()

    def _status(self) -> dict[str, Any]:
        info = {"latest_block_height": str(self.height), "latest_block_time": "2026-01-01T00:00:00Z"}
        return {"node_info": {"network": self.chain_id}, "sync_info": info}

    def _consensus_params(self, height: str) -> dict[str, Any]:
        return {"consensus_params": {"block": {"max_bytes": "22020096", "max_gas": str(self.max_gas)}}}

    def _abci_query(self, path: str, data: str, height: str, prove: bool) -> dict[str, Any]:
        raw = bytes.fromhex(data)
        if path.endswith("/Account"):
            address = wire.QueryAccountRequest.FromString(raw).address
            if address != self.key.address:
                return {"response": {"code": 22, "log": f"account {address} not found"}}
            account = wire.BaseAccount(address=address, account_number=ACCOUNT_NUMBER, sequence=self.sequence)
            held = AnyMessage(type_url="/cosmos.auth.v1beta1.BaseAccount", value=account.SerializeToString())
            value = wire.QueryAccountResponse(account=held).SerializeToString()
        else:
            used = self.simulation(wire.SimulateRequest.FromString(raw).tx_bytes)
            value = wire.SimulateResponse(gas_info=wire.GasInfo(gas_used=used)).SerializeToString()
        return {"response": {"code": 0, "value": base64.b64encode(value).decode()}}

    def _broadcast_tx_sync(self, tx: str) -> dict[str, Any]:
        data = base64.b64decode(tx)
        self.offered.append(data)
        if data in self.pool:
            raise RpcError("tx already exists in cache")
        codespace, code = self._admitted(data)
        if not code:
            self.pool.append(data)
        return {"code": code, "codespace": codespace, "log": "the chain's words"}

    def _admitted(self, data: bytes) -> Code:
        raw, auth = wire.TxRaw.FromString(data), read(data)
        signed = wire.SignDoc(
            body_bytes=raw.body_bytes,
            auth_info_bytes=raw.auth_info_bytes,
            chain_id=self.chain_id,
            account_number=ACCOUNT_NUMBER,
        ).SerializeToString()
        public_key = wire.PubKey.FromString(auth.signer_infos[0].public_key.value).key
        if auth.signer_infos[0].sequence != self.sequence + len(self.pool):
            return ("sdk", 32)
        if not ecdsa.verify(SECP256K1, SHA256, public_key, raw.signatures[0], signed, low_s=True):
            return ("sdk", 4)
        return self.check(data)

    def _tx(self, hash: str) -> dict[str, Any]:  # the parameter's name
        found = self.blocks.get(base64.b64decode(hash))
        if found is None:
            raise RpcError("tx not found")
        height, (codespace, code), _ = found
        response = AnyMessage(type_url="/response", value=b"\x08\x02")
        data = tendermint_pb2.TxMsgData(msg_responses=[response]).SerializeToString()
        result = {"code": code, "codespace": codespace, "data": base64.b64encode(data).decode(), "events": []}
        return {"height": str(height), "tx_result": result}


def read(data: bytes) -> wire.AuthInfo:
    """Who signed a transaction, and for how much gas and fee."""
    return wire.AuthInfo.FromString(wire.TxRaw.FromString(data).auth_info_bytes)
