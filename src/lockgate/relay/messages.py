"""Builds packet messages with proofs that were checked here as the client on the other ledger will check them.

First what is proven of each packet is looked at, then those that travel together get their messages: proofs
may be joint, so that which packets they are for is known last. What a proof shows may not be what was
expected: the packet has ended, or was received after all. That is no failure of the packet but news.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf.any_pb2 import Any as AnyMessage

from lockgate.codec import type_urls as urls
from lockgate.codec.wire import ibc_client_pb2 as client_wire
from lockgate.courier.plan import Track
from lockgate.courier.ports import Ground, Proven
from lockgate.ibc import host
from lockgate.ibc import wire as ibc_wire
from lockgate.ibc.commitment import commit_acknowledgement, commit_packet
from lockgate.ibc.packet import Acknowledgement, Packet
from lockgate.machine.transaction import Message
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.ids import ClientId


class Stage(enum.Enum):
    """What is done for a packet, by the message that does it."""

    RECEIVE = urls.MSG_RECV_PACKET
    ACKNOWLEDGE = urls.MSG_ACKNOWLEDGEMENT
    TIME_OUT = urls.MSG_TIMEOUT


class News(enum.Enum):
    """What a proof told instead of what it was asked for."""

    ENDED = "the commitment is gone"
    OTHER_PACKET = "another packet stands under this sequence"
    RECEIVED = "the packet was received after all"
    NOT_ITS_TURN = "an earlier packet of its sender has not been received"
    OTHER_ANSWER = "another acknowledgement, or none, stands under this sequence"


@dataclass(frozen=True, slots=True)
class Path:
    """The two clients of one direction."""

    source_client: ClientId
    dest_client: ClientId

    def key(self, stage: Stage, sequence: int) -> bytes:
        """What must be proven: on the source for a receive, else on the destination."""
        match stage:
            case Stage.RECEIVE:
                return host.packet_commitment(self.source_client, sequence)
            case Stage.ACKNOWLEDGE:
                return host.packet_acknowledgement(self.dest_client, sequence)
            case Stage.TIME_OUT:
                return host.packet_receipt(self.dest_client, sequence)


@dataclass(frozen=True, slots=True)
class Part:
    """A packet whose next step is proven."""

    track: Track
    packet: Packet
    proven: Proven
    acknowledgement: Acknowledgement | None = None
    claim: Proven | None = None  # of its place, over an ordered lane


async def look(path: Path, stage: Stage, tracks: Sequence[Track], ground: Ground) -> list[Part | News | Exception]:
    """What is proven of each packet on `ground`, or why its next step is not."""
    keys = [path.key(stage, track.sequence) for track in tracks]
    found: list[Part | News | Exception] = []
    for track, proven in zip(tracks, await ground.prove(host.STORE, keys), strict=True):
        if isinstance(proven, Exception):
            found.append(proven)
            continue
        try:
            found.append(_part(stage, track, proven))
        except LockgateError as refusal:  # the packet's own, never the batch's
            found.append(refusal)
    return found


def messages(stage: Stage, parts: Sequence[Part], ground: Ground, signer: str) -> list[Message]:
    """The messages of packets that travel in one transaction, in this order."""
    height = ground.height
    proofs = ground.proofs([part.proven for part in parts])
    match stage:
        case Stage.RECEIVE:
            encoded = [
                ibc_wire.encode_receive(part.packet, proof, height, signer)
                for part, proof in zip(parts, proofs, strict=True)
            ]
        case Stage.TIME_OUT:
            encoded = [
                ibc_wire.encode_timeout(part.packet, proof, height, signer)
                for part, proof in zip(parts, proofs, strict=True)
            ]
        case Stage.ACKNOWLEDGE:
            encoded = [
                ibc_wire.encode_acknowledge(part.packet, part.acknowledgement, proof, height, signer)
                for part, proof in zip(parts, proofs, strict=True)
                if part.acknowledgement is not None
            ]
    return [(stage.value, content) for content in encoded]


def update_client(client: str, kind: str, value: bytes, signer: str) -> Message:
    """A MsgUpdateClient around a client message of this type URL: what brings it forward, or evidence."""
    message = client_wire.MsgUpdateClient(
        client_id=client, client_message=AnyMessage(type_url=kind, value=value), signer=signer
    )
    return urls.MSG_UPDATE_CLIENT, message.SerializeToString(deterministic=True)


def _part(stage: Stage, track: Track, proven: Proven) -> Part | News:
    packet = ibc_wire.read_packet(track.packet)
    match stage:
        case Stage.RECEIVE:
            if proven.value != commit_packet(packet):
                return News.ENDED if proven.value is None else News.OTHER_PACKET
            return Part(track, packet, proven)
        case Stage.TIME_OUT:
            return News.RECEIVED if proven.value is not None else Part(track, packet, proven)
        case Stage.ACKNOWLEDGE:
            assert track.acknowledgement is not None, "only answered packets are acknowledged"
            acknowledgement = ibc_wire.read_acknowledgement(track.acknowledgement)
            if proven.value != commit_acknowledgement(acknowledgement):
                return News.OTHER_ANSWER
            return Part(track, packet, proven, acknowledgement)


__all__ = ("News", "Part", "Path", "Stage", "look", "messages", "update_client")
