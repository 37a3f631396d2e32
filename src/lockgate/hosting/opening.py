"""Opens what peers sealed, through rotations on either side (P3, P5, P17).

A packet is sealed to the record its sender knew, under the record its sender had. The envelope names the
sealing key; the author's record is the current one, as last proven, then as proven anew, then one before
it, if the peer's ledger proves that the bytes were there before the rotation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lockgate.envelope.binding import Role, SenderChoice
from lockgate.envelope.errors import BadEnvelope
from lockgate.envelope.outside import inspect_envelope
from lockgate.envelope.seal import Opened
from lockgate.host.keyring import Opener
from lockgate.host.sealing import Place, incoming, unseal, unseal_within
from lockgate.hosting.config import PeerRef
from lockgate.hosting.peers import Known, Peers
from lockgate.hosting.sessions import SessionRequired, place_of
from lockgate.hosting.work import Parts
from lockgate.machine.identity import KeyRecord
from lockgate.primitives.errors import LockgateError, Refused
from lockgate.session import Session
from lockgate.session.errors import SessionUnknown

OLDER_TRIED: Final = 2  # records before the current one: a second rotation within one packet's life is rare


class KeyRotatedAway(Refused):
    code = "host.key_rotated_away"
    summary = "A message is signed with keys that its author had rotated away before it was sent."
    untouched = "The guest did not run."
    next_step = "Somebody uses old keys of that endpoint: ask its operator whether they were stolen."


@dataclass(frozen=True, slots=True)
class Found:
    """An envelope that opened, its author's current record, and in a session the state to keep of it.

    `used` are the own key record and its author's that it was sealed between.
    """

    opened: Opened
    record: KeyRecord
    used: tuple[KeyRecord, KeyRecord]
    session: Session | None = None


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
) -> Found:
    """Open one envelope of a peer.

    Raises BadEnvelope, the same for every cause, and what proving the peer's records raises.
    """
    outside = inspect_envelope(data)
    if outside.choice.session is not None:
        return await _in_session(parts, peers, peer, data, outside.choice, place, spoken)
    if place.role is Role.REPLY and parts.sessions.in_session(place.request):
        raise BadEnvelope from SessionRequired("the message was sealed in a session, and its reply is not")
    opener = parts.keys.opener(outside.recipient)
    known = await peers.known(peer)
    try:
        opened = _try(peers, peer, opener, known.record, data, place)
        return Found(opened, known.record, (opener.record, known.record))
    except BadEnvelope as error:
        first = error
    known = await peers.known(peer, fresh=True)
    for record in _candidates(known):
        try:
            opened = _try(peers, peer, opener, record, data, place)
        except BadEnvelope:
            continue
        if record is known.record or await peers.stood_under(peer, record, spoken.key, spoken.value, spoken.height):
            return Found(opened, known.record, (opener.record, record))
        raise BadEnvelope from KeyRotatedAway("sealed after the rotation", index=record.index)
    raise first


async def _in_session(
    parts: Parts, peers: Peers, peer: PeerRef, data: bytes, choice: SenderChoice, place: Place, spoken: Spoken
) -> Found:
    """Open under the keys that a message has to itself, between the two records that met in the handshake."""
    after: Session | None = None
    try:
        session = parts.sessions.find(peer, place_of(choice).session)
        if place.role is Role.MESSAGE:
            keys, after = session.open(place_of(choice))
            key = keys.message
        else:
            key = parts.sessions.reply_to(place.request, choice)
        own = parts.keys.of_record(session.own_record)
    except LockgateError as error:
        raise BadEnvelope from error
    known = await peers.known(peer)
    if session.peer_record != known.record.hash:
        known = await peers.known(peer, fresh=True)
    theirs = next((record for record in known.chain if record.hash == session.peer_record), None)
    if own is None:
        raise BadEnvelope from SessionUnknown("its keys are rotated away here", session=session.name)
    if theirs is None:
        raise BadEnvelope from KeyRotatedAway("a session between records that are not held", session=session.name)
    opened = unseal_within(incoming(peers.lane(peer), own, theirs, place), key, theirs, data)
    # An answer is on the ledger by an account of the current record: who has but keys of an older one cannot post it,
    # and what was under way when they rotated is not lost.
    if theirs is not known.record and place.role is Role.MESSAGE:
        if not await peers.stood_under(peer, theirs, spoken.key, spoken.value, spoken.height):
            raise BadEnvelope from KeyRotatedAway("sealed after the rotation", index=theirs.index)
    return Found(opened, known.record, (own, theirs), after)


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
