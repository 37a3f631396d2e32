"""What a courier knows of the packets of one direction: read from both ledgers, advisory only.

Two sources: events of blocks as they appear, and a scan of the source's outstanding commitments at
start and every so often, so that nothing depends on having been there. The record is a cache; losing
it costs a scan. Source: digest §3 (scan is truth, push is latency).
"""

from __future__ import annotations

import dataclasses

from lockgate.courier.plan import Phase, Track
from lockgate.courier.ports import BlockEvents
from lockgate.ibc import host, wire
from lockgate.ibc.commitment import commit_packet
from lockgate.ibc.packet import Packet
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.ids import ClientId, Height, Sequence
from lockgate.primitives.state import Event
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.rpc import b64
from lockgate.relay.search import search


class Watch:
    """Packets sent by `source_client` on the source, addressed to `dest_client` on the destination."""

    def __init__(
        self, source: CometBftChain, destination: CometBftChain, source_client: ClientId, dest_client: ClientId
    ) -> None:
        self.source = source
        self.destination = destination
        self.source_client = source_client
        self.dest_client = dest_client
        self.tracks: dict[int, Track] = {}

    def on_source(self, block: BlockEvents) -> None:
        """Take in a block of the source: packets sent, and packets that ended there."""
        for event in block.events:
            if event.get("packet_source_client") != self.source_client:
                continue
            if event.type == "send_packet":
                self._sent(event, block.height)
            elif event.type in {"acknowledge_packet", "timeout_packet"}:
                self.tracks.pop(_sequence(event), None)

    def on_destination(self, block: BlockEvents) -> None:
        """Take in a block of the destination: packets received, and acknowledgements written."""
        for event in block.events:
            if event.get("packet_dest_client") != self.dest_client:
                continue
            track = self.tracks.get(_sequence(event))
            if track is None:
                continue
            if event.type == "recv_packet" and track.phase is Phase.SENT:
                self.tracks[track.sequence] = dataclasses.replace(track, phase=Phase.RECEIVED)
            elif event.type == "write_acknowledgement":
                self.tracks[track.sequence] = _answered(track, event, block.height)

    async def scan(self) -> int:
        """Find every outstanding packet from the source's own state; returns how many were new."""
        prefix = host.packet_commitment(self.source_client, 0)[:-8]
        keys = await self.source.keys("ibc", prefix, prefix + b"\xff" * 9)
        found = 0
        for key in keys:
            sequence = int.from_bytes(key[-8:], "big")
            if sequence not in self.tracks and await self._find(sequence):
                found += 1
        standing = {int.from_bytes(key[-8:], "big") for key in keys}
        for sequence in [s for s in self.tracks if s not in standing]:
            del self.tracks[sequence]
        for track in [t for t in self.tracks.values() if t.phase is not Phase.ANSWERED]:
            await self._refresh(track)
        return found

    async def _find(self, sequence: int) -> bool:
        narrow = ("packet_sequence", str(sequence))
        found = await search(self.source, "send_packet", narrow, packet_source_client=self.source_client)
        return self._sent(found[0].event, found[0].height) if found else False

    async def _refresh(self, track: Track) -> None:
        narrow = ("packet_sequence", str(track.sequence))
        found = await search(self.destination, "write_acknowledgement", narrow, packet_dest_client=self.dest_client)
        if found:
            self.tracks[track.sequence] = _answered(track, found[0].event, found[0].height)
            return
        receipt = host.packet_receipt(self.dest_client, track.sequence)
        response = await self.destination.query("store/ibc/key", receipt)
        if b64(response.get("value")) and track.phase is Phase.SENT:
            self.tracks[track.sequence] = dataclasses.replace(track, phase=Phase.RECEIVED)

    def _sent(self, event: Event, height: Height) -> bool:
        try:
            encoded = bytes.fromhex(event.get("encoded_packet_hex") or "")
            packet: Packet = wire.read_packet(encoded)
        except (ValueError, LockgateError):
            return False  # a hostile node's event: nothing is submitted from it
        if packet.source_client != self.source_client or packet.destination_client != self.dest_client:
            return False
        self.tracks[packet.sequence] = Track(
            sequence=Sequence(packet.sequence),
            timeout=packet.timeout,
            packet=encoded,
            sent_height=height,
            phase=Phase.SENT,
        )
        return True


def commitment_of(track: Track) -> bytes:
    return commit_packet(wire.read_packet(track.packet))


def _answered(track: Track, event: Event, height: Height) -> Track:
    acknowledgement = bytes.fromhex(event.get("encoded_acknowledgement_hex") or "")
    return dataclasses.replace(track, phase=Phase.ANSWERED, acknowledgement=acknowledgement, answered_height=height)


def _sequence(event: Event) -> int:
    text = event.get("packet_sequence") or ""
    return int(text) if text.isascii() and text.isdigit() else 0
