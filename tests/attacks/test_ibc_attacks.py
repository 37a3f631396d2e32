"""Replays of past bridge failures at the layer of IBC core: A15, C4, C5 of specs/incidents.md."""

from __future__ import annotations

from typing import Any

import pytest

from lockgate.codec import type_urls as urls
from lockgate.codec.wire import ibc_client_pb2
from lockgate.ibc import dispatch, host, wire
from lockgate.ibc.commitment import commit_acknowledgement, commit_packet
from lockgate.ibc.errors import (
    AcknowledgementUnnamed,
    CommitmentMismatch,
    CounterpartyMismatch,
    CounterpartyNotFound,
    TimeoutElapsed,
    TimeoutNotReached,
)
from lockgate.ibc.packet import Acknowledgement, Packet
from lockgate.ibc.ports import Call
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.state import View
from lockgate.primitives.time import NANOS_PER_SECOND
from tests.support.ibc_fakes import RELAYER, SENDER, FakeProofWrong, client_state, consensus_state, proof_of, set_status
from tests.support.ibc_world import Pair, World, payload, register_message, update_client, upgrade_client
from tests.support.values import replace


def past_timeout(pair: Pair, packet: Packet, nanos: int = 0) -> None:
    pair.b.time = packet.timeout * NANOS_PER_SECOND + nanos
    pair.b.commit()
    update_client(pair.a, pair.b.height)


class Reentrant:
    """Runs messages from inside a callback, on the very view the callback was given."""

    def __init__(self, world: World, messages: list[tuple[str, bytes]]) -> None:
        self.world, self.messages = world, messages
        self.results: list[dispatch.Dispatched | LockgateError] = []
        self.depth = 0

    def __call__(self, step: str, view: View, call: Call) -> None:
        if self.depth:
            return
        self.depth += 1
        for url, data in self.messages:
            try:
                done = dispatch.dispatch(self.world.wiring, view, self.world.block, RELAYER, url, data)
            except LockgateError as error:
                self.results.append(error)
            else:
                self.results.append(done)
        self.depth -= 1


def done_nothing(result: Any) -> bool:
    return isinstance(result, LockgateError) or (result.is_noop and not result.outcome.writes)


def test_a15_a_callback_that_times_out_its_own_packet_again_finds_nothing() -> None:
    """The refund of a timeout is paid once: the commitment is gone before the application is called."""
    pair = Pair.connected()
    packet = pair.in_flight()
    past_timeout(pair, packet)
    message = pair.timeout_message(packet)
    attack = Reentrant(pair.a, [(urls.MSG_TIMEOUT, message)] * 3)
    pair.a.app.reenter = attack
    pair.a.deliver(urls.MSG_TIMEOUT, message)
    assert len(attack.results) == 3
    assert all(map(done_nothing, attack.results))
    assert pair.a.app.calls.count(("timeout", 1, None)) == 1


def test_a15_a_callback_that_acknowledges_its_own_packet_again_finds_nothing() -> None:
    pair = Pair.connected()
    packet = pair.delivered()
    message = pair.acknowledge_message(packet)
    attack = Reentrant(pair.a, [(urls.MSG_ACKNOWLEDGEMENT, message), (urls.MSG_TIMEOUT, pair.timeout_message(packet))])
    pair.a.app.reenter = attack
    pair.a.deliver(urls.MSG_ACKNOWLEDGEMENT, message)
    assert len(attack.results) == 2
    assert all(map(done_nothing, attack.results))
    assert [call for call in pair.a.app.calls if call[0] != "send"] == [("acknowledge", 1, b"ack of hello")]


def test_a15_a_callback_that_receives_its_own_packet_again_finds_nothing() -> None:
    pair = Pair.connected()
    packet = pair.in_flight()
    message = pair.receive_message(packet)
    attack = Reentrant(pair.b, [(urls.MSG_RECV_PACKET, message)] * 2)
    pair.b.app.reenter = attack
    pair.b.deliver(urls.MSG_RECV_PACKET, message)
    assert all(map(done_nothing, attack.results))
    assert pair.b.app.calls == [("receive", 1, None)]


