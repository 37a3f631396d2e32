"""Whether a beacon chain's sync committee said what an update says. Source: consensus-specs, Altair sync-protocol.md.

Checks go from cheap to dear: shape and slots, then branches, then who should have signed, then the signature. So
nobody makes a verifier load keys that the trusted state does not name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lockgate.lightclients.ethereum import indices
from lockgate.lightclients.ethereum.committee import is_signed
from lockgate.lightclients.ethereum.containers import (
    NO_EXECUTION,
    NO_HEADER,
    ROOT_BYTES,
    Bootstrap,
    Branch,
    LightHeader,
    SyncCommittee,
    Update,
    domain,
    signing_root,
)
from lockgate.lightclients.ethereum.errors import (
    BranchMismatch,
    CommitteeRefused,
    HeaderRefused,
    MalformedBeaconData,
    ParticipationLow,
    PeriodSkipped,
    SignatureRefused,
    SlotAhead,
    UpdateStale,
)
from lockgate.lightclients.ethereum.network import Fork, Network
from lockgate.merkle import ssz
from lockgate.merkle.errors import ProofMalformed, ProofMismatch

DOMAIN_SYNC_COMMITTEE: Final = bytes.fromhex("07000000")
GENESIS_SLOT: Final = 0


@dataclass(frozen=True, slots=True)
class Known:
    """What an update is judged from: a finalized slot, and the committees known there by their roots."""

    slot: int
    current: bytes  # of the slot's period
    following: bytes | None  # of the period after it


def check_bootstrap(network: Network, bootstrap: Bootstrap, trusted_root: bytes) -> None:
    """Require that a bootstrap is of the block with this root. Raises HeaderRefused, BranchMismatch."""
    check_header(network, bootstrap.header)
    beacon = bootstrap.header.beacon
    if beacon.root != trusted_root:
        raise HeaderRefused("the bootstrap is of another block", expected=trusted_root, found=beacon.root)
    index = indices.current_sync_committee(network.fork(beacon.slot))
    branch, root = bootstrap.current_sync_committee_branch, bootstrap.current_sync_committee.root
    _check_branch("current committee", root, branch, index, beacon.state_root)


def check_header(network: Network, header: LightHeader) -> None:
    """Require that a header's execution part is the one in its block's body, and has what its fork has."""
    beacon, execution = header.beacon, header.execution
    fork = network.fork(beacon.slot)
    if fork < Fork.DENEB and (execution.blob_gas_used or execution.excess_blob_gas):
        raise HeaderRefused("blobs before Deneb", slot=beacon.slot)
    if fork < Fork.CAPELLA:
        if execution != NO_EXECUTION or header.execution_branch:
            raise HeaderRefused("an execution header before Capella", slot=beacon.slot)
        return
    branch, index = header.execution_branch, indices.EXECUTION_PAYLOAD
    _check_branch("execution header", execution.root(fork), branch, index, beacon.body_root)


def check_update(
    network: Network, known: Known, update: Update, committee: SyncCommittee, now: int, *, newer: bool = True
) -> None:
    """Require that the committee which had to sign an update did (validate_light_client_update).

    `committee` is whom the update is said to be signed by; `now` is the slot of the verifier's clock; evidence
    need not be `newer` than what is known. One participant is enough here: what moves anything asks for
    `Network.is_supermajority` beside it.
    """
    check_unsigned(network, known, update, committee, now, newer=newer)
    check_signature(network, update, committee)


def check_unsigned(
    network: Network, known: Known, update: Update, committee: SyncCommittee, now: int, *, newer: bool
) -> None:
    """Everything of `check_update` but the signature, which takes far longer than the rest."""
    _check_slots(network, update, now)
    _check_periods(network, known, update)
    if newer:
        _check_newer(network, known, update)
    check_header(network, update.attested_header)
    _check_finality(network, update)
    _check_next_committee(network, known, update)
    _check_committee(network, known, update, committee)


def _check_slots(network: Network, update: Update, now: int) -> None:
    aggregate, attested, finalized = (
        update.sync_aggregate,
        update.attested_header.beacon,
        update.finalized_header.beacon,
    )
    if len(aggregate.bits) * 8 != network.committee_size:
        raise MalformedBeaconData("bits of another committee", bits=len(aggregate.bits) * 8)
    if not aggregate.participants:
        raise ParticipationLow("nobody signed")
    if not update.signature_slot > attested.slot >= finalized.slot:
        slots = {"signature": update.signature_slot, "attested": attested.slot, "finalized": finalized.slot}
        raise HeaderRefused("slots out of order", **slots)
    if now < update.signature_slot:
        raise SlotAhead(now=now, signature=update.signature_slot)


def _check_periods(network: Network, known: Known, update: Update) -> None:
    period, signed = network.period(known.slot), network.period(update.signature_slot)
    last = period if known.following is None else period + 1
    if signed > last:
        raise PeriodSkipped(known_to=last, signed=signed)
    if signed < period:
        raise UpdateStale("signed in a period before", known=period, signed=signed)


def _check_newer(network: Network, known: Known, update: Update) -> None:
    period = network.period(known.slot)
    attested = update.attested_header.beacon.slot
    teaches = known.following is None and update.next_sync_committee is not None and network.period(attested) == period
    if attested <= known.slot and not teaches:
        raise UpdateStale(known=known.slot, attested=attested)


def _check_finality(network: Network, update: Update) -> None:
    finalized, attested = update.finalized_header, update.attested_header.beacon
    if not update.has_finality:
        if finalized != NO_HEADER:
            raise BranchMismatch("a finalized header without a branch")
        return
    leaf = bytes(ROOT_BYTES)
    if finalized.beacon.slot != GENESIS_SLOT:
        check_header(network, finalized)
        leaf = finalized.beacon.root
    elif finalized != NO_HEADER:
        raise HeaderRefused("genesis is final, and a header stands for it")
    index = indices.finalized_root(network.fork(attested.slot))
    _check_branch("finalized header", leaf, update.finality_branch, index, attested.state_root)


def _check_next_committee(network: Network, known: Known, update: Update) -> None:
    committee, attested = update.next_sync_committee, update.attested_header.beacon
    if committee is None:
        if update.next_sync_committee_branch:
            raise BranchMismatch("a branch to no next committee")
        return
    root = committee.root
    if network.period(attested.slot) == network.period(known.slot) and known.following not in (None, root):
        raise CommitteeRefused("the next committee is known as another one", expected=known.following, found=root)
    index = indices.next_sync_committee(network.fork(attested.slot))
    _check_branch("next committee", root, update.next_sync_committee_branch, index, attested.state_root)


def _check_committee(network: Network, known: Known, update: Update, committee: SyncCommittee) -> None:
    same = network.period(update.signature_slot) == network.period(known.slot)
    expected, found = known.current if same else known.following, committee.root
    if found != expected:
        raise CommitteeRefused("not the committee that signs in this period", expected=expected, found=found)


def check_signature(network: Network, update: Update, committee: SyncCommittee) -> None:
    """Require that the members of a committee whom an update names signed it. Raises SignatureRefused."""
    # Who signs at a slot has seen the block of the slot before, and signs under the rules of that one.
    version = network.version(max(update.signature_slot, 1) - 1)
    signed = domain(DOMAIN_SYNC_COMMITTEE, version, network.genesis_validators_root)
    message = signing_root(update.attested_header.beacon.root, signed)
    if not is_signed(committee, update.sync_aggregate, message):
        raise SignatureRefused(slot=update.signature_slot, participants=update.sync_aggregate.participants)


def _check_branch(what: str, leaf: bytes, branch: Branch, index: int, root: bytes) -> None:
    """As `ssz.check_branch`; a branch in the form of a later fork has zeros in front, and they must be zeros."""
    more = len(branch) - ssz.depth(index)
    if more > 0 and len(branch) <= indices.DEPTHS_MAX and index != indices.EXECUTION_PAYLOAD:
        if any(map(any, branch[:more])):
            raise BranchMismatch("a branch is longer than its index is deep", part=what)
        branch = branch[more:]
    try:
        ssz.check_branch(leaf, branch, index, root)
    except (ProofMalformed, ProofMismatch) as failure:
        raise BranchMismatch(failure.detail, part=what) from failure


__all__ = (
    "DOMAIN_SYNC_COMMITTEE",
    "GENESIS_SLOT",
    "Known",
    "check_bootstrap",
    "check_header",
    "check_signature",
    "check_unsigned",
    "check_update",
)
