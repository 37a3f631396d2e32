"""Attack replays B1, B4, B5, C1 and C6 of the incident list, against a rule over unlike clients (P21)."""

from __future__ import annotations

import pytest

from lockgate.codec.type_urls import TENDERMINT_HEADER
from lockgate.ibc import host
from lockgate.lab.clock import SimulatedClock
from lockgate.lab.ledgers import LabLedger
from lockgate.lab.paths import End, expect, update
from lockgate.lightclients.attested import Rotation, SignerSet
from lockgate.lightclients.attested.messages import ROTATION, encode_rotation
from lockgate.lightclients.composite.errors import RuleRefused
from lockgate.lightclients.composite.states import AGREEMENT, encode_agreement
from lockgate.lightclients.tendermint import states as tendermint
from lockgate.machine.machine import TxResult
from lockgate.primitives.ids import Height
from lockgate.primitives.state import Overlay
from lockgate.primitives.time import UnixNanos, seconds
from tests.support.attested_lab import attested_state, create_attested
from tests.support.attested_lab import client_message as attested_message
from tests.support.attesters import ordered, signatures, signer
from tests.support.composites import CompositeWorld
from tests.support.equivocation import client_message, header_of
from tests.support.lab import START, account
from tests.support.values import replace

OTHER = b"\x02" * 32
LATER = UnixNanos(START + seconds(86_400 * 300))


def second_list(w: CompositeWorld, **shared: str) -> TxResult:
    """A third list of attesters, one of whom shares something with the first list; joined to it by OR."""
    state = attested_state(w.b.ledger, first=14)
    spoilt = [replace(each, **shared) if each.key == signer(14).key else each for each in state.signers.signers]
    end = End(w.a.ledger, account("another list"))
    create_attested(end, w.b.ledger, replace(state, signers=SignerSet(epoch=1, threshold=4, signers=ordered(spoilt))))
    return w.create(f"07-tendermint-0 AND ({w.five.client} OR {end.client})")


@pytest.mark.parametrize(
    "shared",
    [{"operator": "operator-0"}, {"source": "node-0"}, {"operator": "node-0"}, {"source": "operator-0"}],
    ids=["b1", "b5", "signs for one what it serves the other", "serves one what it signs for the other"],
)
def test_b1_b5_lists_that_overlap_in_an_operator_or_a_node_are_refused(shared: dict[str, str]) -> None:
    w = CompositeWorld(made=False)
    expect(second_list(w))
    assert "two members share" in second_list(CompositeWorld(made=False), **shared).log


def test_b4_two_lists_of_one_group_of_keys_are_refused() -> None:
    w = CompositeWorld(made=False)
    again = End(w.a.ledger, account("again"))
    create_attested(again, w.b.ledger, attested_state(w.b.ledger))
    assert "two members share" in w.create(f"{w.five.client} AND {again.client}").log


def test_b5_every_attester_together_moves_nothing_without_the_headers() -> None:
    w = CompositeWorld()
    w.b.ledger.block()
    height = w.b.ledger.height
    for end in (w.five, w.three):
        expect(w.attest(end, height, root=OTHER))
    assert "rule_unsatisfied" in w.agree(height).log
    update(w.header, w.b.ledger)
    expect(w.agree(height))
    assert w.status() == "Frozen", "disagreement stops the lane, and chooses no side"


def test_c1_a_client_of_a_fork_is_no_member() -> None:
    w = CompositeWorld(made=False)
    end = End(w.a.ledger, account("of the fork"))
    create_attested(end, w.b.ledger, replace(attested_state(w.b.ledger, first=10), domain=b"\x07" * 32))
    assert "another ledger" in w.create(f"07-tendermint-0 AND {end.client}").log


