"""Builds packet messages with proofs that were checked here against a header the other ledger will know.

What a proof shows may not be what was expected: the packet has ended, or was received after all. That
is no failure of the packet but news, and comes back as `News`.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from lockgate.codec import type_urls as urls
from lockgate.courier.plan import Track
from lockgate.courier.ports import Proven
from lockgate.ibc import host
from lockgate.ibc import wire as ibc_wire
from lockgate.ibc.commitment import commit_acknowledgement, commit_packet
from lockgate.machine.transaction import Message
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.ids import ClientId
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.updates import Ground


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


async def build(
    chain: CometBftChain, path: Path, stage: Stage, tracks: Sequence[Track], ground: Ground, signer: str
) -> list[Message | News | Exception]:
    """One message per packet, or why there is none; `chain` is the ledger the proof is about."""
    keys = [path.key(stage, track.sequence) for track in tracks]
    found: list[Message | News | Exception] = []
    for track, key, proven in zip(tracks, keys, await chain.prove_many("ibc", keys, ground.height), strict=True):
        if isinstance(proven, Exception):
            found.append(proven)
            continue
        try:
            found.append(_message(stage, track, key, proven, ground, signer))
        except LockgateError as refusal:  # the packet's own, never the batch's
            found.append(refusal)
    return found


def _message(stage: Stage, track: Track, key: bytes, proven: Proven, ground: Ground, signer: str) -> Message | News:
    where = (host.STORE.encode(), key)
    if proven.value is None:
        ground.proofs.non_membership(proven.proof, where)
    else:
        ground.proofs.membership(proven.proof, where, proven.value)
    packet = ibc_wire.read_packet(track.packet)
    height = ground.height
    match stage:
        case Stage.RECEIVE:
            if proven.value != commit_packet(packet):
                return News.ENDED if proven.value is None else News.OTHER_PACKET
            return stage.value, ibc_wire.encode_receive(packet, proven.proof, height, signer)
        case Stage.TIME_OUT:
            if proven.value is not None:
                return News.RECEIVED
            return stage.value, ibc_wire.encode_timeout(packet, proven.proof, height, signer)
        case Stage.ACKNOWLEDGE:
            assert track.acknowledgement is not None, "only answered packets are acknowledged"
            acknowledgement = ibc_wire.read_acknowledgement(track.acknowledgement)
            if proven.value != commit_acknowledgement(acknowledgement):
                return News.OTHER_ANSWER
            return stage.value, ibc_wire.encode_acknowledge(packet, acknowledgement, proven.proof, height, signer)


__all__ = ("News", "Path", "Stage", "build")
