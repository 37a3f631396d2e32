"""Receiving: a proven packet leaves a receipt, runs its applications, and gets an acknowledgement.

The receipt stays whatever the applications say; what they write does not, unless all of them accept.
An expired packet is refused before duplicates are looked for, so an expired duplicate is an error
and not a redundant relay. Order of checks as ibc-go v11 (specs/ibc-v2.md §7).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from lockgate.ibc import answering, events, host, wire
from lockgate.ibc.commitment import commit_packet
from lockgate.ibc.counterparty import check_relayer, expect_counterparty
from lockgate.ibc.errors import EmptyProof, TimeoutElapsed
from lockgate.ibc.execution import Executed, Postponed, Undone, execute
from lockgate.ibc.packet import ERROR_ACKNOWLEDGEMENT, Acknowledgement, Packet, check_packet
from lockgate.ibc.ports import Held, Passage, Rejected
from lockgate.ibc.wiring import Wiring
from lockgate.primitives.ids import Hash32
from lockgate.primitives.quick import make
from lockgate.primitives.state import Block, Outcome, Overlay, View
from lockgate.primitives.time import floor_seconds

RECEIPT: Final = b"\x02"  # ibc-go's value; only its presence or absence is ever proven
NO_COMMITMENT: Final = Hash32(b"")


class Received(NamedTuple):
    """What became of a relayed packet.

    `noop`: it had been received before and nothing was done. `held`: it waits for `answer`.
    `rejected`: it was refused, the sentinel is written; the typed reason is the caller's to record (P3).
    """

    outcome: Outcome
    packet: Packet
    commitment: Hash32 = NO_COMMITMENT  # empty on a no-op
    noop: bool = False
    held: bool = False
    rejected: Rejected | None = None


def receive(wiring: Wiring, view: View, block: Block, message: wire.RelayMessage) -> Received:
    """Receive a packet. `message.signer` is the relayer; raises a typed refusal, writes nothing."""
    packet = message.packet
    client, sequence = packet.destination_client, packet.sequence
    terms = wiring.lanes.terms(view, client)
    if not message.proof:
        raise EmptyProof("no proof of the commitment", client=client, sequence=sequence)
    check_packet(packet, terms.max_payloads)
    counterparty, allowed, module = wiring.route(view, client, block.time)
    if allowed and message.signer not in allowed:
        check_relayer(view, client, message.signer)
    if counterparty is None or counterparty.client_id != packet.source_client:
        counterparty = expect_counterparty(view, client, packet.source_client)
    if floor_seconds(block.time) >= packet.timeout:
        raise TimeoutElapsed("received too late", timeout=packet.timeout, block_time=block.time)
    receipt = host.packet_receipt(client, sequence)
    if sequence <= terms.forgotten_to or view.get(host.STORE, receipt):
        return Received(Outcome(response=wire.NOOP), packet, noop=True)
    commitment = commit_packet(packet)
    if module is None:
        module = wiring.clients.active(view, client, block.time).module
    module.verify_membership(
        view,
        client,
        message.proof_height,
        message.proof,
        host.proof_path(counterparty.merkle_prefix, host.packet_commitment(packet.source_client, sequence)),
        commitment,
    )

    outcome = Outcome(response=wire.SUCCESS)
    outcome.set(host.STORE, receipt, RECEIPT)
    attributes = events.packet_attributes(packet, message.encoded)
    events.packet_event(outcome, events.RECV_PACKET, attributes)
    after = Overlay(view, outcome.writes)
    passage = make(Passage, (packet, commitment, message.signer, block))
    admission = wiring.gate.on_receive(after, passage)
    if isinstance(admission, Held):
        return _hold(wiring, outcome, admission.outcome, message, commitment)
    rejected: Rejected | None = None
    if isinstance(admission, Rejected):
        rejected, acknowledgement = admission, ERROR_ACKNOWLEDGEMENT
    else:
        match execute(wiring, after, passage, admission.outcome, own=terms.own):
            case Executed(written, elements):
                outcome.then(written)
                acknowledgement = make(Acknowledgement, (elements,))
            case Undone(rejected, marked):
                outcome.events += marked
                acknowledgement = ERROR_ACKNOWLEDGEMENT
            case Postponed(written):
                return _hold(wiring, outcome, written, message, commitment)
    answering.write(after, outcome, packet, attributes, acknowledgement)
    return make(Received, (outcome, packet, commitment, False, False, rejected))


def _hold(
    wiring: Wiring, outcome: Outcome, written: Outcome, message: wire.RelayMessage, commitment: Hash32
) -> Received:
    packet = message.packet
    outcome.then(written)
    key = host.async_packet(packet.destination_client, packet.sequence)
    outcome.set(wiring.held_store, key, message.encoded)
    return Received(outcome, packet, commitment, held=True)
