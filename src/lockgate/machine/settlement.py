"""Ending what an equivocation left open, one packet at a time, by governance (P14).

No proof of either history settles a packet of a lane that an equivocation closed. The authority
announces `packet.settle` for one packet, citing both signed headers; the machine verifies that the
client's own validators signed them, that the packet is still committed, and that the lane's caps are
not used up. What was done stands under a provable key. Source: P14, P16.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lockgate.ibc import host, wire
from lockgate.ibc.commitment import commit_packet
from lockgate.ibc.packet import Packet
from lockgate.ibc.ports import Call, Passage
from lockgate.ibc.wiring import Wiring
from lockgate.machine import answers, endpoints, keys, lanes, ordering
from lockgate.machine.clients import Clients
from lockgate.machine.errors import NotEquivocation, NotSettleable
from lockgate.machine.records import Lane, OpenSends, Settlement
from lockgate.primitives.errors import PeerFault, Refused
from lockgate.primitives.ids import ClientId, Hash32
from lockgate.primitives.state import Block, Outcome, Overlay, View

RETURNED: Final = "returned"  # as if it had timed out: applications take back what they sent
WRITTEN_OFF: Final = "written_off"  # it may have acted on the other side: nothing is taken back
ENDINGS: Final = (RETURNED, WRITTEN_OFF)


@dataclass(frozen=True, slots=True)
class Settling:
    """A settlement that passed every check."""

    lane: Lane
    packet: Packet
    commitment: Hash32
    headers: tuple[bytes, bytes]
    after: OpenSends  # settled over this lane so far, this packet included


def check(view: View, clients: Clients, arguments: Mapping[str, Any]) -> Settling:
    """Raise NotSettleable or NotEquivocation unless this packet may be settled on this evidence."""
    client = ClientId(arguments["client"])
    lane = lanes.lane_of(view, client)
    if lane is None or not lane.equivocated:
        raise NotSettleable("no equivocation closed a lane over this client", client=client)
    if arguments["ending"] not in ENDINGS:
        raise NotSettleable("a packet is returned or written_off", ending=arguments["ending"])
    packet = wire.read_packet(arguments["packet"])
    commitment = commit_packet(packet)
    stored = view.get(host.STORE, host.packet_commitment(client, packet.sequence))
    if packet.source_client != client or stored != commitment:
        raise NotSettleable("the packet is not open here", client=client, sequence=packet.sequence)
    done = settled(view, client)
    after = OpenSends(done.packets + 1, done.payload_bytes + lanes.packet_bytes(packet))
    if after.packets > lane.caps.packets or after.payload_bytes > lane.caps.payload_bytes:
        raise NotSettleable("the lane's caps are used up", settled=done.packets, most=lane.caps.packets)
    try:
        headers = clients.of(view, client).equivocation(view, client, arguments["evidence"])
    except (PeerFault, Refused) as failure:
        raise NotEquivocation(failure.code, client=client) from failure
    if headers is None:
        raise NotEquivocation("this client's ledger did not sign two histories there", client=client)
    return Settling(lane, packet, commitment, headers, after)


def carry_out(
    view: View, block: Block, wiring: Wiring, clients: Clients, arguments: Mapping[str, Any], announced: int
) -> Outcome:
    """End the packet and record how; every check is made again, on the state of now."""
    ready = check(view, clients, arguments)
    packet, lane, ending = ready.packet, ready.lane, arguments["ending"]
    client, sequence = lane.local_client, packet.sequence
    outcome = Outcome()
    outcome.delete(host.STORE, host.packet_commitment(client, sequence))
    outcome.then(answers.forget_message(view, client, sequence))
    outcome.then(lanes.ended(view, lane, packet))
    outcome.then(ordering.ended(view, lane, sequence))
    record = Settlement(
        ready.commitment,
        ending,
        hashlib.sha256(arguments["evidence"]).digest(),
        *ready.headers,
        announced,
        block.height.height,
    )
    outcome.set(keys.LANE, keys.settlement(client, sequence), record.to_bytes())
    outcome.set(keys.LANE, keys.settled(client), ready.after.to_bytes())
    passage = Passage(packet, ready.commitment, "", block)
    after = Overlay(view, outcome.writes)
    for index, payload in enumerate(packet.payloads):
        if ending == RETURNED:
            outcome.then(wiring.router.route(payload.source_port).on_timeout(after, Call(passage, index)))
        elif endpoints.endpoint_of_port(payload.source_port) is not None:
            outcome.then(answers.message_ended(packet, payload, WRITTEN_OFF))
    outcome.emit("packet_settled", ("client", client), ("sequence", str(sequence)), ("ending", ending))
    return outcome


def settled(view: View, client: str) -> OpenSends:
    """How many packets, with how many bytes, were settled over a lane so far."""
    data = view.get(keys.LANE, keys.settled(client))
    return OpenSends(0, 0) if data is None else OpenSends.from_bytes(data)


__all__ = ("ENDINGS", "RETURNED", "WRITTEN_OFF", "Settling", "carry_out", "check", "settled")
