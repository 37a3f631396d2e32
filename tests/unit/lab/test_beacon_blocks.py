"""An EVM node's block becomes a payload header only as the EVM made it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from lockgate.lab.beacon_blocks import NotThisBlock, execution_header
from lockgate.merkle import ssz

# A block of Anvil 1.7.1 under Prague's rules, and its transaction as it was signed.
BLOCK: dict[str, Any] = {
    "hash": "0xfbf7b9b660a952d123213fdf71e2118b793bfaa809f002cc1e363e2114a0b2eb",
    "parentHash": "0x86a7a1985c1d6f1d2896c68a87431d90e9ebe049bb3d192ed525177e3c35dd60",
    "sha3Uncles": "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347",
    "miner": "0x" + "00" * 20,
    "stateRoot": "0xe0ae8b2cee48441d87f8c612e1d927b1867b348aa35fd913d6149e6c003c0011",
    "transactionsRoot": "0x6dd9a37bc24f352bcab791cc4ff2ed174a0ab4ea0d24910a1c27eb24435f9d4f",
    "receiptsRoot": "0xf78dfb743fbd92ade140711c8bbc542b5e307f0ab7984eff35d751969fe57efa",
    "logsBloom": "0x" + "00" * 256,
    "difficulty": "0x0",
    "number": "0x1",
    "gasLimit": "0x1c9c380",
    "gasUsed": "0x5208",
    "timestamp": "0x6b0a765e",
    "extraData": "0x",
    "mixHash": "0x8a811491f72aab96c0a84c4c984f23aeeedf5801706422b3676945d8a68a75d4",
    "nonce": "0x0000000000000000",
    "baseFeePerGas": "0x3b9aca00",
    "withdrawalsRoot": "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421",
    "blobGasUsed": "0x0",
    "excessBlobGas": "0x0",
    "parentBeaconBlockRoot": "0x" + "00" * 32,
    "requestsHash": "0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "transactions": ["0xa23b52004fe574000765fbe20a311b2785a318c9dbe6b0bf6a4c1f8936f57ff3"],
    "withdrawals": [],
}
TRANSACTION = bytes.fromhex(
    "02f86c827a6980843b9aca0084773594008252089470997970c51812dc3a010c7d01b50e0d17dc79c80180c080a07ca003a6a2adcce9641e808d"
    "cecdedf7c37ca5f48c326a17e25406471de8d1eea053a15f6568f6cf8ccf47cb2f77585c4b71ba3a579bfcc82de7a528889b92a705"
)
EMPTY = {  # as every beacon chain has them
    "transactions": "7ffe241ea60187fdb0187bfa22de35d1f9bed7ab061d9401fd47e34a54fbede1",
    "withdrawals": "792930bbd5baac43bcc798ee49aa8185ef76bb3b44ba62b91d86ae569e4bb535",
}


def test_a_block_is_read_as_the_evm_made_it() -> None:
    header = execution_header(BLOCK, [TRANSACTION])
    assert (header.block_number, header.gas_used, header.timestamp) == (1, 21_000, 0x6B0A765E)
    assert header.block_hash.hex() == BLOCK["hash"][2:]
    assert header.state_root.hex() == BLOCK["stateRoot"][2:]
    assert header.base_fee_per_gas == 10**9
    assert header.withdrawals_root.hex() == EMPTY["withdrawals"]
    chunks = [TRANSACTION[at : at + 32].ljust(32, b"\0") for at in range(0, len(TRANSACTION), 32)]
    one = ssz.with_length(ssz.merkleize(chunks, 1 << 25), len(TRANSACTION))
    assert header.transactions_root == ssz.with_length(ssz.merkleize([one], 1 << 20), 1)


def test_whole_transactions_may_stand_in_the_block() -> None:
    whole = {**BLOCK, "transactions": [{"hash": BLOCK["transactions"][0], "nonce": "0x0"}]}
    assert execution_header(whole, [TRANSACTION]) == execution_header(BLOCK, [TRANSACTION])


def without(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda block: block.pop(name)


@pytest.mark.parametrize(
    "spoil",
    [
        *(
            lambda block, name=name: block.update({name: "0x" + "11" * (len(BLOCK[name]) // 2 - 1)})
            for name in ("stateRoot", "receiptsRoot", "parentHash", "miner", "logsBloom", "mixHash", "requestsHash")
        ),
        *(
            lambda block, name=name: block.update({name: hex(int(BLOCK[name], 16) + 1)})
            for name in ("number", "timestamp", "gasUsed", "gasLimit", "baseFeePerGas", "blobGasUsed")
        ),
        *map(without, ("stateRoot", "requestsHash", "hash", "transactions", "baseFeePerGas")),
        lambda block: block.update(number="one"),
        lambda block: block.update(number=None),
        lambda block: block.update(stateRoot=BLOCK["stateRoot"][2:]),
        lambda block: block.update(transactions=[]),
        lambda block: block.update(transactions=BLOCK["transactions"] * 2),
    ],
)
def test_words_that_do_not_hash_to_the_block_are_refused(spoil: Callable[[dict[str, Any]], None]) -> None:
    block = copy.deepcopy(BLOCK)
    spoil(block)
    with pytest.raises(NotThisBlock):
        execution_header(block, [TRANSACTION])


@pytest.mark.parametrize("others", [[], [TRANSACTION, TRANSACTION], [TRANSACTION[:-1] + b"\0"]])
def test_other_transactions_are_refused(others: list[bytes]) -> None:
    with pytest.raises(NotThisBlock):
        execution_header(BLOCK, others)
