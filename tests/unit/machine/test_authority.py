"""The genesis authority announces, waits, and is visible; stopping is immediate (P16). Domains differ (P9)."""

from __future__ import annotations

import pytest

from lockgate.lab.clock import SimulatedClock
from lockgate.lab.ledgers import LabLedger
from lockgate.lab.paths import End, connect, expect, open_lane_message, update
from lockgate.machine import accounts, keys, lanes
from lockgate.machine.genesis import Parameters
from lockgate.machine.records import LanePhase
from tests.support.lab import START, World, account


def phase(world: World) -> LanePhase:
    lane = lanes.lane_of(world.a.ledger.chain.view(), world.a.client)
    assert lane is not None
    return lane.phase


def test_P16_stopping_is_immediate_and_resuming_waits() -> None:
    world = World.make()
    ledger = world.a.ledger
    expect(ledger.govern(world.gov, "gov.stop", {"lane": world.lane, "note": "drill"}))
    assert phase(world) is LanePhase.STOPPED
    sending = world.sender.sending(world.a.client, world.receiver, world.now_s + 60, b"x")
    root = world.sender.root
    assert "lane.stopped" in ledger.transact(world.host_a, world.sender.advance(sending)).log
    world.sender.root = root
    expect(ledger.govern(world.gov, "gov.announce", {"action": "lane.resume", "arguments": {"lane": world.lane}}))
    assert phase(world) is LanePhase.STOPPED
    for _ in range(ledger.genesis.parameters.authority_delay_blocks):
        ledger.block()
    assert phase(world) is LanePhase.OPEN


def test_P16_the_rules_digest_changes_when_the_parameters_do() -> None:
    world = World.make()
    ledger = world.a.ledger
    before = ledger.chain.view().get(keys.RULES, keys.RULES_DIGEST)
    change = {"action": "parameters.set", "arguments": {"parameters": {"max_messages": 64}}}
    expect(ledger.govern(world.gov, "gov.announce", change))
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


def act(world: World, action: str, arguments: dict[str, object]) -> list[str]:
    """Announce, wait, and say what became of it."""
    ledger = world.a.ledger
    expect(ledger.govern(world.gov, "gov.announce", {"action": action, "arguments": arguments}))
    blocks = [ledger.block() for _ in range(ledger.genesis.parameters.authority_delay_blocks)]
    events = [event for block in blocks for event in block.results.events]
    return [f"{e.type} {e.get('code') or ''}".strip() for e in events if e.type.startswith("gov_")]


def test_admitting_an_account_twice_keeps_its_balance() -> None:
    world = World.make()
    newcomer = account("newcomer")
    arguments = {"suite": 1, "public_key": newcomer.key.public_key, "balance": 70}
    assert act(world, "account.admit", arguments) == ["gov_done"]
    (failed,) = act(world, "account.admit", {**arguments, "balance": 5})
    assert failed.split() == ["gov_failed", "gov.account_exists"]
    record = accounts.load(world.a.ledger.chain.view(), newcomer.id)
    assert record is not None
    assert record.balance == 70


@pytest.mark.parametrize("wrong", [{"suite": 9}, {"public_key": b"short"}, {"balance": -1}, {"balance": 1 << 63}])
def test_an_account_that_cannot_be_is_not_admitted(wrong: dict[str, object]) -> None:
    world = World.make()
    arguments = {"suite": 1, "public_key": account("newcomer").key.public_key, "balance": 70, **wrong}
    assert act(world, "account.admit", arguments) == ["gov_failed gov.unknown_action"]


def test_header_memory_never_grows() -> None:
    """Nodes may have pruned what is older: a longer memory would split them."""
    world = World.make(Parameters(header_memory=1_000))
    assert act(world, "parameters.set", {"parameters": {"header_memory": 1_001}}) == ["gov_failed gov.unknown_action"]
    assert act(world, "parameters.set", {"parameters": {"header_memory": 999}}) == ["gov_done"]


def test_headers_are_bound_from_the_first_one_or_never() -> None:
    for begun in (True, False):
        world = World.make(Parameters(header_trail=begun))
        change = {"parameters": {"header_trail": not begun}}
        assert act(world, "parameters.set", change) == ["gov_failed gov.unknown_action"]


def test_P9_a_lane_is_not_opened_over_a_header_the_ledger_has_forgotten() -> None:
    clock = SimulatedClock(START)
    memory = Parameters(header_memory=20)
    ledgers = [LabLedger(name, clock, parameters=memory) for name in ("alpha-1", "beta-1")]
    a, b = End(ledgers[0], account("operator a")), End(ledgers[1], account("operator b"))
    connect(a, b, lane=False)
    update(a, b.ledger)
    message = open_lane_message(a, b)
    remembered = b.trusted + memory.header_memory
    while a.ledger.height < remembered:
        a.ledger.block()
    result = a.ledger.transact(a.account, message)
    assert "lane.header_forgotten" in result.log
    assert lanes.lane_of(a.ledger.chain.view(), a.client) is None


def test_P9_a_lane_opens_over_the_oldest_header_it_remembers() -> None:
    clock = SimulatedClock(START)
    memory = Parameters(header_memory=20)
    ledgers = [LabLedger(name, clock, parameters=memory) for name in ("alpha-1", "beta-1")]
    a, b = End(ledgers[0], account("operator a")), End(ledgers[1], account("operator b"))
    connect(a, b, lane=False)
    update(a, b.ledger)
    message = open_lane_message(a, b)
    while a.ledger.height < b.trusted + memory.header_memory - 1:
        a.ledger.block()
    expect(a.ledger.transact(a.account, message))


def test_cancelling_what_is_not_scheduled_and_announcing_what_is_not_known() -> None:
    world = World.make()
    for due, number in ((7, 7), (-1, 0), (1 << 63, 0)):
        log = world.a.ledger.govern(world.gov, "gov.cancel", {"due": due, "number": number}).log
        assert "gov.not_scheduled" in log
    for action, arguments in (("mint", {}), ("lane.resume", {}), ("lane.resume", {"lane": world.lane, "x": 1})):
        fields = {"action": action, "arguments": arguments}
        assert "gov.unknown_action" in world.a.ledger.govern(world.gov, "gov.announce", fields).log


def test_P16_a_cancelled_action_never_happens() -> None:
    world = World.make()
    ledger = world.a.ledger
    change = {"action": "parameters.set", "arguments": {"parameters": {"max_messages": 64}}}
    announced = expect(ledger.govern(world.gov, "gov.announce", change))
    event = next(e for e in announced.events if e.type == "gov_announced")
    due, number = int(event.get("due") or 0), int(event.get("number") or 0)
    expect(ledger.govern(world.gov, "gov.cancel", {"due": due, "number": number}))
    while ledger.height <= due:
        assert not [e for e in ledger.block().results.events if e.type == "gov_done"]
