"""What an update or evidence does to an ethereum client. Each is verified here, then decided.

Source: consensus-specs, apply_light_client_update without force; solidity-ibc's ethereum client.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TypeAlias

from lockgate.lightclients import heights, store
from lockgate.lightclients.ethereum.containers import NO_HEADER, Update
from lockgate.lightclients.ethereum.errors import (
    NextCommitteeMissing,
    ParticipationLow,
    SlotAhead,
    TrustedStateExpired,
    UpdateStale,
)
from lockgate.lightclients.ethereum.messages import Header, Misbehaviour
from lockgate.lightclients.ethereum.network import MAX_UINT64
from lockgate.lightclients.ethereum.states import ClientState, ConsensusState
from lockgate.lightclients.ethereum.verification import check_signature, check_unsigned
from lockgate.lightclients.standing import (
    Affords,
    ClientUpdate,
    NotMisbehaviour,
    is_past,
    whatever_it_takes,
)
from lockgate.primitives.errors import PeerFault, Refused
from lockgate.primitives.ids import Height
from lockgate.primitives.state import Outcome
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos

EthereumStore: TypeAlias = store.ClientStore[ClientState, ConsensusState]


def height_of(state: ClientState, update: Update) -> Height:
    """The height that an update's finalized header is stored under."""
    return Height(state.latest_height.revision, update.finalized_header.beacon.slot)


def check_header(kept: EthereumStore, state: ClientState, header: Header, now: UnixNanos) -> ConsensusState:
    """Verify an update from the consensus state it names, and return what it makes of its finalized header.

    That is newer than the state it was judged from, or teaches that one its next committee.
    """
    trusted = kept.consensus_state(header.trusted)
    if is_past(trusted.timestamp, state.trusting_period, now):
        raise TrustedStateExpired(height=header.trusted, now=now)
    fresh = _unsigned(state, header, header.trusted, trusted, now)
    check_signature(state.network, header.update, header.committee)
    finalized = header.update.finalized_header.beacon.slot
    if finalized <= header.trusted.height and not _teaches(state, header, trusted):
        raise UpdateStale(trusted=header.trusted, finalized=finalized)
    return fresh


def advance(
    kept: EthereumStore, state: ClientState, header: Header, fresh: ConsensusState, now: UnixNanos, own: Height
) -> ClientUpdate:
    """Store a verified update's consensus state, or let one that is stored learn its next committee."""
    height = height_of(state, header.update)
    if height <= header.trusted:  # no newer header, so it came for its next committee
        committee = header.update.next_sync_committee
        assert committee is not None
        return _learn(kept, header.trusted, committee.root)
    stored = kept.find_consensus_state(height)
    if stored is not None and stored.next_committee is None and fresh.next_committee is not None:
        return _learn(kept, height, fresh.next_committee)
    return heights.advance(kept, state, height, fresh, now, own)


def contradicts(kept: EthereumStore, state: ClientState, height: Height, fresh: ConsensusState) -> bool:
    """Whether a verified consensus state and what is stored are two histories."""
    oldest = kept.oldest_height()
    floor = oldest if oldest is not None and oldest < height else None
    return heights.contradicts(kept, state, height, fresh, floor)


def convicts(
    kept: EthereumStore, state: ClientState, header: Header, now: UnixNanos, affords: Affords = whatever_it_takes
) -> bool:
    """Whether an update, from whatever this client holds near it, contradicts what it has stored.

    The signature is verified last, and if the caller `affords` its committee: whatever state the update is judged
    from, it is the same one. Raises NotMisbehaviour where it is none, or not afforded.
    """
    for height, trusted in _nearby(kept, state, header):
        if is_past(trusted.timestamp, state.trusting_period, now):
            continue
        try:
            fresh = _unsigned(state, header, height, trusted, now, newer=False)
        except (PeerFault, Refused):
            continue
        at = height_of(state, header.update)
        if not contradicts(kept, state, at, fresh):
            return False
        _check_signed(state, header, affords)
        return True
    return False


def check_misbehaviour(
    kept: EthereumStore,
    state: ClientState,
    evidence: Misbehaviour,
    now: UnixNanos | None,
    affords: Affords = whatever_it_takes,
) -> tuple[bytes, bytes]:
    """Return the roots of two blocks that this client could have been made to believe. Raises NotMisbehaviour.

    Each update is judged from a consensus state that the client holds near it, not expired at `now` (None:
    whatever its age). The clock is not asked: evidence from the future is evidence. Signatures are verified last,
    and if the caller `affords` them.
    """
    roots = evidence.contradiction
    if roots is None:
        raise NotMisbehaviour("no contradiction")
    for header in (evidence.first, evidence.second):
        _check_believable(kept, state, header, now)
    for header in (evidence.first, evidence.second):
        _check_signed(state, header, affords)
    return roots


