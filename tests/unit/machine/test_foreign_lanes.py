"""Lanes to ledgers that are none of ours: the same proofs but one, and no endpoint at either end (P9)."""

from __future__ import annotations

from typing import Any

import pytest

from lockgate.codec.type_urls import MSG_SEND_PACKET
from lockgate.ibc import wire
from lockgate.ibc.packet import Packet, Payload
from lockgate.ibc.ports import Passage, Passed, Rejected
from lockgate.lab.clock import SimulatedClock
from lockgate.lab.ledgers import LabLedger, lab_authority
from lockgate.lab.paths import End, connect, expect, open_lane_message, packets_of, receive_message, update
from lockgate.machine import lanes
from lockgate.machine.gate import LaneGate
from lockgate.machine.genesis import Parameters
from lockgate.machine.machine import TxResult
from lockgate.machine.records import LaneKind
from lockgate.machine.transaction import Message
from lockgate.primitives.ids import AccountId, Hash32, Height
from lockgate.primitives.time import NANOS_PER_SECOND, UnixSeconds
from tests.support.relays import START, Answering, account

GOV = lab_authority("gov")
PORT = "app"
HEX = "ab" * 32  # an endpoint's port


def joined(**parameters: Any) -> tuple[End, End]:
    clock = SimulatedClock(START)
    a, b = (
        End(
            LabLedger(
                name, clock, authority=(GOV.key,), applications={PORT: Answering()}, parameters=Parameters(**parameters)
            ),
            account(f"operator {name}"),
        )
        for name in ("alpha-1", "beta-1")
    )
    connect(a, b, lane=False)
    update(a, b.ledger)
    return a, b


def foreign_message(on: End, other: End, **changes: Any) -> Message:
    """As between our own ledgers, without what only those can say of themselves."""
    _, fields = open_lane_message(on, other)
    assert isinstance(fields, dict)
    kept = {name: value for name, value in fields.items() if name not in {"remote_genesis", "domain_proof", "operated"}}
    return "lane.foreign", {**kept, **changes}


def opened(**caps: int) -> tuple[End, End]:
    a, b = joined()
    expect(a.ledger.transact(a.account, foreign_message(a, b, **caps)))
    return a, b


def payload(source: str = PORT, destination: str = PORT) -> Payload:
    return Payload(source_port=source, destination_port=destination, version="v", encoding="e", value=b"hello")


def send(on: End, *payloads: Payload) -> TxResult:
    timeout = UnixSeconds(on.ledger.chain.time // NANOS_PER_SECOND + 60)
    message = wire.SendMessage(on.client, timeout, payloads, on.account.id)
    return on.ledger.transact(on.account, (MSG_SEND_PACKET, wire.encode_send(message)))


def delivered(on: End, source: End, packet: Packet) -> TxResult:
    update(on, source.ledger)
    return on.ledger.transact(on.account, receive_message(on, source, packet))


def test_P9_a_foreign_lane_is_a_record_over_both_clients_and_a_name() -> None:
    a, b = opened(max_packets=3)
    lane = lanes.lane_of(a.ledger.chain.view(), a.client)
    assert lane is not None
    assert (lane.kind, lane.remote_class, lane.own) == (LaneKind.FOREIGN, "foreign", False)
    assert (lane.local_client, lane.remote_client) == (a.client, b.client)
    assert lane.remote_domain == lanes.foreign_domain("beta-1")
    assert lane.remote_domain != b.ledger.genesis.domain_id
    assert lane.caps.packets == 3
    assert lane.caps.value == 0


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("merkle.", {"client_state_proof": b"\x0a\x00"}),
        ("merkle.", {"counterparty_proof": b"\x0a\x00"}),
        ("merkle.", {"consensus_proof": b"\x0a\x00"}),
        ("merkle.", {"client_state": b"x"}),
        ("merkle.", {"consensus_height": "1-1"}),
        ("lane.proof", {"consensus_height": "2-1"}),
        ("lane.proof", {"remote_client": "07-tendermint-9"}),
        ("tx.bad_message", {"max_packets": 0}),
        ("tx.bad_message", {"value_cap": 1}),
        ("tx.bad_message", {"order": 1}),
        ("tx.bad_message", {"remote_genesis": b""}),
        ("id.malformed", {"local_client": "no"}),
    ],
)
def test_P9_without_proof_that_it_faces_us_there_is_no_lane(code: str, changes: dict[str, Any]) -> None:
    a, b = joined()
    result = a.ledger.transact(a.account, foreign_message(a, b, **changes))
    assert result.log.startswith(code), result.log
    assert lanes.every(a.ledger.chain.view()) == []


