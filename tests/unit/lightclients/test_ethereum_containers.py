"""Light client objects: their roots, their one SSZ encoding, their JSON, and what is neither."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.lightclients.ethereum import (
    BeaconHeader,
    ExecutionHeader,
    Fork,
    LightHeader,
    Network,
    Scheduled,
    SyncAggregate,
    SyncCommittee,
    Update,
    containers,
    json_form,
    ssz_form,
)
from lockgate.lightclients.ethereum.errors import MalformedBeaconData
from lockgate.primitives.time import UnixNanos
from tests.support.beacon_objects import SIZE, bootstraps, committee, execution_header, updates

FORKS = [Fork.ALTAIR, Fork.BELLATRIX, Fork.CAPELLA, Fork.DENEB, Fork.ELECTRA, Fork.FULU]
some_fork = st.sampled_from(FORKS)
SETTINGS = settings(max_examples=30, deadline=None)


def sha(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def tree(leaves: list[bytes], width: int) -> bytes:
    """The root over leaves filled up with zeros: the definition, written out."""
    if width == 1:
        return leaves[0] if leaves else bytes(32)
    half = width // 2
    return sha(tree(leaves[:half], half), tree(leaves[half:], half))


def small(number: int) -> bytes:
    return number.to_bytes(8, "little") + bytes(24)


def test_the_root_of_a_beacon_header_is_the_tree_of_its_five_fields() -> None:
    header = BeaconHeader(slot=3, proposer_index=4, parent_root=b"p" * 32, state_root=b"s" * 32, body_root=b"b" * 32)
    assert header.root == tree([small(3), small(4), b"p" * 32, b"s" * 32, b"b" * 32], 8)


def execution_leaves(header: ExecutionHeader) -> list[bytes]:
    bloom = [header.logs_bloom[at : at + 32] for at in range(0, 256, 32)]
    extra = header.extra_data.ljust(32, b"\0")
    return [
        header.parent_hash,
        header.fee_recipient + bytes(12),
        header.state_root,
        header.receipts_root,
        tree(bloom, 8),
        header.prev_randao,
        small(header.block_number),
        small(header.gas_limit),
        small(header.gas_used),
        small(header.timestamp),
        sha(extra, small(len(header.extra_data))),
        header.base_fee_per_gas.to_bytes(32, "little"),
        header.block_hash,
        header.transactions_root,
        header.withdrawals_root,
        small(header.blob_gas_used),
        small(header.excess_blob_gas),
    ]


@SETTINGS
@given(execution_header(Fork.DENEB))
def test_the_root_of_an_execution_header_has_the_fields_of_its_fork(header: ExecutionHeader) -> None:
    leaves = execution_leaves(header)
    assert header.root(Fork.ELECTRA) == header.root(Fork.DENEB) == tree(leaves, 32)
    assert header.root(Fork.CAPELLA) == tree(leaves[:15], 16)
    assert header.root(Fork.BELLATRIX) == bytes(32)


@SETTINGS
@given(committee)
def test_the_root_of_a_committee_is_that_of_its_keys_and_their_sum(given: SyncCommittee) -> None:
    keys = [sha(key[:32], key[32:] + bytes(16)) for key in given.pubkeys]
    summed = given.aggregate_pubkey
    assert given.pubkeys_root == tree(keys, SIZE)
    assert given.root == sha(tree(keys, SIZE), sha(summed[:32], summed[32:] + bytes(16)))
    assert given.root == containers.committee_root(given.pubkeys_root, summed)


def test_what_is_signed_binds_kind_version_and_chain() -> None:
    fork_data = sha(b"\x05\0\0\0" + bytes(28), b"g" * 32)
    domain = containers.domain(b"\x07\0\0\0", b"\x05\0\0\0", b"g" * 32)
    assert domain == b"\x07\0\0\0" + fork_data[:28]
    assert containers.signing_root(b"o" * 32, domain) == sha(b"o" * 32, domain)


def test_who_took_part() -> None:
    aggregate = SyncAggregate(b"\x05\x80\0\0", bytes(96))
    assert aggregate.participants == 3
    assert [place for place in range(SIZE) if aggregate.has(place)] == [0, 2, 15]


def network() -> Network:
    epochs = (0, 0, 0, 1, 2, 3)
    return Network(
        genesis_validators_root=b"g" * 32,
        genesis_time=100,
        seconds_per_slot=6,
        slots_per_epoch=8,
        epochs_per_period=8,
        committee_size=SIZE,
        forks=tuple(Scheduled(epoch, bytes([place, 0, 0, 1])) for place, epoch in enumerate(epochs)),
    )


def test_slots_epochs_periods_and_forks() -> None:
    n = network()
    assert [n.epoch(slot) for slot in (0, 7, 8)] == [0, 0, 1]
    assert [n.period(slot) for slot in (0, 63, 64, 200)] == [0, 0, 1, 3]
    assert [n.fork(slot) for slot in (0, 8, 16, 24, 10**9)] == [
        Fork.BELLATRIX,
        Fork.CAPELLA,
        Fork.DENEB,
        Fork.ELECTRA,
        Fork.ELECTRA,
    ]
    assert n.version(17) == b"\x04\0\0\x01"
    at = [n.slot_at(UnixNanos(nanos)) for nanos in (100 * 10**9 - 1, 100 * 10**9, 106 * 10**9 - 1, 106 * 10**9)]
    assert at == [-1, 0, 0, 1]
    assert [n.is_supermajority(count) for count in (21, 22, 32)] == [False, True, True]


@SETTINGS
@given(st.data(), some_fork)
def test_ssz_and_json_give_an_object_back(data: st.DataObject, fork: Fork) -> None:
    update, bootstrap = data.draw(updates(fork)), data.draw(bootstraps(fork))
    raw = ssz_form.encode_update(update, fork, SIZE)
    assert ssz_form.decode_update(raw, fork, SIZE) == update
    assert ssz_form.decode_bootstrap(ssz_form.encode_bootstrap(bootstrap, fork), fork, SIZE) == bootstrap
    text = json.dumps(json_form.update_to_json(update)).encode()
    assert json_form.update_from_json(json_form.parse(text), SIZE) == update
    text = json.dumps(json_form.bootstrap_to_json(bootstrap)).encode()
    assert json_form.bootstrap_from_json(json_form.parse(text), SIZE) == bootstrap


@SETTINGS
@given(st.data(), some_fork)
def test_any_other_bytes_are_refused_or_encode_to_themselves(data: st.DataObject, fork: Fork) -> None:
    raw = bytearray(ssz_form.encode_update(data.draw(updates(fork)), fork, SIZE))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.integers(0, 3))
    spoilt = bytes(raw[: len(raw) - cut]) + data.draw(st.binary(max_size=3))
    try:
        read = ssz_form.decode_update(spoilt, fork, SIZE)
    except MalformedBeaconData:
        return
    assert ssz_form.encode_update(read, fork, SIZE) == spoilt


def plain_update() -> Update:
    execution = ExecutionHeader(block_number=7, extra_data=b"x")
    header = LightHeader(BeaconHeader(slot=9), execution, (b"e" * 32,) * 4)
    return Update(
        attested_header=header,
        sync_aggregate=SyncAggregate(b"\xff" * 4, b"s" * 96),
        signature_slot=10,
        next_sync_committee=SyncCommittee((b"k" * 48,) * SIZE, b"a" * 48),
        next_sync_committee_branch=(b"n" * 32,) * 6,
        finalized_header=header,
        finality_branch=(b"f" * 32,) * 7,
    )


HEADER_AT = 4 + 33 * 48 + 6 * 32 + 4 + 7 * 32 + 4 + 96 + 8  # where the first offset of an Electra update leads


SECOND_AT = 4 + 33 * 48 + 6 * 32  # where the second offset stands


def with_a_gap(raw: bytes) -> bytes:
    """The same fields, and a byte between the fixed ones and the others: both offsets lead past it."""
    moved = [(int.from_bytes(raw[at : at + 4], "little") + 1).to_bytes(4, "little") for at in (0, SECOND_AT)]
    fixed = moved[0] + raw[4:SECOND_AT] + moved[1] + raw[SECOND_AT + 4 : HEADER_AT]
    return fixed + b"\0" + raw[HEADER_AT:]


@pytest.mark.parametrize(
    "spoil",
    [
        with_a_gap,
        lambda raw: raw[:-2],
        lambda raw: raw + bytes(32),
        lambda raw: b"\0" + raw[1:],
        lambda raw: (HEADER_AT + 1).to_bytes(4, "little") + raw[4:],
        lambda raw: raw[: HEADER_AT + 112] + b"\xff\xff\xff\xff" + raw[HEADER_AT + 116 :],
        lambda raw: raw[:4] + raw[4 : 4 + 33 * 48] + bytes(6 * 32) + raw[4 + 33 * 48 + 6 * 32 :],
        lambda raw: b"",
        lambda raw: raw * 10,
    ],
    ids=["gap", "cut", "longer", "offset-zero", "offset-gap", "offset-beyond", "no-branch", "nothing", "huge"],
)
def test_spoilt_ssz_is_refused(spoil: Callable[[bytes], bytes]) -> None:
    raw = ssz_form.encode_update(plain_update(), Fork.ELECTRA, SIZE)
    assert ssz_form.decode_update(raw, Fork.ELECTRA, SIZE) == plain_update()
    with pytest.raises(MalformedBeaconData):
        ssz_form.decode_update(spoil(raw), Fork.ELECTRA, SIZE)


def test_extra_data_and_committees_have_bounds() -> None:
    long = replace(plain_update(), finalized_header=LightHeader(execution=ExecutionHeader(extra_data=bytes(33))))
    with pytest.raises(MalformedBeaconData, match="extra data"):
        ssz_form.decode_update(ssz_form.encode_update(long, Fork.ELECTRA, SIZE), Fork.ELECTRA, SIZE)
    for size in (0, 33, 4_096):
        with pytest.raises(MalformedBeaconData):
            ssz_form.decode_update(b"", Fork.ELECTRA, size)
        with pytest.raises(MalformedBeaconData):
            ssz_form.decode_committee(b"", size)


def test_a_branch_of_an_older_fork_is_filled_up_in_front() -> None:
    older = replace(plain_update(), finality_branch=(b"f" * 32,) * 6)
    read = ssz_form.decode_update(ssz_form.encode_update(older, Fork.ELECTRA, SIZE), Fork.ELECTRA, SIZE)
    assert read.finality_branch == (bytes(32), *older.finality_branch)


def at(value: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


EXECUTION = ("attested_header", "execution")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("signature_slot",), "007"),
        (("signature_slot",), "-1"),
        (("signature_slot",), -1),
        (("signature_slot",), str(2**64)),
        (("signature_slot",), 1.5),
        (("signature_slot",), True),
        (("signature_slot",), "0x01"),
        (("signature_slot",), "٣"),
        (("signature_slot",), None),
        (("unknown",), "1"),
        (("attested_header", "beacon", "body_root"), "0x" + "00" * 31),
        (("attested_header", "beacon", "body_root"), "00" * 32),
        (("attested_header", "beacon", "body_root"), "0x" + "0g" * 32),
        (("attested_header", "beacon"), []),
        ((*EXECUTION, "extra_data"), "0x" + "00" * 33),
        ((*EXECUTION, "base_fee_per_gas"), "0x1" + "0" * 64),
        ((*EXECUTION, "logs_bloom"), "0x"),
        (("attested_header", "execution_branch"), ["0x" + "11" * 32] * 8),
        (("attested_header", "execution_branch"), "0x"),
        (("sync_aggregate", "sync_committee_bits"), "0xff"),
        (("sync_aggregate", "sync_committee_signature"), "0xff"),
        (("next_sync_committee", "pubkeys"), ["0x" + "6b" * 48] * 31),
        (("next_sync_committee", "pubkeys"), ["0x" + "6b" * 48] * 3_000),
        (("next_sync_committee", "aggregate_pubkey"), "0x"),
        (("next_sync_committee_branch",), None),
        (("next_sync_committee",), None),
    ],
    ids=str,
)
def test_spoilt_json_is_refused(path: tuple[str, ...], value: object) -> None:
    whole = json_form.update_to_json(plain_update())
    at(whole, path[:-1])[path[-1]] = value
    with pytest.raises(MalformedBeaconData):
        json_form.update_from_json(whole, SIZE)


@pytest.mark.parametrize(
    "path",
    [
        ("signature_slot",),
        ("attested_header", "beacon"),
        (*EXECUTION, "blob_gas_used"),
        EXECUTION,
        ("attested_header", "execution_branch"),
    ],
    ids=str,
)
def test_json_that_lacks_a_field_is_refused(path: tuple[str, ...]) -> None:
    whole = json_form.update_to_json(plain_update())
    del at(whole, path[:-1])[path[-1]]
    with pytest.raises(MalformedBeaconData):
        json_form.update_from_json(whole, SIZE)


@pytest.mark.parametrize(
    "text",
    [b'{"slot":"1","slot":"2"}', b'{"slot":1.0}', b'{"slot":NaN}', b"{", b"[" * 100_000, b'"' + b"a" * 2**20, b"\xff"],
    ids=["twice", "float", "nan", "cut", "deep", "huge", "not-utf8"],
)
def test_text_that_is_not_one_plain_object_is_refused(text: bytes) -> None:
    with pytest.raises(MalformedBeaconData):
        json_form.parse(text)


def test_numbers_come_in_three_forms_and_absent_parts_in_two() -> None:
    whole = json_form.update_to_json(plain_update())
    for form in ("10", 10, "0xa"):
        whole["signature_slot"] = form
        assert json_form.update_from_json(whole, SIZE).signature_slot == 10
    whole |= {"next_sync_committee": None, "next_sync_committee_branch": None}
    assert json_form.update_from_json(whole, SIZE).next_sync_committee is None
    zeros = {"pubkeys": ["0x" + "00" * 48] * SIZE, "aggregate_pubkey": "0x" + "00" * 48}
    whole |= {"next_sync_committee": zeros, "next_sync_committee_branch": ["0x" + "00" * 32] * 6}
    assert json_form.update_from_json(whole, SIZE).next_sync_committee is None
    del whole["finalized_header"], whole["finality_branch"]
    assert not json_form.update_from_json(whole, SIZE).has_finality
