"""The genesis authority announces, waits, and is visible; stopping is immediate (P16). Domains differ (P9)."""

from __future__ import annotations

from lockgate.lab.paths import expect
from lockgate.machine import keys, lanes
from lockgate.machine.records import LanePhase
from tests.support.lab import World, account


def phase(world: World) -> LanePhase:
    lane = lanes.lane_of(world.a.ledger.chain.view(), world.a.client)
    assert lane is not None
    return lane.phase


def test_P16_stopping_is_immediate_and_resuming_waits() -> None:
    world = World.make()
    ledger = world.a.ledger
    expect(ledger.transact(world.gov, ("gov.stop", {"lane": world.lane, "note": "drill"})))
    assert phase(world) is LanePhase.STOPPED
    sending = world.sender.sending(world.a.client, world.receiver, world.now_s + 60, b"x")
    root = world.sender.root
    assert "lane.stopped" in ledger.transact(world.host_a, world.sender.advance(sending)).log
    world.sender.root = root
    expect(ledger.transact(world.gov, ("gov.announce", {"action": "lane.resume", "arguments": {"lane": world.lane}})))
    assert phase(world) is LanePhase.STOPPED
    for _ in range(ledger.genesis.parameters.authority_delay_blocks):
        ledger.block()
    assert phase(world) is LanePhase.OPEN


def test_P16_a_stranger_announces_and_stops_nothing() -> None:
    world = World.make()
    stranger = account("stranger")
    for message in (
        ("gov.stop", {"lane": world.lane, "note": "x"}),
        ("gov.announce", {"action": "lane.resume", "arguments": {"lane": world.lane}}),
    ):
        assert "gov.not_authority" in world.a.ledger.transact(stranger, message).log
    assert phase(world) is LanePhase.OPEN


def test_P16_the_rules_digest_changes_when_the_parameters_do() -> None:
    world = World.make()
    ledger = world.a.ledger
    before = ledger.chain.view().get(keys.RULES, keys.RULES_DIGEST)
    change = {"action": "parameters.set", "arguments": {"parameters": {"max_messages": 64}}}
    expect(ledger.transact(world.gov, ("gov.announce", change)))
    assert ledger.chain.view().get(keys.RULES, keys.RULES_DIGEST) == before
    for _ in range(ledger.genesis.parameters.authority_delay_blocks):
        ledger.block()
    assert ledger.chain.view().get(keys.RULES, keys.RULES_DIGEST) != before


def test_P9_a_transaction_for_another_domain_is_refused() -> None:
    world = World.make()
    other = world.b.ledger.signed(world.host_b, [world.receiver.take_fence()])
    result = world.a.ledger.block(other).results.transactions[0]
    assert result.code != 0
    assert "tx.signature" in result.log or "tx.wrong_domain" in result.log
