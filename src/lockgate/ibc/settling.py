"""Settling: a sent packet ends, by its acknowledgement or by proof that it was never received.

The commitment is deleted before any application is called, and the view they are given shows it
gone: a callback that comes back with the same packet finds nothing to settle (A15). An application's
error undoes all of it, and the packet stays pending. Source: specs/ibc-v2.md §7.
"""

from __future__ import annotations

from typing import NamedTuple

from lockgate.ibc import events, host, wire
from lockgate.ibc.answering import check_named
from lockgate.ibc.commitment import commit_acknowledgement, commit_packet
from lockgate.ibc.counterparty import Counterparty, check_relayer, expect_counterparty
from lockgate.ibc.errors import CommitmentMismatch, EmptyProof, TimeoutNotReached
from lockgate.ibc.packet import SENTINEL, Packet, check_acknowledgement, check_count, check_packet
from lockgate.ibc.ports import Call, Ending, LightClient, Passage
from lockgate.ibc.wiring import Wiring
from lockgate.primitives.ids import Hash32
from lockgate.primitives.quick import make
from lockgate.primitives.state import Block, Outcome, Overlay, View
from lockgate.primitives.time import floor_seconds


class Settled(NamedTuple):
    """What became of a sent packet; `ending` is None when it had ended before (a no-op)."""

    outcome: Outcome
    packet: Packet
    ending: Ending | None

    @property
    def noop(self) -> bool:
        return self.ending is None


def acknowledge(wiring: Wiring, view: View, block: Block, message: wire.AcknowledgeMessage) -> Settled:
    """End a packet by its acknowledgement. Raises a typed refusal, writes nothing."""
    packet, acknowledgement = message.packet, message.acknowledgement
    client, sequence = packet.source_client, packet.sequence
    terms = wiring.lanes.terms(view, client)
    if not message.proof:
        raise EmptyProof("no proof of the acknowledgement", client=client, sequence=sequence)
    check_acknowledgement(acknowledgement, terms.max_payloads)
    check_packet(packet, terms.max_payloads)
    counterparty, module = _parties(wiring, view, block, message)
    commitment = _pending(view, packet)
    if commitment is None:
        return Settled(Outcome(response=wire.NOOP), packet, None)
    if module is None:
        module = wiring.clients.active(view, client, block.time).module
    module.verify_membership(
        view,
        client,
        message.proof_height,
        message.proof,
        host.proof_path(counterparty.merkle_prefix, host.packet_acknowledgement(packet.destination_client, sequence)),
        commit_acknowledgement(acknowledgement),
    )
    check_count(packet, acknowledgement)
    check_named(terms, commitment, acknowledgement)

    outcome = _ended(packet, events.ACKNOWLEDGE_PACKET, message.encoded)
    passage = make(Passage, (packet, commitment, message.signer, block))
    after = Overlay(view, outcome.writes)
    success = acknowledgement.success
    ending = Ending.ACKNOWLEDGED if success else Ending.REFUSED
    outcome.then(wiring.gate.on_settled(after, passage, ending))
    for index, payload in enumerate(packet.payloads):
        element = acknowledgement.elements[index] if success else SENTINEL
        if terms.own and success:
            element = element[len(commitment) :]
        application = wiring.router.route(payload.source_port)
        outcome.then(application.on_acknowledgement(after, make(Call, (passage, index)), element))
    return make(Settled, (outcome, packet, ending))


def time_out(wiring: Wiring, view: View, block: Block, message: wire.RelayMessage) -> Settled:
    """End a packet by proof that it was not received in time. Raises a typed refusal, writes nothing.

    Receiving is allowed only while floor(time) < timeout; here the header that proves absence has
    floor(time) >= timeout, and its root covers every earlier block. So the two exclude each other (C5).
    """
    packet = message.packet
    client, sequence = packet.source_client, packet.sequence
    if not message.proof:
        raise EmptyProof("no proof of absence", client=client, sequence=sequence)
    check_packet(packet, wiring.lanes.terms(view, client).max_payloads)
    counterparty, module = _parties(wiring, view, block, message)
    proven_at = floor_seconds(wiring.clients.timestamp_at(view, client, message.proof_height))
    if proven_at < packet.timeout:
        raise TimeoutNotReached("the header is too early", timeout=packet.timeout, header_time=proven_at)
    commitment = _pending(view, packet)
    if commitment is None:
        return Settled(Outcome(response=wire.NOOP), packet, None)
    if module is None:
        module = wiring.clients.active(view, client, block.time).module
    module.verify_non_membership(
        view,
        client,
        message.proof_height,
        message.proof,
        host.proof_path(counterparty.merkle_prefix, host.packet_receipt(packet.destination_client, sequence)),
    )

    outcome = _ended(packet, events.TIMEOUT_PACKET, message.encoded)
    passage = make(Passage, (packet, commitment, message.signer, block))
    after = Overlay(view, outcome.writes)
    outcome.then(wiring.gate.on_settled(after, passage, Ending.TIMED_OUT))
    for index, payload in enumerate(packet.payloads):
        application = wiring.router.route(payload.source_port)
        outcome.then(application.on_timeout(after, make(Call, (passage, index))))
    return Settled(outcome, packet, Ending.TIMED_OUT)


def _parties(
    wiring: Wiring, view: View, block: Block, message: wire.RelayMessage | wire.AcknowledgeMessage
) -> tuple[Counterparty, LightClient | None]:
    """Check who relays and for whom; return the counterparty, and the light client if it is active."""
    client, named = message.packet.source_client, message.packet.destination_client
    counterparty, allowed, module = wiring.route(view, client, block.time)
    if allowed and message.signer not in allowed:
        check_relayer(view, client, message.signer)
    if counterparty is None or counterparty.client_id != named:
        counterparty = expect_counterparty(view, client, named)
    return counterparty, module


def _pending(view: View, packet: Packet) -> Hash32 | None:
    """Return the packet's commitment while it is stored, None once it is gone.

    Raises CommitmentMismatch when another packet is stored under the sequence.
    """
    stored = view.get(host.STORE, host.packet_commitment(packet.source_client, packet.sequence))
    if not stored:
        return None
    commitment = commit_packet(packet)
    if commitment != stored:
        raise CommitmentMismatch("not the packet that was sent", stored=stored, computed=commitment)
    return commitment


def _ended(packet: Packet, kind: str, encoded: bytes) -> Outcome:
    outcome = Outcome(response=wire.SUCCESS)
    outcome.delete(host.STORE, host.packet_commitment(packet.source_client, packet.sequence))
    events.packet_event(outcome, kind, events.packet_attributes(packet, encoded))
    return outcome
