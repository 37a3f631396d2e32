"""A run of MsgSendPacket. Decides as `sending.send` does, in the same order of effects."""

from __future__ import annotations

from lockgate.codec.protobuf import DEFAULT_LIMIT, uvarint
from lockgate.codec.type_urls import MSG_SEND_PACKET
from lockgate.ibc import events, host, packet_bytes, wire
from lockgate.ibc.commitment import commit_value
from lockgate.ibc.packet import Packet, Payload
from lockgate.ibc.packet_bytes import Unusual, size_at
from lockgate.ibc.ports import Call, Passage
from lockgate.ibc.runs.way import LEFT, Messages, Ran, Way
from lockgate.ibc.sending import MAX_TIMEOUT_AHEAD, next_sequence
from lockgate.ibc.wiring import Wiring
from lockgate.primitives.ids import ClientId
from lockgate.primitives.quick import make
from lockgate.primitives.state import Block, Draft, Outcome, Overlay
from lockgate.primitives.time import seconds_to_nanos


def run_sends(
    wiring: Wiring, view: Draft, block: Block, account: str, messages: Messages, first: int, last: int
) -> Ran:
    """Send packets of messages[first:last] while they go the way of the first one."""
    outcome, responses = Outcome(), list[bytes]()
    writes, happened = outcome.writes, outcome.events
    after = Overlay(view, writes)
    begun = at = first
    try:
        message = wire.read_send(messages[first][1])
        way, sequence = _way(wiring, view, block, message)
        head = packet_bytes.field(b"\x0a", way.source.encode()) + packet_bytes.number(b"\x10", way.timeout)
        tail = packet_bytes.field(b"\x22", account.encode())  # the signer is who signed the transaction
        begin, most = len(head), DEFAULT_LIMIT
        application = wiring.router.route(way.ports[0])
        on_send, passed = application.on_send, wiring.gate.on_send
        counter = (host.STORE, host.next_sequence_send(way.source))
        commitments = host.packet_commitment(way.source, 0)[:-8]
        ports, route, route_hashes, name_hashes = way.ports, way.route, way.route_hashes, way.name_hashes
        for at in range(first, last):
            name, data = messages[at]
            if name != MSG_SEND_PACKET or data[begin] != 0x1A or not data.startswith(head) or len(data) > most:
                break
            size = data[begin + 1]
            if size < 0x80:
                start = begin + 2
            else:
                size, start = size_at(data, begin + 1)
            end = start + size
            if end + len(tail) != len(data) or not data.endswith(tail):
                break
            value = way.value_in(data, start, end)
            payload = make(Payload, (*ports, value))
            packet = make(Packet, (sequence, way.source, way.destination, way.timeout, (payload,)))
            commitment = commit_value(route_hashes, name_hashes, value)
            number = uvarint(sequence)
            encoded = b"".join((b"\x08", number, route, b"\x2a", data[begin + 1 : end]))
            passage = make(Passage, (packet, commitment, account, block))

            begun = at + 1  # what is written from here on is the message's whole, or else the run is made anew
            writes[counter] = (sequence + 1).to_bytes(8, "big")
            writes[host.STORE, commitments + sequence.to_bytes(8, "big")] = commitment
            happened += events.packet_pair(events.SEND_PACKET, events.packet_attributes(packet, encoded))
            by_gate = passed(after, passage)
            outcome.then(by_gate)
            by_application = on_send(after, make(Call, (passage, 0)))
            outcome.then(by_application)
            responses.append(b"\x08" + number)
            sequence += 1
            if _disturbs(view, counter, by_gate) or _disturbs(view, counter, by_application):
                break
    except LEFT:
        if len(responses) < begun - first:
            return run_sends(wiring, view, block, account, messages, first, at)
    return Ran(outcome, responses)


def _disturbs(view: Draft, counter: tuple[str, bytes], decided: Outcome) -> bool:
    """Does what was decided touch something that the run took for granted?"""
    return bool(decided.writes) and (counter in decided.writes or view.rests_on(decided.writes))


def _way(wiring: Wiring, view: Draft, block: Block, message: wire.SendMessage) -> tuple[Way, int]:
    """The way of a message, and the sequence it gets. Raises Unusual, or any refusal that a sender meets."""
    client = host.check_named_client(message.source_client)
    terms = wiring.lanes.terms(view, client)
    counterparty = wiring.route(view, client, block.time).counterparty
    if counterparty is None:
        raise Unusual
    timeout = seconds_to_nanos(message.timeout)
    if not block.time < timeout <= block.time + MAX_TIMEOUT_AHEAD:
        raise Unusual
    sequence = next_sequence(view, client)
    packet = Packet(sequence, client, ClientId(counterparty.client_id), message.timeout, message.payloads)
    if wiring.remote_time(view, client, block.time) >= message.timeout:
        raise Unusual
    return Way.of(packet, terms), sequence
