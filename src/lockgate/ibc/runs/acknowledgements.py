"""A run of MsgAcknowledgement. Decides as `settling.acknowledge` does, in the same order of effects."""

from __future__ import annotations

from lockgate.codec.type_urls import MSG_ACKNOWLEDGEMENT
from lockgate.ibc import events, host, wire
from lockgate.ibc.commitment import commit_element
from lockgate.ibc.packet import SENTINEL
from lockgate.ibc.packet_bytes import Unusual, size_at
from lockgate.ibc.ports import Call, Ending, Passage
from lockgate.ibc.runs.way import LEFT, Messages, Ran, RelayedWay
from lockgate.ibc.wiring import Wiring
from lockgate.primitives.quick import make
from lockgate.primitives.state import Block, Draft, Outcome, Overlay


def run_acknowledgements(
    wiring: Wiring, view: Draft, block: Block, account: str, messages: Messages, first: int, last: int
) -> Ran:
    """End packets by messages[first:last] while they go the way of the first one."""
    outcome, responses = Outcome(), list[bytes]()
    writes, happened = outcome.writes, outcome.events
    after = Overlay(view, writes)
    begun = at = first
    try:
        message = wire.read_acknowledge(messages[first][1])
        relayed = RelayedWay.of(wiring, view, block, account, message, arriving=False)
        way, own = relayed.way, relayed.terms.own
        verify, on_settled = relayed.proofs.membership, wiring.gate.on_settled
        on_acknowledgement = relayed.application.on_acknowledgement
        front, remote = relayed.front, relayed.remote
        commitments = host.packet_commitment(way.source, 0)[:-8]
        for at in range(first, last):
            name, content = messages[at]
            if name != MSG_ACKNOWLEDGEMENT:
                break
            packet, commitment, encoded, end = way.packet_in(content)
            element, end = _element_at(content, end)
            proof = relayed.proof_in(content, end, 0x1A)
            number = packet[0].to_bytes(8, "big")
            place = (host.STORE, commitments + number)
            if after.get(*place) != commitment:
                break
            verify(proof, (*front, remote + number), commit_element(element))
            success = element != SENTINEL
            if own and success:
                if len(element) == len(commitment) or not element.startswith(commitment):
                    break
                element = element[len(commitment) :]
            passage = make(Passage, (packet, commitment, account, block))

            begun = at + 1  # what is written from here on is the message's whole, or else the run is made anew
            writes[place] = None
            happened += events.packet_pair(events.ACKNOWLEDGE_PACKET, events.packet_attributes(packet, encoded))
            by_gate = on_settled(after, passage, Ending.ACKNOWLEDGED if success else Ending.REFUSED)
            outcome.then(by_gate)
            by_application = on_acknowledgement(after, make(Call, (passage, 0)), element)
            outcome.then(by_application)
            responses.append(wire.SUCCESS)
            if (by_gate.writes and view.rests_on(by_gate.writes)) or (
                by_application.writes and view.rests_on(by_application.writes)
            ):
                break
    except LEFT:
        if len(responses) < begun - first:
            return run_acknowledgements(wiring, view, block, account, messages, first, at)
    return Ran(outcome, responses)


def _element_at(data: bytes, at: int) -> tuple[bytes, int]:
    """The one element of the acknowledgement list at data[at:], and where that ends. Raises Unusual or IndexError."""
    size, begin = size_at(data, at + 1)
    of_element, start = size_at(data, begin + 1)
    end = begin + size
    if data[at] != 0x12 or data[begin] != 0x0A or start + of_element != end or not of_element:
        raise Unusual
    return data[start:end], end
