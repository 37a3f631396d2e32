"""ICS-20 packet data in its three encodings, each in the one form that re-encodes to itself.

Tolerant readers of acknowledgements and packet data have split ledgers from each other (ISA-2025-001):
two nodes that print one value differently disagree about state. So unknown fields, other key orders,
white space and other spellings of a number are refused. Source: specs/ibc-v2.md §10.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lockgate.codec import abi
from lockgate.codec.protobuf import parse_own
from lockgate.codec.wire import ics20_pb2
from lockgate.ibc.denom import parse_path
from lockgate.ibc.errors import BadData

PORT: Final = "transfer"
VERSION: Final = "ics20-1"
JSON: Final = "application/json"
PROTOBUF: Final = "application/x-protobuf"
SOLIDITY_ABI: Final = "application/x-solidity-abi"
SUCCESS_ACKNOWLEDGEMENT: Final = b'{"result":"AQ=="}'

MAX_AMOUNT: Final = (1 << 256) - 1
MAX_AMOUNT_DIGITS: Final = 78  # of 2^256 - 1; a longer text is no amount and is never converted
MAX_MEMO: Final = 32_768  # bytes; ibc-go's MaximumMemoLength
MAX_RECEIVER: Final = 2_048  # bytes; ibc-go's MaximumReceiverLength

_FIELDS: Final = ("denom", "amount", "sender", "receiver", "memo")
# Go's json.Marshal writes these as escapes; Python's json does not.
_GO_ESCAPES: Final = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferData:
    """FungibleTokenPacketData. `denom` is a full path."""

    denom: str
    amount: int  # 0..2^256-1
    sender: str
    receiver: str
    memo: str = ""


def encode(data: TransferData, encoding: str) -> bytes:
    """Return the payload value of `data`. Raises BadData for an unknown encoding."""
    return _codec(encoding)[0](data)


def decode(value: bytes, encoding: str) -> TransferData:
    """Read a payload value that `encode` would write. Raises BadData or codec.Malformed."""
    write, read = _codec(encoding)
    data = read(value)
    if write(data) != value:
        raise BadData("re-encodes to other bytes", encoding=encoding)
    return data


def check(data: TransferData) -> None:
    """Refuse data that no transfer carries: on send and on receive alike. Raises BadData."""
    if not 0 < data.amount <= MAX_AMOUNT:
        raise BadData("amount", amount=data.amount)
    if not data.sender.strip() or not data.receiver.strip():
        raise BadData("sender and receiver are not blank")
    if len(data.receiver.encode()) > MAX_RECEIVER or len(data.memo.encode()) > MAX_MEMO:
        raise BadData("receiver or memo is too long", receiver=len(data.receiver), memo=len(data.memo))
    if not parse_path(data.denom).base.strip():
        raise BadData("the base denomination is blank", denom=data.denom)


def _codec(encoding: str) -> tuple[Callable[[TransferData], bytes], Callable[[bytes], TransferData]]:
    try:
        return _CODECS[encoding]
    except KeyError:
        raise BadData("unknown encoding", encoding=encoding) from None


def _write_json(data: TransferData) -> bytes:
    fields = _texts(data)
    kept = {name: fields[name] for name in _FIELDS if fields[name]}
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":")).translate(_GO_ESCAPES).encode()


def _read_json(value: bytes) -> TransferData:
    try:
        fields = json.loads(value)
    except (ValueError, RecursionError) as error:
        raise BadData("not JSON") from error
    if not isinstance(fields, dict) or not set(fields) <= set(_FIELDS):
        raise BadData("not an object of the five known fields")
    for name, text in fields.items():
        if type(text) is not str or _has_lone_surrogate(text):
            raise BadData("a field is not a string of Unicode characters", field=name)
    return _from_texts(fields)


def _has_lone_surrogate(text: str) -> bool:
    # JSON's escapes can spell half a character, which no byte form of the text has.
    return any("\ud800" <= character <= "\udfff" for character in text)


def _write_protobuf(data: TransferData) -> bytes:
    return ics20_pb2.FungibleTokenPacketData(**_texts(data)).SerializeToString(deterministic=True)


def _read_protobuf(value: bytes) -> TransferData:
    message = parse_own(ics20_pb2.FungibleTokenPacketData, value)
    return _from_texts({name: getattr(message, name) for name in _FIELDS})


def _write_abi(data: TransferData) -> bytes:
    fields = (data.denom, data.sender, data.receiver, data.amount, data.memo)
    return abi.encode(abi.FUNGIBLE_TOKEN_PACKET_DATA, fields)


def _read_abi(value: bytes) -> TransferData:
    denom, sender, receiver, amount, memo = abi.decode(abi.FUNGIBLE_TOKEN_PACKET_DATA, value)
    return TransferData(denom=denom, amount=amount, sender=sender, receiver=receiver, memo=memo)


def _texts(data: TransferData) -> dict[str, str]:
    return {
        "denom": data.denom,
        "amount": str(data.amount),
        "sender": data.sender,
        "receiver": data.receiver,
        "memo": data.memo,
    }


def _from_texts(fields: Mapping[str, Any]) -> TransferData:
    amount = fields.get("amount", "")
    if not 0 < len(amount) <= MAX_AMOUNT_DIGITS or not (amount.isascii() and amount.isdigit()):
        raise BadData("the amount is not a decimal number", amount=amount)
    number = int(amount)
    if number > MAX_AMOUNT:
        raise BadData("the amount exceeds 256 bits")
    return TransferData(
        denom=fields.get("denom", ""),
        amount=number,
        sender=fields.get("sender", ""),
        receiver=fields.get("receiver", ""),
        memo=fields.get("memo", ""),
    )


_CODECS: Final = {
    JSON: (_write_json, _read_json),
    PROTOBUF: (_write_protobuf, _read_protobuf),
    SOLIDITY_ABI: (_write_abi, _read_abi),
}
