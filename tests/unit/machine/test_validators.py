"""The authority changes who signs a ledger's blocks, within bounds, and light clients follow (P10, P16)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lockgate.codec import cbor
from lockgate.engines.embedded.chain import EmbeddedChain
from lockgate.engines.embedded.recovery import StoreTampered, check_blocks, recover
from lockgate.engines.embedded.replay import audit, replay
from lockgate.engines.embedded.roster import LocalValidator, NoSigner
from lockgate.lab.ledgers import LabLedger, MemorySigningState
from lockgate.lab.paths import expect, update, update_message
from lockgate.lightclients.cometbft.commit import check_commit_light
from lockgate.machine import keys, validators
from lockgate.machine.authority import authorize, next_sequence
from lockgate.machine.context import Context
from lockgate.machine.genesis import Genesis, GenesisValidator, LedgerClass, Parameters
from lockgate.machine.schemas import RECORDS
from lockgate.machine.validators import BadValidators, ValidatorsRecord
from lockgate.merkle.multistore import MultiStore
from lockgate.primitives.ids import AccountId, ChainId, Height
from lockgate.primitives.state import Block
from lockgate.primitives.time import UnixSeconds
from lockgate.storage.memory import MemoryNodes
from tests.support.lab import START, World

DELAY = Parameters().authority_delay_blocks
POWER = 10
Changes = list[list[bytes | int]]


def cluster() -> World:
    """Ledger A has four validators, and two keys that are none yet."""
    return World.make(validators=4, spares=2)


def announced(world: World, changes: Changes) -> str:
    fields = {"action": "validators.change", "arguments": {"changes": changes}}
    return world.a.ledger.govern(world.gov, "gov.announce", fields).log


def changed(world: World, changes: Changes) -> list[str]:
    """Announce, wait, and say what became of it."""
    assert not announced(world, changes)
    events = [event for _ in range(DELAY - 1) for event in world.a.ledger.block().results.events]
    return [f"{e.type} {e.get('code') or ''}".strip() for e in events if e.type.startswith(("gov_", "validators_"))]


def powers(ledger: LabLedger, height: int) -> dict[bytes, int]:
    return {v.public_key: v.voting_power for v in ledger.chain.validators_at(height).validators}


def spare(world: World, number: int = 0) -> bytes:
    return world.a.ledger.spares[number].public_key


def first(world: World, number: int = 0) -> bytes:
    return world.a.ledger.keys[number].public_key


def test_a_set_decided_in_a_block_is_announced_in_the_next_and_signs_the_one_after() -> None:
    world = cluster()
    ledger = world.a.ledger
    before = ledger.chain.validators
    assert changed(world, [[spare(world), POWER]]) == ["validators_changed", "gov_done"]
    decided = ledger.height
    for _ in range(2):
        ledger.block()
    headers = [ledger.chain.signed_header(height).header for height in range(decided, decided + 3)]
    after = ledger.chain.validators
    assert len(after) == len(before) + 1
    assert [h.validators_hash for h in headers] == [before.hash, before.hash, after.hash]
    assert [h.next_validators_hash for h in headers] == [before.hash, after.hash, after.hash]
    check_commit_light("alpha-1", after, ledger.chain.signed_header(decided + 2).commit)
    assert powers(ledger, decided + 1) == powers(ledger, 1)
    assert powers(ledger, decided + 2) == {**powers(ledger, 1), spare(world): POWER}
    assert ledger.chain.validator_updates(decided) == (GenesisValidator(spare(world), POWER),)
    assert not ledger.chain.validator_updates(decided + 1)


def test_one_leaves_and_a_fifth_joins_while_packets_flow_and_a_client_that_skips_follows() -> None:
    world = cluster()
    ledger = world.a.ledger
    start = world.b.trusted
    before = world.send(b"before")
    assert changed(world, [[spare(world), POWER]])[-1] == "gov_done"
    expect(world.deliver(before))
    assert changed(world, [[first(world), 0]])[-1] == "gov_done"
    after = world.send(b"after")
    expect(world.deliver(after))
    acknowledgement = world.acknowledgement(expect(world.answer(after)), after)
    expect(world.acknowledge(after, acknowledgement))
    assert powers(ledger, ledger.height) == {
        **{key.public_key: POWER for key in ledger.keys[1:]},
        spare(world): POWER,
    }
    # A client that slept through both changes has three of its four validators in the newest commit.
    world.b.trusted = start
    update(world.b, ledger)


def test_a_client_that_trusts_too_few_of_the_signers_goes_step_by_step() -> None:
    """Three of four leave, one after the other: no skip from the first header to the last is believed."""
    world = World.make(validators=4, spares=3)
    ledger = world.a.ledger
    update(world.b, ledger)
    start, height = world.b.trusted, ledger.height
    for number in range(3):
        assert changed(world, [[spare(world, number), POWER]])[-1] == "gov_done"
        assert changed(world, [[first(world, number), 0]])[-1] == "gov_done"
    for _ in range(3):
        ledger.block()
    refused = world.b.ledger.transact(world.b.account, update_message(world.b, ledger, ledger.height))
    assert "cometbft.insufficient_overlap" in refused.log
    world.b.trusted = start
    for at in range(height + 1, ledger.height + 1, DELAY):
        update(world.b, ledger, at)
    update(world.b, ledger)
    assert world.b.trusted == ledger.height


AT_ONCE: dict[str, tuple[Changes, str]] = {
    "none": ([], "gov.validators"),
    "too many": ([[bytes([i]) * 32, 1] for i in range(1, 102)], "gov.validators"),
    "no key": ([[b"short", 1]], "gov.validators"),
    "a key of small order": ([[bytes(32), 1]], "gov.validators"),
    "power below zero": ([[b"\x01" * 31 + b"\x02", -1]], "gov.validators"),
    "power above all": ([[b"\x01" * 31 + b"\x02", 1 << 60]], "gov.validators"),
    "a flag": ([[b"\x01" * 31 + b"\x02", True]], "gov.validators"),
    "three parts": ([[b"\x01" * 31 + b"\x02", 1, 1]], "gov.validators"),
    "twice": ([[b"\x01" * 31 + b"\x02", 1], [b"\x01" * 31 + b"\x02", 2]], "gov.validators"),
}


@pytest.mark.parametrize("name", AT_ONCE)
def test_what_can_be_no_change_is_refused_when_it_is_announced(name: str) -> None:
    world = cluster()
    changes, code = AT_ONCE[name]
    assert code in announced(world, changes)
    assert not [key for key, _ in world.a.ledger.chain.view().scan(keys.GOVERNANCE, b"schedule/", b"schedule0")]


def test_P16_an_authoritys_key_becomes_no_validator() -> None:
    world = cluster()
    assert "gov.validators" in announced(world, [[world.gov.key.parts[0], POWER]])


def test_P10_the_only_signer_of_an_operated_ledger_is_not_changed() -> None:
    world = World.make(spares=1)
    assert "gov.one_operator" in announced(world, [[first(world), 0], [spare(world), POWER]])


def test_P10_changes_that_leave_no_fault_tolerant_set_are_dropped_when_due() -> None:
    world = cluster()
    before = powers(world.a.ledger, world.a.ledger.height)
    for changes, code in (
        ([[first(world), 0]], "gov.validators"),  # three are left
        ([[spare(world), 0]], "gov.validators"),  # is none
        ([[first(world), POWER]], "gov.validators"),  # has that power
        ([[first(world), POWER + 13]], "gov.validators"),  # 23 of 53: it alone could stop the ledger
        ([[spare(world), 14]], "gov.too_much_at_once"),  # comes; 13 is a third of 40
    ):
        assert changed(world, changes) == [f"gov_failed {code}"], changes
    assert powers(world.a.ledger, world.a.ledger.height + 2) == before
    assert changed(world, [[spare(world), 13]]) == ["validators_changed", "gov_done"]


def test_S11_one_of_four_is_followed_at_once_and_a_client_that_skips_follows() -> None:
    """A quarter goes and a quarter comes: five twelfths of the old power have signed whatever the new set signs."""
    world = cluster()
    ledger = world.a.ledger
    update(world.b, ledger)
    trusted = world.b.trusted
    assert changed(world, [[first(world), 0], [spare(world), POWER]])[-1] == "gov_done"
    for _ in range(3):
        ledger.block()
    assert powers(ledger, ledger.height) == {key.public_key: POWER for key in (*ledger.keys[1:], ledger.spares[0])}
    world.b.trusted = trusted
    update(world.b, ledger)


def test_no_more_than_a_third_of_the_power_goes_at_once() -> None:
    world = World.make(validators=7, spares=2)
    gone = [[first(world, number), 0] for number in range(3)]
    assert changed(world, gone) == ["gov_failed gov.too_much_at_once"]
    followed = [[spare(world, number), POWER] for number in range(2)]
    assert changed(world, [*gone[:2], *followed])[-1] == "gov_done", "two of seven come, and two go"


def test_two_actions_of_one_height_move_no_more_than_one_may() -> None:
    world = cluster()
    ledger = world.a.ledger
    number = next_sequence(ledger.chain.view(), world.gov.key)
    until = UnixSeconds(world.now_s + 600)
    messages = [
        authorize(
            world.gov,
            ledger.chain.machine.domain,
            ledger.revision,
            ("gov.announce", {"action": "validators.change", "arguments": {"changes": [[spare(world, at), POWER]]}}),
            number + at,
            until,
        )
        for at in range(2)
    ]
    expect(ledger.transact(ledger.clerk, *messages))
    events = [event for _ in range(DELAY - 1) for event in ledger.block().results.events]
    assert [f"{e.type} {e.get('code')}" for e in events if e.type.startswith("gov_")] == [
        "gov_done None",
        "gov_failed gov.too_much_at_once",
    ]
    assert powers(ledger, ledger.height + 2).keys() == {*powers(ledger, 1), spare(world)}


def test_a_ledger_goes_on_and_verifies_over_changes_after_a_restart() -> None:
    world = cluster()
    ledger = world.a.ledger
    assert changed(world, [[spare(world), POWER]])[-1] == "gov_done"
    assert changed(world, [[first(world), 0]])[-1] == "gov_done"
    for _ in range(3):
        ledger.block()
    chain = ledger.chain
    local = [
        LocalValidator(key.public_key, key.sign, MemorySigningState()) for key in (*ledger.keys[1:], *ledger.spares)
    ]
    signers = [(validator.public_key, validator.state) for validator in local[:1]]
    local[0].state.record(ledger.height, b"", b"")
    with pytest.raises(Exception, match="another block"):
        recover(ledger.genesis, chain.store, chain.state, signers)
    check_blocks(ledger.genesis, chain.store, chain.state, range(1, ledger.height + 1))
    audit(chain.store, chain.state)
    assert replay(ledger.genesis, chain.store, MemoryNodes(), ledger.height).app_hash == chain.app_hash
    again = EmbeddedChain(ledger.genesis, chain.store, chain.state, local[1:], world.clock)
    assert again.produce([]).signed.header.validators_hash == chain.validators_at(again.height).hash
    gone = LocalValidator(first(world), ledger.keys[0].sign, MemorySigningState())
    with pytest.raises(NoSigner):
        EmbeddedChain(ledger.genesis, chain.store, chain.state, [gone], world.clock)


def test_a_block_signed_by_a_set_that_was_not_announced_is_found() -> None:
    world = cluster()
    ledger = world.a.ledger
    members = validators.newest(ledger.chain.view(), ledger.genesis).members
    record = ValidatorsRecord(
        ledger.height + 1, tuple(sorted((*members, (spare(world), POWER + 1)), key=lambda m: -m[1]))
    )
    check_blocks(ledger.genesis, ledger.chain.store, ledger.chain.state, range(1, ledger.height + 1))
    ledger.chain.state.apply(
        {
            (keys.GOVERNANCE, keys.validators(record.signs_from)): record.to_bytes(),
            (keys.GOVERNANCE, keys.NEWEST_VALIDATORS): keys.u64(record.signs_from),
        }
    )
    ledger.block()
    with pytest.raises(StoreTampered, match="announced") as found:
        check_blocks(ledger.genesis, ledger.chain.store, ledger.chain.state, range(1, ledger.height + 1))
    assert found.value.fields["height"] == record.signs_from


def test_P10_three_are_too_few_however_their_power_is_spread() -> None:
    world = cluster()
    genesis = replace(
        world.a.ledger.genesis,
        validators=tuple(
            GenesisValidator(key.public_key, power)
            for key, power in zip(world.a.ledger.keys, (50, 20, 20, 10), strict=True)
        ),
    )
    view = MultiStore(keys.STORES)
    block = Block(genesis.chain_id, Height(1, 5), START)
    context = Context(block, genesis, genesis.parameters, genesis.domain_id, world.a.ledger.chain, AccountId(""))
    with pytest.raises(BadValidators, match="four"):
        validators.change(view, context, [(first(world), 40), (first(world, 3), 0)], frozenset())
    assert validators.change(view, context, [(first(world), 40)], frozenset()).writes


def test_records_of_sets_are_as_described() -> None:
    world = cluster()
    assert changed(world, [[spare(world), 13]])[-1] == "gov_done"
    view = world.a.ledger.chain.view()
    ((_, data),) = view.scan(keys.GOVERNANCE, keys.validators(0), keys.validators(1 << 40))
    RECORDS["validators"].validate(data)
    record = ValidatorsRecord.from_bytes(data)
    assert record.to_bytes() == data
    assert record.members[0] == (spare(world), 13)
    assert cbor.decode(data) == (1, record.signs_from, record.members)


def test_total_power_is_bounded_as_cometbft_bounds_it() -> None:
    """A genesis whose validators hold 2^60 in total would stop every CometBFT node at its start."""
    world = cluster()
    most = (1 << 60) - 1
    make = lambda last: Genesis(  # noqa: E731
        chain_id=ChainId("alpha-1"),
        ledger_class=LedgerClass.BFT,
        time=START,
        validators=tuple(
            GenesisValidator(key.public_key, power)
            for key, power in zip(world.a.ledger.keys, (most // 4, most // 4, most // 4, last), strict=True)
        ),
    )
    make(most - 3 * (most // 4))
    with pytest.raises(Exception, match="2\\^60"):
        make(most - 3 * (most // 4) + 1)


def test_shapes_are_checked_before_anything_else() -> None:
    with pytest.raises(BadValidators):
        validators.check_shape(cluster().a.ledger.genesis, [b"no pair"], frozenset())
