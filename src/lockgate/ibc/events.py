"""Events of IBC core, attribute for attribute as ibc-go v11 emits them.

Relayers rebuild messages from `encoded_packet_hex` and `encoded_acknowledgement_hex`. ibc-go emits
`recv_packet` twice for one packet, an accident of its cached contexts; here it appears once.
"""

from __future__ import annotations

from collections.abc import Sequence as Items
from typing import Final

from lockgate.ibc.packet import Packet
from lockgate.primitives.ids import Height
from lockgate.primitives.quick import make
from lockgate.primitives.state import Event, Outcome

SEND_PACKET: Final = "send_packet"
RECV_PACKET: Final = "recv_packet"
WRITE_ACKNOWLEDGEMENT: Final = "write_acknowledgement"
ACKNOWLEDGE_PACKET: Final = "acknowledge_packet"
TIMEOUT_PACKET: Final = "timeout_packet"
CREATE_CLIENT: Final = "create_client"
UPDATE_CLIENT: Final = "update_client"
UPGRADE_CLIENT: Final = "upgrade_client"
RECOVER_CLIENT: Final = "recover_client"
CLIENT_MISBEHAVIOUR: Final = "client_misbehaviour"

SOURCE_CLIENT: Final = "packet_source_client"
DESTINATION_CLIENT: Final = "packet_dest_client"
SEQUENCE: Final = "packet_sequence"
TIMEOUT_TIMESTAMP: Final = "packet_timeout_timestamp"
ENCODED_PACKET: Final = "encoded_packet_hex"
ENCODED_ACKNOWLEDGEMENT: Final = "encoded_acknowledgement_hex"

ERROR_PREFIX: Final = "ibccallbackerror-"
_CHANNEL_MESSAGE: Final = Event("message", (("module", "ibc_channelv2"),))
_CLIENT_MESSAGE: Final = Event("message", (("module", "ibc_client"),))


Attributes = tuple[tuple[str, str], ...]


def packet_attributes(packet: Packet, encoded: bytes) -> Attributes:
    """What every packet event says. `encoded` is the packet's protobuf form."""
    return (
        (SOURCE_CLIENT, packet.source_client),
        (DESTINATION_CLIENT, packet.destination_client),
        (SEQUENCE, str(packet.sequence)),
        (TIMEOUT_TIMESTAMP, str(packet.timeout)),
        (ENCODED_PACKET, encoded.hex()),
    )


def packet_pair(kind: str, attributes: Attributes) -> tuple[Event, Event]:
    """One of the four packet events, and the one that goes with it."""
    return make(Event, (kind, attributes)), _CHANNEL_MESSAGE


def acknowledgement_pair(attributes: Attributes, acknowledgement: bytes) -> tuple[Event, Event]:
    """`write_acknowledgement` and the event that goes with it; `acknowledgement` is the list's protobuf form."""
    return make(
        Event, (WRITE_ACKNOWLEDGEMENT, (*attributes, (ENCODED_ACKNOWLEDGEMENT, acknowledgement.hex())))
    ), _CHANNEL_MESSAGE


def packet_event(outcome: Outcome, kind: str, attributes: Attributes) -> None:
    """Emit one of the four packet events."""
    outcome.events += packet_pair(kind, attributes)


def acknowledgement_event(outcome: Outcome, attributes: Attributes, acknowledgement: bytes) -> None:
    """Emit `write_acknowledgement`. `acknowledgement` is the protobuf form of the list."""
    outcome.events += acknowledgement_pair(attributes, acknowledgement)


def client_event(
    outcome: Outcome, kind: str, client: str, client_type: str, *heights: tuple[str, str], subject: bool = False
) -> None:
    """Emit an event of a client; `heights` are its height attributes, in order."""
    name = "subject_client_id" if subject else "client_id"
    outcome.events += (
        Event(kind, ((name, client), ("client_type", client_type), *heights)),
        _CLIENT_MESSAGE,
    )


def consensus_height(height: Height) -> tuple[str, str]:
    return "consensus_height", str(height)


def consensus_heights(heights: Items[Height]) -> tuple[tuple[str, str], tuple[str, str]]:
    """The attribute for the first height, kept for older readers, and the one for all."""
    first = str(heights[0]) if heights else ""
    return ("consensus_height", first), ("consensus_heights", ",".join(map(str, heights)))


def as_errors(events: Items[Event]) -> list[Event]:
    """What applications emitted before a later payload was refused, marked as never having happened."""
    return [
        Event(
            ERROR_PREFIX + event.type,
            tuple((ERROR_PREFIX + name, value) for name, value in event.attributes),
        )
        for event in events
    ]