def _check_signed(state: ClientState, header: Header, affords: Affords) -> None:
    if not affords(state.network.committee_size):
        raise NotMisbehaviour("the committee's keys are more than the caller affords")
    try:
        check_signature(state.network, header.update, header.committee)
    except (PeerFault, Refused) as failure:
        raise NotMisbehaviour(failure.code) from failure


def _check_believable(kept: EthereumStore, state: ClientState, header: Header, now: UnixNanos | None) -> None:
    """Raise NotMisbehaviour unless an update, were it signed, would be believed from a state held near it."""
    failure: PeerFault | Refused | None = None
    _check_participation(state, header.update)
    for height, trusted in _nearby(kept, state, header):
        if now is not None and is_past(trusted.timestamp, state.trusting_period, now):
            failure = failure or TrustedStateExpired(height=height, now=now)
            continue
        known = trusted.known(height)
        try:
            check_unsigned(state.network, known, header.update, header.committee, MAX_UINT64, newer=False)
        except (PeerFault, Refused) as refusal:
            failure = failure or refusal
            continue
        return
    raise NotMisbehaviour("no stored state" if failure is None else failure.code) from failure


def _nearby(kept: EthereumStore, state: ClientState, header: Header) -> Iterator[tuple[Height, ConsensusState]]:
    """States whose committees may have signed an update; a bounded few, for a client may hold very many.

    The update names a height of the client it was made for, which another client of the same chain may not hold.
    """
    signed = Height(state.latest_height.revision, header.update.signature_slot)
    oldest = kept.oldest_height()
    before = kept.previous_height(signed, oldest) if oldest is not None and oldest < signed else None
    seen: set[Height] = set()
    for height in (header.trusted, before, kept.next_height(signed), state.latest_height):
        if height is None or height in seen:
            continue
        seen.add(height)
        found = kept.find_consensus_state(height)
        if found is not None:
            yield height, found


def _unsigned(
    state: ClientState,
    header: Header,
    height: Height,
    trusted: ConsensusState,
    now: UnixNanos,
    *,
    newer: bool = True,
) -> ConsensusState:
    """What an update makes of its finalized header, all checked but the signature."""
    network, update = state.network, header.update
    _check_participation(state, update)
    if update.finalized_header == NO_HEADER:
        raise UpdateStale("nothing is final by it")
    slot = network.slot_at(now)
    check_unsigned(network, trusted.known(height), update, header.committee, slot, newer=newer)
    fresh = _following(state, height, trusted, update)
    if fresh.timestamp > now:
        raise SlotAhead("the execution block is dated ahead", timestamp=fresh.timestamp, now=now)
    return fresh


def _following(state: ClientState, height: Height, trusted: ConsensusState, update: Update) -> ConsensusState:
    """The consensus state of the finalized header, with the committees that the trusted one and the update name."""
    network, finalized = state.network, update.finalized_header
    period, final = network.period(height.height), network.period(finalized.beacon.slot)
    brought = None if update.next_sync_committee is None else update.next_sync_committee.root
    committee, following = trusted.committee, trusted.next_committee
    if final == period + 1 and following is not None:
        if brought is None:
            raise NextCommitteeMissing(period=final)
        committee, following = following, brought
    elif following is None and network.period(update.attested_header.beacon.slot) == period:
        following = brought
    return ConsensusState(
        timestamp=UnixNanos(finalized.execution.timestamp * NANOS_PER_SECOND),
        number=finalized.execution.block_number,
        root=finalized.execution.state_root,
        block_root=finalized.beacon.root,
        committee=committee,
        next_committee=following,
    )


def _teaches(state: ClientState, header: Header, trusted: ConsensusState) -> bool:
    """Whether an update brings the next committee that its trusted state lacks, under finality of that period."""
    update, network = header.update, state.network
    slots = update.finalized_header.beacon.slot, update.attested_header.beacon.slot
    of_this = {network.period(slot) for slot in slots} == {network.period(header.trusted.height)}
    return trusted.next_committee is None and update.next_sync_committee is not None and of_this


def _learn(kept: EthereumStore, height: Height, next_committee: bytes) -> ClientUpdate:
    outcome = Outcome()
    learned = replace(kept.consensus_state(height), next_committee=next_committee)
    kept.put_consensus_state(outcome, height, learned, kept.processed(height))
    return ClientUpdate(outcome, (height,))


def _check_participation(state: ClientState, update: Update) -> None:
    participants = update.sync_aggregate.participants
    if not state.network.is_supermajority(participants):
        raise ParticipationLow(participants=participants, size=state.network.committee_size)


__all__ = (
    "EthereumStore",
    "advance",
    "check_header",
    "check_misbehaviour",
    "contradicts",
    "convicts",
    "height_of",
)
