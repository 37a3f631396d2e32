"""Random interleavings of senders, relayers and clocks: at most one of received and timed out (C5)."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from lockgate.codec import type_urls as urls
from lockgate.ibc import answering, host
from lockgate.ibc.life import REDUNDANT, Step, arrived_phase, sent_phase
from lockgate.ibc.packet import Acknowledgement, Packet
from lockgate.ibc.ports import Held, Rejected
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.time import NANOS_PER_SECOND
from tests.support.ibc_world import Pair, payload, update_client

# Around whole seconds, where rounding could let both ends of a packet's life happen.
STEPS = st.sampled_from([1, NANOS_PER_SECOND - 1, NANOS_PER_SECOND, NANOS_PER_SECOND + 1, 3 * NANOS_PER_SECOND])


class TwoLedgers(RuleBasedStateMachine):
    """Any relayer may do anything at any time; the two ledgers' clocks run apart."""

    def __init__(self) -> None:
        super().__init__()
        self.pair = Pair.connected()
        self.packets: list[Packet] = [self.pair.in_flight(payload(b"yes"), seconds=4)]

    @rule(seconds=st.integers(1, 6), refused=st.booleans())
    def send(self, seconds: int, refused: bool) -> None:
        value = b"no" if refused else b"yes"
        try:
            self.packets.append(self.pair.send(payload(value), seconds=seconds))
        except LockgateError:
            return
        assert self.packets[-1].sequence == len(self.packets)

    @rule(forward_a=STEPS, forward_b=STEPS)
    def headers_travel(self, forward_a: int, forward_b: int) -> None:
        """Both ledgers make a block, each after its own while, and each learns of the other's."""
        for world, nanos in ((self.pair.a, forward_a), (self.pair.b, forward_b)):
            world.time += nanos
            world.commit(0)
        update_client(self.pair.a, self.pair.b.height)
        update_client(self.pair.b, self.pair.a.height)

    @rule(forward=STEPS)
    def headers_of_b_are_late(self, forward: int) -> None:
        """The destination goes on without the source hearing of it."""
        self.pair.b.time += forward
        self.pair.b.commit(0)
        update_client(self.pair.b, self.pair.a.height)

    @rule(data=st.data(), past=st.sampled_from([-NANOS_PER_SECOND, -1, 0, 1, NANOS_PER_SECOND - 1]))
    def a_timeout_comes(self, data: st.DataObject, past: int) -> None:
        """The destination makes a block within a second of a packet's timeout, and the source learns of it."""
        packet = self._pick(data)
        instant = packet.timeout * NANOS_PER_SECOND + past if packet is not None else 0
        if instant > self.pair.b.time:
            self.pair.b.time = instant
            self.pair.b.commit(0)
            update_client(self.pair.a, self.pair.b.height)

    @rule(data=st.data(), hold=st.booleans())
    def receive(self, data: st.DataObject, hold: bool) -> None:
        packet = self._pick(data)
        if packet is None:
            return
        self.pair.b.gate.admission = Held() if hold else None
        self.pair.b.app.answers[b"no"] = Rejected("test.refused")
        phase = arrived_phase(self.pair.b.state, packet.destination_client, packet.sequence)
        try:
            done = self.pair.receive(packet)
        except LockgateError:
            return
        assert done.is_noop == ((phase, Step.RECEIVE) in REDUNDANT)

    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        packet = self._pick(data)
        if packet is None:
            return
        world = self.pair.b
        try:
            done = answering.write_acknowledgement(
                world.wiring, world.state, packet.destination_client, packet.sequence, Acknowledgement((b"late",))
            )
        except LockgateError:
            return
        world.apply(done.outcome)

    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        packet = self._pick(data)
        if packet is None:
            return
        for elements in ((b"late",), (b"ack of yes",)):
            message = self.pair.acknowledge_message(packet, Acknowledgement(elements))
            self._settle(packet, urls.MSG_ACKNOWLEDGEMENT, message, Step.ACKNOWLEDGE)

    @rule(data=st.data())
    def time_out(self, data: st.DataObject) -> None:
        packet = self._pick(data)
        if packet is not None:
            self._settle(packet, urls.MSG_TIMEOUT, self.pair.timeout_message(packet), Step.TIME_OUT)

    def _settle(self, packet: Packet, url: str, message: bytes, step: Step) -> None:
        phase = sent_phase(self.pair.a.state, packet.source_client, packet.sequence)
        try:
            done = self.pair.a.deliver(url, message)
        except LockgateError:
            return
        assert done.is_noop == ((phase, step) in REDUNDANT)

    def _pick(self, data: st.DataObject) -> Packet | None:
        return data.draw(st.sampled_from(self.packets)) if self.packets else None

    @invariant()
    def each_packet_ends_in_at_most_one_way(self) -> None:
        a, b = self.pair.a, self.pair.b
        for packet in self.packets:
            times = [
                int.from_bytes(world.state.get("app", f"app/{step}/{packet.sequence}/0".encode()) or b"", "big")
                for world, step in ((a, "send"), (a, "acknowledge"), (a, "timeout"), (b, "receive"))
            ]
            assert times[0] == 1
            assert max(times) <= 1
            received = b.state.get("ibc", host.packet_receipt(packet.destination_client, packet.sequence)) is not None
            assert times[1] + times[2] <= 1
            assert not (times[2] and received)
            assert times[1] <= received


TestTwoLedgers = TwoLedgers.TestCase
TestTwoLedgers.settings = settings(max_examples=250, stateful_step_count=20, deadline=None)
