"""An ethereum client from its creation to its recovery: what moves it, what stops it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.codec import cbor
from lockgate.codec.errors import SchemaMismatch
from lockgate.lab.beacon import Beacon, minimal_network
from lockgate.lightclients.ethereum import Header, Misbehaviour, Network, Scheduled, states
from lockgate.lightclients.ethereum.containers import NO_HEADER
from lockgate.lightclients.ethereum.errors import (
    CommitteeRefused,
    InvalidClientState,
    MalformedBeaconData,
    NextCommitteeMissing,
    NotOurs,
    ParticipationLow,
    PeriodSkipped,
    SignatureRefused,
    SlotAhead,
    TrustedStateExpired,
    UpdateStale,
    UpgradeUnknown,
)
from lockgate.lightclients.ethereum.messages import (
    HEADER,
    MISBEHAVIOUR,
    decode_header,
    decode_misbehaviour,
    encode_header,
    encode_misbehaviour,
)
from lockgate.lightclients.ethereum.schemas import SCHEMAS
from lockgate.lightclients.forms import unwrap_any
from lockgate.lightclients.standing import (
    ClientExpired,
    ClientFrozen,
    ConsensusStateMissing,
    MalformedState,
    NotMisbehaviour,
    RootUnset,
    SubstituteMismatch,
    SubstituteUnusable,
)
from lockgate.primitives.errors import PeerFault, Refused
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.time import UnixNanos
from tests.support.beacons import EPOCH, GENESIS_TIME
from tests.support.ethereum_worlds import CLIENT, LAST, OWN, WEEK, EthereumWorld, Evm, at, path_of, time_of, word_of

SUBSTITUTE = ClientId("ethereum-1")


def refused(w: EthereumWorld, refusal: type[Exception], header: Header, match: str | None = None) -> None:
    before = w.view.snapshot()
    with pytest.raises(refusal, match=match):
        w.update(header)
    assert w.view.snapshot() == before


# --- what moves it


def test_p21_a_committee_s_word_moves_the_client_and_its_root_proves() -> None:
    w = EthereumWorld()
    done = w.update(w.header(48))
    assert (done.consensus_heights, done.misbehaviour) == ((at(32),), False)
    assert w.client.latest_height(w.view, CLIENT) == at(32)
    assert w.client.timestamp_at(w.view, CLIENT, at(32)) == time_of(32)
    proof = w.evm.proof(32, path_of(24))
    w.client.verify_membership(w.view, CLIENT, at(32), proof, (path_of(24),), word_of(24))
    absent = w.evm.proof(32, path_of(40))
    w.client.verify_non_membership(w.view, CLIENT, at(32), absent, (path_of(40),))
    assert w.held(32) == w.evm.consensus(32)


def test_committees_hand_over_period_by_period() -> None:
    w = EthereumWorld()
    for attested in (48, 80, 104, 144, 176, LAST):
        w.update(w.header(attested))
        newest = w.client.latest_height(w.view, CLIENT).height
        held, expected = w.held(newest), w.evm.consensus(newest, following=True)
        assert held is not None
        assert (held, held.committee, held.next_committee) == (expected, expected.committee, expected.next_committee)
    assert newest == LAST - 2 * EPOCH


def test_a_period_that_is_skipped_is_refused_by_name() -> None:
    w = EthereumWorld()
    refused(w, PeriodSkipped, w.header(80))
    w.update(w.header(48))
    refused(w, PeriodSkipped, w.header(144))
    w.update(w.header(80))
    w.update(w.header(144))


def test_a_new_period_must_bring_the_committee_after_it() -> None:
    w = EthereumWorld()
    w.update(w.header(48))
    refused(w, NextCommitteeMissing, w.header(80, with_next=False))
    w.update(w.header(80))
    w.update(w.header(88, with_next=False))


def test_an_older_update_may_teach_the_next_committee_and_moves_nothing_else() -> None:
    """A node serves one update a period, and that may be older than the block a client was made from."""
    w = EthereumWorld()
    w.create(SUBSTITUTE, 40)
    header = w.evm.header(48, 40)
    assert header.update.finalized_header.beacon.slot == 32
    done = w.update(header, SUBSTITUTE)
    held = w.held(40, SUBSTITUTE)
    assert done.consensus_heights == (at(40),)
    assert held is not None
    assert held.next_committee == w.evm.chain.committee(1).root
    assert w.client.latest_height(w.view, SUBSTITUTE) == at(40)
    with pytest.raises(UpdateStale):
        w.update(header, SUBSTITUTE)
    w.update(w.evm.header(80, 40), SUBSTITUTE)


def test_an_update_of_another_period_teaches_nothing() -> None:
    w = EthereumWorld()
    w.create(SUBSTITUTE, 64)
    header = w.evm.header(72, 64)  # what it finalizes is of the period before
    with pytest.raises(UpdateStale):
        w.update(header, SUBSTITUTE)


def test_of_two_relayers_that_race_the_slower_one_fills_a_gap() -> None:
    w = EthereumWorld()
    w.update(w.header(48))
    w.update(w.header(112, 32))
    done = w.update(w.header(80, 32))
    assert done.consensus_heights == (at(64),)
    assert w.client.latest_height(w.view, CLIENT) == at(96)
    again = w.update(w.header(80, 32))
    assert (again.consensus_heights, again.outcome.writes) == ((at(64),), {})


def test_a_stored_height_learns_the_committee_it_was_stored_without() -> None:
    w = EthereumWorld()
    w.update(w.header(48, with_next=False))
    known = w.held(32)
    assert known is not None
    assert known.next_committee is None
    w.update(w.header(48, 8))
    known = w.held(32)
    assert known is not None
    assert known.next_committee == w.evm.chain.committee(1).root


# --- what does not


def test_one_under_two_thirds_is_refused_and_nothing_else_would_refuse_it(monkeypatch: pytest.MonkeyPatch) -> None:
    w = EthereumWorld()
    refused(w, ParticipationLow, w.header(48, participants=21))
    with monkeypatch.context() as without_the_rule:
        without_the_rule.setattr(Network, "is_supermajority", lambda *_: True)
        value = encode_header(w.header(48, participants=21), w.evm.chain.network)
        assert w.client.update(w.view, CLIENT, (HEADER, value), w.now, OWN).consensus_heights == (at(32),)
    w.update(w.header(48, participants=22))


def test_341_of_512_are_too_few_and_342_enough() -> None:
    """The rule in a committee of mainnet's size: 3 · 341 = 1,023 < 1,024."""
    network = minimal_network(GENESIS_TIME, committee_size=512)
    assert [network.is_supermajority(count) for count in (341, 342)] == [False, True]


