"""The lab's own set-up says when a ledger refuses a step of it, and what the ledger said."""

from __future__ import annotations

import pytest

from lockgate.lab.paths import StepFailed, expect
from tests.support.lab import World, account


def test_a_step_that_the_ledger_takes_is_handed_back() -> None:
    world = World.make()
    result = world.a.ledger.transact(world.host_a, world.sender.advance())
    assert expect(result) is result


def test_a_refused_step_fails_with_the_ledgers_own_words_and_leaves_its_state() -> None:
    """`lab.step_failed`: a run whose set-up went wrong must not go on as if it had not."""
    world = World.make()
    before = world.a.ledger.chain.view().get("endpoint", b"state/" + world.sender.id)
    with pytest.raises(StepFailed, match=r"endpoint\.") as failure:
        expect(world.a.ledger.transact(account("stranger"), world.sender.advance()))
    assert failure.value.code == "lab.step_failed"
    assert failure.value.fields["code"] != 0
    assert world.a.ledger.chain.view().get("endpoint", b"state/" + world.sender.id) == before
