"""Composite clients on a ledger: which rules are refused, when a height is believed, what freezes (P21)."""

from __future__ import annotations

from typing import Any

import pytest

from lockgate.codec import type_urls as urls
from lockgate.codec.errors import SchemaMismatch
from lockgate.ibc import host
from lockgate.ibc import wire as ibc_wire
from lockgate.ibc.packet import Packet, Payload
from lockgate.lab.ledgers import LabLedger
from lockgate.lab.paths import (
    TRUSTING,
    End,
    create_client,
    expect,
    open_lane_message,
    packets_of,
    receive_message,
    update,
)
from lockgate.lightclients.attested.messages import MISBEHAVIOUR, Misbehaviour, encode_misbehaviour
from lockgate.lightclients.composite import encode_agreement, states
from lockgate.lightclients.composite.errors import MembersDisagree, RuleUnsatisfied, UpgradeUnknown
from lockgate.lightclients.composite.schemas import SCHEMAS
from lockgate.lightclients.forms import unwrap_any
from lockgate.lightclients.standing import ClientFrozen, ConsensusStateMissing, ProofHeightAhead
from lockgate.machine import lanes
from lockgate.machine.records import LanePhase
from lockgate.merkle.errors import ProofMismatch
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.state import Overlay
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos, UnixSeconds, seconds
from tests.support.attested_lab import attestation, attested_state, client_message, create_attested
from tests.support.composites import RULE, CompositeWorld
from tests.support.lab import account
from tests.support.notes import PORT

OTHER = b"\x02" * 32
BOTH = "07-tendermint-0 AND attested-1"


def refused(w: CompositeWorld, code: str, rule: str = RULE, **spoilt: Any) -> None:
    before = w.a.ledger.chain.view().get(host.STORE, host.NEXT_CLIENT_SEQUENCE)
    assert code in w.create(rule, **spoilt).log
    assert w.a.ledger.chain.view().get(host.STORE, host.NEXT_CLIENT_SEQUENCE) == before


# --- creation


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("07-tendermint-0 OR attested-1", "one party satisfies"),
        ("(07-tendermint-0 AND attested-1) OR 07-tendermint-3", "share"),
        ("07-tendermint-0 AND 07-tendermint-3", "share"),
        ("attested-1 AND attested-4", "share"),
        ("07-tendermint-0 AND attested-5", "another ledger"),
        ("07-tendermint-0 AND attested-1(3/5)", "not as written"),
        ("07-tendermint-0 AND attested-9", "no client"),
        ("07-tendermint-0 AND composite-6", "no kind"),
        ("07-tendermint-0 AND 08-wasm-1", "no kind"),
    ],
)
def test_p21_a_rule_that_one_party_satisfies_or_that_rests_on_nothing_is_refused(rule: str, why: str) -> None:
    w = CompositeWorld(made=False)
    again = End(w.a.ledger, account("again"))
    create_client(again, w.b.ledger)
    for state in (attested_state(w.b.ledger), attested_state(LabLedger("other-1", w.clock))):
        create_attested(again, w.b.ledger, state)
    expect(w.create())
    result = w.create(rule)
    assert why in result.log or ("client_unknown" in result.log and why == "no client"), result.log
    expect(w.create("attested-1 OR attested-2"))


@pytest.mark.parametrize(
    "spoilt",
    [
        {"domain": bytes(32)},
        {"domain": b"\x01"},
        {"chain_id": " "},
        {"trusting_period": 0},
        {"latest_height": Height(1, 0)},
        {"latest_height": Height(2, 1)},
        {"is_frozen": True},
        {"root": OTHER},
        {"root": bytes(32)},
    ],
    ids=str,
)
def test_no_client_starts_from_a_spoilt_state(spoilt: dict[str, Any]) -> None:
    refused(CompositeWorld(made=False), "composite.client_state_invalid", **spoilt)


def test_a_client_starts_at_a_height_that_its_members_hold() -> None:
    w = CompositeWorld(made=False)
    refused(w, "composite.rule_unsatisfied", latest_height=Height(1, 99))
    refused(w, "composite.rule_refused", domain=OTHER)
    expect(w.create())
    assert (w.a.client, w.status()) == ("composite-3", "Active")


# --- agreement


