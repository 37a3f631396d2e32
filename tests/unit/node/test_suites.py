"""`lockgate ledger suites`: what people are shown of a ledger's suites, and what its authority has done (S61, P16)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lockgate.lab.paths import expect
from lockgate.machine.suite_policy import BadPolicy, SuitePolicy
from lockgate.machine.suite_table import BadSuiteRecord, SuiteKind, SuiteName
from lockgate.machine.suites import ACTIVATE, SUNSET, in_force, policy_of
from lockgate.node import doctor, suites
from lockgate.node.config import save
from lockgate.node.doctor import Level
from lockgate.node.folder import Folder
from lockgate.node.lanes import shown
from lockgate.node.provision import LedgerAccess, SetupFailed
from lockgate.node.recover import Authority
from lockgate.node.suites import NoSuchSuite
from lockgate.relay.submitter import AccountSubmitter
from tests.support import stories
from tests.support.hosts import HostWorld, Side, in_world, rules_of
from tests.support.lab import World

X25519, XWING = SuiteName(SuiteKind.SEAL, 16), SuiteName(SuiteKind.SEAL, 17)


def authority(world: HostWorld, side: Side) -> Authority:
    chain, genesis, key = world.chain(side), side.end.ledger.genesis, side.end.ledger.clerk.key
    submitter = AccountSubmitter(chain, genesis.domain_id, key.public_key, key.sign, 7)
    return Authority(LedgerAccess(side.name, chain, genesis, submitter), world.lab.gov, 0)


def due(side: Side) -> None:
    for _ in range(side.end.ledger.genesis.parameters.authority_delay_blocks + 1):
        side.end.ledger.block()


def rows(world: World) -> dict[str, dict[str, Any]]:
    found = asyncio.run(suites.listed([stories.ledgers(world).named("alpha")]))
    return {row["suite"]: row for row in found}


def test_every_suite_is_shown_with_its_families_and_state() -> None:
    world = World.make()
    found = rows(world)
    assert len(found) == 10
    assert found["seal:17"] == {
        "ledger": "alpha",
        "suite": "seal:17",
        "name": "X-Wing+AES-256-GCM",
        "families": ["elliptic", "lattice"],
        "state": "active",
        "active_from": 0,
        "sunset": 0,
    }
    expect(world.a.ledger.govern(world.gov, "suite.stop", {"kind": "seal", "suite": 17, "note": ""}))
    found = rows(world)
    assert (found["seal:17"]["state"], found["handshake:-24"]["state"]) == ("stopped", "active")


@in_world()
async def test_P16_the_digest_is_known_before_the_change_and_the_change_takes_effect(world: HostWorld) -> None:
    by = authority(world, world.a)
    sunset = world.a.end.ledger.height + 200
    done = await suites.change(by, SUNSET, X25519, sunset)
    assert rules_of(world.a) != done.digest
    due(world.a)
    assert rules_of(world.a) == done.digest, "what operators accept ahead"
    table = in_force(world.a.end.ledger.chain.view(), world.a.end.ledger.genesis)
    assert [table.active(X25519, height) for height in (sunset - 1, sunset)] == [True, False]
    at = await suites.stop(by, X25519, "broken")
    assert not in_force(world.a.end.ledger.chain.view(), world.a.end.ledger.genesis).active(X25519, at)
    assert rules_of(world.a) == done.digest
    back = await suites.change(by, ACTIVATE, X25519, 0)
    due(world.a)
    assert rules_of(world.a) == back.digest
    with pytest.raises(BadSuiteRecord):
        await suites.change(by, ACTIVATE, X25519, 0)
    with pytest.raises(SetupFailed):
        await suites.change(by, SUNSET, XWING, 5)


@in_world()
async def test_S66_a_lane_is_asked_for_more(world: HostWorld) -> None:
    fields = suites.asked(2, ["lattice"], ["handshake:-24", "seal:17"])
    await suites.demand(authority(world, world.a), world.lab.lane, fields)
    due(world.a)
    wanted = SuitePolicy(2, ("lattice",), (("handshake", -24), ("seal", 17)))
    assert policy_of(world.a.end.ledger.chain.view(), world.lab.lane) == wanted
    assert await suites.policy(world.chain(world.a), world.lab.lane) == {
        "least": 2,
        "families": ["lattice"],
        "only": ["handshake:-24", "seal:17"],
    }


def test_S66_a_lane_is_shown_with_what_it_asks_for() -> None:
    world = World.make()
    row = asyncio.run(shown(stories.ledgers(world), world.b.client, "beta"))[0]
    assert row["suites"] == {"least": 1, "families": [], "only": []}


@pytest.mark.parametrize("text", ["seal", "seal:x", "seal:99", "cipher:17", ""])
def test_words_that_name_no_suite_are_refused(text: str) -> None:
    with pytest.raises(NoSuchSuite):
        suites.named(text)


@pytest.mark.parametrize(("least", "families"), [(3, []), (1, ["hash"])])
def test_a_rule_that_is_none_is_refused(least: int, families: list[str]) -> None:
    with pytest.raises(BadPolicy):
        suites.asked(least, families, [])


def ended(world: HostWorld) -> None:
    expect(world.b.end.ledger.govern(world.lab.gov, "suite.stop", {"kind": "seal", "suite": 16, "note": ""}))


def near(world: HostWorld) -> None:
    arguments = {"kind": "seal", "suite": 16, "height": world.b.end.ledger.height + 500}
    expect(world.b.end.ledger.govern(world.lab.gov, "gov.announce", {"action": SUNSET, "arguments": arguments}))
    due(world.b)


def far_off(world: HostWorld) -> None:
    arguments = {"kind": "seal", "suite": 16, "height": world.b.end.ledger.height + 500_000}
    expect(world.b.end.ledger.govern(world.lab.gov, "gov.announce", {"action": SUNSET, "arguments": arguments}))
    due(world.b)


@pytest.mark.parametrize(
    ("change", "level", "words"),
    [(ended, Level.FAIL, "is not active on b"), (near, Level.WARN, "ends in 48"), (far_off, None, "")],
)
@in_world()
async def test_doctor_names_keys_whose_suite_ends(
    world: HostWorld, tmp_path: Path, change: Callable[[HostWorld], None], level: Level | None, words: str
) -> None:
    change(world)
    folder = Folder(tmp_path)
    save(world.config(world.b), folder.host("b") / "endpoint.json")
    ledgers = stories.ledgers(world.lab)
    ledgers.found["b"] = ledgers.named("beta")
    found = await doctor._suites(folder, "b", ledgers)
    assert [check.level for check in found] == ([] if level is None else [level])
    assert all(words in check.found and "--seal-suite" in check.next_step for check in found)
