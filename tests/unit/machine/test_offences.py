"""A validator that consensus caught is recorded under the root and loses its seat by rule (S28, P10)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lockgate.codec import cbor
from lockgate.lab.ledgers import LabLedger
from lockgate.machine import keys, offences, validators
from lockgate.machine.context import Context
from lockgate.machine.machine import BlockInput, BlockResult, Machine
from lockgate.machine.offences import Misbehaviour, Offence, OffenceRecord
from lockgate.machine.records import StateDamaged
from lockgate.machine.schemas import RECORDS
from lockgate.primitives.ids import AccountId, Height
from lockgate.primitives.state import Block, Overlay, View
from lockgate.primitives.time import UnixNanos
from tests.support.lab import World
from tests.unit.machine.test_validators import POWER, cluster, spare


def caught(ledger: LabLedger, number: int, *, kind: Offence = Offence.DUPLICATE_VOTE, height: int = 3) -> Misbehaviour:
    """As CometBFT reports a validator of the genesis."""
    return Misbehaviour(
        kind=kind,
        validator=validators.address(ledger.keys[number].public_key),
        power=POWER,
        height=height,
        time=UnixNanos(ledger.genesis.time + height),
        total_power=4 * POWER,
    )


def block_with(ledger: LabLedger, *reported: Misbehaviour, view: View | None = None) -> BlockResult:
    """The next block, with what consensus reports in it."""
    chain = ledger.chain
    block = BlockInput(height=ledger.height + 1, time=UnixNanos(chain.time + 1), transactions=(), misbehaviour=reported)
    return Machine(ledger.genesis, chain).execute(view or chain.view(), block)


def told(done: BlockResult) -> list[str]:
    return [event.type for event in done.events]


def test_S28_a_validator_that_votes_twice_is_recorded_and_leaves_at_the_next_update() -> None:
    ledger = cluster().a.ledger
    done = block_with(ledger, caught(ledger, 1))
    assert told(done) == ["validator_misbehaved", "validator_tombstoned", "validators_changed"]
    assert dict(done.events[0].attributes) == {
        "validator": caught(ledger, 1).validator.hex(),
        "kind": "duplicate vote",
        "height": "3",
        "power": "10",
        "total_power": "40",
    }
    (update,) = done.validators
    assert (update.public_key, update.power) == (ledger.keys[1].public_key, 0)
    data = done.writes[keys.GOVERNANCE, keys.offence(caught(ledger, 1).validator)]
    assert data is not None
    RECORDS["offence"].validate(data)
    entry = OffenceRecord.from_bytes(data)
    assert entry == OffenceRecord(
        Offence.DUPLICATE_VOTE, update.public_key, POWER, 40, 3, caught(ledger, 1).time, ledger.height + 1
    )
    assert entry.to_bytes() == data
    value = list(cbor.decode(data))  # type: ignore[arg-type]  # an array
    for wrong in ([*value, 0], value[:-1], [1, 3, *value[2:]], [2, *value[1:]]):
        with pytest.raises(StateDamaged):
            OffenceRecord.from_bytes(cbor.encode(wrong))


def test_what_more_is_reported_of_the_same_validator_changes_nothing() -> None:
    ledger = cluster().a.ledger
    first = block_with(ledger, caught(ledger, 1), caught(ledger, 1, height=4))
    assert first.writes == block_with(ledger, caught(ledger, 1)).writes
    after = Overlay(ledger.chain.view(), first.writes)
    again = block_with(ledger, caught(ledger, 1, kind=Offence.LIGHT_CLIENT_ATTACK), view=after)
    assert told(again) == ["validator_misbehaved"]
    assert not again.writes
    assert not again.validators


def test_the_key_of_a_validator_that_left_is_recorded_too() -> None:
    """Its votes of before can still be two: what it signed then counts, and it never comes back."""
    world = cluster()
    ledger = world.a.ledger
    view = Overlay(ledger.chain.view(), dict(joined(world, ledger.height - 3)))
    left = {key.public_key: POWER for key in ledger.keys[1:]} | {spare(world): POWER}
    view = Overlay(view, validators.decide(ledger.height - 2, left).writes)
    done = block_with(ledger, caught(ledger, 0), view=view)
    assert told(done) == ["validator_misbehaved", "validator_tombstoned"]
    assert done.events[-1].get("removed") == "false"
    assert not done.validators
    assert keys.offence(caught(ledger, 0).validator) in {key for _, key in done.writes}


def joined(world: World, height: int) -> dict[tuple[str, bytes], bytes | None]:
    """The writes of a set with a fifth validator."""
    members = {key.public_key: POWER for key in world.a.ledger.keys} | {spare(world): POWER}
    return validators.decide(height, members).writes


def test_a_stranger_is_told_of_and_nothing_else() -> None:
    ledger = cluster().a.ledger
    done = block_with(ledger, replace(caught(ledger, 0), validator=bytes(20)))
    assert told(done) == ["validator_misbehaved"]
    assert not done.writes


def test_where_all_were_caught_somebody_must_go_on() -> None:
    ledger = cluster().a.ledger
    attack = [caught(ledger, number, kind=Offence.LIGHT_CLIENT_ATTACK) for number in range(4)]
    done = block_with(ledger, *attack)
    assert not done.validators
    assert {event.get("removed") for event in done.events if event.type == offences.TOMBSTONED} == {"false"}
    assert len(done.writes) == 4, "each is recorded"
    most = block_with(ledger, *attack[:3])
    assert [update.power for update in most.validators] == [0, 0, 0], "no bound on changes holds it up"


def test_a_caught_key_never_signs_again() -> None:
    world = cluster()
    ledger = world.a.ledger
    done = block_with(ledger, caught(ledger, 1))
    view = Overlay(ledger.chain.view(), done.writes)
    block = Block(ledger.genesis.chain_id, Height(1, ledger.height + 9), UnixNanos(ledger.chain.time + 9))
    parameters, domain = ledger.genesis.parameters, ledger.genesis.domain_id
    context = Context(block, ledger.genesis, parameters, domain, ledger.chain, AccountId(""))
    with pytest.raises(validators.Tombstoned):
        validators.change(view, context, [(ledger.keys[1].public_key, POWER)], frozenset())
    assert validators.change(view, context, [(spare(world), POWER)], frozenset()).writes


def test_it_leaves_before_the_actions_of_the_block_are_weighed() -> None:
    """The set that an action changes is the one without it; together no more goes than an action may let go alone."""
    world = cluster()
    ledger = world.a.ledger
    arguments = {"changes": [[spare(world), POWER], [ledger.keys[2].public_key, POWER // 2]]}
    fields = {"action": "validators.change", "arguments": arguments}
    assert not ledger.govern(world.gov, "gov.announce", fields).log
    for _ in range(ledger.genesis.parameters.authority_delay_blocks - 2):
        ledger.block()
    assert told(block_with(ledger)) == ["validators_changed", "gov_done"], "it is due in the next block"
    done = block_with(ledger, caught(ledger, 1))
    assert told(done) == ["validator_misbehaved", "validator_tombstoned", "validators_changed", "gov_failed"]
    assert done.events[-1].get("code") == "gov.too_much_at_once"
    assert [(update.public_key, update.power) for update in done.validators] == [(ledger.keys[1].public_key, 0)]
