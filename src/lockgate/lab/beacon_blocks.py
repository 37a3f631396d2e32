"""An EVM node's block as a beacon block carries it: the execution payload's header.

A node answers with its own words for a block. Here they become the header only if they hash to the block's hash and
the transactions that were given are those of the block, so that nothing is signed that the EVM did not make. Source:
consensus-specs, get_execution_payload_header; Yellow Paper §4.3; EIPs 1559, 4895, 4844, 4788, 7685.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from lockgate.codec import rlp
from lockgate.crypto.keccak import keccak256
from lockgate.lightclients.ethereum import ExecutionHeader
from lockgate.merkle import ssz
from lockgate.primitives.errors import PeerFault

MAX_TRANSACTIONS: Final = 1 << 20
TRANSACTION_CHUNKS: Final = (1 << 30) // ssz.CHUNK
MAX_WITHDRAWALS: Final = 16
# Fields of a block's header in the order in which they are hashed, as JSON-RPC names them; those after `nonce` came
# with forks, one after the other, and end where the node ends.
HASHES: Final = frozenset(
    ("parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot", "logsBloom", "extraData",
     "mixHash", "nonce", "withdrawalsRoot", "parentBeaconBlockRoot", "requestsHash")
)  # fmt: skip
ALWAYS: Final = (
    "parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot", "logsBloom", "difficulty",
    "number", "gasLimit", "gasUsed", "timestamp", "extraData", "mixHash", "nonce",
)  # fmt: skip
LATER: Final = (
    "baseFeePerGas", "withdrawalsRoot", "blobGasUsed", "excessBlobGas", "parentBeaconBlockRoot", "requestsHash",
)  # fmt: skip


class NotThisBlock(PeerFault):
    code = "lab.not_this_block"
    summary = "An EVM node's words about a block do not hash to the block."
    next_step = "Compare the node's version with the fields that its fork has."


def execution_header(block: Mapping[str, Any], transactions: Sequence[bytes]) -> ExecutionHeader:
    """The header of a block of JSON-RPC, with its transactions as they were signed. Raises NotThisBlock."""
    try:
        hashed = [_field(block, name) for name in (*ALWAYS, *(name for name in LATER if name in block))]
        if keccak256(rlp.encode(tuple(hashed))) != _bytes(block["hash"]):
            raise NotThisBlock("its fields are another block's", hash=block["hash"])
        listed = [_bytes(each["hash"] if isinstance(each, Mapping) else each) for each in block["transactions"]]
        if [keccak256(transaction) for transaction in transactions] != listed:
            raise NotThisBlock("other transactions", hash=block["hash"])
        return ExecutionHeader(
            parent_hash=_bytes(block["parentHash"]),
            fee_recipient=_bytes(block["miner"]),
            state_root=_bytes(block["stateRoot"]),
            receipts_root=_bytes(block["receiptsRoot"]),
            logs_bloom=_bytes(block["logsBloom"]),
            prev_randao=_bytes(block["mixHash"]),
            block_number=int(block["number"], 16),
            gas_limit=int(block["gasLimit"], 16),
            gas_used=int(block["gasUsed"], 16),
            timestamp=int(block["timestamp"], 16),
            extra_data=_bytes(block["extraData"]),
            base_fee_per_gas=int(block["baseFeePerGas"], 16),
            block_hash=_bytes(block["hash"]),
            transactions_root=_transactions_root(transactions),
            withdrawals_root=_withdrawals_root(block.get("withdrawals") or ()),
            blob_gas_used=int(block.get("blobGasUsed", "0x0"), 16),
            excess_blob_gas=int(block.get("excessBlobGas", "0x0"), 16),
        )
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise NotThisBlock("a field is missing or has another shape", reason=repr(error)) from error


def _field(block: Mapping[str, Any], name: str) -> bytes:
    if name in HASHES:
        return _bytes(block[name])
    number = int(block[name], 16)
    return number.to_bytes((number.bit_length() + 7) // 8)


def _transactions_root(transactions: Sequence[bytes]) -> bytes:
    """SSZ root of List[ByteList[2**30], 2**20]; the block's own field is the root of a trie."""
    roots = [ssz.with_length(ssz.merkleize(ssz.packed(each), TRANSACTION_CHUNKS), len(each)) for each in transactions]
    return ssz.with_length(ssz.merkleize(roots, MAX_TRANSACTIONS), len(roots))


def _withdrawals_root(withdrawals: Sequence[Mapping[str, str]]) -> bytes:
    roots = [
        ssz.merkleize(
            [
                ssz.uint(int(each["index"], 16)),
                ssz.uint(int(each["validatorIndex"], 16)),
                _bytes(each["address"]).ljust(ssz.CHUNK, b"\0"),
                ssz.uint(int(each["amount"], 16)),
            ]
        )
        for each in withdrawals
    ]
    return ssz.with_length(ssz.merkleize(roots, MAX_WITHDRAWALS), len(roots))


def _bytes(text: str) -> bytes:
    if not text.startswith("0x"):
        raise ValueError(text)
    return bytes.fromhex(text[2:])


__all__ = ("NotThisBlock", "execution_header")
