"""A lane whose other ledger does what none of ours does is degraded by rule, and nobody else can cause it (S72)."""

from __future__ import annotations

from typing import Any

import pytest

from lockgate.codec import cbor
from lockgate.ibc import host
from lockgate.ibc.packet import Packet, Payload
from lockgate.lab.paths import expect, receive_message, update
from lockgate.machine import deviations, inbox, keys, lanes
from lockgate.machine.deviations import Level
from lockgate.machine.errors import BadGenesis, BadPayload
from lockgate.machine.gate import PAYLOAD_ENCODING, PAYLOAD_VERSION
from lockgate.machine.genesis import Genesis, Parameters
from lockgate.machine.records import DEVIATION, LanePhase, Reason
from lockgate.primitives.ids import PortId
from lockgate.primitives.time import seconds
from tests.support.lab import World
from tests.support.notes import PORT, Notes, note_key

RULES = Parameters()
SLOW_AT = RULES.deviation_slow_at
QUARANTINE_AT = RULES.deviation_quarantine_at
FREEZE_AT = RULES.deviation_freeze_at
SLOWED_ROOM = RULES.deviation_slowed_room
STRICT = Parameters(
    deviation_slow_at=1,
    deviation_quarantine_at=2,
    deviation_freeze_at=2,
    deviation_window_ns=seconds(20),
    deviation_slowed_ns=seconds(10),
    deviation_quarantined_ns=seconds(30),
    deviation_clean_ns=seconds(100),
    deviation_slowed_room=1,
)


@pytest.fixture
def w() -> World:
    return World.make()


def payload(w: World, **other: str) -> Payload:
    good = Payload(
        source_port=PortId(w.sender.id.hex()),
        destination_port=PortId(w.receiver.id.hex()),
        version=PAYLOAD_VERSION,
        encoding=PAYLOAD_ENCODING,
        value=b"sealed",
    )
    return good._replace(**other)


def deviate(w: World, count: int = 1) -> None:
    """A's operator commits to packets that come from no endpoint, and they are relayed."""
    for _ in range(count):
        first = 1_000_000 + w.a.ledger.height
        expect(w.deliver(w.commit_anything((payload(w, source_port="application"),), sequence=first)))


def held(w: World) -> deviations.Deviations | None:
    return deviations.of_lane(w.b.ledger.chain.view(), w.b.client)


def level(w: World) -> Level | None:
    found = held(w)
    return None if found is None else found.level


def later(w: World, passed_s: int) -> None:
    w.clock.advance(seconds(passed_s))
    w.a.ledger.block()
    w.b.ledger.block()


def waits(w: World, packet: Packet) -> bool:
    return inbox.find(w.b.ledger.chain.view(), w.b.client, packet.sequence) is not None


def test_one_deviation_is_a_warning_and_costs_nothing(w: World) -> None:
    deviate(w)
    assert level(w) is Level.WARNED
    packet = w.send()
    expect(w.deliver(packet))
    assert waits(w, packet)


def test_a_lane_that_goes_on_is_slowed_to_little_room(w: World) -> None:
    deviate(w, SLOW_AT - 1)
    assert level(w) is Level.WARNED
    deviate(w)
    assert level(w) is Level.SLOWED
    packets = [w.send() for _ in range(SLOWED_ROOM + 1)]
    for packet in packets:
        expect(w.deliver(packet))
    assert [waits(w, packet) for packet in packets] == [True] * SLOWED_ROOM + [False]


def test_quarantine_ends_nothing_and_passes_with_time(w: World) -> None:
    deviate(w, QUARANTINE_AT)
    found = held(w)
    assert found is not None
    assert found.level is Level.QUARANTINED
    packet = w.send(timeout_s=3 * 3600)
    trusted = w.b.trusted
    result = w.deliver(packet)
    assert "lane.quarantined" in result.log
    assert w.b.ledger.chain.view().get("ibc", host.packet_receipt(w.b.client, packet.sequence)) is None
    w.b.trusted = trusted  # the update beside it was undone with it
    later(w, 3601)
    expect(w.deliver(packet))
    assert waits(w, packet)