def test_p21_a_height_is_stored_only_when_a_satisfying_set_agrees() -> None:
    w = CompositeWorld()
    w.b.ledger.block()
    height = w.b.ledger.height
    before = w.a.ledger.chain.view().get(host.STORE, host.client_state(w.a.client))
    assert "rule_unsatisfied" in w.agree(height).log
    update(w.header, w.b.ledger)
    assert "rule_unsatisfied" in w.agree(height).log
    expect(w.attest(w.three, height))
    expect(w.agree(height))
    after = w.a.ledger.chain.view().get(host.STORE, host.client_state(w.a.client))
    assert before != after
    kinds = w.a.ledger.chain.machine.packets.kinds
    view = w.a.ledger.chain.view()
    assert kinds.latest_height(view, w.a.client) == w.b.ledger.at(height)
    header = w.b.ledger.chain.signed_header(height).header
    assert kinds.timestamp_at(view, w.a.client, w.b.ledger.at(height)) == header.time


def test_p21_attesters_alone_move_nothing() -> None:
    w = CompositeWorld()
    w.b.ledger.block()
    height = w.b.ledger.height
    expect(w.attest(w.five, height))
    expect(w.attest(w.three, height))
    assert "rule_unsatisfied" in w.agree(height).log


def lying(w: CompositeWorld, which: str) -> int:
    """Let one kind of attesters say something else of B's newest height than its header does."""
    w.b.ledger.block()
    height = update(w.header, w.b.ledger)
    end = w.five if which == "five" else w.three
    expect(w.attest(end, height, root=OTHER))
    return height


@pytest.mark.parametrize("which", ["five", "three"])
def test_p21_members_that_disagree_freeze_the_client(which: str) -> None:
    w = CompositeWorld()
    height = lying(w, which)
    frozen = expect(w.agree(height))
    assert "client_misbehaviour" in [event.type for event in frozen.events]
    assert w.status() == "Frozen"
    assert "not active" in w.agree(height).log


def test_p21_a_second_triple_freezes_whichever_branch_brings_it_and_is_read_from_never() -> None:
    """The height was agreed before; then the other branch of the OR attests something else of it."""
    w = CompositeWorld()
    w.b.ledger.block()
    height = w.follow()
    expect(w.attest(w.three, height, root=OTHER))
    chain = w.a.ledger.chain
    at = w.b.ledger.at(height)
    module = chain.machine.packets.clients.of(chain.view(), w.a.client)
    with pytest.raises(MembersDisagree):
        module.proofs_at(chain.view(), w.a.client, at)
    with pytest.raises(MembersDisagree):
        module.timestamp_at(chain.view(), w.a.client, at)
    expect(w.agree(height))
    assert w.status() == "Frozen"
    with pytest.raises(ClientFrozen):
        module.proofs_at(chain.view(), w.a.client, at)


def test_p21_frozen_beats_or() -> None:
    """Three attesters are caught whom the rule does not need: it is frozen all the same, and its lane closes."""
    w = CompositeWorld()
    w.pair()
    w.b.ledger.block()
    w.follow()
    expect(w.a.ledger.transact(w.a.account, open_lane_message(w.a, w.b)))
    height = w.b.ledger.height
    one, other = (attestation(w.b.ledger, w.three_state, height, root=root) for root in (b"\x03" * 32, OTHER))
    raw = encode_misbehaviour(Misbehaviour(one, other))
    result = expect(w.a.ledger.transact(w.three.account, client_message(w.three, MISBEHAVIOUR, raw)))
    assert w.status() == "Frozen"
    assert w.status(w.five.client) == "Active"
    lane = lanes.lane_of(w.a.ledger.chain.view(), w.a.client)
    assert lane is not None
    assert lane.phase is LanePhase.CLOSED
    caught = [event.get("client_id") for event in result.events if event.type == "client_misbehaviour"]
    assert caught == [w.three.client, w.a.client]


def test_an_expired_member_that_the_rule_does_not_need_stops_nothing() -> None:
    w = CompositeWorld()
    chain = w.a.ledger.chain
    module = chain.machine.packets.clients.of(chain.view(), w.a.client)
    for days in (8, 8):
        w.clock.advance(seconds(86_400 * days))
        w.b.ledger.block()
        w.a.ledger.block()
        w.follow()
    assert w.status(w.three.client) == "Expired"
    assert w.status() == "Active"
    late = UnixNanos(chain.time + TRUSTING)
    assert module.status(chain.view(), w.a.client, late) == "Expired"


