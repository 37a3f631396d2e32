"""Ordered lanes: one sender's packets are received in the order he sent them, and nobody waits for another's (S45)."""

from __future__ import annotations

import dataclasses

import pytest

from lockgate.ibc import host
from lockgate.ibc.packet import Packet
from lockgate.lab.clock import SimulatedClock
from lockgate.lab.endpoints import LabEndpoint
from lockgate.lab.ledgers import LabLedger
from lockgate.lab.paths import (
    End,
    connect,
    expect,
    open_lane_message,
    packets_of,
    receive_in_order_message,
    receive_message,
    update,
)
from lockgate.machine import inbox, keys, lanes, ordering
from lockgate.machine.machine import TxResult
from lockgate.machine.ordering import Claim, OrderUnproven, OutOfTurn
from lockgate.machine.records import LaneOrder
from lockgate.primitives.ids import EndpointId, Hash32
from lockgate.primitives.time import UnixSeconds, seconds, seconds_to_nanos
from tests.support.lab import START, World, account

ORDERS = [LaneOrder.ORDERED, LaneOrder.GAPS]
IN_TURN = "order.out_of_turn"


@pytest.fixture(params=ORDERS, ids=[order.name.lower() for order in ORDERS])
def w(request: pytest.FixtureRequest) -> World:
    return World.make(order=request.param)


def received(w: World, packet: Packet) -> bool:
    return inbox.find(w.b.ledger.chain.view(), w.b.client, packet.sequence) is not None


def refused(result: TxResult, code: str) -> None:
    assert result.code, "it was accepted"
    assert code in result.log


def untouched(w: World, packet: Packet) -> None:
    view = w.b.ledger.chain.view()
    assert view.get("ibc", host.packet_receipt(w.b.client, packet.sequence)) is None
    assert not received(w, packet)


def end(w: World, packet: Packet) -> None:
    """Answer a received packet, and bring the answer back."""
    answered = expect(w.answer(packet))
    expect(w.acknowledge(packet, w.acknowledgement(answered, packet)))


def another_sender(w: World) -> LabEndpoint:
    other = LabEndpoint(b"another", (w.host_a.id,))
    expect(w.a.ledger.transact(w.host_a, other.register(), other.take_fence()))
    expect(w.b.ledger.transact(w.host_b, w.receiver.grant(w.lane, other)))
    return other


def sent_by(w: World, sender: LabEndpoint) -> Packet:
    sending = sender.sending(w.a.client, w.receiver, w.now_s + 600, b"sealed")
    return packets_of(expect(w.a.ledger.transact(w.host_a, sender.advance(sending))))[0]


def test_packets_in_order_pass_one_by_one_and_in_one_transaction(w: World) -> None:
    packets = [w.send(b"%d" % n) for n in range(4)]
    expect(w.deliver_in_order(packets[0]))
    expect(w.deliver_in_order(*packets[1:]))
    assert all(received(w, packet) for packet in packets)
    for packet in packets:
        end(w, packet)
    view = w.a.ledger.chain.view()
    assert ordering.stream(view, w.a.client, w.sender.id) == ordering.Stream(4, 0, UnixSeconds(0))
    assert view.get(keys.LANE, keys.order_claim(w.a.client, packets[0].sequence)) is None


def test_a_packet_before_its_turn_stays_pending_and_passes_later(w: World) -> None:
    first, second = w.send(), w.send()
    refused(w.deliver_in_order(second), IN_TURN)
    untouched(w, second)
    expect(w.deliver_in_order(first))
    expect(w.deliver_in_order(second))
    assert received(w, second)


def test_a_transaction_with_a_packet_before_its_turn_receives_none(w: World) -> None:
    first, second, third = w.send(), w.send(), w.send()
    refused(w.deliver_in_order(first, third), IN_TURN)
    untouched(w, first)
    expect(w.deliver_in_order(first, second, third))


def test_one_sender_does_not_wait_for_another(w: World) -> None:
    """The head-of-line attack: a hostile sender's first packet is never delivered."""
    other = another_sender(w)
    blocked, blocked_too = sent_by(w, other), sent_by(w, other)
    free = w.send()
    expect(w.deliver_in_order(free))
    refused(w.deliver_in_order(blocked_too), IN_TURN)
    expect(w.deliver_in_order(w.send()))
    expect(w.deliver_in_order(blocked))