def test_a15_a_callback_that_sends_gets_the_next_sequence() -> None:
    """A send from inside a send must not reuse the sequence of the packet under way."""
    pair = Pair.connected()
    inner: list[int] = []

    def send_again(step: str, view: View, call: Call) -> None:
        if call.packet.sequence == 1:
            message = pair.send_message()
            done = dispatch.dispatch(pair.a.wiring, view, pair.a.block, SENDER, urls.MSG_SEND_PACKET, message)
            assert done.sent is not None
            inner.append(done.sent.packet.sequence)

    pair.a.app.reenter = send_again
    pair.send()
    assert inner == [2]


def test_a15_a_gate_sees_the_commitment_gone_as_well() -> None:
    pair = Pair.connected()
    packet = pair.delivered()
    key = host.packet_commitment(packet.source_client, packet.sequence)
    seen: list[bytes | None] = []
    settle = pair.a.gate.on_settled

    def watch(view: View, passage: Any, ending: Any, /) -> Any:
        seen.append(view.get("ibc", key))
        return settle(view, passage, ending)

    pair.a.gate.on_settled = watch  # type: ignore[method-assign]
    pair.acknowledge(packet)
    assert seen == [None, None]  # `World.deliver` settles in a run and by the plain handler: gone in both


def second_client(pair: Pair) -> str:
    """Another client of a on b, paired with a's same client: a second lane between the same ledgers."""
    message = wire_create(pair)
    pair.b.deliver(urls.MSG_CREATE_CLIENT, message, SENDER)
    name = "99-fake-2"
    pair.b.deliver(urls.MSG_REGISTER_COUNTERPARTY, register_message(name, pair.a.client, SENDER), SENDER)
    return name


def wire_create(pair: Pair) -> bytes:
    return ibc_client_pb2.MsgCreateClient(
        client_state=client_state(Height(1, pair.a.height)),
        consensus_state=consensus_state(pair.a.time_at(Height(1, pair.a.height))),
        signer=SENDER,
    ).SerializeToString()


def test_c4_a_packet_does_not_pass_over_a_second_lane() -> None:
    """The same bytes through another client: its commitment names another destination."""
    pair = Pair.connected()
    packet = pair.in_flight()
    other = second_client(pair)
    pair.receive(packet)
    message = wire.read_receive(pair.receive_message(packet))
    before = pair.b.state.snapshot()
    moved = replace(packet, destination_client=ClientId(other))
    with pytest.raises(FakeProofWrong):
        pair.b.deliver(urls.MSG_RECV_PACKET, wire.encode_receive(moved, message.proof, message.proof_height, RELAYER))
    height = message.proof_height
    key = host.packet_commitment(packet.source_client, packet.sequence)
    fitted = proof_of(height, (b"ibc", key), commit_packet(moved))
    with pytest.raises(FakeProofWrong):
        pair.b.deliver(urls.MSG_RECV_PACKET, wire.encode_receive(moved, fitted, height, RELAYER))
    assert pair.b.state.snapshot() == before


def test_c4_a_packet_does_not_come_from_a_client_that_is_not_the_counterparty() -> None:
    pair = Pair.connected()
    packet = pair.in_flight()
    message = wire.read_receive(pair.receive_message(packet))
    for source in ("99-fake-1", "99-fake-2"):
        moved = replace(packet, source_client=ClientId(source))
        data = wire.encode_receive(moved, message.proof, message.proof_height, RELAYER)
        with pytest.raises((CounterpartyMismatch, CounterpartyNotFound)):
            pair.b.deliver(urls.MSG_RECV_PACKET, data)


def test_c4_a_duplicate_after_a_client_upgrade_or_recovery_does_nothing() -> None:
    pair = Pair.connected()
    packet = pair.in_flight()
    message = pair.receive_message(packet)
    pair.b.deliver(urls.MSG_RECV_PACKET, message)
    pair.b.apply(set_status(pair.b.state, pair.b.client, "Expired"))
    pair.b.apply(set_status(pair.b.state, pair.b.client, "Active"))
    assert pair.b.deliver(urls.MSG_RECV_PACKET, message).is_noop
    upgrade_client(pair.b)
    assert pair.b.deliver(urls.MSG_RECV_PACKET, message).is_noop
    assert len(pair.b.app.calls) == 1


