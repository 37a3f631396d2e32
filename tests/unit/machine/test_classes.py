"""Classes of ledger: what a genesis may claim, what an operated lane may carry, what a proof says (P10)."""

from __future__ import annotations

import dataclasses

import pytest

from lockgate.lab.clock import SimulatedClock
from lockgate.lab.ledgers import LabLedger
from lockgate.lab.paths import End, connect, expect, open_lane_message, update
from lockgate.machine import lanes
from lockgate.machine.errors import BadGenesis
from lockgate.machine.genesis import Genesis, GenesisValidator, LedgerClass, Parameters
from lockgate.machine.records import Lane
from lockgate.machine.wording import finality
from tests.support.lab import START, World, account


def genesis_of(ledger_class: LedgerClass, validators: int) -> Genesis:
    keys = tuple(GenesisValidator(bytes([n + 1]) * 32, 10) for n in range(validators))
    good = LabLedger("alpha-1", SimulatedClock(START)).genesis
    return dataclasses.replace(good, ledger_class=ledger_class, validators=keys)


@pytest.mark.parametrize(
    ("ledger_class", "count"),
    [
        (LedgerClass.OPERATED, 2),
        (LedgerClass.OPERATED, 4),
        (LedgerClass.WITNESSED, 2),
        (LedgerClass.BFT, 1),
        (LedgerClass.BFT, 3),
    ],
)
def test_P10_a_class_that_its_validators_do_not_bear_out_is_refused(ledger_class: LedgerClass, count: int) -> None:
    with pytest.raises(BadGenesis):
        genesis_of(ledger_class, count)


@pytest.mark.parametrize(
    ("ledger_class", "count"), [(LedgerClass.OPERATED, 1), (LedgerClass.WITNESSED, 1), (LedgerClass.BFT, 4)]
)
def test_P10_a_class_that_holds_is_taken(ledger_class: LedgerClass, count: int) -> None:
    genesis = genesis_of(ledger_class, count)
    assert Genesis.from_bytes(genesis.to_bytes()) == genesis


def test_P10_a_proof_says_no_more_than_who_signed() -> None:
    assert finality([b"\xab" * 32], 1) == "signed by operator abababababababab"
    assert finality([bytes([n]) * 32 for n in range(4)], 3) == "finalised by 3 of 4"


def joined(validators: int = 1) -> tuple[End, End]:
    clock = SimulatedClock(START)
    ledgers = [LabLedger(name, clock, validators=validators) for name in ("alpha-1", "beta-1")]
    a, b = End(ledgers[0], account("operator a")), End(ledgers[1], account("operator b"))
    connect(a, b, lane=False)
    update(a, b.ledger)
    return a, b


def opened(a: End) -> Lane | None:
    return lanes.lane_of(a.ledger.chain.view(), a.client)


@pytest.mark.parametrize("said", [None, False, 1, "yes"])
def test_P10_a_lane_to_an_operated_ledger_must_be_asked_for(said: object) -> None:
    a, b = joined()
    name, fields = open_lane_message(a, b)
    fields.pop("operated")
    if said is not None:
        fields["operated"] = said
    log = a.ledger.transact(a.account, (name, fields)).log
    assert ("tx.bad_message" if isinstance(said, (int, str)) and said is not False else "lane.operated") in log
    assert opened(a) is None


def test_P10_a_lane_to_a_bft_ledger_needs_no_such_word() -> None:
    a, b = joined(validators=4)
    name, fields = open_lane_message(a, b)
    fields.pop("operated")
    expect(a.ledger.transact(a.account, (name, fields)))
    lane = opened(a)
    assert lane is not None
    assert lane.remote_class == "bft"


def test_P10_the_lane_record_carries_the_caps_it_was_opened_with() -> None:
    a, b = joined()
    name, fields = open_lane_message(a, b)
    caps = {"max_packets": 3, "max_bytes": 1_000, "value_cap": 250}
    expect(a.ledger.transact(a.account, (name, {**fields, **caps})))
    lane = opened(a)
    assert lane is not None
    assert (lane.caps.packets, lane.caps.payload_bytes, lane.caps.value) == (3, 1_000, 250)


@pytest.mark.parametrize(
    "caps", [{"max_packets": 0}, {"max_packets": 4_097}, {"max_bytes": 1 << 40}, {"value_cap": 1 << 63}]
)
def test_P10_caps_outside_the_ledgers_own_are_refused(caps: dict[str, int]) -> None:
    a, b = joined()
    name, fields = open_lane_message(a, b)
    assert "tx.bad_message" in a.ledger.transact(a.account, (name, {**fields, **caps})).log
    assert opened(a) is None


def test_P10_packets_above_the_cap_wait_until_one_has_ended() -> None:
    world = World.make(Parameters(lane_max_packets=2))
    first, _ = world.send(), world.send()
    sending = world.sender.sending(world.a.client, world.receiver, world.now_s + 60, b"third")
    root = world.sender.root
    refused = world.a.ledger.transact(world.host_a, world.sender.advance(sending))
    assert "lane.cap" in refused.log
    world.sender.root = root
    world.sender.counter -= 1
    expect(world.deliver(first))
    acknowledgement = world.acknowledgement(expect(world.answer(first)), first)
    expect(world.acknowledge(first, acknowledgement))
    assert lanes.open_sends(world.a.ledger.chain.view(), world.a.client).packets == 1
    world.send(b"third")


def test_P10_bytes_above_the_cap_are_refused() -> None:
    world = World.make(Parameters(lane_max_bytes=10))
    world.send(b"12345678")
    sending = world.sender.sending(world.a.client, world.receiver, world.now_s + 60, b"123")
    assert "lane.cap" in world.a.ledger.transact(world.host_a, world.sender.advance(sending)).log
    assert lanes.open_sends(world.a.ledger.chain.view(), world.a.client).payload_bytes == 8
