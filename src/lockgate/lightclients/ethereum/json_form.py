"""Light client objects as beacon nodes' JSON: the beacon API, and what relayers of deployed clients pass on.

Numbers are decimal strings, JSON numbers, or 0x-prefixed hex without leading zeros, as different programs write
them; bytes are hex behind 0x. A name that stands twice, an unknown field, and bytes of another length are refused.
A finality or an optimistic update is an update with fields left out. Source: ethereum/beacon-APIs, light client.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from lockgate.lightclients.ethereum import indices
from lockgate.lightclients.ethereum.containers import (
    ADDRESS_BYTES,
    BLOOM_BYTES,
    MAX_EXTRA_DATA,
    NO_HEADER,
    PUBKEY_BYTES,
    ROOT_BYTES,
    SIGNATURE_BYTES,
    BeaconHeader,
    Bootstrap,
    Branch,
    ExecutionHeader,
    LightHeader,
    SyncAggregate,
    SyncCommittee,
    Update,
)
from lockgate.lightclients.ethereum.errors import MalformedBeaconData
from lockgate.lightclients.ethereum.network import MAX_UINT64
from lockgate.lightclients.ethereum.ssz_form import MAX_COMMITTEE

Json = Mapping[str, object]
MAX_TEXT: Final = 1 << 20  # of one object with two committees of 512 keys, four times over
_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,77}")  # 78 digits hold 256 bits
_HEX_NUMBER: Final = re.compile(r"0x(?:0|[1-9a-f][0-9a-f]{0,63})", re.I)
_HEX: Final = re.compile(r"0x(?:[0-9a-f]{2})*", re.I)
_BEACON: Final = ("slot", "proposer_index", "parent_root", "state_root", "body_root")
_ROOTS: Final = ("parent_hash", "state_root", "receipts_root", "prev_randao", "block_hash")
_LISTS: Final = ("transactions_root", "withdrawals_root")
_NUMBERS: Final = ("block_number", "gas_limit", "gas_used", "timestamp")
_BLOBS: Final = ("blob_gas_used", "excess_blob_gas")
_OTHERS: Final = ("fee_recipient", "logs_bloom", "extra_data", "base_fee_per_gas")
_EXECUTION: Final = (*_ROOTS, *_LISTS, *_NUMBERS, *_OTHERS)
_SIGNED: Final = ("attested_header", "sync_aggregate", "signature_slot")
_FINAL: Final = ("finalized_header", "finality_branch")
_NEXT: Final = ("next_sync_committee", "next_sync_committee_branch")


def parse(text: bytes) -> object:
    """Parse JSON of which no object has a name twice, without floats. Raises MalformedBeaconData."""
    if len(text) > MAX_TEXT:
        raise MalformedBeaconData("too long", size=len(text), most=MAX_TEXT)
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_float=_refused, parse_constant=_refused)
    except (ValueError, RecursionError) as failure:
        raise MalformedBeaconData("not JSON", reason=type(failure).__name__) from None


def update_from_json(value: object, size: int) -> Update:
    """Read an update, a finality or an optimistic one. `size`: keys of a committee. Raises MalformedBeaconData."""
    fields = _object(value, "update", _SIGNED, (*_FINAL, *_NEXT))
    following = fields.get("next_sync_committee")
    finalized = fields.get("finalized_header")
    branch = _branch(fields.get("next_sync_committee_branch"))
    committee = None if following is None else committee_from_json(following, size)
    if committee is not None and not branch:
        if any(map(any, (*committee.pubkeys, committee.aggregate_pubkey))):
            raise MalformedBeaconData("a next committee without a branch")
        committee = None
    if branch and committee is None:
        raise MalformedBeaconData("a branch to no next committee")
    return Update(
        attested_header=header_from_json(fields["attested_header"]),
        next_sync_committee=committee,
        next_sync_committee_branch=branch,
        finalized_header=NO_HEADER if finalized is None else header_from_json(finalized),
        finality_branch=_branch(fields.get("finality_branch")),
        sync_aggregate=_aggregate(fields["sync_aggregate"], size),
        signature_slot=_number(fields["signature_slot"]),
    )


def bootstrap_from_json(value: object, size: int) -> Bootstrap:
    """Raises MalformedBeaconData."""
    fields = _object(value, "bootstrap", ("header", "current_sync_committee", "current_sync_committee_branch"))
    return Bootstrap(
        header=header_from_json(fields["header"]),
        current_sync_committee=committee_from_json(fields["current_sync_committee"], size),
        current_sync_committee_branch=_branch(fields["current_sync_committee_branch"]),
    )


def committee_from_json(value: object, size: int) -> SyncCommittee:
    """Read a committee of `size` keys. Raises MalformedBeaconData."""
    fields = _object(value, "committee", ("pubkeys", "aggregate_pubkey"))
    keys = _array(fields["pubkeys"], MAX_COMMITTEE)
    if len(keys) != size:
        raise MalformedBeaconData("a committee of another size", expected=size, got=len(keys))
    return SyncCommittee(
        tuple(_bytes(key, PUBKEY_BYTES) for key in keys), _bytes(fields["aggregate_pubkey"], PUBKEY_BYTES)
    )


def header_from_json(value: object) -> LightHeader:
    """Read a header with or without its execution part. Raises MalformedBeaconData."""
    fields = _object(value, "header", ("beacon",), ("execution", "execution_branch"))
    beacon = _object(fields["beacon"], "beacon header", _BEACON)
    read = BeaconHeader(
        slot=_number(beacon["slot"]),
        proposer_index=_number(beacon["proposer_index"]),
        parent_root=_bytes(beacon["parent_root"], ROOT_BYTES),
        state_root=_bytes(beacon["state_root"], ROOT_BYTES),
        body_root=_bytes(beacon["body_root"], ROOT_BYTES),
    )
    if ("execution" in fields) != ("execution_branch" in fields):
        raise MalformedBeaconData("an execution header without its branch, or the other way")
    if "execution" not in fields:
        return LightHeader(read)
    return LightHeader(read, _execution(fields["execution"]), _branch(fields["execution_branch"]))


def update_to_json(update: Update) -> dict[str, Any]:
    """Write an update as a beacon node does; parts that are not there are left out."""
    fields: dict[str, Any] = {
        "attested_header": header_to_json(update.attested_header),
        "sync_aggregate": {
            "sync_committee_bits": _hex(update.sync_aggregate.bits),
            "sync_committee_signature": _hex(update.sync_aggregate.signature),
        },
        "signature_slot": str(update.signature_slot),
    }
    if update.next_sync_committee is not None:
        fields["next_sync_committee"] = committee_to_json(update.next_sync_committee)
        fields["next_sync_committee_branch"] = list(map(_hex, update.next_sync_committee_branch))
    if update.has_finality:
        fields["finalized_header"] = header_to_json(update.finalized_header)
        fields["finality_branch"] = list(map(_hex, update.finality_branch))
    return fields


def bootstrap_to_json(bootstrap: Bootstrap) -> dict[str, Any]:
    return {
        "header": header_to_json(bootstrap.header),
        "current_sync_committee": committee_to_json(bootstrap.current_sync_committee),
        "current_sync_committee_branch": list(map(_hex, bootstrap.current_sync_committee_branch)),
    }


def committee_to_json(committee: SyncCommittee) -> dict[str, Any]:
    return {"pubkeys": list(map(_hex, committee.pubkeys)), "aggregate_pubkey": _hex(committee.aggregate_pubkey)}


def header_to_json(header: LightHeader) -> dict[str, Any]:
    beacon, execution = header.beacon, header.execution
    fields: dict[str, Any] = {"beacon": _written(beacon, _BEACON)}
    if header.execution_branch:
        fields["execution"] = _written(execution, (*_EXECUTION, *_BLOBS))
        fields["execution_branch"] = list(map(_hex, header.execution_branch))
    return fields


def _execution(value: object) -> ExecutionHeader:
    fields = _object(value, "execution header", _EXECUTION, _BLOBS)
    blobs = [name for name in _BLOBS if name in fields]
    if len(blobs) == 1:
        raise MalformedBeaconData("one of the two blob fields is missing")
    plain: dict[str, Any] = {name: _bytes(fields[name], ROOT_BYTES) for name in (*_ROOTS, *_LISTS)}
    plain |= {name: _number(fields[name]) for name in (*_NUMBERS, *blobs)}
    extra = _bytes(fields["extra_data"], None)
    if len(extra) > MAX_EXTRA_DATA:
        raise MalformedBeaconData("extra data", size=len(extra), most=MAX_EXTRA_DATA)
    return ExecutionHeader(
        fee_recipient=_bytes(fields["fee_recipient"], ADDRESS_BYTES),
        logs_bloom=_bytes(fields["logs_bloom"], BLOOM_BYTES),
        extra_data=extra,
        base_fee_per_gas=_number(fields["base_fee_per_gas"], (1 << 256) - 1),
        **plain,
    )


def _aggregate(value: object, size: int) -> SyncAggregate:
    fields = _object(value, "sync aggregate", ("sync_committee_bits", "sync_committee_signature"))
    bits = _bytes(fields["sync_committee_bits"], size // 8)
    return SyncAggregate(bits, _bytes(fields["sync_committee_signature"], SIGNATURE_BYTES))


def _branch(value: object) -> Branch:
    """Siblings; none for null, and for zeros, which stand for "not there" in SSZ."""
    siblings = tuple(_bytes(each, ROOT_BYTES) for each in _array([] if value is None else value, indices.DEPTHS_MAX))
    return siblings if any(map(any, siblings)) else ()


def _object(value: object, what: str, required: Collection[str], optional: Collection[str] = ()) -> Json:
    if not isinstance(value, Mapping):
        raise MalformedBeaconData(f"the {what} is no object")
    names = set(value)
    if not names >= set(required) or names - set(required) - set(optional):
        missing, unknown = sorted(set(required) - names), sorted(map(str, names - set(required) - set(optional)))
        raise MalformedBeaconData(f"the {what} lacks fields or has unknown ones", missing=missing, unknown=unknown)
    return value


def _array(value: object, most: int) -> list[object]:
    if not isinstance(value, list) or len(value) > most:
        raise MalformedBeaconData("not an array, or a longer one than there is", most=most)
    return value


def _bytes(value: object, size: int | None) -> bytes:
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise MalformedBeaconData("not hex behind 0x")
    if size is not None and len(value) != 2 + 2 * size:
        raise MalformedBeaconData("bytes of another length", expected=size, got=len(value) // 2 - 1)
    return bytes.fromhex(value[2:])


def _number(value: object, most: int = MAX_UINT64) -> int:
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        number = int(value)
    elif isinstance(value, str) and _HEX_NUMBER.fullmatch(value):
        number = int(value, 16)
    elif type(value) is int:
        number = value
    else:
        raise MalformedBeaconData("not a number")
    if not 0 <= number <= most:
        raise MalformedBeaconData("a number out of range", most=most)
    return number


def _unique(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            raise MalformedBeaconData("a name stands twice", name=name)
        found[name] = value
    return found


def _refused(text: str) -> object:
    raise MalformedBeaconData("a number that is no integer", text=text)


def _written(holder: object, names: Iterable[str]) -> dict[str, str]:
    values = {name: getattr(holder, name) for name in names}
    return {name: _hex(value) if isinstance(value, bytes) else str(value) for name, value in values.items()}


def _hex(raw: bytes) -> str:
    return "0x" + raw.hex()


__all__ = (
    "MAX_TEXT",
    "bootstrap_from_json",
    "bootstrap_to_json",
    "committee_from_json",
    "committee_to_json",
    "header_from_json",
    "header_to_json",
    "parse",
    "update_from_json",
    "update_to_json",
)
