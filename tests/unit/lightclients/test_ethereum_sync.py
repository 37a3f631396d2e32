"""A reader that follows a beacon chain: what moves its head, what moves what is final, and what is forced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from lockgate.lab.beacon import Beacon
from lockgate.lightclients.ethereum import Update
from lockgate.lightclients.ethereum.containers import NO_HEADER
from lockgate.lightclients.ethereum.errors import PeriodSkipped, SignatureRefused
from lockgate.lightclients.ethereum.sync import Store, force_update, is_better, process_update, start
from tests.support.beacons import PERIOD, beacon


@pytest.fixture(scope="module")
def chain() -> Beacon:
    return beacon()


def started(chain: Beacon) -> Store:
    bootstrap = chain.bootstrap(8)
    return start(chain.network, bootstrap, bootstrap.header.beacon.root)


def at(store: Store) -> tuple[int, int]:
    return store.finalized_header.beacon.slot, store.optimistic_header.beacon.slot


def process(chain: Beacon, store: Store, update: Update) -> Store:
    return process_update(chain.network, store, update, update.signature_slot)


def test_a_reader_follows_through_the_periods(chain: Beacon) -> None:
    store = started(chain)
    for attested in (48, 80, 112, 144, 176):
        store = process(chain, store, chain.update(attested))
        assert at(store) == (attested - 16, attested)
    assert store.current_sync_committee == chain.committee(2)
    assert store.next_sync_committee == chain.committee(3)


def test_a_period_cannot_be_skipped(chain: Beacon) -> None:
    store = process(chain, started(chain), chain.update(48))
    with pytest.raises(PeriodSkipped):
        process(chain, store, chain.update(2 * PERIOD))


def test_too_few_move_the_head_and_nothing_that_is_final(chain: Beacon) -> None:
    store = process(chain, started(chain), chain.update(48, participants=21))
    assert at(store) == (8, 48)
    store = process(chain, store, chain.update(56, participants=10))
    assert at(store) == (8, 48), "ten are fewer than half of the most that were seen"
    assert store.next_sync_committee is None
    assert at(process(chain, store, chain.update(48, participants=22))) == (32, 48)


def test_a_refused_update_changes_nothing(chain: Beacon) -> None:
    store = started(chain)
    update = chain.update(48)
    aggregate = replace(update.sync_aggregate, bits=b"\xff\xff\xff\x7f")
    with pytest.raises(SignatureRefused):
        process(chain, store, replace(update, sync_aggregate=aggregate))


def unfinal(update: Update) -> Update:
    return replace(update, finalized_header=NO_HEADER, finality_branch=())


def test_a_period_without_finality_lets_the_best_update_be_forced(chain: Beacon) -> None:
    store = process(chain, started(chain), unfinal(chain.update(48)))
    assert at(store) == (8, 48)
    assert force_update(chain.network, store, 8 + PERIOD) == store
    forced = force_update(chain.network, store, 9 + PERIOD)
    assert at(forced) == (48, 48)
    assert forced.next_sync_committee == chain.committee(1)
    assert forced.best_valid_update is None
    assert force_update(chain.network, forced, 10 * PERIOD) == forced, "nothing to force"


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (lambda c: unfinal(c.update(48, participants=22, with_next=False)), lambda c: c.update(48, participants=21)),
        (lambda c: unfinal(c.update(48, participants=12)), lambda c: c.update(48, participants=11)),
        (lambda c: unfinal(c.update(48)), lambda c: c.update(48, with_next=False)),
        (lambda c: unfinal(c.update(56)), lambda c: unfinal(c.update(56, signature_slot=64))),
        (lambda c: c.update(48, participants=22), lambda c: unfinal(c.update(48))),
        (lambda c: c.update(48, participants=22), lambda c: c.update(64)),
        (lambda c: c.update(48), lambda c: c.update(48, participants=31)),
        (lambda c: c.update(48), lambda c: c.update(56)),
        (lambda c: c.update(48), lambda c: c.update(48, signature_slot=50)),
    ],
    ids=[
        "supermajority",
        "participants-below-it",
        "next-committee",
        "next-committee-of-the-signing-period",
        "finality",
        "finality-of-the-same-period",
        "participants",
        "older-header",
        "earlier-signature",
    ],
)
def test_which_of_two_updates_is_preferred(
    chain: Beacon, better: Callable[[Beacon], Update], worse: Callable[[Beacon], Update]
) -> None:
    one, other = better(chain), worse(chain)
    assert is_better(chain.network, one, other)
    assert not is_better(chain.network, other, one)
    assert not is_better(chain.network, one, one)
