"""What an EVM node's JSON holds, as values. Everything is bounded, and any other shape is BadAnswer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from lockgate.primitives.ids import Height
from lockgate.primitives.time import UnixNanos, UnixSeconds, seconds_to_nanos
from lockgate.relay.rpc import BadAnswer

MAX_DATA: Final = 1 << 20  # bytes of one log or one call's result; a packet of our contracts has 2 KiB
MAX_INPUT: Final = 1 << 24  # bytes of a transaction's call: what a node's answer can hold; pools take far less
MAX_TOPICS: Final = 4
WORD: Final = 32
ADDRESS: Final = 20
_QUANTITY: Final = re.compile(r"0x[0-9a-fA-F]+\Z")
_DATA: Final = re.compile(r"0x(?:[0-9a-fA-F]{2})*\Z")


@dataclass(frozen=True, slots=True)
class EvmBlock:
    """A block's header, as far as it is used."""

    number: int
    hash: bytes
    parent: bytes
    time: UnixSeconds
    state_root: bytes
    base_fee: int  # wei per gas
    gas_limit: int

    @property
    def height(self) -> Height:
        """Revision 0: an EVM chain's numbers never start again."""
        return Height(0, self.number)

    @property
    def nanos(self) -> UnixNanos:
        return seconds_to_nanos(self.time)


@dataclass(frozen=True, slots=True)
class Log:
    """What a contract emitted."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes
    block: int
    block_hash: bytes
    index: int  # in its block
    transaction: bytes = b""  # its hash, where the node says it

    def fits(self, asked: Sequence[Any]) -> bool:
        """Has it the topics of a question, each of which is one in hex or a list of alternatives?"""
        return len(asked) <= len(self.topics) and all(
            hexed(topic) in one if isinstance(one, list) else hexed(topic) == one
            for topic, one in zip(self.topics, asked, strict=False)
        )


@dataclass(frozen=True, slots=True)
class TransactionCall:
    """A transaction of a block, as far as it can have said anything to a contract."""

    hash: bytes
    to: bytes  # empty: it creates a contract
    data: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a transaction."""

    transaction: bytes
    succeeded: bool
    block: int
    block_hash: bytes
    gas_used: int
    contract: bytes | None  # that it created
    logs: tuple[Log, ...]


def quantity(value: Any, bits: int = 64) -> int:
    """A number: `0x` and hex digits."""
    if isinstance(value, str) and len(value) <= 2 + bits // 4 and _QUANTITY.match(value):
        return int(value[2:], 16)
    raise BadAnswer("not a quantity", value=_shown(value))


def data(value: Any, most: int = MAX_DATA) -> bytes:
    """Bytes: `0x` and pairs of hex digits, at most so many."""
    if isinstance(value, str) and len(value) <= 2 + 2 * most and _DATA.match(value):
        return bytes.fromhex(value[2:])
    raise BadAnswer("not hex data", value=_shown(value))


def exactly(value: Any, size: int) -> bytes:
    """So many bytes."""
    found = data(value, size)
    if len(found) != size:
        raise BadAnswer("data of another length", size=len(found), expected=size)
    return found


def block_of(json: Any) -> EvmBlock:
    if not isinstance(json, dict):
        raise BadAnswer("not a block")
    try:
        return EvmBlock(
            quantity(json["number"]),
            exactly(json["hash"], WORD),
            exactly(json["parentHash"], WORD),
            UnixSeconds(quantity(json["timestamp"])),
            exactly(json["stateRoot"], WORD),
            quantity(json.get("baseFeePerGas", "0x0"), 256),
            quantity(json["gasLimit"]),
        )
    except KeyError as error:
        raise BadAnswer("a block without a field", field=error.args[0]) from error


def log_of(json: Any) -> Log:
    if not isinstance(json, dict):
        raise BadAnswer("not a log")
    try:
        topics = json["topics"]
        if not isinstance(topics, list) or len(topics) > MAX_TOPICS:
            raise BadAnswer("a log has up to four topics")
        return Log(
            exactly(json["address"], ADDRESS),
            tuple([exactly(topic, WORD) for topic in topics]),
            data(json["data"]),
            quantity(json["blockNumber"]),
            exactly(json["blockHash"], WORD),
            quantity(json["logIndex"]),
            exactly(json["transactionHash"], WORD) if json.get("transactionHash") is not None else b"",
        )
    except KeyError as error:
        raise BadAnswer("a log without a field", field=error.args[0]) from error


def logs_of(json: Any) -> tuple[Log, ...]:
    if not isinstance(json, list):
        raise BadAnswer("not a list of logs")
    return tuple(map(log_of, json))


def calls_of(json: Any) -> tuple[TransactionCall, ...]:
    """The transactions of a block that was asked for with them."""
    if not isinstance(json, dict) or not isinstance(json.get("transactions"), list):
        raise BadAnswer("a block without its transactions")
    found = []
    for each in json["transactions"]:
        if not isinstance(each, dict):
            raise BadAnswer("a block with hashes for transactions")
        to = each.get("to")
        called = b"" if to is None else exactly(to, ADDRESS)
        found.append(TransactionCall(exactly(each.get("hash"), WORD), called, data(each.get("input"), MAX_INPUT)))
    return tuple(found)


def receipt_of(json: Any, transaction: bytes) -> Receipt:
    """The receipt of the transaction of this hash."""
    if not isinstance(json, dict):
        raise BadAnswer("not a receipt")
    try:
        if exactly(json["transactionHash"], WORD) != transaction:
            raise BadAnswer("the receipt of another transaction", asked=transaction)
        created = json.get("contractAddress")
        return Receipt(
            transaction,
            quantity(json["status"]) == 1,
            quantity(json["blockNumber"]),
            exactly(json["blockHash"], WORD),
            quantity(json["gasUsed"]),
            None if created is None else exactly(created, ADDRESS),
            logs_of(json["logs"]),
        )
    except KeyError as error:
        raise BadAnswer("a receipt without a field", field=error.args[0]) from error


def _shown(value: Any) -> str:
    """Of a list in a list in a list, a thousand deep, not even the text can be made."""
    return value[:100] if isinstance(value, str) else type(value).__name__


def printable(text: str) -> str:
    """A stranger's words, for logs and terminals."""
    return "".join(char if char.isprintable() else "?" for char in text)


def hexed(value: bytes | int) -> str:
    """A quantity or data as JSON-RPC wants it."""
    return hex(value) if isinstance(value, int) else "0x" + value.hex()


__all__ = (
    "ADDRESS",
    "WORD",
    "EvmBlock",
    "Log",
    "Receipt",
    "TransactionCall",
    "block_of",
    "calls_of",
    "data",
    "exactly",
    "hexed",
    "log_of",
    "logs_of",
    "printable",
    "quantity",
    "receipt_of",
)
