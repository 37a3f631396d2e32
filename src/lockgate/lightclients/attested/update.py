"""What an attestation, a rotation or evidence does to a client. Each is verified here, then decided."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Final, TypeAlias

from lockgate.codec import cbor
from lockgate.lightclients import heights, store
from lockgate.lightclients.attested.errors import AttestationDated, RotationRefused, StaleEpoch
from lockgate.lightclients.attested.messages import Attestation, Misbehaviour, Rotation
from lockgate.lightclients.attested.quorum import check_quorum
from lockgate.lightclients.attested.signers import SignerSet, check_not_lower, check_set, read_set
from lockgate.lightclients.attested.states import ClientState, ConsensusState
from lockgate.lightclients.forms import decoded, is_root, items
from lockgate.lightclients.standing import (
    Affords,
    ClientUpdate,
    MalformedState,
    NotMisbehaviour,
    RootUnset,
    is_past,
)
from lockgate.primitives.errors import PeerFault, Refused
from lockgate.primitives.state import Outcome
from lockgate.primitives.time import UnixNanos

AttestedStore: TypeAlias = store.ClientStore[ClientState, ConsensusState]
RETIRED: Final = b"signerSets/"  # ‖ u64be epoch -> [retired at, signer set]: evidence of old epochs still counts
FORGOTTEN: Final = b"setsForgotten"  # -> u64be time: what had retired by then counts no more, deleted or not
MAX_DROPPED: Final = 64  # retired sets that one rotation deletes, of which it adds one


def check_attestation(state: ClientState, attestation: Attestation, now: UnixNanos) -> None:
    """Raise unless the present signers attest this height, and its time can be believed now."""
    _check_dated(state, attestation, now)
    message = attestation.message(state.chain_id, state.signers)
    check_quorum(state, state.signers, message, attestation.signatures, now)


def convicts(
    kept: AttestedStore, state: ClientState, attestation: Attestation, now: UnixNanos, affords: Affords
) -> bool:
    """Whether an attestation contradicts what is stored, and the present signers attest it.

    Asked in this order: anybody makes clients, and what contradicts nothing must cost no signature. Those of one
    that does are verified if the caller `affords` them. Raises what `check_attestation` does.
    """
    _check_dated(state, attestation, now)
    if not contradicts(kept, state, attestation) or not affords(_signatures(state.signers, attestation)):
        return False
    check_attestation(state, attestation, now)
    return True


def _check_dated(state: ClientState, attestation: Attestation, now: UnixNanos) -> None:
    _check_place(state, attestation)
    if attestation.epoch != state.signers.epoch:
        raise StaleEpoch(attested=attestation.epoch, present=state.signers.epoch)
    if attestation.timestamp >= now + state.max_clock_drift:
        raise AttestationDated("ahead", timestamp=attestation.timestamp, now=now)
    if is_past(attestation.timestamp, state.trusting_period, now):
        raise AttestationDated("too old", timestamp=attestation.timestamp, now=now)


def _signatures(signers: SignerSet, attestation: Attestation) -> int:
    """How many signatures verifying an attestation may take: each part of a hybrid one is one."""
    known = (signers.by_hash.get(name) for name, _ in attestation.signatures)
    return sum(1 if each is None else len(each.key.parts) for each in known)


def contradicts(kept: AttestedStore, state: ClientState, attestation: Attestation) -> bool:
    """Whether a verified attestation and what is stored are two histories."""
    oldest = kept.oldest_height()
    floor = oldest if oldest is not None and oldest < attestation.height else None
    return heights.contradicts(kept, state, attestation.height, attestation.consensus_state, floor)


def rotate(kept: AttestedStore, state: ClientState, rotation: Rotation, now: UnixNanos) -> ClientUpdate:
    """Put the next signer set in place. Raises RotationRefused, SignersRefused, and what a quorum lacks.

    The set that retires is kept for one trusting period, so that what it signed can be held against it.
    """
    following, present = rotation.following, state.signers
    if following.epoch != present.epoch + 1:
        raise RotationRefused("epochs follow one another", present=present.epoch, following=following.epoch)
    check_quorum(state, present, rotation.message(state.chain_id, present), rotation.signatures, now)
    check_set(following, now)
    check_not_lower(present, following)
    outcome = Outcome()
    for epoch, retired_at in islice(_retired(kept, present.epoch), MAX_DROPPED):
        if not is_past(retired_at, state.trusting_period, now):
            break  # those after it retired later
        kept.delete_record(outcome, _key(epoch))
    kept.put_record(outcome, _key(present.epoch), cbor.encode([int(now), present.to_value()]))
    kept.put_client_state(outcome, replace(state, signers=following))
    return ClientUpdate(outcome)


def misbehaved(
    kept: AttestedStore, state: ClientState, evidence: Misbehaviour, now: UnixNanos, affords: Affords
) -> bool:
    """As `check_misbehaviour`, for a caller that may not afford the signatures; False where it does not."""
    if not evidence.is_contradiction:
        return False
    both = evidence.first, evidence.second
    needed = sum(_signatures(signers_of(kept, state, each.epoch, now), each) for each in both)
    if not affords(needed):
        return False
    check_misbehaviour(kept, state, evidence, now)
    return True


def forget_retired(kept: AttestedStore, outcome: Outcome, now: UnixNanos) -> None:
    """Drop the sets that retired: their keys have been caught, and would freeze whoever is recovered again.

    A bounded number is deleted; where there are more, a record says that none counts, and rotations delete them when
    their time has come.
    """
    found = [key for key, _ in islice(kept.records(RETIRED), store.FORGET_AT_ONCE + 1)]
    for key in found[: store.FORGET_AT_ONCE]:
        kept.delete_record(outcome, key)
    if len(found) > store.FORGET_AT_ONCE:
        kept.put_record(outcome, FORGOTTEN, now.to_bytes(8, "big"))


def check_misbehaviour(kept: AttestedStore, state: ClientState, evidence: Misbehaviour, now: UnixNanos | None) -> None:
    """Raise NotMisbehaviour unless signers of this client attested two histories.

    Each attestation is judged by the set of its own epoch, if it retired within a trusting period (`now`
    None: whenever it did). Neither clock nor delegation is asked: evidence from the future is evidence.
    """
    if not evidence.is_contradiction:
        raise NotMisbehaviour("no contradiction", first=evidence.first.height, second=evidence.second.height)
    for attestation in (evidence.first, evidence.second):
        try:
            _check_place(state, attestation)
            signers = signers_of(kept, state, attestation.epoch, now)
            message = attestation.message(state.chain_id, signers)
            check_quorum(state, signers, message, attestation.signatures, None)
        except (PeerFault, Refused) as failure:
            raise NotMisbehaviour(failure.code) from failure


def signers_of(kept: AttestedStore, state: ClientState, epoch: int, now: UnixNanos | None) -> SignerSet:
    """The signer set of an epoch: the present one, or one that retired not long ago. Raises StaleEpoch."""
    if epoch == state.signers.epoch:
        return state.signers
    raw = kept.record(_key(epoch)) if 0 < epoch < state.signers.epoch else None
    if raw is not None:
        retired_at, value = items(decoded(raw), int, tuple)
        counts = retired_at > int.from_bytes(kept.record(FORGOTTEN) or b"", "big")
        if counts and (now is None or not is_past(UnixNanos(retired_at), state.trusting_period, now)):
            return read_set(value)
    raise StaleEpoch(attested=epoch, present=state.signers.epoch)


def _check_place(state: ClientState, attestation: Attestation) -> None:
    height = attestation.height
    if height.revision != state.latest_height.revision or height.height == 0:
        raise MalformedState("a height of another revision, or zero", height=height)
    if not is_root(attestation.root):
        raise RootUnset(height=height, root=attestation.root)


def _retired(kept: AttestedStore, present: int) -> Iterator[tuple[int, UnixNanos]]:
    """The epochs of sets that retired, with when, the oldest first: read one by one, for there may be very many."""
    for key, raw in kept.records(RETIRED):
        epoch = int.from_bytes(key[len(RETIRED) :], "big")
        if epoch >= present:  # of a client that was recovered into an earlier epoch
            return
        yield epoch, UnixNanos(items(decoded(raw), int, tuple)[0])


def _key(epoch: int) -> bytes:
    return RETIRED + epoch.to_bytes(8, "big")


__all__ = (
    "AttestedStore",
    "check_attestation",
    "check_misbehaviour",
    "contradicts",
    "convicts",
    "forget_retired",
    "misbehaved",
    "rotate",
    "signers_of",
)
