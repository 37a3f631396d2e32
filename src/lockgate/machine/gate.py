"""The one gate every packet passes: lanes, endpoints, grants (P2, P9, P15). Nothing avoids it.

A packet with a payload to an endpoint is held as a whole: receive only validates and puts it into the
inbox; what all of its payloads do happens at the endpoint's Answer, in one sub-state. A refusal here is
the packet's, never the transaction's: it becomes the error acknowledgement, and its reason a provable
record (P3).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from lockgate.ibc.packet import Packet, Payload
from lockgate.ibc.ports import Admission, Ending, Held, Passage, Passed, Rejected, Terms
from lockgate.machine import answers, deviations, endpoints, inbox, lanes, ordering, pruning
from lockgate.machine.context import Context
from lockgate.machine.errors import BadPayload, EndpointRevoked, LaneForeign, LaneStopped, NoLane, SendOutsideAnswer
from lockgate.machine.ordering import OrderUnproven
from lockgate.machine.records import Entry, Lane, LaneOrder, LanePhase
from lockgate.primitives.errors import Refused
from lockgate.primitives.ids import ClientId, EndpointId, Hash32
from lockgate.primitives.state import Outcome, View, fact
from lockgate.primitives.time import UnixNanos

PAYLOAD_VERSION: Final = "lockgate-1"
PAYLOAD_ENCODING: Final = "application/cose"
_PASSED: Final = Passed()  # what is added to a gate's outcome is added to a copy


class LaneGate:
    """Meets `ibc.ports.Gate`. `from_answer` says whether sends come out of an Answer or Advance."""

    def __init__(
        self, context: Callable[[], Context], *, from_answer: bool, in_turn: Callable[[], bool] = lambda: False
    ) -> None:
        self._context = context
        self._from_answer = from_answer
        self._in_turn = in_turn  # was the place of the packet at hand proven, on an ordered lane?

    def on_send(self, view: View, passage: Passage, /) -> Outcome:
        packet = passage.packet
        ours = [p for p in packet.payloads if _addresses_endpoint(p)]
        lane = lanes.lane_of(view, packet.source_client)
        if lane is not None:
            lanes.check_open(lane)
        elif ours:
            raise NoLane("endpoints use open lanes only", client=packet.source_client)
        else:
            return Outcome()
        if ours and not lane.own:
            raise LaneForeign("endpoints use lanes between ledgers of ours", client=packet.source_client)
        if not ours:
            return lanes.opened(view, lane, packet)
        if not self._from_answer:
            raise SendOutsideAnswer("an endpoint's port is not free to use", port=ours[0].source_port)
        _check_endpoint_payloads(packet)
        outcome = lanes.opened(view, lane, packet)
        sender = EndpointId(Hash32(bytes.fromhex(ours[0].source_port)))
        outcome.then(ordering.sent(view, lane, packet.sequence, sender, packet.timeout))
        return outcome

    def on_receive(self, view: View, passage: Passage, /) -> Admission:
        packet = passage.packet
        client = packet.destination_client
        lane = lanes.lane_of(view, client)
        if lane is not None and lane.equivocated:
            lanes.check_open(lane)  # which of the two histories sent it, nobody can say: no receipt, no answer
        deviations.check(view, client, passage.block.time)
        # Between ledgers of ours an endpoint's port at one end of a payload alone is the other ledger's forgery.
        concerns = _addresses_endpoint if lane is not None and lane.own else _receives_at_endpoint
        if not any(map(concerns, packet.payloads)):
            if lane is not None and lane.phase is not LanePhase.OPEN:
                return Rejected(LaneStopped.code)
            return _PASSED
        if lane is not None and lane.order is not LaneOrder.UNORDERED and not self._in_turn():
            raise OrderUnproven("no claim", client=client, sequence=packet.sequence)  # and not refused for good
        try:
            if lane is None:
                raise NoLane("endpoints use open lanes only", client=client)
            lanes.check_open(lane)
            if not lane.own:
                raise LaneForeign("endpoints use lanes between ledgers of ours", client=client)
            _check_endpoint_payloads(packet)
            return Held(self._admit(view, passage, lane))
        except Refused as refusal:
            return Rejected(refusal.code)

    def on_settled(self, view: View, passage: Passage, ending: Ending, /) -> Outcome:
        packet = passage.packet
        lane = lanes.lane_of(view, packet.source_client)
        outcome = answers.forget_message(view, packet.source_client, packet.sequence)
        if lane is not None:
            if lane.equivocated:
                lanes.check_open(lane)  # a proof under either history settles nothing (P14)
            outcome.then(lanes.ended(view, lane, packet))
            outcome.then(ordering.ended(view, lane, packet.sequence))
        return outcome

    def _admit(self, view: View, passage: Passage, lane: Lane) -> Outcome:
        context = self._context()
        index = next(i for i, p in enumerate(passage.packet.payloads) if _addresses_endpoint(p))
        payload = passage.packet.payloads[index]
        receiver = endpoints.endpoint_of_port(payload.destination_port)
        sender = endpoints.endpoint_of_port(payload.source_port)
        if receiver is None or sender is None:
            raise BadPayload("both ports of a payload to an endpoint are endpoint ids")
        state = endpoints.load(view, receiver)
        if state.revoked_at:
            raise EndpointRevoked("revoked", endpoint=receiver, height=state.revoked_at)
        entry = Entry(
            receiver,
            lane.lane_id,
            EndpointId(Hash32(sender)),
            bytes(passage.commitment),
            UnixNanos(context.block.time + lane.grace),
            context.block.height.height,
            index,
        )
        outcome = inbox.admit(view, context, lane, entry, passage.packet.sequence)
        outcome.emit(
            "inbox",
            ("endpoint", receiver.hex()),
            ("client", passage.packet.destination_client),
            ("sequence", str(passage.packet.sequence)),
            ("sender", sender.hex()),
            ("deadline", str(entry.deadline)),
        )
        return outcome


class LaneTerms:
    """Meets `ibc.ports.Lanes`: own lanes carry several payloads and bind acknowledgements (P2, P4)."""

    def __init__(self, context: Callable[[], Context]) -> None:
        self._context = context

    def terms(self, view: View, client_id: ClientId, /) -> Terms:
        return fact(view, _terms, client_id, self._context().parameters.max_payloads)


def _terms(view: View, client: ClientId, max_payloads: int) -> Terms:
    lane = lanes.lane_of(view, client)
    if lane is None or not lane.own:
        return Terms.FOREIGN
    return Terms(own=True, max_payloads=max_payloads, forgotten_to=pruning.watermark(view, client))


def _receives_at_endpoint(payload: Payload) -> bool:
    port = payload.destination_port
    return len(port) == endpoints.ENDPOINT_PORT and endpoints.endpoint_of_port(port) is not None


def _addresses_endpoint(payload: Payload) -> bool:
    source = payload.source_port
    return _receives_at_endpoint(payload) or (
        len(source) == endpoints.ENDPOINT_PORT and endpoints.endpoint_of_port(source) is not None
    )


def _check_endpoint_payloads(packet: Packet) -> None:
    """P2: at most one payload addresses an endpoint, on either side, and it is an envelope (I7)."""
    ours = [p for p in packet.payloads if _addresses_endpoint(p)]
    if len(ours) > 1:
        raise BadPayload("a packet has one payload to an endpoint at most", count=len(ours))
    for payload in ours:
        if endpoints.endpoint_of_port(payload.source_port) is None:
            raise BadPayload("the source port is the sending endpoint's id", port=payload.source_port)
        if endpoints.endpoint_of_port(payload.destination_port) is None:
            raise BadPayload("the destination port is the receiving endpoint's id", port=payload.destination_port)
        if payload.version != PAYLOAD_VERSION or payload.encoding != PAYLOAD_ENCODING:
            raise BadPayload("not an envelope", version=payload.version, encoding=payload.encoding)


__all__ = ("LaneGate", "LaneTerms")
