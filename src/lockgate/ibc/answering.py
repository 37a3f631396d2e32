"""Writing acknowledgements: at once when a packet is received, or later for a packet that was held.

An acknowledgement is written once per packet and never changed: the stored one forbids a second, and
a held packet's record goes with the first. Source: ICS-04 v2 WriteAcknowledgement, P2–P4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from lockgate.ibc import events, host, wire
from lockgate.ibc.commitment import commit_acknowledgement, commit_packet
from lockgate.ibc.counterparty import expect_counterparty
from lockgate.ibc.errors import (
    AcknowledgementExists,
    AcknowledgementUnnamed,
    HeldPacketMissing,
    ReceiptMissing,
)
from lockgate.ibc.execution import NONE_GIVEN, Executed, Postponed, Undone, execute
from lockgate.ibc.packet import (
    ERROR_ACKNOWLEDGEMENT,
    Acknowledgement,
    Packet,
    check_acknowledgement,
    check_count,
)
from lockgate.ibc.ports import Passage, Rejected, Terms
from lockgate.ibc.wiring import Wiring
from lockgate.primitives.ids import ClientId, Hash32
from lockgate.primitives.state import Block, Outcome, Overlay, View


class Answered(NamedTuple):
    """A held packet got its acknowledgement. `rejected` says why it is the sentinel (P3)."""

    outcome: Outcome
    packet: Packet
    commitment: Hash32
    rejected: Rejected | None = None
    held: bool = False  # an application deferred once more; nothing was acknowledged


def held_packet(wiring: Wiring, view: View, client: str, sequence: int) -> Packet:
    """Return the packet that waits under (destination client, sequence). Raises HeldPacketMissing."""
    return _held(wiring, view, client, sequence)[0]


def write_acknowledgement(
    wiring: Wiring, view: View, client: str, sequence: int, acknowledgement: Acknowledgement
) -> Answered:
    """Acknowledge a held packet with elements as they stand on the wire.

    On own lanes each element of a success must start with the packet's commitment already (P4).
    Raises HeldPacketMissing, BadAcknowledgement, AcknowledgementCount, AcknowledgementUnnamed,
    AcknowledgementExists or ReceiptMissing.
    """
    packet, encoded, terms = _held(wiring, view, client, sequence)
    commitment = commit_packet(packet)
    check_acknowledgement(acknowledgement, terms.max_payloads)
    check_count(packet, acknowledgement)
    check_named(terms, commitment, acknowledgement)
    outcome = Outcome()
    _write_late(wiring, view, outcome, packet, encoded, acknowledgement)
    return Answered(outcome, packet, commitment)


def refuse(wiring: Wiring, view: View, client: str, sequence: int, rejected: Rejected | None = None) -> Answered:
    """Acknowledge a held packet with the error sentinel, whatever its number of payloads."""
    done = write_acknowledgement(wiring, view, client, sequence, ERROR_ACKNOWLEDGEMENT)
    return Answered(done.outcome, done.packet, done.commitment, rejected)


def answer(
    wiring: Wiring,
    view: View,
    block: Block,
    client: str,
    sequence: int,
    account: str,
    given: Mapping[int, bytes] = NONE_GIVEN,
) -> Answered:
    """Execute a held packet as a whole and acknowledge it (P2).

    `given` maps payload indexes executed elsewhere to their acknowledgement bytes, without the
    commitment in front; every other payload's application runs now, all in one sub-state. When one
    of them refuses, the result carries `rejected` and the sentinel, and the caller drops its own part.
    """
    packet, encoded, terms = _held(wiring, view, client, sequence)
    passage = Passage(packet, commit_packet(packet), account, block)
    done = execute(wiring, view, passage, Outcome(), own=terms.own, given=given)
    outcome = Outcome()
    match done:
        case Postponed(written):
            return Answered(written, packet, passage.commitment, held=True)
        case Executed(written, elements):
            outcome.then(written)
            acknowledgement, rejected = Acknowledgement(elements), None
        case Undone(rejected, marked):
            outcome.events += marked
            acknowledgement = ERROR_ACKNOWLEDGEMENT
    _write_late(wiring, Overlay(view, outcome.writes), outcome, packet, encoded, acknowledgement)
    return Answered(outcome, packet, passage.commitment, rejected)


def write(
    view: View,
    outcome: Outcome,
    packet: Packet,
    attributes: events.Attributes,
    acknowledgement: Acknowledgement,
) -> None:
    """Add an acknowledgement's commitment and event to `outcome`, whose writes `view` already shows.

    `attributes` are those of the packet's events. The list is either what `execute` returned, one
    element per payload, or the error acknowledgement. Raises AcknowledgementExists.
    """
    key = host.packet_acknowledgement(packet.destination_client, packet.sequence)
    if view.get(host.STORE, key):
        raise AcknowledgementExists("written before", client=packet.destination_client, sequence=packet.sequence)
    outcome.set(host.STORE, key, commit_acknowledgement(acknowledgement))
    events.acknowledgement_event(outcome, attributes, wire.encode_acknowledgement(acknowledgement))


def check_named(terms: Terms, commitment: Hash32, acknowledgement: Acknowledgement) -> None:
    """On own lanes every element of a success starts with the packet's commitment (P4).

    Raises AcknowledgementUnnamed. The sentinel names no packet: it is a constant of the standard.
    """
    if not terms.own or not acknowledgement.success:
        return
    for element in acknowledgement.elements:
        if not element.startswith(commitment) or len(element) == len(commitment):
            raise AcknowledgementUnnamed("names another packet, or is empty", expected=commitment, got=element[:32])


def _write_late(
    wiring: Wiring,
    view: View,
    outcome: Outcome,
    packet: Packet,
    encoded: bytes,
    acknowledgement: Acknowledgement,
) -> None:
    client, sequence = packet.destination_client, packet.sequence
    write(view, outcome, packet, events.packet_attributes(packet, encoded), acknowledgement)
    if not view.get(host.STORE, host.packet_receipt(client, sequence)):
        raise ReceiptMissing("never received", client=client, sequence=sequence)
    outcome.delete(wiring.held_store, host.async_packet(client, sequence))


def _held(wiring: Wiring, view: View, client: str, sequence: int) -> tuple[Packet, bytes, Terms]:
    data = view.get(wiring.held_store, host.async_packet(client, sequence))
    if data is None:
        raise HeldPacketMissing("nothing waits there", client=client, sequence=sequence)
    packet = wire.read_packet(data)
    expect_counterparty(view, client, packet.source_client)
    return packet, data, wiring.lanes.terms(view, ClientId(client))
