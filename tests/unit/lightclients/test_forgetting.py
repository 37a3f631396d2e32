"""Work over very many heights or signer sets of one client is bounded: finding, forgetting, deleting."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lockgate.codec import cbor
from lockgate.ibc import host
from lockgate.lightclients.attested import ConsensusState, update
from lockgate.lightclients.attested.states import AttestedForms
from lockgate.lightclients.standing import ConsensusStateMissing, HeightForgotten, NotMisbehaviour
from lockgate.lightclients.store import FORGET_AT_ONCE, FORGET_WITH_UPDATE, FORGOTTEN, ClientStore
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.state import Outcome
from lockgate.primitives.time import UnixNanos, seconds
from tests.support.attesters import CLIENT, DAY, OWN, START, AttestedWorld, client_state

OTHER = b"\x02" * 32
SUBSTITUTE = ClientId("attested-1")
MANY = FORGET_AT_ONCE + 2 * FORGET_WITH_UPDATE + 4  # heights, of which a recovery and two updates leave four
SECOND = seconds(1)


def kept(w: AttestedWorld) -> update.AttestedStore:
    return ClientStore(w.view, CLIENT, AttestedForms())


def hold(w: AttestedWorld, heights: range) -> None:
    """Give the client these heights, as if each had been attested."""
    outcome, store = Outcome(), kept(w)
    for number in heights:
        state = ConsensusState(UnixNanos(START + (number - 1) * SECOND), w.root)
        store.put_consensus_state(outcome, Height(1, number), state, (bytes(8), b"3-77"))
    newest = Height(1, max(*heights, w.current().latest_height.height))
    store.put_client_state(outcome, replace(w.current(), latest_height=newest))
    w.view.apply(outcome)


def heights(w: AttestedWorld) -> int:
    """How many heights are stored of the client, whether they count or not."""
    return sum(key.startswith(f"clients/{CLIENT}/iterate".encode()) for key in w.view.stores["ibc"])


def recover(w: AttestedWorld, newest: int) -> Outcome:
    at = UnixNanos(w.now - 1)
    w.create(SUBSTITUTE, client_state(w.current().signers, latest_height=Height(1, newest)), at)
    outcome = w.client.recover(w.view, CLIENT, SUBSTITUTE, w.now, OWN)
    w.view.apply(outcome)
    return outcome


def caught() -> AttestedWorld:
    """A client of `MANY` heights above its first, frozen; nothing is too old to count."""
    w = AttestedWorld()
    w.now = UnixNanos(START + DAY)
    hold(w, range(2, MANY + 1))
    assert w.update(w.attest(5, root=OTHER)).misbehaviour
    return w


# --- finding


@pytest.mark.parametrize("asked", [4_002, 6_000, 8_193, 1_000_000])
def test_the_height_before_a_gap_is_found_without_reading_what_is_below_it(asked: int) -> None:
    w = AttestedWorld()
    hold(w, range(2, 4_001))
    before = w.view.scanned
    assert kept(w).previous_height(Height(1, asked), Height(1, 1)) == Height(1, 4_000)
    assert w.view.scanned - before <= 64, "a step for each bit of a height"


def test_evidence_in_a_gap_is_judged_without_reading_all_heights() -> None:
    """A header in a gap above very many heights is shown to a client for a few hundred gas."""
    w = AttestedWorld()
    w.now = UnixNanos(START + DAY)
    hold(w, range(2, 2_001))
    hold(w, range(9_000, 9_001))
    before = w.view.scanned
    assert not update.contradicts(kept(w), w.current(), w.attest(5_000))
    assert w.view.scanned - before <= 64


# --- a recovery


def test_a_recovery_deletes_a_bounded_number_of_heights_and_believes_none() -> None:
    w = caught()
    outcome = recover(w, 5_000)
    deleted = sum(value is None for value in outcome.writes.values())
    assert deleted == 4 * FORGET_AT_ONCE
    assert heights(w) == MANY - FORGET_AT_ONCE + 1
    assert w.status() == "Active"
    for number in (1, FORGET_AT_ONCE, FORGET_AT_ONCE + 1, MANY):
        at = Height(1, number)
        for read in (w.client.timestamp_at, w.client.proofs_at):
            with pytest.raises(ConsensusStateMissing):
                read(w.view, CLIENT, at)
        assert w.client.triple_at(w.view, CLIENT, at) is None
    store, first = kept(w), Height(1, 5_000)
    assert store.oldest_height() == store.next_height(Height(1, 3)) == store.next_height(Height(1, MANY)) == first
    assert store.previous_height(Height(1, 6_000), first) == first
    assert host.forgotten(CLIENT) == f"clients/{CLIENT}/".encode() + FORGOTTEN
    assert w.view.get("ibc", host.forgotten(CLIENT)) == (1).to_bytes(8, "big") + MANY.to_bytes(8, "big")


def test_updates_delete_the_rest_and_then_the_heights_are_like_any_other() -> None:
    w = caught()
    recover(w, 5_000)
    left = MANY - FORGET_AT_ONCE
    for step in (1, 2):
        w.update(w.attest(5_000 + step, at=UnixNanos(w.now - 1 + step)))
        assert heights(w) == left - step * FORGET_WITH_UPDATE + 1 + step
        with pytest.raises(HeightForgotten):
            w.update(w.attest(MANY - 1))
    w.update(w.attest(5_003, at=UnixNanos(w.now + 2)))
    assert w.view.get("ibc", host.forgotten(CLIENT)) is None
    assert heights(w) == 4
    assert w.update(w.attest(MANY - 1)).consensus_heights == (Height(1, MANY - 1),)
    assert w.client.timestamp_at(w.view, CLIENT, Height(1, MANY - 1)) == START + (MANY - 2) * SECOND


def test_a_recovery_of_few_heights_leaves_no_record() -> None:
    w = AttestedWorld()
    w.now = UnixNanos(START + DAY)
    hold(w, range(2, FORGET_AT_ONCE + 1))
    w.update(w.attest(5, root=OTHER))
    recover(w, 5_000)
    assert heights(w) == 1
    assert w.view.get("ibc", host.forgotten(CLIENT)) is None


def test_a_client_that_is_caught_again_forgets_what_came_since_too() -> None:
    w = caught()
    recover(w, 5_000)
    w.update(w.attest(5_002, at=UnixNanos(w.now + 2)))
    assert w.update(w.attest(5_002, root=OTHER, at=UnixNanos(w.now + 2))).misbehaviour
    recover(w, 6_000)
    assert heights(w) == 1, "the second time all that was left went at once"
    assert w.view.get("ibc", host.forgotten(CLIENT)) is None

    w = caught()
    recover(w, 5_000)
    hold(w, range(5_001, 5_001 + FORGET_AT_ONCE))
    newest = 5_000 + FORGET_AT_ONCE
    assert w.update(w.attest(newest, root=OTHER)).misbehaviour
    recover(w, 7_000)
    assert kept(w).oldest_height() == Height(1, 7_000)
    with pytest.raises(ConsensusStateMissing):
        w.client.timestamp_at(w.view, CLIENT, Height(1, newest))


def test_an_expired_client_keeps_what_it_has_and_what_it_has_forgotten() -> None:
    w = caught()
    recover(w, 5_000)
    w.now = UnixNanos(w.now + w.state.trusting_period)
    assert w.status() == "Expired"
    recover(w, 6_000)
    assert w.client.triple_at(w.view, CLIENT, Height(1, 5_000)) is not None
    assert w.client.triple_at(w.view, CLIENT, Height(1, MANY)) is None


# --- signer sets


def retire(w: AttestedWorld, count: int, at: UnixNanos) -> None:
    """Let so many sets retire, one a nanosecond, and leave the client in the epoch after them."""
    outcome, store, signers = Outcome(), kept(w), w.current().signers
    for epoch in range(1, count + 1):
        entry = cbor.encode([int(at) + epoch, replace(signers, epoch=epoch).to_value()])
        store.put_record(outcome, update.RETIRED + epoch.to_bytes(8, "big"), entry)
    store.put_client_state(outcome, replace(w.current(), signers=replace(signers, epoch=count + 1)))
    w.view.apply(outcome)


def retired(w: AttestedWorld) -> list[int]:
    return [int.from_bytes(key[-8:], "big") for key, _ in kept(w).records(update.RETIRED)]


def test_a_rotation_reads_no_more_retired_sets_than_it_deletes() -> None:
    w = AttestedWorld()
    retire(w, 500, w.now)
    before = w.view.scanned
    w.rotate(w.rotation(replace(w.current().signers, epoch=502)))
    assert w.view.scanned - before <= 1
    assert len(retired(w)) == 501


def test_a_rotation_deletes_a_bounded_number_of_sets_whose_time_has_come() -> None:
    w = AttestedWorld()
    retire(w, 100, w.now)
    w.now = UnixNanos(w.now + 2 * w.state.trusting_period)
    fresh = ConsensusState(UnixNanos(w.now - 1), w.root)
    outcome = Outcome()
    kept(w).put_consensus_state(outcome, w.current().latest_height, fresh, (bytes(8), b"3-77"))
    w.view.apply(outcome)
    w.rotate(w.rotation(replace(w.current().signers, epoch=102)))
    assert retired(w) == list(range(update.MAX_DROPPED + 1, 102))


def test_a_recovery_deletes_a_bounded_number_of_retired_sets_and_goes_by_none() -> None:
    w = AttestedWorld()
    count = FORGET_AT_ONCE + 3
    retire(w, count, w.now)
    w.now = UnixNanos(w.now + DAY)
    old = replace(w.current().signers, epoch=count)
    pair = w.attest(8, signers=old), w.attest(8, root=OTHER, signers=old)
    w.update(w.attest(1, root=OTHER))
    assert w.status() == "Frozen"
    before = w.view.scanned
    recover(w, 5_000)
    assert w.view.scanned - before == FORGET_AT_ONCE + 2, "a look ahead, and the one height"
    assert retired(w) == [count - 2, count - 1, count]
    with pytest.raises(NotMisbehaviour):
        w.accuse(*pair)
    w.now = UnixNanos(w.now + 1)
    later = w.attest(9), w.attest(9, root=OTHER)
    w.rotate(w.rotation(replace(w.current().signers, epoch=count + 2)))
    assert w.accuse(*later).misbehaviour, "a set that retired since counts"