@pytest.mark.parametrize(
    ("header", "refusal"),
    [
        (lambda w: w.header(48, 16), ConsensusStateMissing),
        (lambda w: w.header(8), UpdateStale),
        (lambda w: spoilt(w, finalized_header=NO_HEADER, finality_branch=()), UpdateStale),
        (lambda w: replace(w.header(48), committee=w.evm.chain.committee(1)), CommitteeRefused),
        (lambda w: replace(w.header(48), trusted=Height(1, 8)), ConsensusStateMissing),
        (lambda w: signed_for(w, version=b"\x04\0\0\x77"), SignatureRefused),
        (lambda w: signed_for(w, period=1), SignatureRefused),
    ],
    ids=["unknown-trusted", "genesis-final", "nothing-final", "committee", "revision", "fork-version", "old-committee"],
)
def test_an_update_with_one_thing_spoilt_is_refused(
    header: Callable[[EthereumWorld], Header], refusal: type[Exception]
) -> None:
    w = EthereumWorld()
    refused(w, refusal, header(w))
    w.update(w.header(48))


def spoilt(w: EthereumWorld, **changes: Any) -> Header:
    header = w.header(48)
    return replace(header, update=replace(header.update, **changes))


def signed_for(w: EthereumWorld, **wrong: Any) -> Header:
    header = w.header(48)
    root = header.update.attested_header.beacon.root
    return spoilt(w, sync_aggregate=w.evm.chain.sign(root, header.update.signature_slot, **wrong))


def test_a_clock_behind_refuses_until_the_signature_s_slot() -> None:
    w = EthereumWorld()
    header = w.header(48)
    w.now = UnixNanos(time_of(49) - 1)
    refused(w, SlotAhead, header)
    w.now = time_of(49)
    w.update(header)


