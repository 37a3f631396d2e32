"""RPC JSON: what is read is what is written, and what is not JSON of a node is refused by name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lockgate.lightclients.cometbft import rpc_json
from lockgate.lightclients.cometbft.errors import MalformedChainData, UnsupportedKey
from lockgate.lightclients.cometbft.rfc3339 import format_time, parse_time
from lockgate.lightclients.cometbft.types import ABSENT_SIG, GO_ZERO_TIME, BlockID, Commit
from lockgate.primitives.time import UnixNanos
from tests.support.chain import TestLedger


def chain() -> TestLedger:
    ledger = TestLedger(powers=(40, 30, 30))
    ledger.produce()
    ledger.produce(absent={1}, nil={2})
    return ledger


def through_text(value: object) -> Any:
    return json.loads(json.dumps(value))


def test_what_is_written_reads_back() -> None:
    block = chain().latest
    signed = through_text(rpc_json.signed_header_to_json(block.signed_header))
    assert rpc_json.signed_header_from_json(signed) == block.signed_header
    validators = through_text(rpc_json.validator_set_to_json(block.validators))
    assert rpc_json.validator_set_from_json(validators) == block.validators
    written = through_text(rpc_json.block_to_json(block.header, (b"tx",), Commit()))
    assert rpc_json.txs_from_json(written["data"]) == (b"tx",)
    assert rpc_json.commit_from_json(written["last_commit"]) == Commit()


def test_shapes_are_those_of_a_node() -> None:
    block = chain().latest
    header = rpc_json.header_to_json(block.header)
    assert header["version"] == {"block": "11"}
    assert header["height"] == "2"
    assert str(header["app_hash"]).isupper()
    assert header["time"] == "2025-10-09T08:53:21Z"
    commit = rpc_json.commit_to_json(block.signed_header.commit)
    assert commit["round"] == 0
    absent = commit["signatures"][1]  # type: ignore[index]  # a list in JSON
    assert absent == {
        "block_id_flag": 1,
        "validator_address": "",
        "timestamp": "0001-01-01T00:00:00Z",
        "signature": None,
    }
    first = rpc_json.block_id_to_json(BlockID())
    assert first == {"hash": "", "parts": {"total": 0, "hash": ""}}


def test_other_tools_spellings_are_read() -> None:
    long = {"hash": "", "part_set_header": {"total": 3, "hash": "AB"}}
    assert rpc_json.block_id_from_json(long).parts.total == 3
    assert rpc_json.block_id_from_json(None) == BlockID()
    absent = {"block_id_flag": 1, "validator_address": "", "timestamp": "1970-01-01T00:00:00Z", "signature": ""}
    commit = {"height": 5, "round": "1", "block_id": None, "signatures": [absent]}
    assert rpc_json.commit_from_json(commit) == Commit(5, 1, BlockID(), (ABSENT_SIG,))
    genesis = rpc_json.validator_to_json(chain().latest.validators.proposer)
    genesis["power"] = genesis.pop("voting_power")
    assert rpc_json.validator_from_json(genesis).voting_power == 40
    assert rpc_json.txs_from_json({"txs": None}) == ()


def test_validators_come_in_any_order() -> None:
    validators = chain().latest.validators
    written = rpc_json.validator_set_to_json(validators)
    written["validators"] = list(reversed(written["validators"]))  # type: ignore[call-overload]
    del written["proposer"]
    assert rpc_json.validator_set_from_json(written) == validators


def signed_header() -> dict[str, Any]:
    value: dict[str, Any] = through_text(rpc_json.signed_header_to_json(chain().latest.signed_header))
    return value


SPOILINGS: list[tuple[tuple[str | int, ...], object]] = [
    (("header",), None),
    (("header",), []),
    (("header", "version"), "11"),
    (("header", "height"), "1e3"),
    (("header", "height"), "--1"),
    (("header", "height"), "1" * 21),
    (("header", "height"), 1.5),
    (("header", "height"), True),
    (("header", "chain_id"), 7),
    (("header", "chain_id"), "\ud800"),
    (("header", "time"), "yesterday"),
    (("header", "time"), None),
    (("header", "app_hash"), "zz"),
    (("header", "app_hash"), 7),
    (("commit", "signatures"), {}),
    (("commit", "signatures"), [None] * 10_001),
    (("commit", "signatures", 0), 7),
    (("commit", "signatures", 0, "block_id_flag"), 4),
    (("commit", "signatures", 0, "signature"), "***"),
    (("commit", "signatures", 0, "signature"), "YQ"),
    (("commit", "block_id"), "x"),
    (("commit", "block_id", "parts"), 7),
]


@pytest.mark.parametrize(("place", "value"), SPOILINGS, ids=str)
def test_what_no_node_serves_is_refused(place: tuple[str | int, ...], value: object) -> None:
    spoilt: Any = signed_header()
    rpc_json.signed_header_from_json(spoilt)
    inner = spoilt
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    with pytest.raises(MalformedChainData):
        rpc_json.signed_header_from_json(spoilt)


def test_other_keys_are_refused() -> None:
    written = rpc_json.validator_to_json(chain().latest.validators.proposer)
    written["pub_key"] = {"type": "tendermint/PubKeySecp256k1", "value": "AA=="}
    with pytest.raises(UnsupportedKey):
        rpc_json.validator_from_json(written)


@pytest.mark.parametrize(
    ("text", "nanos"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.000000001Z", 1),
        ("0001-01-01T00:00:00Z", GO_ZERO_TIME),
        ("9999-12-31T23:59:59.999999999Z", 253_402_300_799_999_999_999),
        ("2024-02-29T12:30:15.5Z", 1_709_209_815_500_000_000),
    ],
)
def test_times_have_one_form(text: str, nanos: int) -> None:
    assert parse_time(text) == nanos
    assert format_time(UnixNanos(nanos)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1970-01-01",
        "1970-01-01T00:00:00",
        "1970-01-01T00:00:00+00:00",
        "1970-01-01T00:00:00.Z",
        "1970-01-01T00:00:00.0000000001Z",
        "1970-13-01T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "1970-01-01T24:00:00Z",
        "1970-01-01T00:60:00Z",
        "1970-01-01T00:00:60Z",
        "１970-01-01T00:00:00Z",
        "1970-01-01T00:00:00Z\n",
    ],
)
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(MalformedChainData):
        parse_time(text)