def test_c6_a_second_history_in_headers_freezes_what_rests_on_them() -> None:
    w = CompositeWorld()
    trusted = w.header.trusted
    w.b.ledger.block()
    height = w.follow()
    fork = LabLedger("beta-1", SimulatedClock(UnixNanos(START + seconds(1))))
    while fork.height < height:
        fork.block()
    other = client_message(w.header, TENDERMINT_HEADER, header_of(fork, height, trusted))
    frozen = expect(w.a.ledger.transact(w.header.account, other))
    caught = [event.get("client_id") for event in frozen.events if event.type == "client_misbehaviour"]
    assert caught == [w.header.client, w.a.client]
    assert w.status() == "Frozen"


def test_b4_a_rotation_that_brings_one_list_into_another_agrees_to_nothing_more() -> None:
    """Each list may rotate as it likes; the rule that joins them counts the parties again with every height."""
    w = CompositeWorld()
    w.b.ledger.block()
    w.follow()
    following = ordered([*w.three_state.signers.signers[1:], replace(signer(19), operator="operator-0", until=LATER)])
    bare = Rotation(following=SignerSet(epoch=2, threshold=3, signers=following))
    message = bare.message("beta-1", w.three_state.signers)
    by = [number for number in range(10, 15) if number != 19][:3]
    rotation = replace(bare, signatures=signatures(w.three_state, message, by))
    expect(w.a.ledger.transact(w.three.account, attested_message(w.three, ROTATION, encode_rotation(rotation))))
    w.b.ledger.block()
    height = update(w.header, w.b.ledger)
    expect(w.attest(w.five, height))
    assert "two members share" in w.agree(height).log
    assert w.status() == "Active", "what was agreed before stands until it expires"


def test_c6_members_at_odds_freeze_every_rule_they_stand_in() -> None:
    """One Agreement is brought to one composite; another one over the same members is shown it, too (P20)."""
    w = CompositeWorld()
    other = End(w.a.ledger, account("another rule"))
    w.a, other = other, w.a
    expect(w.create(f"07-tendermint-0 AND {w.five.client}"))
    w.a, other = other, w.a
    aside = End(w.a.ledger, account("a rule without the liars"))
    w.a, aside = aside, w.a
    expect(w.create(f"07-tendermint-0 AND {w.three.client}"))
    w.a, aside = aside, w.a
    w.b.ledger.block()
    height = update(w.header, w.b.ledger)
    expect(w.attest(w.five, height, root=OTHER))
    frozen = expect(w.agree(height))
    caught = [event.get("client_id") for event in frozen.events if event.type == "client_misbehaviour"]
    assert caught == [w.a.client, other.client]
    assert [w.status(end.client) for end in (w.a, other, aside)] == ["Frozen", "Frozen", "Active"]


def test_c6_a_member_that_governance_moved_to_another_ledger_accuses_nobody() -> None:
    """The authority recovers the header client from one of another chain: what it holds is not this ledger's."""
    w = CompositeWorld()
    w.b.ledger.block()
    height = w.b.ledger.height
    expect(w.attest(w.five, height, root=OTHER))
    update(w.header, w.b.ledger)
    chain = w.a.ledger.chain
    view, at = chain.view(), encode_agreement(w.b.ledger.at(height))
    key = host.client_state(w.header.client)
    raw = view.get(host.STORE, key)
    assert raw is not None
    moved = replace(tendermint.decode_client_state(raw), chain_id="gamma-1")
    elsewhere = Overlay(view, {(host.STORE, key): tendermint.encode_client_state(moved)})
    module = chain.machine.packets.clients.of(view, w.a.client)
    with pytest.raises(RuleRefused, match="another ledger"):
        module.update(elsewhere, w.a.client, (AGREEMENT, at), chain.time, Height(1, 1))
    with pytest.raises(RuleRefused, match="another ledger"):
        module.convict(elsewhere, w.a.client, (AGREEMENT, at), chain.time)
    assert module.update(view, w.a.client, (AGREEMENT, at), chain.time, Height(1, 1)).misbehaviour