def test_P9_a_client_that_follows_another_history_of_ours_is_not_faced() -> None:
    """Same chain id, other validators: the remote client's consensus state is not one of our headers."""
    a, b = joined()
    impostor = LabLedger("alpha-1", SimulatedClock(START), seed="other", applications={PORT: Answering()})
    other = End(impostor, account("operator alpha-1"))
    connect(other, b, lane=False)
    a.client, _ = a.client, update(a, b.ledger)
    name, fields = foreign_message(a, b)
    result = a.ledger.transact(a.account, (name, fields))
    assert result.log.startswith(("merkle.", "lane.proof")), result.log


def test_one_client_carries_one_lane_of_either_kind() -> None:
    a, b = opened()
    for again in (foreign_message(a, b), open_lane_message(a, b)):
        assert "lane.exists" in a.ledger.transact(a.account, again).log


def test_where_lanes_need_an_authority_so_do_foreign_ones() -> None:
    a, b = joined(lane_admission_open=False)
    name, fields = foreign_message(a, b)
    assert isinstance(fields, dict)
    assert "lane.not_admitted" in a.ledger.transact(a.account, (name, fields)).log
    expect(a.ledger.transact(a.account, a.ledger.authorized(GOV, name, fields)))
    assert lanes.lane_of(a.ledger.chain.view(), a.client) is not None


def test_packets_to_applications_cross_and_count_against_its_caps() -> None:
    a, b = opened(max_packets=2)
    packets = [packets_of(expect(send(a, payload())))[0] for _ in range(2)]
    assert "lane.cap" in send(a, payload()).log
    expect(delivered(b, a, packets[0]))


def test_several_payloads_are_for_own_lanes() -> None:
    a, _ = opened()
    assert "ibc.payload_invalid" in send(a, payload(), payload()).log


@pytest.mark.parametrize("ports", [(HEX, HEX), (PORT, HEX), (HEX, PORT)])
def test_no_payload_of_an_endpoint_leaves_over_it(ports: tuple[str, str]) -> None:
    a, _ = opened()
    result = send(a, payload(*ports))
    assert (result.codespace, result.code) == ("lockgate", 70), result.log
    assert lanes.open_sends(a.ledger.chain.view(), a.client).packets == 0


def test_what_comes_for_an_endpoint_over_it_is_refused_as_the_packets_fault() -> None:
    """A ledger that is none of ours lets its applications address what they like (P3)."""
    a, b = opened()
    machine, view = a.ledger.chain.machine, a.ledger.chain.view()
    context = machine._context(view, a.ledger.height + 1, a.ledger.chain.time, AccountId(a.account.id))
    gate = LaneGate(lambda: context, from_answer=False)
    packet = Packet(1, b.client, a.client, UnixSeconds(2_000_000_000), (payload(PORT, HEX),))
    passage = Passage(packet, Hash32(bytes(32)), a.account.id, context.block)
    assert gate.on_receive(view, passage) == Rejected("lane.foreign")
    plain = passage._replace(packet=packet._replace(payloads=(payload(),)))
    assert isinstance(gate.on_receive(view, plain), Passed)


def test_a_stopped_lane_lets_nothing_through_and_opens_again() -> None:
    a, _ = opened()
    lane = lanes.lane_of(a.ledger.chain.view(), a.client)
    assert lane is not None
    expect(a.ledger.govern(GOV, "gov.stop", {"lane": lane.lane_id, "note": "drill"}))
    assert "lane.stopped" in send(a, payload()).log
    expect(a.ledger.govern(GOV, "gov.announce", {"action": "lane.resume", "arguments": {"lane": lane.lane_id}}))
    for _ in range(a.ledger.genesis.parameters.authority_delay_blocks + 1):
        a.ledger.block()
    expect(send(a, payload()))


def test_its_finished_packets_are_not_forgotten() -> None:
    """Pruning takes a proof from the sender's ledger; of one that is not ours receipts stay, as ibc-go keeps them."""
    a, b = opened()
    packet = packets_of(expect(send(b, payload())))[0]
    expect(delivered(a, b, packet))
    message = {"client": a.client, "first": 1, "last": 1, "height": str(Height(1, a.trusted)), "proof": b"x"}
    assert "prune.still_open" in a.ledger.transact(a.account, ("lane.prune", message)).log
