"""Light client objects as SSZ bytes, read strictly: every accepted encoding is the only one of its value.

A container is the bytes of its fixed fields and, for a variable one, an offset to where its bytes stand behind them.
The fork says which fields there are and how deep branches are. Source: consensus-specs ssz/simple-serialize.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from lockgate.lightclients.ethereum import indices
from lockgate.lightclients.ethereum.containers import (
    ADDRESS_BYTES,
    BLOOM_BYTES,
    MAX_EXTRA_DATA,
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
from lockgate.lightclients.ethereum.network import Fork
from lockgate.merkle import ssz

MAX_BYTES: Final = 1 << 17  # of an object with two committees of 512 keys, twice over
MAX_COMMITTEE: Final = 2_048  # keys; today's are 512
_OFFSET: Final = 4
_VARIABLE: Final = None
_UINT64: Final = 8
_BEACON: Final = (_UINT64, _UINT64, ROOT_BYTES, ROOT_BYTES, ROOT_BYTES)
_EXECUTION_BRANCH: Final = ROOT_BYTES * ssz.depth(indices.EXECUTION_PAYLOAD)
_EXECUTION: Final = (
    *(ROOT_BYTES, ADDRESS_BYTES, ROOT_BYTES, ROOT_BYTES, BLOOM_BYTES, ROOT_BYTES),
    *(_UINT64, _UINT64, _UINT64, _UINT64, _VARIABLE, ROOT_BYTES, ROOT_BYTES, ROOT_BYTES, ROOT_BYTES),
)
_BLOB_FIELDS: Final = (_UINT64, _UINT64)
Layout = Sequence[int | None]


def encode_committee(committee: SyncCommittee) -> bytes:
    return b"".join(committee.pubkeys) + committee.aggregate_pubkey


def decode_committee(raw: bytes, size: int) -> SyncCommittee:
    """Read a committee of `size` keys. Raises MalformedBeaconData."""
    if not 0 < size <= MAX_COMMITTEE or len(raw) != (size + 1) * PUBKEY_BYTES:
        raise MalformedBeaconData("a committee of another length", size=size, got=len(raw))
    keys = tuple(raw[at : at + PUBKEY_BYTES] for at in range(0, len(raw), PUBKEY_BYTES))
    return SyncCommittee(keys[:-1], keys[-1])


def encode_update(update: Update, fork: Fork, size: int) -> bytes:
    """Write an update with the fields of a fork. `size`: keys of a committee. What is not there is zeros."""
    following = update.next_sync_committee
    return _join(
        _update_layout(fork, size),
        (
            _header_bytes(update.attested_header, fork),
            encode_committee(following) if following else bytes((size + 1) * PUBKEY_BYTES),
            _branch_bytes(update.next_sync_committee_branch, indices.next_sync_committee(fork)),
            _header_bytes(update.finalized_header, fork),
            _branch_bytes(update.finality_branch, indices.finalized_root(fork)),
            update.sync_aggregate.bits + update.sync_aggregate.signature,
            _number_bytes(update.signature_slot),
        ),
    )


def decode_update(raw: bytes, fork: Fork, size: int) -> Update:
    """Read an update with the fields of a fork. Raises MalformedBeaconData."""
    attested, following, next_branch, finalized, finality_branch, aggregate, slot = _split(
        raw, _update_layout(fork, size)
    )
    branch = _branch(next_branch)
    if not branch and any(following):
        raise MalformedBeaconData("a next committee without a branch")
    return Update(
        attested_header=_header(attested, fork),
        next_sync_committee=decode_committee(following, size) if branch else None,
        next_sync_committee_branch=branch,
        finalized_header=_header(finalized, fork),
        finality_branch=_branch(finality_branch),
        sync_aggregate=SyncAggregate(aggregate[:-SIGNATURE_BYTES], aggregate[-SIGNATURE_BYTES:]),
        signature_slot=_number(slot),
    )


def encode_bootstrap(bootstrap: Bootstrap, fork: Fork) -> bytes:
    return _join(
        _bootstrap_layout(fork, len(bootstrap.current_sync_committee.pubkeys)),
        (
            _header_bytes(bootstrap.header, fork),
            encode_committee(bootstrap.current_sync_committee),
            _branch_bytes(bootstrap.current_sync_committee_branch, indices.current_sync_committee(fork)),
        ),
    )


def decode_bootstrap(raw: bytes, fork: Fork, size: int) -> Bootstrap:
    """Raises MalformedBeaconData."""
    header, committee, branch = _split(raw, _bootstrap_layout(fork, size))
    return Bootstrap(
        header=_header(header, fork),
        current_sync_committee=decode_committee(committee, size),
        current_sync_committee_branch=_branch(branch),
    )


def _update_layout(fork: Fork, size: int) -> Layout:
    if not 0 < size <= MAX_COMMITTEE or size % 8:
        raise MalformedBeaconData("no size of a committee", size=size)
    return (
        _header_size(fork),
        (size + 1) * PUBKEY_BYTES,
        ROOT_BYTES * ssz.depth(indices.next_sync_committee(fork)),
        _header_size(fork),
        ROOT_BYTES * ssz.depth(indices.finalized_root(fork)),
        size // 8 + SIGNATURE_BYTES,
        _UINT64,
    )


def _bootstrap_layout(fork: Fork, size: int) -> Layout:
    branch = ROOT_BYTES * ssz.depth(indices.current_sync_committee(fork))
    return _header_size(fork), (size + 1) * PUBKEY_BYTES, branch


def _header_size(fork: Fork) -> int | None:
    return _VARIABLE if fork >= Fork.CAPELLA else sum(_BEACON)


def _header_bytes(header: LightHeader, fork: Fork) -> bytes:
    beacon = header.beacon
    roots = beacon.parent_root + beacon.state_root + beacon.body_root
    fixed = _number_bytes(beacon.slot) + _number_bytes(beacon.proposer_index) + roots
    if fork < Fork.CAPELLA:
        return fixed
    branch = _branch_bytes(header.execution_branch, indices.EXECUTION_PAYLOAD)
    parts = fixed, _execution_bytes(header.execution, fork), branch
    return _join((len(fixed), _VARIABLE, _EXECUTION_BRANCH), parts)


def _header(raw: bytes, fork: Fork) -> LightHeader:
    if fork < Fork.CAPELLA:
        return LightHeader(_beacon(raw))
    beacon, execution, branch = _split(raw, (sum(_BEACON), _VARIABLE, _EXECUTION_BRANCH))
    return LightHeader(_beacon(beacon), _execution(execution, fork), _branch(branch))


def _beacon(raw: bytes) -> BeaconHeader:
    slot, proposer, parent, state, body = _split(raw, _BEACON)
    return BeaconHeader(
        slot=_number(slot), proposer_index=_number(proposer), parent_root=parent, state_root=state, body_root=body
    )


def _execution_bytes(header: ExecutionHeader, fork: Fork) -> bytes:
    parts = [
        header.parent_hash,
        header.fee_recipient,
        header.state_root,
        header.receipts_root,
        header.logs_bloom,
        header.prev_randao,
        *map(_number_bytes, (header.block_number, header.gas_limit, header.gas_used, header.timestamp)),
        header.extra_data,
        header.base_fee_per_gas.to_bytes(ROOT_BYTES, "little"),
        header.block_hash,
        header.transactions_root,
        header.withdrawals_root,
    ]
    blobs = map(_number_bytes, (header.blob_gas_used, header.excess_blob_gas)) if fork >= Fork.DENEB else ()
    return _join(_execution_layout(fork), [*parts, *blobs])


def _execution(raw: bytes, fork: Fork) -> ExecutionHeader:
    parts = _split(raw, _execution_layout(fork))
    if len(parts[10]) > MAX_EXTRA_DATA:
        raise MalformedBeaconData("extra data", size=len(parts[10]), most=MAX_EXTRA_DATA)
    return ExecutionHeader(
        parent_hash=parts[0],
        fee_recipient=parts[1],
        state_root=parts[2],
        receipts_root=parts[3],
        logs_bloom=parts[4],
        prev_randao=parts[5],
        block_number=_number(parts[6]),
        gas_limit=_number(parts[7]),
        gas_used=_number(parts[8]),
        timestamp=_number(parts[9]),
        extra_data=parts[10],
        base_fee_per_gas=_number(parts[11]),
        block_hash=parts[12],
        transactions_root=parts[13],
        withdrawals_root=parts[14],
        blob_gas_used=_number(parts[15]) if fork >= Fork.DENEB else 0,
        excess_blob_gas=_number(parts[16]) if fork >= Fork.DENEB else 0,
    )


def _execution_layout(fork: Fork) -> Layout:
    return (*_EXECUTION, *_BLOB_FIELDS) if fork >= Fork.DENEB else _EXECUTION


def _branch_bytes(branch: Branch, index: int) -> bytes:
    """A branch as long as its fork's are: one from before it is filled up with zeros in front."""
    return b"".join(branch).rjust(ROOT_BYTES * ssz.depth(index), b"\0")