def test_a_packet_without_its_claim_is_not_refused_for_good(w: World) -> None:
    """Anyone may relay: a relayer that leaves the claim out must not be able to end the packet."""
    packet = w.send()
    update(w.b, w.a.ledger)
    refused(w.deliver(packet), "order.unproven")
    untouched(w, packet)
    expect(w.deliver_in_order(packet))


def test_received_twice_is_a_no_op(w: World) -> None:
    packet = w.send()
    expect(w.deliver_in_order(packet))
    before = ordering.next_number(w.b.ledger.chain.view(), w.b.client, w.sender.id)
    expect(w.deliver_in_order(packet))
    assert ordering.next_number(w.b.ledger.chain.view(), w.b.client, w.sender.id) == before == 2
    end(w, packet)
    expect(w.deliver_in_order(w.send()))


def test_a_refused_packet_uses_its_number_up(w: World) -> None:
    """No grant, a full inbox: the packet has ended with its refusal, and the next one's turn has come."""
    stranger = LabEndpoint(b"stranger", (w.host_a.id,))
    expect(w.a.ledger.transact(w.host_a, stranger.register(), stranger.take_fence()))
    first = sent_by(w, stranger)
    result = expect(w.deliver_in_order(first))
    assert [event.get("code") for event in result.events if event.type == "packet_refused"] == ["inbox.no_grant"]
    expect(w.b.ledger.transact(w.host_b, w.receiver.grant(w.lane, stranger)))
    second = sent_by(w, stranger)
    expect(w.deliver_in_order(second))
    assert received(w, second)


def test_with_gaps_successors_pass_when_the_one_before_can_no_longer_come() -> None:
    w = World.make(order=LaneOrder.GAPS)
    lost, later = w.send(timeout_s=30), w.send(timeout_s=600)
    refused(w.deliver_in_order(later), IN_TURN)
    w.clock.advance(seconds(29))
    refused(w.deliver_in_order(later), IN_TURN)
    w.clock.advance(seconds(2))
    expect(w.deliver_in_order(later))
    refused(w.deliver_in_order(lost), IN_TURN)
    expect(w.time_out(lost))
    end(w, later)


def test_ordered_successors_wait_until_nothing_before_them_is_open() -> None:
    w = World.make(order=LaneOrder.ORDERED)
    lost, doomed = w.send(timeout_s=30), w.send(timeout_s=60)
    w.clock.advance(seconds(31))
    refused(w.deliver_in_order(doomed), IN_TURN)
    expect(w.time_out(lost))
    still_doomed = w.send(timeout_s=60)  # sent while another one before it was open
    refused(w.deliver_in_order(still_doomed), IN_TURN)
    expect(w.time_out(doomed))
    expect(w.time_out(still_doomed))
    fresh = w.send()
    expect(w.deliver_in_order(fresh))
    assert received(w, fresh)


def test_a_passed_packet_is_never_received_after_its_successor() -> None:
    """What was let pass rests on the timeout: whatever the claims say, the past does not come back."""
    w = World.make(order=LaneOrder.GAPS)
    lost, later = w.send(timeout_s=30), w.send(timeout_s=600)
    w.clock.advance(seconds(31))
    expect(w.deliver_in_order(later))
    result = w.deliver_in_order(lost)
    assert result.code
    untouched(w, lost)


@pytest.mark.parametrize("spoiled", ["claim", "proof", "another", "absent"])
def test_a_claim_is_proven_or_it_counts_for_nothing(w: World, spoiled: str) -> None:
    first, second = w.send(), w.send()
    update(w.b, w.a.ledger)
    name, content = receive_in_order_message(w.b, w.a, second)
    if spoiled == "claim":  # what a relayer would need: nothing before it was open
        content["claim"] = Claim(lane_order(w), w.sender.id, 1, UnixSeconds(0)).to_bytes()
    elif spoiled == "proof":
        content["proof"] = content["proof"][:-1] + bytes([content["proof"][-1] ^ 1])
    elif spoiled == "another":  # the first one's place for the second packet
        other = receive_in_order_message(w.b, w.a, first)[1]
        content |= {"claim": other["claim"], "proof": other["proof"]}
    else:
        content |= {"claim": b""}
    assert w.b.ledger.transact(w.b.account, (name, content)).code
    untouched(w, second)
    untouched(w, first)