def test_what_no_time_helped_freezes_and_stays_frozen(w: World) -> None:
    for _ in range(FREEZE_AT):
        deviate(w, QUARANTINE_AT)
        later(w, 3601)
    lane = lanes.lane_of(w.b.ledger.chain.view(), w.b.client)
    assert lane is not None
    assert (lane.phase, lane.cause, level(w)) == (LanePhase.STOPPED, DEVIATION, Level.FROZEN)
    later(w, 2 * 3600)
    again = lanes.lane_of(w.b.ledger.chain.view(), w.b.client)
    assert again == lane


def test_the_authority_alone_opens_a_frozen_lane(w: World) -> None:
    for _ in range(FREEZE_AT):
        deviate(w, QUARANTINE_AT)
        later(w, 3601)
    later(w, 48 * 3600)
    resume = {"action": "lane.resume", "arguments": {"lane": w.lane}}
    expect(w.b.ledger.govern(w.gov, "gov.announce", resume))
    for _ in range(w.b.ledger.genesis.parameters.authority_delay_blocks):
        w.b.ledger.block()
    packet = w.send()
    expect(w.deliver(packet))
    assert waits(w, packet)


def test_what_was_received_before_a_quarantine_ends_in_it(w: World) -> None:
    packet = w.send()
    expect(w.deliver(packet))
    deviate(w, QUARANTINE_AT)
    answered = expect(w.answer(packet))
    expect(w.acknowledge(packet, w.acknowledgement(answered, packet)))
    sending = w.receiver.sending(w.b.client, w.sender, w.now_s + 600, b"sealed")
    expect(w.b.ledger.transact(w.host_b, w.receiver.advance(sending)))


def test_an_endpoints_port_at_the_sending_end_alone_reaches_no_application() -> None:
    """The application would take it for an endpoint's word, and no host of that endpoint has said it (P17)."""
    w = World.make(applications={PORT: Notes()})
    forged = payload(w, destination_port=PORT, version="notes-1", encoding="application/octet-stream")
    application = forged._replace(source_port=PORT)
    for place, (sent, received) in enumerate(((application, b"sealed"), (forged, None))):
        sequence = 1_000_000 + place
        expect(w.deliver(w.commit_anything((sent,), sequence=sequence)))
        assert w.b.ledger.chain.view().get("app", note_key("received", sequence, 0)) == received
        assert level(w) is (None if received else Level.WARNED)
    reason = w.b.ledger.chain.view().get(keys.REASON, keys.reason(w.b.client, 1_000_001))
    assert reason is not None
    assert Reason.from_bytes(reason).code_text == BadPayload.code


def test_a_transaction_that_runs_into_quarantine_holds_nothing_against_the_lane(w: World) -> None:
    packets = [
        w.commit_anything((payload(w, source_port="application"),), sequence=1_000_000 + n)
        for n in range(QUARANTINE_AT + 1)
    ]
    update(w.b, w.a.ledger)
    result = w.b.ledger.transact(w.b.account, *(receive_message(w.b, w.a, packet) for packet in packets))
    assert "lane.quarantined" in result.log
    assert held(w) is None
    expect(w.b.ledger.transact(w.b.account, *(receive_message(w.b, w.a, packet) for packet in packets[:-1])))
    assert level(w) is Level.QUARANTINED


