"""Advancing a client by a header, and freezing it on evidence. Source: digest §11; ibc-go update.go."""

from __future__ import annotations

from lockgate.lightclients import heights
from lockgate.lightclients.cometbft.commit import (
    NotEnoughTrust,
    check_commit_light,
    check_commit_light_trusting,
)
from lockgate.lightclients.cometbft.errors import (
    InsufficientOverlap,
    TrustedHeaderExpired,
    UntrustedValidators,
    WrongChain,
)
from lockgate.lightclients.cometbft.verification import Invalid, TrustedState, TrustOptions, is_expired, verify
from lockgate.lightclients.standing import Affords, ClientUpdate, whatever_it_takes
from lockgate.lightclients.tendermint.errors import InvalidHeight, NotMisbehaviour
from lockgate.lightclients.tendermint.messages import ClientHeader, ClientMisbehaviour
from lockgate.lightclients.tendermint.states import ClientState, ConsensusState
from lockgate.lightclients.tendermint.store import ClientStore
from lockgate.primitives.errors import PeerFault, Refused
from lockgate.primitives.ids import Height, revision_number
from lockgate.primitives.time import UnixNanos


def check_header(store: ClientStore, state: ClientState, header: ClientHeader, now: UnixNanos) -> None:
    """Verify a header from the consensus state it names. Raises the refusal; returns when it holds."""
    trusted = store.consensus_state(header.trusted_height)
    _check_trusted_validators(header, trusted)
    if header.height.revision != header.trusted_height.revision:
        raise InvalidHeight("revision", header=header.height, trusted=header.trusted_height)
    verdict = verify(
        TrustedState(state.chain_id, header.trusted_height.height, trusted.timestamp, trusted.next_validators_hash),
        header.trusted_validators,
        header.block,
        TrustOptions(
            trusting_period=state.trusting_period,
            clock_drift=state.max_clock_drift,
            trust_level=state.trust_level,
        ),
        now,
    )
    if isinstance(verdict, Invalid):
        try:
            raise verdict.failure
        finally:
            del verdict  # the failure knows this frame: with both, all that led here would wait for the collector
    if isinstance(verdict, NotEnoughTrust):
        raise InsufficientOverlap(signed=verdict.signed_power, more_than=verdict.more_than)


def _check_trusted_validators(header: ClientHeader, trusted: ConsensusState) -> None:
    computed = header.trusted_validators.hash
    if computed != trusted.next_validators_hash:
        raise UntrustedValidators(expected=trusted.next_validators_hash, computed=computed)


def contradicts(store: ClientStore, state: ClientState, header: ClientHeader, floor: Height | None = None) -> bool:
    """Tell whether a verified header proves two histories, given what the client has stored.

    `floor` is a stored height below the header's; its trusted height unless another is given.
    """
    return heights.contradicts(store, state, header.height, header.consensus_state, floor or header.trusted_height)


def advance(
    store: ClientStore, state: ClientState, header: ClientHeader, now: UnixNanos, own_height: Height
) -> ClientUpdate:
    """Store a verified header's consensus state (`heights.advance`)."""
    return heights.advance(store, state, header.height, header.consensus_state, now, own_height)


def convinces(
    store: ClientStore,
    state: ClientState,
    header: ClientHeader,
    now: UnixNanos | None,
    affords: Affords = whatever_it_takes,
) -> bool:
    """Tell whether a client would take a header for its ledger's, from any state it holds near it.

    The header names a trusted height of the client it was made for; another client of the same ledger
    may not hold that one. It is convinced when it holds a state, not expired at `now` (None: whatever
    its age), that announces the very set which signed. Signatures are verified, not assumed, if the
     caller `affords` as many as the commit has.
    """
    if not _same_chain(header.block.header.chain_id, state.chain_id):
        return False
    wanted = header.trusted_validators.hash
    for height in _nearby(store, state, header):
        known = store.find_consensus_state(height)
        if known is None or known.next_validators_hash != wanted:
            continue
        if now is not None and is_expired(known.timestamp, state.trusting_period, now):
            continue
        if not affords(len(header.block.commit.signatures)):
            return False
        try:
            _check_signers(state, header)
        except (PeerFault, Refused):
            return False
        return True
    return False


def _nearby(store: ClientStore, state: ClientState, header: ClientHeader) -> tuple[Height, ...]:
    """Heights whose state may announce a header's trusted set; a bounded few, for a client may hold very many."""
    oldest, at = store.oldest_height(), header.trusted_height
    before = store.previous_height(at, oldest) if oldest is not None and oldest < at else oldest
    after = store.next_height(at)
    return tuple(height for height in (at, before, after, state.latest_height) if height is not None)


def check_misbehaviour(store: ClientStore, state: ClientState, evidence: ClientMisbehaviour, now: UnixNanos) -> None:
    """Verify that a client could have been made to believe both headers. Raises the refusal.

    Each must be signed by its own set, and by enough of a set the client trusts. The clock drift is
    not asked: evidence from the future is evidence. A header may be of an earlier revision.
    """
    for header in (evidence.first, evidence.second):
        trusted = store.consensus_state(header.trusted_height)
        _check_trusted_validators(header, trusted)
        if is_expired(trusted.timestamp, state.trusting_period, now):
            raise TrustedHeaderExpired(height=header.trusted_height, now=now)
        try:
            _check_signers(state, header)
        except (PeerFault, Refused) as failure:
            raise NotMisbehaviour(failure.code) from failure
    if not evidence.is_contradiction:
        raise NotMisbehaviour("no contradiction", first=evidence.first.height, second=evidence.second.height)


def _check_signers(state: ClientState, header: ClientHeader) -> None:
    chain_id = header.block.header.chain_id
    if not _same_chain(chain_id, state.chain_id):
        raise WrongChain(expected=state.chain_id, found=chain_id)
    overlap = check_commit_light_trusting(chain_id, header.trusted_validators, header.block.commit, state.trust_level)
    if isinstance(overlap, NotEnoughTrust):
        raise InsufficientOverlap(signed=overlap.signed_power, more_than=overlap.more_than)
    check_commit_light(chain_id, header.block.validators, header.block.commit, overlap)


def _same_chain(one: str, other: str) -> bool:
    """Tell whether two chain ids are equal, or differ only in the revision both of them carry."""
    first, second = revision_number(one), revision_number(other)
    if not first or not second:
        return one == other
    return one.removesuffix(str(first)) == other.removesuffix(str(second))


__all__ = ("ClientUpdate", "advance", "check_header", "check_misbehaviour", "contradicts", "convinces")
