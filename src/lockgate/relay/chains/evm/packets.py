"""Packets as the host contract stores and tells them, in the words every courier reads (`ibc.events`).

Source: solidity-ibc ICS26 router; docs/spec/evm.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from lockgate.codec.errors import Malformed
from lockgate.crypto.keccak import keccak256
from lockgate.ibc import events as ibc_events
from lockgate.ibc import wire
from lockgate.ibc.packet import Acknowledgement, Packet, Payload
from lockgate.primitives.ids import ClientId
from lockgate.primitives.state import Event
from lockgate.primitives.time import UnixSeconds
from lockgate.relay.chains.evm.answers import Log
from lockgate.relay.chains.evm.interface import Interface, interface
from lockgate.relay.rpc import BadAnswer

TOPICS: Final = {
    ibc_events.SEND_PACKET: "SendPacket",
    ibc_events.WRITE_ACKNOWLEDGEMENT: "WriteAcknowledgement",
    ibc_events.ACKNOWLEDGE_PACKET: "AckPacket",
    ibc_events.TIMEOUT_PACKET: "TimeoutPacket",
}
SKIPPED_PACKET: Final = "skipped_packet"  # of a batch: why the contract left it as it was


def host_interface() -> Interface:
    return interface("host")


def packet_fields(packet: Packet) -> tuple[Any, ...]:
    """A packet as the contract's ABI has it."""
    payloads = tuple(map(_payload_fields, packet.payloads))
    return packet.sequence, packet.source_client, packet.destination_client, packet.timeout, payloads


def item_fields(packet: Packet) -> tuple[Any, ...]:
    """A packet of one payload as a batch has it, which names its two clients once."""
    (payload,) = packet.payloads
    return packet.sequence, packet.timeout, _payload_fields(payload)


def _payload_fields(one: Payload) -> tuple[Any, ...]:
    return one.source_port, one.destination_port, one.version, one.encoding, one.value


def packet_of(fields: Sequence[Any]) -> Packet:
    sequence, source, destination, timeout, payloads = fields
    return Packet(
        sequence=sequence,
        source_client=ClientId(source),
        destination_client=ClientId(destination),
        timeout=UnixSeconds(timeout),
        payloads=tuple(
            Payload(source_port=a, destination_port=b, version=c, encoding=d, value=e) for a, b, c, d, e in payloads
        ),
    )


def batch_of(source: str, destination: str, items: Sequence[Any]) -> tuple[Packet, ...]:
    """The packets of a batch, which names their two clients once."""
    return tuple(packet_of((sequence, source, destination, timeout, (one,))) for sequence, timeout, one in items)


def told_by(log: Log) -> tuple[str, tuple[Any, ...]] | None:
    """An event of the host's: its name, and what of it is not indexed. None for another contract's.

    None as well for one with text that is not UTF-8, which anybody can have it emit: no ledger reads such a packet, so
    nothing follows from it. Raises BadAnswer for one that the contract cannot emit.
    """
    try:
        return host_interface().event(log)
    except Malformed as error:
        if host_interface().shaped(log):
            return None
        raise BadAnswer("an event that the contract cannot emit", block=log.block, index=log.index) from error


def events_of(logs: Sequence[Log]) -> tuple[Event, ...]:
    """What the host's logs say, in order. Raises BadAnswer for one that its contract cannot emit."""
    return tuple(event for log in logs for event in _events(log))


def _events(log: Log) -> tuple[Event, ...]:
    found = told_by(log)
    if found is None:
        return ()
    name, values = found
    if name == "LanePaused":
        return (Event("lane_paused", (("client_id", values[0]),)),)
    if name == "Skipped":
        if len(log.topics) != 3:
            raise BadAnswer("an event with other topics than its own", block=log.block, index=log.index)
        return (
            Event(SKIPPED_PACKET, ((ibc_events.SEQUENCE, str(int.from_bytes(log.topics[2]))), ("reason", values[0]))),
        )
    kind = next((kind for kind, told in TOPICS.items() if told == name), None)
    if kind is None:
        return ()
    packet = packet_of(values[0])
    client = packet.destination_client if kind == ibc_events.WRITE_ACKNOWLEDGEMENT else packet.source_client
    if log.topics[1:] != (keccak256(client.encode()), packet.sequence.to_bytes(32)):
        raise BadAnswer("an event whose topics are another packet's", block=log.block, index=log.index)
    attributes = ibc_events.packet_attributes(packet, wire.encode_packet(packet))
    if kind != ibc_events.WRITE_ACKNOWLEDGEMENT:
        return (Event(kind, attributes),)
    answer = wire.encode_acknowledgement(Acknowledgement(values[1])).hex()
    return (
        Event(ibc_events.RECV_PACKET, attributes),
        Event(kind, (*attributes, (ibc_events.ENCODED_ACKNOWLEDGEMENT, answer))),
    )


__all__ = (
    "SKIPPED_PACKET",
    "TOPICS",
    "batch_of",
    "events_of",
    "host_interface",
    "item_fields",
    "packet_fields",
    "packet_of",
    "told_by",
)