def _branch(raw: bytes) -> Branch:
    if not any(raw):
        return ()
    return tuple(raw[at : at + ROOT_BYTES] for at in range(0, len(raw), ROOT_BYTES))


def _number_bytes(number: int) -> bytes:
    return number.to_bytes(_UINT64, "little")


def _number(raw: bytes) -> int:
    return int.from_bytes(raw, "little")


def _join(layout: Layout, parts: Sequence[bytes]) -> bytes:
    at = sum(_OFFSET if size is None else size for size in layout)
    fixed, behind = [], []
    for size, part in zip(layout, parts, strict=True):
        if size is None:
            fixed.append(at.to_bytes(_OFFSET, "little"))
            behind.append(part)
            at += len(part)
        elif len(part) != size:
            raise MalformedBeaconData("a field of another length", expected=size, got=len(part))
        else:
            fixed.append(part)
    return b"".join((*fixed, *behind))


def _split(raw: bytes, layout: Layout) -> list[bytes]:
    """The bytes of each field. Offsets must name the places that encoding gives, so nothing lies between or behind."""
    if len(raw) > MAX_BYTES:
        raise MalformedBeaconData("too long", size=len(raw), most=MAX_BYTES)
    end = sum(_OFFSET if size is None else size for size in layout)
    if len(raw) < end or (len(raw) != end and None not in layout):
        raise MalformedBeaconData("a container of another length", fixed=end, got=len(raw))
    parts: list[bytes] = []
    offsets: list[int] = []
    at = 0
    for size in layout:
        width = _OFFSET if size is None else size
        parts.append(raw[at : at + width])
        if size is None:
            offsets.append(_number(parts[-1]))
        at += width
    borders = [*offsets, len(raw)]
    if offsets and (offsets[0] != end or sorted(borders) != borders):
        raise MalformedBeaconData("an offset leads elsewhere", offsets=offsets)
    behind = iter([raw[start:stop] for start, stop in zip(offsets, borders[1:], strict=False)])
    return [part if size is not None else next(behind) for size, part in zip(layout, parts, strict=True)]


__all__ = (
    "MAX_BYTES",
    "MAX_COMMITTEE",
    "decode_bootstrap",
    "decode_committee",
    "decode_update",
    "encode_bootstrap",
    "encode_committee",
    "encode_update",
)
