"""Opens what peers sealed, through rotations on either side (P3, P5, P17).

A packet is sealed to the record its sender knew, under the record its sender had. The envelope names the
sealing key; the author's record is the current one, as last proven, then as proven anew, then one before
it, if the peer's ledger proves that the bytes were there before the rotation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lockgate.envelope.errors import BadEnvelope
from lockgate.envelope.seal import Opened
from lockgate.host.keyring import Opener
from lockgate.host.sealing import Place, incoming, unseal
from lockgate.hosting.config import PeerRef
from lockgate.hosting.peers import Known, Peers
from lockgate.hosting.work import Parts
from lockgate.machine.identity import KeyRecord
from lockgate.primitives.errors import Refused

OLDER_TRIED: Final = 2  # records before the current one: a second rotation within one packet's life is rare


class KeyRotatedAway(Refused):
    code = "host.key_rotated_away"
    summary = "A message is signed with keys that its author had rotated away before it was sent."
    untouched = "The guest did not run."
    next_step = "Somebody uses old keys of that endpoint: ask its operator whether they were stolen."


@dataclass(frozen=True, slots=True)
class Spoken:
    """Where a peer's ledger shows that the envelope was written: a key with its value, and one proven height."""

    key: bytes
    value: bytes
    height: int


async def open_from(
    parts: Parts,
    peers: Peers,
    peer: PeerRef,
    data: bytes,
    place: Place,
    spoken: Spoken,
) -> tuple[Opened, KeyRecord]:
    """Open one envelope of a peer; returns it with the peer's current record.

    Raises BadEnvelope, the same for every cause, and what proving the peer's records raises.
    """
    opener = parts.keys.for_envelope(data)
    known = await peers.known(peer)
    try:
        return _try(peers, peer, opener, known.record, data, place), known.record
    except BadEnvelope as error:
        first = error
    known = await peers.known(peer, fresh=True)
    for record in _candidates(known):
        try:
            opened = _try(peers, peer, opener, record, data, place)
        except BadEnvelope:
            continue
        if record is known.record or await peers.stood_under(peer, record, spoken.key, spoken.value, spoken.height):
            return opened, known.record
        raise BadEnvelope from KeyRotatedAway("sealed after the rotation", index=record.index)
    raise first


def _candidates(known: Known) -> tuple[KeyRecord, ...]:
    return tuple(reversed(known.chain[-1 - OLDER_TRIED :]))


def _try(
    peers: Peers,
    peer: PeerRef,
    opener: Opener,
    record: KeyRecord,
    data: bytes,
    place: Place,
) -> Opened:
    context = incoming(peers.lane(peer), opener.record, record, place)
    return unseal(context, opener.sealing, record, data)