def test_an_expired_member_that_the_rule_needs_expires_the_client() -> None:
    w = CompositeWorld(made=False)
    expect(w.create(BOTH, trusting_period=seconds(86_400 * 28)))
    chain = w.a.ledger.chain
    module = chain.machine.packets.clients.of(chain.view(), w.a.client)
    w.clock.advance(seconds(86_400 * 8))
    w.b.ledger.block()
    w.a.ledger.block()
    w.follow()
    w.clock.advance(seconds(86_400 * 8))
    w.b.ledger.block()
    w.a.ledger.block()
    update(w.header, w.b.ledger)
    assert w.status() == "Active"
    assert module.status(chain.view(), w.a.client, UnixNanos(chain.time + TRUSTING - seconds(86_400 * 7))) == "Expired"


def test_an_expired_member_agrees_to_nothing() -> None:
    """Three attesters and the headers had a height together; nobody brought it before the attesters' word lapsed."""
    w = CompositeWorld()
    w.b.ledger.block()
    height = update(w.header, w.b.ledger)
    expect(w.attest(w.three, height))
    for days in (8, 7):
        w.clock.advance(seconds(86_400 * days))
        w.b.ledger.block()
        w.a.ledger.block()
        if days == 8:
            w.follow()
    assert [w.status(end.client) for end in (w.header, w.five, w.three, w.a)] == [*["Active"] * 2, "Expired", "Active"]
    assert "rule_unsatisfied" in w.agree(height).log


def test_p21_a_member_found_frozen_freezes_the_client_whoever_froze_it() -> None:
    w = CompositeWorld()
    chain = w.a.ledger.chain
    height = w.b.ledger.height
    one, other = (attestation(w.b.ledger, w.three_state, height, root=root) for root in (b"\x03" * 32, OTHER))
    raw = encode_misbehaviour(Misbehaviour(one, other))
    clients = chain.machine.packets.clients
    member = clients.of(chain.view(), w.three.client)
    frozen = member.convict(chain.view(), w.three.client, (MISBEHAVIOUR, raw), chain.time)
    assert frozen is not None
    view = Overlay(chain.view(), frozen.writes)
    module = clients.of(view, w.a.client)
    assert module.status(view, w.a.client, chain.time) == "Frozen"
    assert module.convict(chain.view(), w.a.client, ("", b""), chain.time) is None
    assert module.convict(view, w.a.client, ("", b""), chain.time) is not None


# --- lanes and packets