def test_what_an_honest_ledger_can_send_never_counts(w: World) -> None:
    """A sender floods without a grant, and another release's envelope comes: both are refused, neither is held."""
    expect(w.deliver(w.commit_anything((payload(w, version="lockgate-9"),), sequence=1_000_000)))
    stranger = payload(w, source_port="ab" * 32)
    for n in range(SLOW_AT):
        expect(w.deliver(w.commit_anything((stranger,), sequence=1_000_001 + n)))
    assert held(w) is None


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        ([("ab" * 32, "cd" * 32)], False),
        ([("application", "transfer")], False),
        ([("ab" * 32, "cd" * 32), ("application", "transfer")], False),
        ([("application", "cd" * 32)], True),
        ([("ab" * 32, "transfer")], True),
        ([("ab" * 32, "cd" * 32)] * 2, True),
    ],
)
def test_which_packets_no_machine_of_ours_sends(w: World, ports: list[tuple[str, str]], expected: bool) -> None:
    packet = w.send()
    payloads = tuple(payload(w, source_port=source, destination_port=to) for source, to in ports)
    other = packet._replace(payloads=payloads)
    assert deviations.impossible(other) is expected


def test_a_ledger_sets_how_many_and_how_long() -> None:
    w = World.make(STRICT)
    deviate(w)
    assert level(w) is Level.SLOWED
    packets = [w.send() for _ in range(3)]
    for packet in packets:
        expect(w.deliver(packet))
    assert [waits(w, packet) for packet in packets] == [True, True, False]  # the grant's two slots, over room for one
    later(w, 11)  # blocks count a millisecond each where the clock stands
    after = w.send()
    expect(w.deliver(after))
    assert waits(w, after)
    deviate(w)
    assert level(w) is Level.QUARANTINED
    kept, trusted = w.send(), w.b.trusted
    assert "lane.quarantined" in w.deliver(kept).log
    w.b.trusted = trusted  # the update beside it was undone with it
    later(w, 31)
    deviate(w)
    assert level(w) is Level.SLOWED
    deviate(w)
    assert level(w) is Level.FROZEN


def test_quarantines_are_forgotten_after_the_clean_time_that_the_ledger_sets() -> None:
    w = World.make(STRICT)
    deviate(w, 2)
    later(w, 101)
    deviate(w, 2)
    assert level(w) is Level.QUARANTINED


def test_the_authority_changes_them_while_the_ledger_runs(w: World) -> None:
    changed = {"action": "parameters.set", "arguments": {"parameters": {"deviation_slow_at": 1}}}
    expect(w.b.ledger.govern(w.gov, "gov.announce", changed))
    for _ in range(RULES.authority_delay_blocks):
        w.b.ledger.block()
    deviate(w)
    assert level(w) is Level.SLOWED


def test_a_genesis_with_the_defaults_is_the_document_it_was_before_they_could_be_set(w: World) -> None:
    genesis = w.b.ledger.genesis
    assert b"deviation" not in genesis.to_bytes()
    other = Genesis.from_bytes(World.make(STRICT).b.ledger.genesis.to_bytes())
    assert other.parameters == STRICT
    value: Any = cbor.decode(genesis.to_bytes())
    spelled = {**value, "parameters": {**value["parameters"], "deviation_slow_at": SLOW_AT}}
    with pytest.raises(BadGenesis):
        Genesis.from_bytes(cbor.encode(spelled))  # one document has one form


@pytest.mark.parametrize(
    "changed",
    [
        {"deviation_slow_at": 0},
        {"deviation_slow_at": 17},
        {"deviation_quarantine_at": 3},
        {"deviation_freeze_at": 0},
        {"deviation_slowed_room": 0},
        {"deviation_window_ns": 0},
        {"deviation_slowed_ns": 0},
        {"deviation_quarantined_ns": 0},
        {"deviation_quarantined_ns": seconds(24 * 3600)},
        {"deviation_clean_ns": seconds(3600)},
        {"deviation_clean_ns": seconds(400 * 24 * 3600)},
        {"deviation_slow_at": -1},
    ],
)
def test_rules_that_could_never_end_or_never_come_are_refused(changed: dict[str, int]) -> None:
    with pytest.raises(BadGenesis):
        Parameters(**changed)  # type: ignore[arg-type]  # one number by name