def lane_order(w: World) -> LaneOrder:
    lane = lanes.lane_of(w.b.ledger.chain.view(), w.b.client)
    assert lane is not None
    return lane.order


def test_both_ends_must_have_the_same_order() -> None:
    w = World.make(order=LaneOrder.GAPS)
    view = w.b.ledger.chain.view()
    lane = lanes.lane_of(view, w.b.client)
    assert lane is not None
    other = dataclasses.replace(lane, order=LaneOrder.ORDERED)
    w.b.ledger.chain.state.apply({(keys.LANE, keys.lane(lane.lane_id)): other.to_bytes()})
    w.b.ledger.block()
    packet = w.send()
    refused(w.deliver_in_order(packet), "order.unproven")
    untouched(w, packet)


def test_an_unordered_lane_takes_no_claims() -> None:
    w = World.make()
    packet = w.send()
    assert w.a.ledger.chain.view().get(keys.LANE, keys.order_claim(w.a.client, packet.sequence)) is None
    expect(w.deliver(packet))


def test_an_unordered_lane_takes_no_receive_in_order() -> None:
    w = World.make()
    packet = w.send()
    update(w.b, w.a.ledger)
    content = {"packet": receive_message(w.b, w.a, packet)[1], "claim": b"", "proof": b""}
    refused(w.b.ledger.transact(w.b.account, ("lane.receive", content)), "tx.bad_message")
    untouched(w, packet)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        b"\xff" * 8,
        Claim(LaneOrder.GAPS, EndpointId(Hash32(b"s" * 31)), 1, UnixSeconds(0)).to_bytes(),
        Claim(LaneOrder.GAPS, EndpointId(Hash32(b"s" * 32)), 0, UnixSeconds(0)).to_bytes(),
        Claim(LaneOrder.GAPS, EndpointId(Hash32(b"s" * 32)), 1, UnixSeconds(-1)).to_bytes(),
        Claim(LaneOrder.GAPS, EndpointId(Hash32(b"s" * 32)), 1 << 63, UnixSeconds(0)).to_bytes(),
        Claim(3, EndpointId(Hash32(b"s" * 32)), 1, UnixSeconds(0)).to_bytes(),  # type: ignore[arg-type]  # no order
    ],
    ids=["empty", "short", "garbage", "sender", "zero", "before 1970", "too great", "order"],
)
def test_another_ledgers_claim_is_never_our_damage(data: bytes) -> None:
    """A ledger with another machine may prove anything under this key: that must not stop this one."""
    with pytest.raises(OrderUnproven):
        Claim.read(data)


@pytest.mark.parametrize("order", [3, -1, "gaps", True])
def test_an_order_is_one_of_three(order: object) -> None:
    clock = SimulatedClock(START)
    a, b = (End(LabLedger(name, clock), account(name)) for name in ("alpha-1", "beta-1"))
    connect(a, b, lane=False)
    update(a, b.ledger)
    name, content = open_lane_message(a, b)
    result = a.ledger.transact(a.account, (name, {**content, "order": order}))
    assert "tx.bad_message" in result.log
    assert lanes.lane_of(a.ledger.chain.view(), a.client) is None


class TestIsNext:
    """The rule by itself: number expected 5, at 1,000 s."""

    NOW = seconds_to_nanos(UnixSeconds(1_000))

    @pytest.mark.parametrize(
        ("number", "horizon", "ordered", "gaps"),
        [
            (5, 0, True, True),
            (5, 2_000, True, True),
            (4, 0, False, False),
            (6, 0, True, True),
            (6, 1_000, False, True),
            (6, 1_001, False, False),
            (9, 1, False, True),
        ],
    )
    def test_table(self, number: int, horizon: int, ordered: bool, gaps: bool) -> None:
        claim = Claim(LaneOrder.GAPS, EndpointId(Hash32(bytes(32))), number, UnixSeconds(horizon))
        assert ordering.is_next(LaneOrder.ORDERED, claim, 5, self.NOW) is ordered
        assert ordering.is_next(LaneOrder.GAPS, claim, 5, self.NOW) is gaps


def test_the_refusals_are_kept_apart() -> None:
    assert (OutOfTurn.wire, OrderUnproven.wire) == (("lockgate", 90), ("lockgate", 91))
