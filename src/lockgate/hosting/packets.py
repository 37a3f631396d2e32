"""A sealed message as it stands in a step, and the packet that the ledger will make of it (P4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lockgate.envelope.binding import SenderChoice
from lockgate.host.sealing import Lane
from lockgate.hosting.config import PeerRef
from lockgate.ibc.commitment import commit_packet
from lockgate.ibc.packet import Packet, Payload
from lockgate.machine.gate import PAYLOAD_ENCODING, PAYLOAD_VERSION
from lockgate.primitives.time import UnixSeconds


def content_of(
    peer: PeerRef, timeout: UnixSeconds, value: bytes, choice: SenderChoice, beside: Sequence[Payload]
) -> dict[str, Any]:
    """One of a step's sends: an envelope to a peer, and payloads to applications that share its packet (P2)."""
    content: dict[str, Any] = {
        "client": peer.local_client,
        "destination": peer.endpoint,
        "timeout": int(timeout),
        "value": value,
        "fence": choice.fence,
        "counter": choice.counter,
    }
    if beside:
        content["beside"] = [
            [other.source_port, other.destination_port, other.version, other.encoding, other.value] for other in beside
        ]
    return content


def commitment_of(
    endpoint: str, peer: PeerRef, lane: Lane, timeout: UnixSeconds, value: bytes, beside: Sequence[Payload]
) -> bytes:
    """The commitment of its packet, 32 bytes, before any ledger has seen it."""
    payload = Payload(
        source_port=endpoint,
        destination_port=peer.endpoint,
        version=PAYLOAD_VERSION,
        encoding=PAYLOAD_ENCODING,
        value=value,
    )
    packet = Packet(
        sequence=1,  # not committed to: the ledger gives it, under the key of the commitment
        source_client=lane.local_client,
        destination_client=lane.remote_client,
        timeout=timeout,
        payloads=(payload, *beside),
    )
    return commit_packet(packet)


__all__ = ("commitment_of", "content_of")