def test_a_block_that_is_dated_ahead_of_the_ledger_is_refused() -> None:
    evm = Evm(range(0, 32, EPOCH))
    evm.block(32, timestamp=time_of(LAST + 1) // 10**9 + 1)
    evm.block(48)
    w = EthereumWorld(evm)
    refused(w, SlotAhead, w.header(48), "dated ahead")
    w.now = time_of(LAST + 2)
    w.update(w.header(48))


def test_a_state_root_that_is_not_set_is_refused() -> None:
    evm = Evm(range(0, 32, EPOCH))
    evm.block(32, state_root=bytes(32))
    evm.block(48)
    refused(EthereumWorld(evm), RootUnset, EthereumWorld(evm).header(48))


def test_before_capella_no_execution_state_is_shown() -> None:
    evm = Evm(range(0, LAST, EPOCH), (0, 0, 0, 5))
    with pytest.raises(InvalidClientState, match="no execution state"):
        EthereumWorld(evm)
    w = EthereumWorld(Evm(range(0, LAST, EPOCH), (0, 0, 0, 1)))
    header = w.header(16)
    assert header.update.finalized_header == NO_HEADER
    w.evm.chain.propose(24, w.evm.chain.blocks[24].header.execution, finalized=8)
    w.update(w.header(24, with_next=True))


def test_an_expired_state_judges_nothing_and_a_client_expires_at_the_instant() -> None:
    w = EthereumWorld()
    w.update(w.header(48))
    w.now = UnixNanos(time_of(8) + WEEK)
    refused(w, TrustedStateExpired, w.header(56, 8))
    w.update(w.header(56, 32))
    w.now = UnixNanos(time_of(40) + WEEK - 1)
    assert w.status() == "Active"
    w.now = UnixNanos(time_of(40) + WEEK)
    assert w.status() == "Expired"
    refused(w, ClientExpired, w.header(64, 40))


def test_an_expired_oldest_state_is_dropped_by_the_next_update() -> None:
    w = EthereumWorld()
    w.update(w.header(48))
    w.now = UnixNanos(time_of(8) + WEEK)
    w.update(w.header(56))
    assert w.held(8) is None
    assert w.held(32) is not None


def test_a_fork_that_the_client_does_not_know_ends_its_updates() -> None:
    known, newer = (0, 0, 0, 0, 0), (0, 0, 0, 0, 0, 6)
    evm = Evm(range(0, LAST, EPOCH), newer)
    w = EthereumWorld(evm, network=minimal_network(GENESIS_TIME, known))
    value = encode_header(w.header(40), evm.chain.network)
    w.send(HEADER, value)
    late = w.header(56)
    with pytest.raises((MalformedState, MalformedBeaconData)):
        w.send(HEADER, encode_header(late, evm.chain.network))


# --- misbehaviour


def other_history(w: EthereumWorld, slot: int = 32, attested: int = 48) -> Evm:
    """Another chain of the same committees, in which one block, and what follows from it, is another."""
    other = w.evm.forked()
    other.state.put(b"\xdd" * 20, bytes(32), b"\x01" * 32)
    other.block(slot, gas_used=1)
    other.chain.propose(attested, other.chain.blocks[attested].header.execution, finalized=slot)
    return other


def test_two_final_blocks_of_one_slot_freeze_the_client() -> None:
    w = EthereumWorld()
    other = other_history(w, attested=56)
    first, second = w.header(48), other.header(56, 8)
    assert first.update.attested_header.beacon.slot != second.update.attested_header.beacon.slot
    done = w.accuse(first, second)
    assert (done.misbehaviour, w.status()) == (True, "Frozen")
    with pytest.raises(ClientFrozen):
        w.update(w.header(48))
    with pytest.raises(ClientFrozen):
        w.client.verify_membership(w.view, CLIENT, at(8), w.evm.proof(8, path_of(8)), (path_of(8),), word_of(8))


def test_two_attested_blocks_of_one_slot_freeze_the_client_though_nothing_final_differs() -> None:
    w = EthereumWorld()
    other = w.evm.forked()
    other.block(48, gas_used=1)
    assert w.accuse(w.header(48), other.header(48, 8)).misbehaviour
    assert w.status() == "Frozen"


def test_an_update_against_what_is_stored_freezes_the_client() -> None:
    w = EthereumWorld()
    w.update(w.header(48))
    done = w.update(other_history(w).header(48, 8))
    assert (done.misbehaviour, w.status()) == (True, "Frozen")


def test_a_later_slot_that_is_not_later_in_time_freezes_the_client() -> None:
    evm = Evm(range(0, LAST + 1, EPOCH))
    evm.block(40, timestamp=GENESIS_TIME + 6 * 32)
    evm.chain.propose(56, evm.chain.blocks[56].header.execution, finalized=40)
    w = EthereumWorld(evm)
    w.update(w.header(48))
    assert w.update(w.header(56)).misbehaviour


@pytest.mark.parametrize(
    "pair",
    [
        lambda w: (w.header(48), w.header(48)),
        lambda w: (w.header(48), w.header(56)),
        lambda w: (w.header(48), other_history(w).header(48, 8, participants=21)),
        lambda w: (w.header(48), signed_by_others(w)),
        lambda w: (w.header(48), other_history(w, 112, 128).header(128, 8)),
        lambda w: (w.header(48), replace(other_history(w).header(48, 8), committee=w.evm.chain.committee(1))),
    ],
    ids=["same", "other-slots", "too-few", "signature", "skipped-period", "committee"],
)
def test_what_is_no_contradiction_of_two_valid_updates_freezes_nothing(
    pair: Callable[[EthereumWorld], tuple[Header, Header]],
) -> None:
    w = EthereumWorld()
    before = w.view.snapshot()
    for first, second in (pair(w), pair(w)[::-1]):
        with pytest.raises((NotMisbehaviour, ParticipationLow)):
            w.accuse(first, second)
    assert w.view.snapshot() == before
    assert w.status() == "Active"


def signed_by_others(w: EthereumWorld) -> Header:
    header = other_history(w).header(48, 8)
    root = header.update.attested_header.beacon.root
    aggregate = w.evm.chain.sign(root, 49, period=5)
    return replace(header, update=replace(header.update, sync_aggregate=aggregate))


def test_evidence_need_not_be_new_nor_of_a_height_that_is_stored() -> None:
    w = EthereumWorld()
    first, second = w.header(56), other_history(w, 40, 56).header(56, 8)
    for attested in (48, 80, 144):
        w.update(w.header(attested))
    strange = [replace(each, trusted=at(24)) for each in (first, second)]
    assert w.accuse(*strange).misbehaviour


def test_evidence_from_the_future_is_evidence() -> None:
    w = EthereumWorld()
    w.now = time_of(20)
    assert w.accuse(w.header(48), other_history(w).header(48, 8)).misbehaviour


def test_evidence_against_expired_states_alone_is_none() -> None:
    w = EthereumWorld()
    w.update(w.header(48))
    w.update(w.header(80))
    pair = w.header(48, 8), other_history(w).header(48, 8)
    w.now = UnixNanos(time_of(32) + WEEK)
    with pytest.raises(NotMisbehaviour):
        w.accuse(*pair)


def test_p20_what_froze_one_client_freezes_the_others_that_it_convinces() -> None:
    w = EthereumWorld()
    w.create(SUBSTITUTE, 16)
    other = other_history(w)
    network = w.evm.chain.network
    evidence = encode_misbehaviour(Misbehaviour(w.header(48), other.header(48, 8)), network)
    outcome = w.client.convict(w.view, SUBSTITUTE, (MISBEHAVIOUR, evidence), w.now)
    assert outcome is not None
    against = HEADER, encode_header(other.header(48, 8), network)
    assert w.client.convict(w.view, SUBSTITUTE, against, w.now) is None, "it holds nothing of that slot"
    w.update(w.evm.header(48, 16), SUBSTITUTE)
    assert w.client.convict(w.view, SUBSTITUTE, against, w.now) is not None
    honest = HEADER, encode_header(w.header(48), network)
    for nothing in (honest, ("/strange", b""), (MISBEHAVIOUR, b"\x80"), (HEADER, b"")):
        assert w.client.convict(w.view, SUBSTITUTE, nothing, w.now) is None
    assert w.client.convict(w.view, ClientId("ethereum-9"), against, w.now) is None
    w.view.apply(outcome)
    assert w.client.convict(w.view, SUBSTITUTE, against, w.now) is None


def test_a_chain_of_other_committees_convinces_nobody() -> None:
    w = EthereumWorld()
    w.update(w.header(48))
    stranger = Evm(())
    stranger.chain = Beacon(w.evm.chain.network, seed=b"other")
    for slot in range(0, 57, EPOCH):
        stranger.block(slot, gas_used=1)
    against = HEADER, encode_header(stranger.header(48, 8), w.evm.chain.network)
    assert w.client.convict(w.view, CLIENT, against, w.now) is None


def test_equivocation_names_both_blocks_whatever_their_age() -> None:
    w = EthereumWorld()
    other = other_history(w)
    network = w.evm.chain.network
    value = encode_misbehaviour(Misbehaviour(w.header(48), other.header(48, 8)), network)
    roots = tuple(each.chain.blocks[32].header.beacon.root for each in (w.evm, other))
    w.now = UnixNanos(time_of(LAST) + 10 * WEEK)
    assert w.client.equivocation(w.view, CLIENT, value) == roots
    same = encode_misbehaviour(Misbehaviour(w.header(48), w.header(48)), network)
    assert w.client.equivocation(w.view, CLIENT, same) is None


# --- recovery, and what never is


def recovered(w: EthereumWorld) -> None:
    w.view.apply(w.client.recover(w.view, CLIENT, SUBSTITUTE, w.now, OWN))


def frozen_world() -> EthereumWorld:
    w = EthereumWorld()
    w.accuse(w.header(48), other_history(w).header(48, 8))
    return w


def test_a_frozen_client_is_revived_from_a_newer_one_that_may_know_more_forks() -> None:
    w = frozen_world()
    longer = (*w.evm.chain.network.forks, Scheduled(10**6, b"\x06\0\0\x77"))
    w.create(SUBSTITUTE, 80, following=True, network=replace(w.evm.chain.network, forks=longer))
    recovered(w)
    assert w.status() == "Active"
    assert w.client.latest_height(w.view, CLIENT) == at(80)
    w.update(w.header(112))


@pytest.mark.parametrize(
    ("slot", "changes", "refusal"),
    [
        (8, {}, SubstituteUnusable),
        (80, {"host": b"\x01" * 20}, SubstituteMismatch),
        (80, {"commitments": b"\x01" * 32}, SubstituteMismatch),
        (80, {"chain_id": "1"}, SubstituteMismatch),
        (80, {"network": minimal_network(GENESIS_TIME, (0,) * 5)}, SubstituteMismatch),
        (80, {"network": minimal_network(GENESIS_TIME, (0, 0, 0, 0, 0, 1))}, SubstituteMismatch),
        (80, {"network": minimal_network(GENESIS_TIME - 6)}, SubstituteMismatch),
        (80, {"network": minimal_network(GENESIS_TIME, seconds_per_slot=12)}, SubstituteMismatch),
        (80, {"network": minimal_network(GENESIS_TIME, committee_size=64)}, SubstituteMismatch),
    ],
    ids=["not-newer", "host", "slot", "chain", "fewer-forks", "other-forks", "genesis", "clock", "committee-size"],
)
def test_recovery_from_another_client_is_refused(slot: int, changes: dict[str, Any], refusal: type[Exception]) -> None:
    w = frozen_world()
    w.create(SUBSTITUTE, slot, **changes)
    before = w.view.snapshot()
    with pytest.raises(refusal):
        recovered(w)
    assert w.view.snapshot() == before


def test_recovery_needs_a_subject_that_stopped_and_a_substitute_that_did_not() -> None:
    w = EthereumWorld()
    w.create(SUBSTITUTE, 80)
    with pytest.raises(SubstituteUnusable, match="is active"):
        recovered(w)
    w.now = UnixNanos(time_of(80) + WEEK)
    with pytest.raises(SubstituteUnusable, match="not active"):
        recovered(w)
    w.create(ClientId("ethereum-2"), 112)
    w.view.apply(w.client.recover(w.view, CLIENT, ClientId("ethereum-2"), w.now, OWN))
    assert w.status() == "Active"


def test_there_is_no_upgrade_and_no_ledger_of_ours_is_followed() -> None:
    w = EthereumWorld()
    with pytest.raises(UpgradeUnknown):
        w.client.upgrade(w.view, CLIENT, b"", b"", b"", b"", w.now, OWN)
    with pytest.raises(NotOurs):
        w.client.own_consensus(w.now, b"\x01" * 32, b"\x01" * 32)
    raw = states.encode_client_state(w.evm.client_state(8))
    assert w.client.follows(raw, "31337", w.evm.chain.network.genesis_validators_root) is None
    raw = states.encode_consensus_state(w.evm.consensus(8))
    assert w.client.content(raw) == (time_of(8), w.evm.states[8].root)


def test_what_it_says_of_itself() -> None:
    w = EthereumWorld()
    subject = w.client.subject(w.view, CLIENT)
    assert (subject.kind, subject.chain_id, subject.proofs) == ("ethereum", "31337", "ethereum")
    assert subject.sources == subject.alone == {"sync committees of 31337"}
    assert subject.above_two_thirds
    assert "22 of the 32 keys" in subject.needs
    triple = w.client.triple_at(w.view, CLIENT, at(8))
    assert triple is not None
    assert (triple.timestamp, triple.root) == (time_of(8), w.evm.states[8].root)
    assert w.client.triple_at(w.view, CLIENT, at(16)) is None
    unknown = ClientId("ethereum-7")
    assert w.client.status(w.view, unknown, w.now) == "Unknown"
    assert w.client.latest_height(w.view, unknown) == at(0)


# --- states and messages


def network(**changes: Any) -> Network:
    return replace(minimal_network(GENESIS_TIME), **changes)


FORKS = network().forks


@pytest.mark.parametrize(
    "spoil",
    [
        {"chain_id": " "},
        {"chain_id": "x" * 51},
        {"host": bytes(20)},
        {"host": b"\x01" * 19},
        {"commitments": b"\x01" * 31},
        {"trusting_period": 0},
        {"trusting_period": 15 * 86_400 * 10**9},
        {"latest_height": Height(0, 0)},
        {"latest_height": Height(1, 8)},
        {"is_frozen": True},
        {"network": network(genesis_validators_root=bytes(32))},
        {"network": network(genesis_validators_root=b"\x01" * 31)},
        {"network": network(genesis_time=0)},
        {"network": network(genesis_time=2**63)},
        {"network": network(seconds_per_slot=0)},
        {"network": network(seconds_per_slot=3_601)},
        {"network": network(slots_per_epoch=0)},
        {"network": network(slots_per_epoch=1_025)},
        {"network": network(epochs_per_period=0)},
        {"network": network(epochs_per_period=65_537)},
        {"network": network(committee_size=0)},
        {"network": network(committee_size=36)},
        {"network": network(committee_size=4_096)},
        {"network": network(forks=FORKS[:3])},
        {"network": network(forks=(*FORKS, FORKS[-1], FORKS[-1]))},
        {"network": network(forks=(Scheduled(1, b"\0" * 4), *FORKS[1:]))},
        {"network": network(forks=(*FORKS[:-1], Scheduled(0, b"\0" * 3)))},
        {"network": network(forks=(*FORKS[:4], Scheduled(2, b"\0" * 4), Scheduled(1, b"\0" * 4)))},
        {"network": network(forks=(*FORKS[:3], Scheduled(5, b"\0" * 4)))},
    ],
    ids=str,
)
def test_no_client_starts_from_a_spoilt_state(spoil: dict[str, Any]) -> None:
    w = EthereumWorld()
    before = w.view.snapshot()
    with pytest.raises((InvalidClientState, MalformedState)):
        w.create(SUBSTITUTE, 8, **spoil)
    assert w.view.snapshot() == before


@pytest.mark.parametrize(
    "spoil",
    [
        {"timestamp": 0},
        {"root": bytes(32)},
        {"root": b"\x01" * 31},
        {"block_root": bytes(32)},
        {"committee": bytes(32)},
        {"next_committee": bytes(32)},
    ],
    ids=str,
)
def test_no_client_starts_from_a_consensus_state_that_proves_nothing(spoil: dict[str, Any]) -> None:
    w = EthereumWorld()
    first = replace(w.evm.consensus(8), **spoil)
    raws = states.encode_client_state(w.evm.client_state(8)), states.encode_consensus_state(first)
    with pytest.raises(InvalidClientState):
        w.client.initialise(w.view, SUBSTITUTE, *raws, w.now, OWN)


def test_states_and_messages_read_back_and_match_their_schemas() -> None:
    w = EthereumWorld()
    state, raws = w.evm.client_state(8), []
    for following in (False, True):
        consensus = w.evm.consensus(8, following=following)
        raw = states.encode_consensus_state(consensus)
        read = states.decode_consensus_state(raw)
        assert (read, read.next_committee) == (consensus, consensus.next_committee)
        raws.append((SCHEMAS[1], unwrap_any(raw, states.CONSENSUS_STATE)))
    raw = states.encode_client_state(state)
    assert states.decode_client_state(raw) == state
    raws.append((SCHEMAS[0], unwrap_any(raw, states.CLIENT_STATE)))
    header = w.header(48)
    raws.append((SCHEMAS[2], encode_header(header, state.network)))
    assert decode_header(raws[-1][1], state.network) == header
    evidence = Misbehaviour(header, header)
    raws.append((SCHEMAS[3], encode_misbehaviour(evidence, state.network)))
    assert decode_misbehaviour(raws[-1][1], state.network) == evidence
    raws.append((SCHEMAS[4], w.evm.proof(8, path_of(8))))
    for schema, value in raws:
        schema.validate(value)
        with pytest.raises(SchemaMismatch):
            schema.validate(b"\x81" + value)


def test_two_states_of_one_block_are_equal_whatever_committees_are_known_beside_it() -> None:
    evm = Evm(range(0, 17, EPOCH))
    assert evm.consensus(8) == evm.consensus(8, following=True)
    assert evm.consensus(8) == replace(evm.consensus(8), committee=b"\x01" * 32)
    assert replace(evm.consensus(8), block_root=b"\x01" * 32) != evm.consensus(8)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda value: [*value, 0],
        lambda value: [value[0], 4, *value[2:]],
        lambda value: [value[0], 2, *value[2:]],
        lambda value: [value[0], 9, *value[2:]],
        lambda value: [value[0], value[1], value[2][:-1], value[3]],
        lambda value: [value[0], value[1], value[2], value[3][:-200]],
        lambda value: [value[0], value[1], value[2], value[3] * 100],
        lambda value: [[0, -1], *value[1:]],
        lambda value: [[0], *value[1:]],
    ],
    ids=["longer", "form", "no-form", "unknown-form", "committee", "cut", "huge", "negative", "height"],
)
def test_a_message_that_is_none_is_refused(spoil: Callable[[list[Any]], list[Any]]) -> None:
    w = EthereumWorld()
    value = list(cbor.decode(encode_header(w.header(48), w.evm.chain.network)))
    before = w.view.snapshot()
    for kind, raw in ((HEADER, spoil(value)), (MISBEHAVIOUR, [value, spoil(value)]), ("/strange", value)):
        with pytest.raises((MalformedState, MalformedBeaconData)):
            w.send(kind, cbor.encode(raw))
    assert w.view.snapshot() == before


WORLD = EthereumWorld()
GOOD = encode_header(WORLD.header(48), WORLD.evm.chain.network)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255), st.sampled_from([HEADER, MISBEHAVIOUR]))
def test_one_changed_byte_is_refused_by_a_name_or_changes_nothing_that_counts(place: int, by: int, kind: str) -> None:
    raw = GOOD[:place] + bytes([GOOD[place] ^ by]) + GOOD[place + 1 :]
    value = raw if kind == HEADER else b"\x82" + GOOD + raw
    with pytest.raises((PeerFault, Refused)):
        WORLD.client.update(WORLD.view, CLIENT, (kind, value), WORLD.now, OWN)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([HEADER, MISBEHAVIOUR, "/strange"]))
def test_any_bytes_end_in_a_typed_error(raw: bytes, kind: str) -> None:
    with pytest.raises((PeerFault, Refused)):
        WORLD.client.update(WORLD.view, CLIENT, (kind, raw), WORLD.now, OWN)
    for decode in (states.decode_client_state, states.decode_consensus_state):
        with pytest.raises((PeerFault, Refused)):
            decode(raw)
