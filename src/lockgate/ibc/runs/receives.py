"""A run of MsgRecvPacket. Decides as `receiving.receive` does, in the same order of effects."""

from __future__ import annotations

from lockgate.codec.type_urls import MSG_RECV_PACKET
from lockgate.ibc import events, host, packet_bytes, wire
from lockgate.ibc.commitment import commit_element
from lockgate.ibc.packet import SENTINEL
from lockgate.ibc.ports import Accepted, Application, Call, Held, Passage, Passed, Rejected
from lockgate.ibc.receiving import RECEIPT
from lockgate.ibc.runs.way import LEFT, Messages, Ran, RelayedWay
from lockgate.ibc.wiring import Wiring
from lockgate.primitives.quick import make
from lockgate.primitives.state import Block, Draft, Outcome, Overlay


def run_receives(
    wiring: Wiring, view: Draft, block: Block, account: str, messages: Messages, first: int, last: int
) -> Ran:
    """Receive packets of messages[first:last] while they go the way of the first one."""
    outcome, responses = Outcome(), list[bytes]()
    writes, happened = outcome.writes, outcome.events
    after = Overlay(view, writes)
    receipt = None  # of the message at hand: the one thing that must be seen before it is accepted
    try:
        relayed = RelayedWay.of(wiring, view, block, account, wire.read_receive(messages[first][1]), arriving=True)
        way, terms, application, proofs = relayed.way, relayed.terms, relayed.application, relayed.proofs
        forgotten, own = terms.forgotten_to, terms.own
        on_receive, verify, front, remote = wiring.gate.on_receive, proofs.membership, relayed.front, relayed.remote
        receipts = host.packet_receipt(way.destination, 0)[:-8]
        acknowledgements = host.packet_acknowledgement(way.destination, 0)[:-8]
        for at in range(first, last):
            name, content = messages[at]
            if name != MSG_RECV_PACKET:
                break
            packet, commitment, encoded, end = way.packet_in(content)
            proof = relayed.proof_in(content, end, 0x12)
            sequence = packet[0]
            number = sequence.to_bytes(8, "big")
            place = (host.STORE, receipts + number)
            if sequence <= forgotten or after.get(*place):
                break
            verify(proof, (*front, remote + number), commitment)

            receipt, writes[place] = place, RECEIPT
            passage = make(Passage, (packet, commitment, account, block))
            admission = on_receive(after, passage)
            attributes = events.packet_attributes(packet, encoded)
            if isinstance(admission, Held):
                decided = admission.outcome
                writes.update(decided.writes)
                writes[wiring.held_store, host.async_packet(way.destination, sequence)] = encoded
                happened += (*events.packet_pair(events.RECV_PACKET, attributes), *decided.events)
            else:
                answer = (host.STORE, acknowledgements + number)
                done = None if after.get(*answer) else _executed(after, passage, application, admission, own=own)
                if done is None or answer in done[0].writes:
                    break
                decided, element = done
                written = events.acknowledgement_pair(attributes, packet_bytes.message(b"\x0a", element))
                happened += (*events.packet_pair(events.RECV_PACKET, attributes), *decided.events, *written)
                writes.update(decided.writes)
                writes[answer] = commit_element(element)
            receipt = None
            responses.append(wire.SUCCESS)
            if decided.writes and view.rests_on(decided.writes):
                break
    except LEFT:
        pass
    if receipt is not None:
        del writes[receipt]
    return Ran(outcome, responses)


def _executed(
    after: Overlay, passage: Passage, application: Application, admission: Passed | Rejected, *, own: bool
) -> tuple[Outcome, bytes] | None:
    """What gate and application decided and the acknowledgement element; None when it is not plainly a success."""
    if not isinstance(admission, Passed):
        return None
    first = admission.outcome
    begun = Outcome(first.writes.copy(), first.events.copy()) if first.writes or first.events else None
    current = after if begun is None else Overlay(after, begun.writes)
    reception = application.on_receive(current, make(Call, (passage, 0)))
    if not isinstance(reception, Accepted):
        return None
    element, decided = reception.acknowledgement, reception.outcome
    if not element or element == SENTINEL:
        return None
    if begun is not None:
        begun.then(decided)
        decided = begun
    return decided, passage.commitment + element if own else element