def sent(w: CompositeWorld) -> Packet:
    payload = Payload(
        source_port=PORT, destination_port=PORT, version="notes-1", encoding="application/octet-stream", value=b"x"
    )
    timeout = UnixSeconds(w.b.ledger.chain.time // NANOS_PER_SECOND + 600)
    request = ibc_wire.SendMessage(w.b.client, timeout, (payload,), w.b.account.id)
    result = w.b.ledger.transact(w.b.account, (urls.MSG_SEND_PACKET, ibc_wire.encode_send(request)))
    return packets_of(expect(result))[0]


def test_p9_a_lane_opens_over_a_composite_client_and_a_packet_crosses() -> None:
    w = CompositeWorld()
    w.pair()
    w.b.ledger.block()
    w.follow()
    expect(w.a.ledger.transact(w.a.account, open_lane_message(w.a, w.b)))
    update(w.b, w.a.ledger)
    expect(w.b.ledger.transact(w.b.account, open_lane_message(w.b, w.a)))
    packet = sent(w)
    for _ in range(2):
        w.b.ledger.block()
    stale = receive_message(w.a, w.b, packet)
    assert w.a.ledger.transact(w.a.account, stale).code, "the height was not agreed on"
    w.follow()
    expect(w.a.ledger.transact(w.a.account, receive_message(w.a, w.b, packet)))


def test_proofs_hold_at_agreed_heights_and_under_the_agreed_root_only() -> None:
    w = CompositeWorld()
    w.pair()
    for _ in range(2):
        w.b.ledger.block()
    height = w.follow()
    chain = w.a.ledger.chain
    view, at = chain.view(), w.b.ledger.at(height)
    module = chain.machine.packets.clients.of(view, w.a.client)
    key = host.counterparty(w.b.client)
    value = w.b.ledger.chain.view_at(height - 1).get("ibc", key)
    assert value is not None
    proof = w.b.ledger.prove("ibc", key, height).merkle_proof
    module.verify_membership(view, w.a.client, at, proof, (b"ibc", key), value)
    with pytest.raises(ProofMismatch):
        module.verify_membership(view, w.a.client, at, proof, (b"ibc", key), value + b"x")
    absent = w.b.ledger.prove("ibc", b"nothing", height).merkle_proof
    module.verify_non_membership(view, w.a.client, at, absent, (b"ibc", b"nothing"))
    with pytest.raises(ProofHeightAhead):
        module.proofs_at(view, w.a.client, Height(1, height + 1))
    w.b.ledger.block()
    update(w.header, w.b.ledger)
    w.b.ledger.block()
    w.follow()
    with pytest.raises(ConsensusStateMissing):
        module.proofs_at(chain.view(), w.a.client, Height(1, height + 1))
    gone = {(host.STORE, host.consensus_state(w.five.client, at)): None}
    with pytest.raises(RuleUnsatisfied):
        module.proofs_at(Overlay(view, gone), w.a.client, at)


# --- after a disagreement


def test_p14_a_disagreement_is_evidence_that_settles_packets() -> None:
    w = CompositeWorld()
    height = lying(w, "five")
    chain = w.a.ledger.chain
    module = chain.machine.packets.clients.of(chain.view(), w.a.client)
    evidence = encode_agreement(w.b.ledger.at(height))
    found = module.equivocation(chain.view(), w.a.client, evidence)
    assert found is not None
    assert found[0] != found[1]
    assert module.equivocation(chain.view(), w.a.client, encode_agreement(w.b.ledger.at(height + 9))) is None
    pair = (attestation(w.b.ledger, w.five_state, height, root=root) for root in (b"\x03" * 32, OTHER))
    assert module.equivocation(chain.view(), w.a.client, encode_misbehaviour(Misbehaviour(*pair))) is not None
    assert module.equivocation(chain.view(), w.a.client, b"\xff") is None


def test_a_composite_is_recovered_from_one_of_the_same_rule_and_never_moved() -> None:
    w = CompositeWorld(BOTH)
    chain = w.a.ledger.chain
    module = chain.machine.packets.clients.of(chain.view(), w.a.client)
    subject = w.a.client
    w.clock.advance(seconds(86_400 * 8))
    w.b.ledger.block()
    w.a.ledger.block()
    update(w.header, w.b.ledger)
    expect(w.attest(w.five, w.b.ledger.height))
    w.clock.advance(seconds(86_400 * 7))
    w.a.ledger.block()
    assert w.status(subject) == "Expired"
    expect(w.create(BOTH))
    chain = w.a.ledger.chain
    done = module.recover(chain.view(), subject, w.a.client, chain.time, Height(1, 1))
    assert module.status(Overlay(chain.view(), done.writes), subject, chain.time) == "Active"
    with pytest.raises(UpgradeUnknown):
        module.upgrade(chain.view(), subject, b"", b"", b"\x01", b"\x01", chain.time, Height(1, 1))


# --- explained, and described


def test_p21_a_rule_is_explained() -> None:
    w = CompositeWorld()
    chain = w.a.ledger.chain
    subject = chain.machine.packets.clients.of(chain.view(), w.a.client).subject(chain.view(), w.a.client)
    assert subject.needs.startswith(RULE)
    assert "4 or more of 5 operators" in subject.needs
    assert "more than 2/3 of the validators of beta-1 together, with 4 of the operators" in subject.forged_by
    assert subject.above_two_thirds
    assert not subject.alone


def test_what_is_stored_and_brought_meets_its_schema() -> None:
    w = CompositeWorld()
    view = w.a.ledger.chain.view()
    state, consensus = (
        view.get(host.STORE, key)
        for key in (host.client_state(w.a.client), host.consensus_state(w.a.client, w.b.ledger.at(w.b.ledger.height)))
    )
    assert state is not None
    assert consensus is not None
    written = (
        unwrap_any(state, states.CLIENT_STATE),
        unwrap_any(consensus, states.CONSENSUS_STATE),
        encode_agreement(Height(1, 5)),
    )
    for schema, raw in zip(SCHEMAS, written, strict=True):
        schema.validate(raw)
        with pytest.raises(SchemaMismatch):
            schema.validate(b"\x81" + raw)
    assert ClientId("composite-3") == w.a.client
