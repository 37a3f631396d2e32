"""Sending: a packet gets the client's next sequence, and its commitment is stored to be proven.

Order of checks as ibc-go v11 (specs/ibc-v2.md §7). The timeout is compared with this ledger's own
block time in full resolution, and with the remote ledger's latest known time in whole seconds.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from lockgate.ibc import events, host, wire
from lockgate.ibc.commitment import commit_packet
from lockgate.ibc.errors import (
    BadHostIdentifier,
    BadPacket,
    BadPayload,
    BadTimeout,
    CounterpartyNotFound,
    SendSequenceMissing,
    TimeoutElapsed,
    TimeoutTooFar,
)
from lockgate.ibc.packet import Packet, check_frame, check_payloads
from lockgate.ibc.ports import Call, Passage
from lockgate.ibc.wiring import Wiring
from lockgate.primitives.ids import Hash32
from lockgate.primitives.quick import make
from lockgate.primitives.state import Block, Outcome, Overlay, View
from lockgate.primitives.time import NANOS_PER_SECOND, DurationNanos, seconds_to_nanos

MAX_TIMEOUT_AHEAD: Final = DurationNanos(24 * 3_600 * NANOS_PER_SECOND)  # ibc-go's MaxTimeoutDelta, P13


class SentPacket(NamedTuple):
    """A packet on its way: its sequence is in `packet`, `outcome` holds the commitment and events."""

    outcome: Outcome
    packet: Packet
    commitment: Hash32
    noop: bool = False


def send(wiring: Wiring, view: View, block: Block, message: wire.SendMessage) -> SentPacket:
    """Send a packet. `message.signer` is the account that sends; raises a typed refusal, writes nothing."""
    client = host.check_named_client(message.source_client)
    max_payloads = wiring.lanes.terms(view, client).max_payloads
    if message.timeout == 0:
        raise BadTimeout("zero", client=client)
    check_payloads(message.payloads, max_payloads)
    counterparty = wiring.route(view, client, block.time).counterparty
    if counterparty is None:
        raise CounterpartyNotFound("not registered", client=client)
    timeout = seconds_to_nanos(message.timeout)
    if timeout <= block.time:
        raise TimeoutElapsed("not after the block time", timeout=message.timeout, block_time=block.time)
    if timeout > block.time + MAX_TIMEOUT_AHEAD:
        raise TimeoutTooFar("beyond 24 hours", timeout=message.timeout, block_time=block.time)
    sequence = next_sequence(view, client)
    packet = make(Packet, (sequence, client, counterparty.client_id, message.timeout, message.payloads))
    try:
        check_frame(packet)  # each payload has been checked
    except (BadPayload, BadHostIdentifier) as error:
        # The payloads passed alone, so what is wrong is the packet they make; ibc-go says so, too.
        raise BadPacket(str(error), client=client, sequence=sequence) from error
    remote_time = wiring.remote_time(view, client, block.time)
    if remote_time >= message.timeout:
        raise TimeoutElapsed("the other ledger is past it", timeout=message.timeout, remote_time=remote_time)

    commitment = commit_packet(packet)
    outcome = Outcome(response=wire.send_response(sequence))
    outcome.set(host.STORE, host.next_sequence_send(client), (sequence + 1).to_bytes(8, "big"))
    outcome.set(host.STORE, host.packet_commitment(client, sequence), commitment)
    attributes = events.packet_attributes(packet, wire.encode_packet(packet))
    events.packet_event(outcome, events.SEND_PACKET, attributes)
    passage = make(Passage, (packet, commitment, message.signer, block))
    after = Overlay(view, outcome.writes)
    outcome.then(wiring.gate.on_send(after, passage))
    for index, payload in enumerate(packet.payloads):
        application = wiring.router.route(payload.source_port)
        outcome.then(application.on_send(after, make(Call, (passage, index))))
    return make(SentPacket, (outcome, packet, commitment, False))


def next_sequence(view: View, client: str) -> int:
    """Return the sequence the next packet over `client` gets. Raises SendSequenceMissing."""
    data = view.get(host.STORE, host.next_sequence_send(client))
    if data is None:
        raise SendSequenceMissing("no next sequence", client=client)
    return int.from_bytes(data, "big")
