"""An EVM node in this process that takes transactions: a pool, nonces, fees, receipts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lockgate.codec import abi
from lockgate.relay.chains.evm.answers import hexed
from lockgate.relay.chains.evm.interface import ERROR
from lockgate.relay.chains.evm.transactions import EvmTransaction, SignedTransaction, read
from lockgate.relay.rpc import RpcError
from tests.support.evm_node import Block, FakeNode

GAS = 50_000


def reverting(reason: str) -> RpcError:
    data = ERROR + abi.encode(abi.STRING, reason)
    return RpcError(f"execution reverted: {reason}", data=hexed(data))


class FakePool(FakeNode):
    """A node whose blocks take what waits, lowest nonce first, as long as it pays the base fee."""

    def __init__(self) -> None:
        self.pool: dict[tuple[bytes, int], SignedTransaction] = {}
        self.receipts: dict[bytes, dict[str, Any]] = {}
        self.of_block: dict[int, list[SignedTransaction]] = {}
        self.done: list[SignedTransaction] = []  # in the chain as it stands
        self.base_fee = 10**9
        self.tip = 10**8
        self.holds = False  # blocks are made, but take nothing
        self.refusing: str = ""  # what the contract says to everything
        self.failing = False  # what is in a block fails, though it was simulated well
        self.rich = True
        self.act: Callable[[EvmTransaction], None] = lambda _: None  # what the contract does with a call
        self._told: dict[bytes, slice] = {}  # which of its block's logs are a transaction's
        self.sent: list[bytes] = []
        super().__init__()

    def mine(self, count: int = 1) -> None:
        for _ in range(count):
            number = len(self.blocks)
            taken = [] if self.holds else self._take()
            super().mine()
            self.of_block[number] = taken
            for one in taken:
                self.receipts[one.hash] = self._receipt(one, self.blocks[-1])
                self.done.append(one)

    def _take(self) -> list[SignedTransaction]:
        taken = []
        for (sender, nonce), one in sorted(self.pool.items()):
            if nonce == self.state.nonces.get(sender, 0) and one.transaction.fee >= self.base_fee:
                self.state.nonces[sender] = nonce + 1
                taken.append(self.pool.pop((sender, nonce)))
                before = len(self.logs)
                self.act(one.transaction)
                self._told[one.hash] = slice(before, len(self.logs))
        return taken

    def _receipt(self, one: SignedTransaction, block: Block) -> dict[str, Any]:
        return {
            "transactionHash": hexed(one.hash),
            "status": hex(0 if self.failing else 1),
            "blockNumber": hex(block.number),
            "blockHash": hexed(block.hash),
            "gasUsed": hex(GAS),
            "contractAddress": None,
            "logs": block.logs[self._told[one.hash]],
        }

    def reorganise(self, depth: int, *, returns: bool = False) -> None:
        """As for any node; what the blocks held is lost, or `returns` to the pool."""
        first, returned = len(self.blocks) - depth, []
        for number in range(first, len(self.blocks)):
            for one in self.of_block.pop(number, []):
                self.done.remove(one)
                del self.receipts[one.hash]
                returned.append(one)
        if returns:
            self.pool |= {(one.sender, one.transaction.nonce): one for one in returned}
        held, self.holds = self.holds, True
        super().reorganise(depth)
        self.holds = held

    def lose(self) -> None:
        """The pool forgets, as after a restart."""
        self.pool.clear()

    def spend(self, sender: bytes, count: int = 1) -> None:
        """Another process uses this account's nonces, in the next block."""
        self.state.nonces[sender] = self.state.nonces.get(sender, 0) + count

    def eth_getTransactionCount(self, account: str, at: str) -> str:
        sender = bytes.fromhex(account[2:])
        count = self.blocks[-1].state.nonces.get(sender, 0)
        while at == "pending" and (sender, count) in self.pool:
            count += 1
        return hex(count)

    def eth_maxPriorityFeePerGas(self) -> str:
        return hex(self.tip)

    def eth_estimateGas(self, _asked: dict[str, str]) -> str:
        if self.refusing:
            raise reverting(self.refusing)
        return hex(GAS)

    def eth_call(self, transaction: dict[str, str], at: Any) -> str:
        if "from" not in transaction:
            return super().eth_call(transaction, at)
        if self.failing:
            raise reverting("packet.expired")
        return "0x"

    def eth_sendRawTransaction(self, raw: str) -> str:
        one = read(bytes.fromhex(raw[2:]))
        self.sent.append(one.hash)
        place = one.sender, one.transaction.nonce
        if one.hash in self.receipts or one.transaction.nonce < self.blocks[-1].state.nonces.get(one.sender, 0):
            raise RpcError("nonce too low")
        known = self.pool.get(place)
        if known is not None and known.hash == one.hash:
            raise RpcError("already known")
        if known is not None and one.transaction.fee * 10 < known.transaction.fee * 11:
            raise RpcError("replacement transaction underpriced")
        if not self.rich:
            raise RpcError("insufficient funds for gas * price + value")
        self.pool[place] = one
        return hexed(one.hash)

    def eth_getTransactionReceipt(self, hash_: str) -> Any:
        return self.receipts.get(bytes.fromhex(hash_[2:]))

    def json(self, block: Block) -> dict[str, Any]:
        return super().json(block) | {"baseFeePerGas": hex(self.base_fee)}


__all__ = ("GAS", "FakePool", "reverting")
