"""The tables of a packet's life, held against what the handlers do."""

from __future__ import annotations

from itertools import product

import pytest

from lockgate.ibc import answering
from lockgate.ibc.errors import HeldPacketMissing
from lockgate.ibc.life import REDUNDANT, TRANSITIONS, Arrived, Phase, Sent, Step, arrived_phase, sent_phase
from lockgate.ibc.packet import Acknowledgement, Packet
from lockgate.ibc.ports import Held
from lockgate.primitives.time import NANOS_PER_SECOND
from tests.support.ibc_world import Pair, update_client

SENT_STEPS = (Step.SEND, Step.ACKNOWLEDGE, Step.TIME_OUT)
ARRIVED_STEPS = (Step.RECEIVE, Step.HOLD, Step.ANSWER)


def pair_in(phase: Phase) -> tuple[Pair, Packet]:
    """Two worlds with one packet in that phase, acknowledgeable and past its timeout where that is possible."""
    pair = Pair.connected()
    packet = pair.in_flight()
    if phase in (Sent.PENDING, Sent.ENDED):
        pair.receive(packet)
        pair.sync()
        if phase is Sent.ENDED:
            pair.acknowledge(packet)
    elif phase is Arrived.HELD:
        pair.b.gate.admission = Held()
        pair.receive(packet)
    elif phase is Arrived.ANSWERED:
        pair.receive(packet)
    return pair, packet


def run(pair: Pair, packet: Packet, step: Step) -> bool:
    """Take the step; True when it changed something. Raises what the handler raises."""
    if step is Step.ACKNOWLEDGE:
        return not pair.acknowledge(packet).is_noop
    if step is Step.TIME_OUT:
        pair.b.time = packet.timeout * NANOS_PER_SECOND
        pair.b.commit()
        update_client(pair.a, pair.b.height)
        return not pair.time_out(packet).is_noop
    if step is Step.ANSWER:
        done = answering.write_acknowledgement(
            pair.b.wiring, pair.b.state, packet.destination_client, packet.sequence, Acknowledgement((b"x",))
        )
        pair.b.apply(done.outcome)
        return True
    pair.b.gate.admission = Held() if step is Step.HOLD else None
    return not pair.receive(packet).is_noop


@pytest.mark.parametrize(("phase", "step"), [
    *product((Sent.PENDING, Sent.ENDED), (Step.ACKNOWLEDGE,)),
    (Sent.ENDED, Step.TIME_OUT),
    *product(Arrived, ARRIVED_STEPS),
])  # fmt: skip
def test_the_handlers_do_what_the_tables_say(phase: Phase, step: Step) -> None:
    pair, packet = pair_in(phase)

    def now() -> Phase:
        if isinstance(phase, Sent):
            return sent_phase(pair.a.state, packet.source_client, packet.sequence)
        return arrived_phase(pair.b.state, packet.destination_client, packet.sequence)

    assert now() is phase
    following = TRANSITIONS.get((phase, step))
    if following is not None:
        assert run(pair, packet, step)
        assert now() is following
    elif (phase, step) in REDUNDANT:
        assert not run(pair, packet, step)
        assert now() is phase
    else:
        with pytest.raises(HeldPacketMissing):
            run(pair, packet, step)
        assert now() is phase


def test_sending_and_timing_out() -> None:
    pair = Pair.connected()
    assert sent_phase(pair.a.state, pair.a.client, 1) is Sent.UNSENT
    packet = pair.in_flight()
    assert sent_phase(pair.a.state, pair.a.client, 1) is TRANSITIONS[Sent.UNSENT, Step.SEND]
    assert run(pair, packet, Step.TIME_OUT)
    assert sent_phase(pair.a.state, pair.a.client, 1) is TRANSITIONS[Sent.PENDING, Step.TIME_OUT]


def test_a_forgotten_packet_counts_as_answered() -> None:
    pair = Pair.connected()
    assert arrived_phase(pair.b.state, pair.b.client, 5, forgotten_to=5) is Arrived.ANSWERED
    assert arrived_phase(pair.b.state, pair.b.client, 6, forgotten_to=5) is Arrived.UNSEEN


def test_no_pair_is_both_a_move_and_redundant() -> None:
    assert not REDUNDANT & set(TRANSITIONS)
