"""What a courier knows of the packets of one direction: read from both ledgers, advisory only.

Two sources: events of blocks as they appear, and a scan of the source's outstanding commitments at
start and every so often, so that nothing depends on having been there. The record is a cache; losing
it costs a scan. An event only says where to look: what is submitted is proven under the commitment the
packet's own bytes give. Source: digest §3 (scan is truth, push is latency).
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Collection, Iterable
from typing import Final

from lockgate.courier.plan import Lane, Phase, Track
from lockgate.courier.ports import Chain
from lockgate.ibc import events as ibc_events
from lockgate.ibc import wire
from lockgate.ibc.commitment import commit_acknowledgement, commit_packet
from lockgate.ibc.packet import Acknowledgement, Packet
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.ids import ClientId, Height, Sequence
from lockgate.primitives.state import Event
from lockgate.relay.scan import sequence_of

LIVE_WINDOW: Final = 128  # fresh packets that go ahead of everything else; a longer burst is a backlog itself
EARLY_KEPT: Final = 1_024  # answers seen before their packets: two ledgers are read side by side
MAX_HEX: Final = 8 * 1024 * 1024  # of an event's packet or acknowledgement; a packet has at most 8 × 256 KiB


class Watch:
    """Packets sent by `source_client` on the source, addressed to `dest_client` on the destination."""

    def __init__(self, source: Chain, destination: Chain, source_client: ClientId, dest_client: ClientId) -> None:
        self.source = source
        self.destination = destination
        self.source_client = source_client
        self.dest_client = dest_client
        self.tracks: dict[int, Track] = {}
        self.live: set[int] = set()
        self.unknown: set[int] = set()  # outstanding, and no node remembers the packet's bytes
        self.ended = 0  # seen to end since this was made
        self.seen = 0
        self._early: OrderedDict[int, tuple[bytes, Height]] = OrderedDict()

    def on_source(self, events: Iterable[Event], height: Height) -> list[int]:
        """Take in events of the source: packets sent, and those that ended, whose sequences are returned."""
        gone = []
        for event in events:
            if event.get(ibc_events.SOURCE_CLIENT) != self.source_client:
                continue
            if event.type == ibc_events.SEND_PACKET:
                self._sent(event, height, fresh=True)
            elif event.type in {ibc_events.ACKNOWLEDGE_PACKET, ibc_events.TIMEOUT_PACKET}:
                sequence = sequence_of(event)
                if self.drop(sequence):
                    self.ended += 1
                    gone.append(sequence)
        return gone

    def on_destination(self, events: Iterable[Event], height: Height) -> None:
        """Take in events of the destination: packets received, and acknowledgements written."""
        for event in events:
            if event.get(ibc_events.DESTINATION_CLIENT) != self.dest_client:
                continue
            track = self.tracks.get(sequence_of(event))
            if event.type == ibc_events.RECV_PACKET and track is not None and track.phase is Phase.SENT:
                self.tracks[track.sequence] = dataclasses.replace(track, phase=Phase.RECEIVED)
            elif event.type == ibc_events.WRITE_ACKNOWLEDGEMENT:
                self._answered(sequence_of(event), event, height)

    def forget(self) -> None:
        """Forget every packet: what was seen of them may have been taken back. A scan finds what stands."""
        for known in (self.tracks, self.live, self.unknown, self._early):
            known.clear()

    def drop(self, sequence: int) -> bool:
        """Forget a packet: it has ended, or what was known of it is not true. A scan finds it again if it stands."""
        self.live.discard(sequence)
        return self.tracks.pop(sequence, None) is not None

    def demote(self, sequence: int) -> None:
        """A packet that has been live for too long waits with the backlog from now on."""
        self.live.discard(sequence)
        self.put_back(sequence, lane=Lane.BACKLOG)

    def put_back(self, sequence: int, **changes: object) -> None:
        """Correct what is known of a packet that is still in flight."""
        track = self.tracks.get(sequence)
        if track is not None:
            self.tracks[sequence] = dataclasses.replace(track, **changes)  # type: ignore[arg-type]  # fields by name

    async def scan(self) -> int:
        """Find every outstanding packet from the ledgers' own state; returns how many were new.

        One walk of the commitments, pages of events for those that are not known, and one question
        each about receipts and acknowledgements.
        """
        known = list(self.tracks)  # what is seen from here on may be newer than the answer
        standing = await self.source.outstanding(self.source_client)
        for sequence in known:
            if sequence not in standing:
                self.drop(sequence)
        wanted = {sequence for sequence in standing if sequence not in self.tracks}
        found = await self.source.find_events(
            ibc_events.SEND_PACKET,
            ibc_events.SOURCE_CLIENT,
            self.source_client,
            wanted,
            lambda event: _commits_to(event, standing.get(sequence_of(event))),
        )
        for event, height in found.values():
            self._sent(event, height, fresh=False)
        self.unknown = wanted - found.keys()
        await self.refresh([t.sequence for t in self.tracks.values() if t.phase is not Phase.ANSWERED])
        return len(found)

    async def refresh(self, sequences: Collection[int]) -> None:
        """Ask the destination what became of these packets, and find the acknowledgements they have."""
        asked = [s for s in sequences if s in self.tracks]
        if not asked:
            return
        received = await self.destination.received(self.dest_client, asked)
        for sequence in received:
            if self.tracks[sequence].phase is Phase.SENT:
                self.put_back(sequence, phase=Phase.RECEIVED)
        answers = await self.destination.acknowledged(self.dest_client, received)
        found = await self.destination.find_events(
            ibc_events.WRITE_ACKNOWLEDGEMENT,
            ibc_events.DESTINATION_CLIENT,
            self.dest_client,
            set(answers),
            lambda event: _answers(event, answers.get(sequence_of(event))),
        )
        for sequence, (event, height) in found.items():
            self._answered(sequence, event, height)

    def _sent(self, event: Event, height: Height, *, fresh: bool) -> None:
        packet, encoded = _packet_of(event)
        if packet is None or (packet.source_client, packet.destination_client) != (
            self.source_client,
            self.dest_client,
        ):
            return  # a hostile node's event, or another lane's: nothing is submitted from it
        if packet.sequence in self.tracks:
            return
        self.seen += 1
        lane = Lane.LIVE if fresh and len(self.live) < LIVE_WINDOW else Lane.BACKLOG
        self.unknown.discard(packet.sequence)
        self.tracks[packet.sequence] = Track(
            sequence=Sequence(packet.sequence),
            timeout=packet.timeout,
            packet=encoded,
            sent_height=height,
            lane=lane,
        )
        if lane is Lane.LIVE:
            self.live.add(packet.sequence)
        early = self._early.pop(packet.sequence, None)
        if early is not None:
            self.put_back(packet.sequence, phase=Phase.ANSWERED, acknowledgement=early[0], answered_height=early[1])

    def _answered(self, sequence: int, event: Event, height: Height) -> None:
        acknowledgement, encoded = _acknowledgement_of(event)
        if acknowledgement is None or not sequence:
            return
        track = self.tracks.get(sequence)
        if track is None:
            self._early[sequence] = (encoded, height)
            while len(self._early) > EARLY_KEPT:
                self._early.popitem(last=False)
        elif track.phase is not Phase.ANSWERED:
            self.put_back(sequence, phase=Phase.ANSWERED, acknowledgement=encoded, answered_height=height)


def _hex_of(event: Event, name: str) -> bytes:
    text = event.get(name) or ""
    try:
        return bytes.fromhex(text) if len(text) <= MAX_HEX else b""
    except ValueError:
        return b""


def _packet_of(event: Event) -> tuple[Packet | None, bytes]:
    encoded = _hex_of(event, ibc_events.ENCODED_PACKET)
    try:
        return (wire.read_packet(encoded) if encoded else None), encoded
    except (LockgateError, ValueError):
        return None, encoded


def _acknowledgement_of(event: Event) -> tuple[Acknowledgement | None, bytes]:
    encoded = _hex_of(event, ibc_events.ENCODED_ACKNOWLEDGEMENT)
    try:
        return (wire.read_acknowledgement(encoded) if encoded else None), encoded
    except (LockgateError, ValueError):
        return None, encoded


def _commits_to(event: Event, commitment: bytes | None) -> bool:
    packet, _ = _packet_of(event)
    return packet is not None and commit_packet(packet) == commitment


def _answers(event: Event, commitment: bytes | None) -> bool:
    acknowledgement, _ = _acknowledgement_of(event)
    return acknowledgement is not None and commit_acknowledgement(acknowledgement) == commitment


__all__ = ("Watch",)
