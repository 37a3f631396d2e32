"""Parameters in, JSON values out: how CometBFT's RPC writes numbers, bytes, events and results."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Any, Final, TypeVar

from lockgate.engines.shared.queries import Answer
from lockgate.lightclients.cometbft.rfc3339 import format_time
from lockgate.lightclients.cometbft.types import SignedHeader
from lockgate.machine.genesis import GenesisValidator
from lockgate.machine.machine import APP_VERSION, TxResult
from lockgate.primitives.state import Event

PER_PAGE: Final = 30  # CometBFT's defaults
MOST_PER_PAGE: Final = 100
MAX_QUERY_TERMS: Final = 8
MAX_INT64: Final = (1 << 63) - 1
_TERM: Final = re.compile(r"\s*([\w./-]+)\s*=\s*(?:'([^']*)'|(\d+))\s*\Z")
_HEIGHT_TERM: Final = re.compile(r"\s*(?:tx|block)\.height\s*(=|>=|<=)\s*'?(\d{1,19})'?\s*\Z")
T = TypeVar("T")


class RpcFailure(Exception):
    """A JSON-RPC error object: code, message, data."""

    def __init__(self, code: int, message: str, data: str = "") -> None:
        super().__init__(data or message)
        self.code, self.message, self.data = code, message, data


def bad_params(text: str) -> RpcFailure:
    return RpcFailure(-32602, "Invalid params", text)


def internal(text: str) -> RpcFailure:
    return RpcFailure(-32603, "Internal error", text)


def integer(value: Any, name: str, default: int) -> int:
    """An int64 given as a JSON string or number; None is the default."""
    if value is None or value == "":
        return default
    text = str(value).strip('"')
    if isinstance(value, bool) or not re.fullmatch(r"-?[0-9]{1,19}", text) or abs(int(text)) > MAX_INT64:
        raise bad_params(f"{name} is not an int64")
    return int(text)


def flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value in {"true", "1", 1}:
        return True
    if value in {None, "", "false", "0", 0}:
        return False
    raise bad_params("not a boolean")


def hex_bytes(value: Any, name: str) -> bytes:
    """Bytes given as hex, with or without 0x."""
    if value is None:
        return b""
    try:
        return bytes.fromhex(str(value).strip('"').removeprefix("0x"))
    except ValueError as error:
        raise bad_params(f"{name} is not hex") from error


def base64_bytes(value: Any) -> bytes:
    text = str(value or "").strip('"')
    try:
        return bytes.fromhex(text[2:]) if text.startswith("0x") else b64decode(text, validate=True)
    except ValueError as error:
        raise bad_params("tx is neither base64 nor 0x-hex") from error


def digest_of(value: Any) -> bytes:
    """A 32-byte hash: base64 in JSON-RPC bodies, hex (with or without 0x) in URIs and queries."""
    text = str(value or "").strip('"')
    try:
        digest = b64decode(text, validate=True) if len(text) == 44 else bytes.fromhex(text.removeprefix("0x"))
    except ValueError as error:
        raise bad_params("hash is neither hex nor base64") from error
    if len(digest) != 32:
        raise bad_params("hash is not 32 bytes")
    return digest


def page_of(items: Sequence[T], page: Any, per_page: Any) -> tuple[Sequence[T], int]:
    """One page of a list, counted from 1, and the length of the whole list."""
    size = min(max(integer(per_page, "per_page", PER_PAGE), 1), MOST_PER_PAGE)
    number = integer(page, "page", 1)
    pages = max((len(items) + size - 1) // size, 1)
    if not 1 <= number <= pages:
        raise bad_params(f"page should be within [1, {pages}] range, given {number}")
    return items[(number - 1) * size : number * size], len(items)


def parse_query(query: str) -> list[tuple[str, str]]:
    """Terms of `a.b='c' AND d.e=5`; equality only. Raises RpcFailure on anything else."""
    terms = query.split(" AND ")
    if len(terms) > MAX_QUERY_TERMS:
        raise bad_params(f"a query has at most {MAX_QUERY_TERMS} terms")
    found = []
    for term in terms:
        match = _TERM.match(term)
        if match is None:
            raise bad_params("a query is made of key='value' terms joined by AND")
        found.append((match[1], match[2] if match[2] is not None else match[3]))
    return found


def parse_search(query: str) -> tuple[list[tuple[str, str]], int, int]:
    """As `parse_query`, and the heights that `tx.height>=N`, `<=N` or `=N` leave (block.height alike)."""
    low, high = 0, MAX_INT64
    terms = []
    for text in query.split(" AND "):
        match = _HEIGHT_TERM.match(text)
        if match is None:
            terms.append(text)
            continue
        bound = integer(match[2], "height", 0)
        if match[1] != "<=":
            low = max(low, bound)
        if match[1] != ">=":
            high = min(high, bound)
    return (parse_query(" AND ".join(terms)) if terms else []), low, high


def event_json(event: Event) -> dict[str, Any]:
    return {
        "type": event.type,
        "attributes": [{"key": key, "value": value, "index": True} for key, value in event.attributes],
    }


def tx_result_json(result: TxResult) -> dict[str, Any]:
    return {
        "code": result.code,
        "data": b64encode(result.data).decode() or None,
        "log": result.log,
        "info": "",
        "gas_wanted": str(result.gas_wanted),
        "gas_used": str(result.gas_used),
        "events": [event_json(event) for event in result.events],
        "codespace": result.codespace,
    }


def update_json(update: GenesisValidator) -> dict[str, Any]:
    """A validator whose power a block changed, as CometBFT's JSON writes the protobuf union of its key."""
    key = {"type": "tendermint.crypto.PublicKey_Ed25519", "value": {"ed25519": b64encode(update.public_key).decode()}}
    changed: dict[str, Any] = {"pub_key": {"Sum": key}}
    return {**changed, "power": str(update.power)} if update.power else changed


def check_json(result: TxResult) -> dict[str, Any]:
    """Answer of broadcast_tx_sync, without the hash."""
    return {"code": result.code, "data": "", "log": result.log, "codespace": result.codespace}


def answer_json(answer: Answer) -> dict[str, Any]:
    """`response` of abci_query."""
    ops = [
        {"type": kind, "key": b64encode(key).decode(), "data": b64encode(data).decode()}
        for kind, key, data in answer.proof_ops
    ]
    return {
        "code": answer.code,
        "log": answer.log,
        "info": "",
        "index": "0",
        "key": b64encode(answer.key).decode() or None,
        "value": b64encode(answer.value).decode() or None,
        "proofOps": {"ops": ops} if ops else None,
        "height": str(answer.height),
        "codespace": answer.codespace,
    }


def sync_json(which: str, signed: SignedHeader) -> dict[str, str]:
    """The `latest_*` or `earliest_*` fields of status."""
    header = signed.header
    return {
        f"{which}_block_hash": signed.commit.block_id.hash.hex().upper(),
        f"{which}_app_hash": header.app_hash.hex().upper(),
        f"{which}_block_height": str(header.height),
        f"{which}_block_time": format_time(header.time),
    }


def consensus_params_json(max_block_bytes: int) -> dict[str, Any]:
    return {
        "block": {"max_bytes": str(max_block_bytes), "max_gas": "-1"},
        "evidence": {"max_age_num_blocks": "100000", "max_age_duration": "172800000000000", "max_bytes": "1048576"},
        "validator": {"pub_key_types": ["ed25519"]},
        "version": {"app": str(APP_VERSION)},
        "abci": {"vote_extensions_enable_height": "0"},
    }