def test_c4_after_a_rollback_an_acknowledgement_of_another_packet_ends_nothing() -> None:
    """P4. The receiver's ledger lost a block and reused the sequence: the sender compares the name."""
    pair = Pair.connected()
    pair.own_lane()
    packet = pair.delivered(payload(b"the real one"))
    lost = replace(packet, payloads=(payload(b"another history"),))
    stale = Acknowledgement((commit_packet(lost) + b"ok",))
    key = host.packet_acknowledgement(packet.destination_client, packet.sequence)
    pair.b.state.stores["ibc"][key] = commit_acknowledgement(stale)
    pair.sync()
    before = pair.a.state.snapshot()
    with pytest.raises(AcknowledgementUnnamed):
        pair.a.deliver(urls.MSG_ACKNOWLEDGEMENT, pair.acknowledge_message(packet, stale))
    assert pair.a.state.snapshot() == before


def test_c4_after_a_rollback_of_the_sender_the_old_packet_ends_nothing() -> None:
    """The sender's ledger sent another packet under the sequence: only that one can be settled."""
    pair = Pair.connected()
    packet = pair.delivered(payload(b"old"))
    message = pair.acknowledge_message(packet)
    key = host.packet_commitment(packet.source_client, packet.sequence)
    pair.a.state.stores["ibc"][key] = commit_packet(replace(packet, payloads=(payload(b"new"),)))
    before = pair.a.state.snapshot()
    with pytest.raises(CommitmentMismatch):
        pair.a.deliver(urls.MSG_ACKNOWLEDGEMENT, message)
    assert pair.a.state.snapshot() == before


@pytest.mark.parametrize("nanos", [-NANOS_PER_SECOND, -1, 0, 1, NANOS_PER_SECOND - 1, NANOS_PER_SECOND])
def test_c5_at_every_instant_a_packet_is_receivable_or_refundable_never_both(nanos: int) -> None:
    """Received at destination time t only if floor(t) < T; refunded only by a header with floor(t) >= T."""
    pair = Pair.connected()
    packet = pair.in_flight()
    receive = pair.receive_message(packet)
    past_timeout(pair, packet, nanos)
    refund = pair.timeout_message(packet)
    pair.b.time = packet.timeout * NANOS_PER_SECOND + nanos  # the instant of that header, again
    try:
        pair.b.deliver(urls.MSG_RECV_PACKET, receive)
        received = True
    except TimeoutElapsed:
        received = False
    try:
        pair.a.deliver(urls.MSG_TIMEOUT, refund)
        refunded = True
    except TimeoutNotReached:
        refunded = False
    assert received != refunded
    assert received == (nanos < 0)


def test_c5_the_local_clock_refunds_nothing() -> None:
    """The source's own clock may be far past the timeout; only the destination's proven time counts."""
    pair = Pair.connected()
    packet = pair.in_flight()
    pair.a.time += 10_000 * NANOS_PER_SECOND
    pair.a.commit()
    with pytest.raises(TimeoutNotReached):
        pair.time_out(packet)
    assert pair.receive(packet).outcome.response == b"\x08\x02"
    pair.sync()
    assert pair.acknowledge(packet).outcome.response == b"\x08\x02"


def test_c5_absence_before_the_receipt_proves_no_timeout() -> None:
    """An old header where the packet was still absent is too early, though absence is true there."""
    pair = Pair.connected()
    packet = pair.in_flight()
    old = pair.timeout_message(packet)
    pair.receive(packet)
    past_timeout(pair, packet)
    with pytest.raises(TimeoutNotReached):
        pair.a.deliver(urls.MSG_TIMEOUT, old)
    with pytest.raises(FakeProofWrong):
        pair.time_out(packet)
