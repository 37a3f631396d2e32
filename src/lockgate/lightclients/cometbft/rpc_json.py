"""CometBFT RPC JSON to values and back. Source: cometbft rpc/core, v0.38.

64-bit numbers are decimal strings, 32-bit ones are numbers, hashes upper-case hex, keys and
signatures base64, times RFC 3339 with the nanoseconds that matter. Reading takes any parsed JSON and
gives a value or `MalformedChainData`; a number may come either way, and `part_set_header` stands for
`parts`, as other tools write it.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from lockgate.lightclients.cometbft.errors import MalformedChainData, UnsupportedKey
from lockgate.lightclients.cometbft.rfc3339 import format_time, parse_time
from lockgate.lightclients.cometbft.types import (
    GO_ZERO_TIME,
    MAX_INT64,
    MAX_VALIDATORS,
    BlockID,
    BlockIdFlag,
    Commit,
    CommitSig,
    Header,
    PartSetHeader,
    SignedHeader,
    Validator,
    ValidatorSet,
)

Json = Mapping[str, object]
T = TypeVar("T")

ED25519_TYPE: Final = "tendermint/PubKeyEd25519"
MAX_UINT64: Final = 2**64 - 1
MAX_TXS: Final = 1_000_000  # a block of 100 MiB, CometBFT's hard bound, with 100-byte transactions
_FLAGS: Final = {int(flag): flag for flag in BlockIdFlag}


# --- reading


def header_from_json(json: object) -> Header:
    """Read `header` of /commit, /block, /header and /blockchain."""
    obj = _object(json, "header")
    version = _object(obj.get("version"), "version")
    return Header(
        version_block=_number(version, "block"),
        version_app=_number(version, "app"),
        chain_id=_text(obj, "chain_id"),
        height=_number(obj, "height"),
        time=parse_time(_text(obj, "time")),
        last_block_id=block_id_from_json(obj.get("last_block_id")),
        last_commit_hash=_hex(obj, "last_commit_hash"),
        data_hash=_hex(obj, "data_hash"),
        validators_hash=_hex(obj, "validators_hash"),
        next_validators_hash=_hex(obj, "next_validators_hash"),
        consensus_hash=_hex(obj, "consensus_hash"),
        app_hash=_hex(obj, "app_hash"),
        last_results_hash=_hex(obj, "last_results_hash"),
        evidence_hash=_hex(obj, "evidence_hash"),
        proposer_address=_hex(obj, "proposer_address"),
    )


def block_id_from_json(json: object) -> BlockID:
    """Read a block id; null is the empty one."""
    if json is None:
        return BlockID()
    obj = _object(json, "block id")
    parts = obj.get("parts", obj.get("part_set_header"))
    if parts is None:
        return BlockID(_hex(obj, "hash"))
    inner = _object(parts, "parts")
    return BlockID(_hex(obj, "hash"), PartSetHeader(_number(inner, "total"), _hex(inner, "hash")))


def commit_from_json(json: object) -> Commit:
    """Read `commit` of /commit and `last_commit` of /block."""
    obj = _object(json, "commit")
    return Commit(
        _number(obj, "height"),
        _number(obj, "round"),
        block_id_from_json(obj.get("block_id")),
        _items(obj, "signatures", MAX_VALIDATORS, _commit_sig_from_json),
    )


def _commit_sig_from_json(json: object) -> CommitSig:
    obj = _object(json, "signature")
    flag = _FLAGS.get(_number(obj, "block_id_flag"))
    if flag is None:
        raise MalformedChainData("unknown block id flag", flag=obj.get("block_id_flag"))
    stamp = obj.get("timestamp")
    time = GO_ZERO_TIME if stamp is None else parse_time(_text(obj, "timestamp"))
    if flag is BlockIdFlag.ABSENT and time == 0:
        time = GO_ZERO_TIME  # tools in other languages write their own zero time, 1970
    return CommitSig(flag, _hex(obj, "validator_address"), time, _base64(obj, "signature"))


def signed_header_from_json(json: object) -> SignedHeader:
    """Read `signed_header` of /commit: an object with `header` and `commit`."""
    obj = _object(json, "signed header")
    return SignedHeader(header_from_json(obj.get("header")), commit_from_json(obj.get("commit")))


def validator_from_json(json: object) -> Validator:
    """Read one validator of /validators or of a genesis file (whose power is `power`)."""
    obj = _object(json, "validator")
    key = _object(obj.get("pub_key"), "pub_key")
    if key.get("type") != ED25519_TYPE:
        raise UnsupportedKey(kind=str(key.get("type")))
    power = "voting_power" if "voting_power" in obj else "power"
    public_key = _base64(key, "value")
    return Validator(_hex(obj, "address"), public_key, _number(obj, power), _number(obj, "proposer_priority"))


def validators_from_json(json: object) -> tuple[Validator, ...]:
    """Read the array `validators` of one page of /validators; pages are joined by the caller."""
    return _items({"validators": json}, "validators", MAX_VALIDATORS, validator_from_json)


def validator_set_from_json(json: object) -> ValidatorSet:
    """Read `{validators, proposer}` and put it into canonical order.

    The proposer is the first validator where the answer names none: it is not hashed.
    """
    obj = _object(json, "validator set")
    members = validators_from_json(obj.get("validators"))
    proposer = obj.get("proposer")
    return ValidatorSet.of(members, b"" if proposer is None else validator_from_json(proposer).address)


def txs_from_json(json: object) -> tuple[bytes, ...]:
    """Read `data` of /block: base64 transactions, null when there are none."""
    return _items(_object(json, "data"), "txs", MAX_TXS, lambda tx: _base64({"tx": tx}, "tx"))


# --- writing


def header_to_json(header: Header) -> dict[str, object]:
    """Write a header as the RPC serves it; `version.app` is left out when it is zero."""
    version = {"block": str(header.version_block)}
    if header.version_app:
        version["app"] = str(header.version_app)
    return {
        "version": version,
        "chain_id": header.chain_id,
        "height": str(header.height),
        "time": format_time(header.time),
        "last_block_id": block_id_to_json(header.last_block_id),
        "last_commit_hash": _upper(header.last_commit_hash),
        "data_hash": _upper(header.data_hash),
        "validators_hash": _upper(header.validators_hash),
        "next_validators_hash": _upper(header.next_validators_hash),
        "consensus_hash": _upper(header.consensus_hash),
        "app_hash": _upper(header.app_hash),
        "last_results_hash": _upper(header.last_results_hash),
        "evidence_hash": _upper(header.evidence_hash),
        "proposer_address": _upper(header.proposer_address),
    }


def block_id_to_json(block_id: BlockID) -> dict[str, object]:
    """Write a block id."""
    parts = {"total": block_id.parts.total, "hash": _upper(block_id.parts.hash)}
    return {"hash": _upper(block_id.hash), "parts": parts}


def commit_to_json(commit: Commit) -> dict[str, object]:
    """Write a commit."""
    return {
        "height": str(commit.height),
        "round": commit.round,
        "block_id": block_id_to_json(commit.block_id),
        "signatures": [_commit_sig_to_json(sig) for sig in commit.signatures],
    }


def _commit_sig_to_json(sig: CommitSig) -> dict[str, object]:
    return {
        "block_id_flag": int(sig.flag),
        "validator_address": _upper(sig.validator_address),
        "timestamp": format_time(sig.timestamp),
        "signature": b64encode(sig.signature).decode() if sig.signature else None,
    }


def signed_header_to_json(signed_header: SignedHeader) -> dict[str, object]:
    """Write `signed_header` of /commit."""
    return {
        "header": header_to_json(signed_header.header),
        "commit": commit_to_json(signed_header.commit),
    }


def validator_to_json(validator: Validator) -> dict[str, object]:
    """Write one validator of /validators."""
    return {
        "address": _upper(validator.address),
        "pub_key": {"type": ED25519_TYPE, "value": b64encode(validator.public_key).decode()},
        "voting_power": str(validator.voting_power),
        "proposer_priority": str(validator.proposer_priority),
    }


def validator_set_to_json(validators: ValidatorSet) -> dict[str, object]:
    """Write `{validators, proposer}`."""
    return {
        "validators": [validator_to_json(member) for member in validators.validators],
        "proposer": validator_to_json(validators.proposer),
    }


def block_to_json(header: Header, txs: Sequence[bytes], last_commit: Commit) -> dict[str, object]:
    """Write `block` of /block, without evidence."""
    return {
        "header": header_to_json(header),
        "data": {"txs": [b64encode(tx).decode() for tx in txs]},
        "evidence": {"evidence": []},
        "last_commit": commit_to_json(last_commit),
    }


def _upper(value: bytes) -> str:
    return value.hex().upper()


# --- typed access to parsed JSON


def _object(json: object, what: str) -> Json:
    if not isinstance(json, Mapping):
        raise MalformedChainData("not a JSON object", what=what)
    return json


def _text(obj: Json, name: str) -> str:
    value = obj.get(name)
    if not isinstance(value, str):
        raise MalformedChainData("not a JSON string", field=name)
    try:
        value.encode()
    except UnicodeEncodeError as fault:
        raise MalformedChainData("a lone surrogate is not text", field=name) from fault
    return value


def _number(obj: Json, name: str) -> int:
    """Read a 64-bit integer given as a number or a decimal string; absent is 0."""
    value = obj.get(name, 0)
    if isinstance(value, str) and value.isascii() and value.lstrip("-").isdigit() and len(value) <= 20:
        sign = value.count("-")
        value = int(value) if sign == 0 or (sign == 1 and value[0] == "-") else None
    if isinstance(value, bool) or not isinstance(value, int) or not -MAX_INT64 <= value <= MAX_UINT64:
        raise MalformedChainData("not a 64-bit number", field=name)
    return value


def _hex(obj: Json, name: str) -> bytes:
    text = _text(obj, name) if obj.get(name) is not None else ""
    try:
        return bytes.fromhex(text)
    except ValueError as fault:
        raise MalformedChainData("not hexadecimal", field=name) from fault


def _base64(obj: Json, name: str) -> bytes:
    text = _text(obj, name) if obj.get(name) is not None else ""
    try:
        return b64decode(text, validate=True)
    except (Base64Error, ValueError) as fault:
        raise MalformedChainData("not base64", field=name) from fault


def _items(obj: Json, name: str, most: int, read: Callable[[object], T]) -> tuple[T, ...]:
    value = obj.get(name)
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > most:
        raise MalformedChainData("not a JSON array, or too long", field=name, most=most)
    return tuple([read(item) for item in value])


__all__ = (
    "block_id_from_json",
    "block_id_to_json",
    "block_to_json",
    "commit_from_json",
    "commit_to_json",
    "header_from_json",
    "header_to_json",
    "signed_header_from_json",
    "signed_header_to_json",
    "txs_from_json",
    "validator_from_json",
    "validator_set_from_json",
    "validator_set_to_json",
    "validator_to_json",
    "validators_from_json",
)
