"""Suites are records of a ledger, and its authority moves them (S61, S66, P16). What the machine holds to them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from lockgate.codec import cbor
from lockgate.crypto.families import Family
from lockgate.lab.clock import SimulatedClock
from lockgate.lab.endpoints import LabEndpoint
from lockgate.lab.ledgers import LabLedger, lab_authority
from lockgate.lab.paths import End, connect, expect, open_lane_message, update
from lockgate.machine import governance, keys, lanes, suites
from lockgate.machine.errors import BadGenesis
from lockgate.machine.genesis import Genesis
from lockgate.machine.schemas import ACTIONS, GENESIS, MESSAGES, RECORDS
from lockgate.machine.suite_policy import ANY, BadPolicy, BelowPolicy, SuitePolicy
from lockgate.machine.suite_table import (
    DEFAULT,
    KNOWN,
    BadSuiteRecord,
    SuiteKind,
    SuiteName,
    SuiteRecord,
    SuiteTable,
    name_of,
)
from lockgate.primitives.ids import ClientId
from tests.support.lab import START, World, account

SEAL, SIGN, SHAKE = SuiteKind.SEAL, SuiteKind.SIGNATURE, SuiteKind.HANDSHAKE
X25519, XWING = SuiteName(SEAL, 16), SuiteName(SEAL, 17)
ED25519, PAIR = SuiteName(SIGN, 1), SuiteName(SIGN, 2)
DELAY = 10


def without(*names: SuiteName) -> SuiteTable:
    return SuiteTable(tuple(record for record in DEFAULT if record.name not in names))


def of(ledger: LabLedger) -> SuiteTable:
    return suites.in_force(ledger.chain.view(), ledger.genesis)


def digest(ledger: LabLedger) -> bytes:
    return ledger.chain.view().get(keys.RULES, keys.RULES_DIGEST) or b""


def act(world: World, action: str, arguments: dict[str, Any]) -> list[str]:
    """Announce, wait, and say what became of it."""
    ledger = world.a.ledger
    announced = ledger.govern(world.gov, "gov.announce", {"action": action, "arguments": arguments})
    if announced.code:
        return [announced.log]
    blocks = [ledger.block() for _ in range(DELAY)]
    events = [event for block in blocks for event in block.results.events]
    return [f"{e.type} {e.get('code') or ''}".strip() for e in events if e.type in {"gov_done", "gov_failed"}]


def moved(name: SuiteName, height: int = 0) -> dict[str, Any]:
    return {"kind": name.kind.value, "suite": name.number, "height": height}


def stop(world: World, name: SuiteName, note: str = "broken") -> str:
    fields = {"kind": name.kind.value, "suite": name.number, "note": note}
    return world.a.ledger.govern(world.gov, "suite.stop", fields).log


# The table.


def test_S61_every_known_suite_is_active_by_default_with_the_families_it_is_made_of() -> None:
    assert {record.name: record.families for record in DEFAULT} == dict(KNOWN)
    assert all(record.active(0) and record.active(1 << 62) for record in DEFAULT)
    both = {Family.ELLIPTIC, Family.LATTICE}
    wanted = {
        ED25519: {Family.ELLIPTIC}, PAIR: both, SuiteName(SIGN, 3): both,
        X25519: {Family.ELLIPTIC}, XWING: both, SuiteName(SEAL, 18): both, SuiteName(SEAL, 19): both,
        SuiteName(SHAKE, 4): {Family.ELLIPTIC}, SuiteName(SHAKE, -23): both, SuiteName(SHAKE, -24): both,
    }  # fmt: skip
    assert dict(KNOWN) == wanted


def test_S61_a_table_reads_back_and_takes_one_encoding() -> None:
    value: Any = cbor.decode(cbor.encode(DEFAULT.to_value()))
    assert SuiteTable.from_value(value) == DEFAULT
    rows = [list(row) for row in value]
    for wrong in (
        rows[::-1],
        [rows[0], rows[0]],
        [[*rows[0][:1], 99, *rows[0][2:]]],
        [["cipher", *rows[0][1:]]],
        [[*rows[0][:2], ["elliptic"], *rows[0][3:]]],
        [[*rows[0][:2], ["lattice", "elliptic"], *rows[0][3:]]],
        [[*rows[0][:2], ["hash"], *rows[0][3:]]],
        [[*rows[0][:3], 5, 5]],
        [[*rows[0][:3], -1, 0]],
        [[*rows[0][:3], True, 0]],
        [rows[0][:4]],
        7,
    ):
        with pytest.raises(BadSuiteRecord):
            SuiteTable.from_value(wrong)


def test_S61_a_suite_is_active_between_its_heights() -> None:
    record = SuiteRecord(XWING, KNOWN[XWING], 5, 9)
    assert [record.active(height) for height in (4, 5, 8, 9)] == [False, True, True, False]
    stopped = SuiteTable((record,)).stopped({XWING: 7})
    assert [stopped.active(XWING, height) for height in (5, 6, 7)] == [True, True, False]
    assert SuiteTable((record,)).stopped({XWING: 3}).records == (), "stopped before it began"
    assert SuiteTable((record,)).stopped({XWING: 20}).records == (record,)


def test_P9_a_genesis_without_a_table_is_the_document_it_always_was() -> None:
    genesis = World.make().a.ledger.genesis
    assert b"suites" not in genesis.to_bytes()
    fewer = dataclasses.replace(genesis, suites=without(X25519))
    assert fewer.domain_id != genesis.domain_id
    assert Genesis.from_bytes(fewer.to_bytes()) == fewer
    GENESIS.validate(fewer.to_bytes())
    value: Any = cbor.decode(fewer.to_bytes())
    with pytest.raises(BadGenesis):
        Genesis.from_bytes(cbor.encode({**value, "suites": DEFAULT.to_value()}))
    with pytest.raises(BadGenesis):
        Genesis.from_bytes(cbor.encode({**value, "suites": [["seal", 99, ["lattice"], 0, 0]]}))


# How it changes.


def test_P16_an_activation_waits_for_the_delay_and_is_in_the_digest_that_hosts_pin() -> None:
    clock, gov = SimulatedClock(START), lab_authority("authority")
    ledger = LabLedger("alpha-1", clock, authority=(gov.key,), suites=without(XWING))
    assert cbor.decode(ledger.chain.view().get(keys.RULES, keys.RULES_SUITES) or b"") is not None
    before, later = digest(ledger), ledger.height + 100
    expect(ledger.govern(gov, "gov.announce", {"action": "suite.activate", "arguments": moved(XWING, later)}))
    assert digest(ledger) == before
    for _ in range(DELAY):
        ledger.block()
    assert digest(ledger) != before, "known long before the height"
    assert [of(ledger).active(XWING, height) for height in (later - 1, later)] == [False, True]
    RECORDS["suite-table"].validate(ledger.chain.view().get(keys.RULES, keys.RULES_SUITES) or b"")
    current = dataclasses.replace(ledger.genesis, suites=suites.table(ledger.chain.view(), ledger.genesis))
    assert governance.rules_digest(current, ledger.genesis) == digest(ledger), "what an operator accepts ahead"


def test_S87_a_sunset_is_announced_and_a_suite_past_it_can_be_activated_again() -> None:
    world = World.make()
    ledger = world.a.ledger
    sunset = ledger.height + 30
    assert act(world, "suite.sunset", moved(X25519, sunset)) == ["gov_done"]
    assert [of(ledger).active(X25519, height) for height in (sunset - 1, sunset)] == [True, False]
    assert act(world, "suite.activate", moved(X25519)) == ["gov_failed suites.bad_record"], "still active"
    while ledger.height < sunset:
        ledger.block()
    assert act(world, "suite.sunset", moved(X25519)) == ["gov_failed suites.bad_record"], "over already"
    assert act(world, "suite.activate", moved(X25519)) == ["gov_done"]
    assert of(ledger).active(X25519, ledger.height)


def test_P16_stopping_a_suite_is_immediate_and_needs_no_new_pin() -> None:
    world = World.make()
    ledger = world.a.ledger
    before = digest(ledger)
    assert stop(world, XWING) == ""
    assert not of(ledger).active(XWING, ledger.height)
    assert digest(ledger) == before
    RECORDS["suite-stops"].validate(ledger.chain.view().get(keys.RULES, keys.RULES_STOPS) or b"")
    MESSAGES["suite.stop"].validate(
        cbor.encode(ledger.authorized(world.gov, "suite.stop", {"kind": "seal", "suite": 17, "note": ""})[1])
    )
    assert "suites.bad_record" in stop(world, XWING), "over already"
    assert act(world, "suite.activate", moved(XWING)) == ["gov_done"], "the announced way back"
    assert of(ledger).active(XWING, ledger.height)
    assert digest(ledger) != before
    assert stop(world, XWING) == "", "and it can be stopped again"
    assert not of(ledger).active(XWING, ledger.height)


def test_P16_a_suite_is_stopped_by_an_authority_alone() -> None:
    world = World.make()
    fields = {"kind": "seal", "suite": 17, "note": ""}
    stranger = lab_authority("stranger")
    assert "gov.not_authority" in world.a.ledger.govern(stranger, "suite.stop", fields).log
    assert of(world.a.ledger) == DEFAULT


def test_P16_parameters_change_without_touching_the_suites() -> None:
    world = World.make()
    act(world, "suite.sunset", moved(X25519, world.a.ledger.height + 500))
    table = of(world.a.ledger)
    assert act(world, "parameters.set", {"parameters": {"max_messages": 64}}) == ["gov_done"]
    assert of(world.a.ledger) == table
    genesis = world.a.ledger.genesis
    current = dataclasses.replace(
        genesis, suites=table, parameters=dataclasses.replace(genesis.parameters, max_messages=64)
    )
    assert digest(world.a.ledger) == governance.rules_digest(current, genesis)
    assert act(world, "suite.sunset", moved(XWING, world.a.ledger.height + 500)) == ["gov_done"]
    assert governance.parameters(world.a.ledger.chain.view(), world.a.ledger.genesis).max_messages == 64


@pytest.mark.parametrize(
    ("action", "arguments"),
    [
        ("suite.activate", {"kind": "seal", "suite": 99, "height": 0}),
        ("suite.activate", {"kind": "cipher", "suite": 17, "height": 0}),
        ("suite.sunset", {"kind": "seal", "suite": 17, "height": 5}),
        ("suite.sunset", {"kind": "seal", "suite": 17, "height": -1}),
        ("suite.sunset", {"kind": "seal", "suite": 17, "height": 1 << 63}),
    ],
)
def test_P7_what_this_version_does_not_know_or_is_past_is_not_announced(action: str, arguments: dict[str, Any]) -> None:
    world = World.make()
    (log,) = act(world, action, arguments)
    assert "suites.bad_record" in log
    assert of(world.a.ledger) == DEFAULT


# What endpoints may use.


def test_S61_keys_of_a_suite_that_is_over_are_not_registered() -> None:
    world = World.make()
    stop(world, X25519)
    holder = account("late")
    late = LabEndpoint(b"late", (holder.id,))
    assert "suites.not_active" in world.a.ledger.transact(holder, late.register()).log
    fresh = LabEndpoint(b"late", (holder.id,), sealed_to=XWING.number)
    expect(world.a.ledger.transact(holder, fresh.register()))


def test_S61_keys_of_a_suite_that_is_over_are_not_rotated_to() -> None:
    world = World.make()
    stop(world, ED25519)
    message = ("endpoint.rotate", {"record": world.sender.rotated().to_bytes()})
    assert "suites.not_active" in world.a.ledger.transact(world.host_a, message).log


def test_S66_a_grant_needs_keys_that_the_lane_asks_for() -> None:
    world = World.make()
    arguments = {"lane": world.lane, "least": 2, "families": (), "only": ()}
    assert act(world, "lane.suites", arguments) == ["gov_done"]
    assert (
        "suites.below_policy"
        in world.a.ledger.transact(world.host_a, world.sender.grant(world.lane, world.receiver)).log
    )
    holder = account("hybrid")
    hybrid = LabEndpoint(b"hybrid", (holder.id,), PAIR.number, XWING.number)
    expect(world.a.ledger.transact(holder, hybrid.register(), hybrid.grant(world.lane, world.receiver)))


# What a lane asks for.


@pytest.mark.parametrize(
    ("policy", "meets"),
    [
        (ANY, {ED25519, PAIR, X25519, XWING}),
        (SuitePolicy(2), {PAIR, XWING}),
        (SuitePolicy(1, ("lattice",)), {PAIR, XWING}),
        (SuitePolicy(1, ("elliptic",)), {ED25519, PAIR, X25519, XWING}),
        (SuitePolicy(1, (), (("seal", 16),)), {ED25519, PAIR, X25519}),
        (SuitePolicy(2, (), (("seal", 16),)), {PAIR}),
    ],
)
def test_S66_a_rule_is_computed_of_families(policy: SuitePolicy, meets: set[SuiteName]) -> None:
    assert {name for name in (ED25519, PAIR, X25519, XWING) if policy.meets(name, KNOWN[name])} == meets
    assert SuitePolicy.from_bytes(policy.to_bytes()) == policy
    RECORDS["suite-policy"].validate(policy.to_bytes())


def test_S66_two_suites_of_one_family_are_one_break() -> None:
    """The number of algorithms does not count, and no name does."""
    twice = frozenset({Family.ELLIPTIC, Family("elliptic")})
    with pytest.raises(BelowPolicy):
        SuitePolicy(2).check(PAIR, twice)


@pytest.mark.parametrize(
    "wrong",
    [
        {"least": 0},
        {"least": 3},
        {"families": ("hash",)},
        {"families": ("lattice", "lattice")},
        {"only": (("seal", 99),)},
        {"only": (("seal", 17), ("seal", 17))},
        {"only": (("seal",),)},
        {"only": ("seal",)},
        {"least": "2"},
        {"most": 2},
    ],
)
def test_S66_a_rule_that_is_none_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadPolicy):
        SuitePolicy.read({"least": 1, "families": (), "only": (), **wrong})


def half_open(value_cap: int, classes: int = 4) -> tuple[End, dict[str, Any], Any]:
    """Ledger A about to open its side of a lane to a ledger of several signers, over which value may cross."""
    clock, gov = SimulatedClock(START), lab_authority("authority")
    ledgers = [LabLedger(name, clock, authority=(gov.key,), validators=classes) for name in ("alpha-1", "beta-1")]
    a, b = End(ledgers[0], account("operator a")), End(ledgers[1], account("operator b"))
    connect(a, b, lane=False)
    update(a, b.ledger)
    name, fields = open_lane_message(a, b)
    assert name == "lane.open"
    return a, {**fields, "value_cap": value_cap}, gov


def policy_at(end: End) -> SuitePolicy:
    lane = lanes.lane_of(end.ledger.chain.view(), end.client)
    assert lane is not None
    return suites.policy_of(end.ledger.chain.view(), lane.lane_id)


def test_S66_a_lane_that_carries_value_refuses_suites_of_one_family() -> None:
    a, fields, gov = half_open(1_000)
    expect(a.ledger.transact(a.account, ("lane.open", fields)))
    assert policy_at(a) == SuitePolicy(2)
    lane = lanes.lane_of(a.ledger.chain.view(), a.client)
    assert lane is not None
    lower = {"lane": lane.lane_id, "least": 1, "families": (), "only": ()}
    expect(a.ledger.govern(gov, "gov.announce", {"action": "lane.suites", "arguments": lower}))
    blocks = [a.ledger.block() for _ in range(DELAY)]
    failed = [e.get("code") for block in blocks for e in block.results.events if e.type == "gov_failed"]
    assert (failed, policy_at(a)) == (["suites.bad_policy"], SuitePolicy(2))
    holder = account("classic")
    classic = LabEndpoint(b"classic", (holder.id,))
    expect(a.ledger.transact(holder, classic.register()))
    assert "suites.below_policy" in a.ledger.transact(holder, classic.grant(lane.lane_id, classic)).log


def test_S66_whoever_opens_a_lane_says_what_it_asks_for() -> None:
    a, fields, _ = half_open(0)
    asked = {"least": 1, "families": ["lattice"], "only": [["seal", 17]]}
    MESSAGES["lane.open"].validate(cbor.encode({**fields, "suites": asked}))
    assert "suites.bad_policy" in a.ledger.transact(a.account, ("lane.open", {**fields, "suites": {"least": 3}})).log
    assert lanes.lane_of(a.ledger.chain.view(), ClientId(a.client)) is None
    expect(a.ledger.transact(a.account, ("lane.open", {**fields, "suites": asked})))
    assert policy_at(a) == SuitePolicy(1, ("lattice",), (("seal", 17),))


def test_S66_a_lane_without_a_word_asks_for_nothing_beyond_the_tables() -> None:
    world = World.make()
    assert policy_at(world.a) == ANY
    assert act(world, "lane.suites", {"lane": bytes(32), "least": 2, "families": (), "only": ()}) == [
        "gov_failed lane.not_open"
    ]


def test_S61_every_action_is_described() -> None:
    for action, arguments in {
        "suite.activate": moved(XWING),
        "suite.sunset": moved(SuiteName(SHAKE, -24), 70),
        "lane.suites": {"lane": bytes(32), "least": 2, "families": ["lattice"], "only": [["handshake", -24]]},
    }.items():
        ACTIONS[action].validate(cbor.encode(arguments))
    assert name_of("handshake", -24) == SuiteName(SHAKE, -24)
