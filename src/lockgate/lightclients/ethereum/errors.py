"""What an ethereum client refuses beside what all clients do (`lightclients.standing`)."""

from __future__ import annotations

from typing import Final

from lockgate.lightclients.standing import CLIENT
from lockgate.primitives.errors import PeerFault, Refused

CODESPACE: Final = "lockgate"


class MalformedBeaconData(PeerFault):
    code = "ethereum.malformed"
    summary = "The bytes are not the SSZ or JSON of a light client object, or go beyond its limits."
    next_step = "Fetch the object again from a beacon node; do not retry these bytes."
    wire = (CLIENT, 10)


class BranchMismatch(PeerFault):
    code = "ethereum.branch_mismatch"
    summary = "A branch does not lead from a part of the update to the root that should hold it."
    next_step = "Check that all parts are of one update, and that the client knows the forks of the chain."
    wire = (CLIENT, 12)


class HeaderRefused(PeerFault):
    code = "ethereum.header_refused"
    summary = "A header carries what its fork does not have, or slots are not in the order of an update."
    next_step = "Fetch the update again; finalized, attested and signature slot ascend in an honest one."
    wire = (CLIENT, 12)


class SlotAhead(Refused):
    code = "ethereum.slot_ahead"
    summary = "The update was signed at a slot that this ledger's clock has not reached."
    next_step = "Send it again when this ledger's time has come to the signature slot."
    wire = (CLIENT, 12)


class UpdateStale(Refused):
    code = "ethereum.update_stale"
    summary = "The update brings nothing newer than the state it is judged from."
    next_step = "Send an update that finalizes a later slot, or name an earlier trusted slot."
    wire = (CLIENT, 12)


class CommitteeRefused(PeerFault):
    code = "ethereum.committee_refused"
    summary = "A sync committee is not the one that is known for its period, or its keys or their sum do not hold."
    next_step = "Send the committee of the signature's period, as the beacon state holds it."
    wire = (CODESPACE, 75)


class PeriodSkipped(Refused):
    code = "ethereum.period_skipped"
    summary = "The update is signed by a sync committee of which the trusted state says nothing."
    next_step = "Bring the updates of each sync committee period in order."
    wire = (CODESPACE, 76)


class ParticipationLow(Refused):
    code = "ethereum.participation_low"
    summary = "Fewer than two thirds of the sync committee signed."
    next_step = "Wait for an update that two thirds of the committee signed."
    wire = (CODESPACE, 77)


class SignatureRefused(PeerFault):
    code = "ethereum.signature_refused"
    summary = "The signature is not that of the committee members named, over this header, chain and fork."
    next_step = "Fetch the update again; check genesis root and fork versions of the client."
    wire = (CODESPACE, 78)


class NextCommitteeMissing(Refused):
    code = "ethereum.next_committee_missing"
    summary = "The update enters a new period and does not bring the committee of the one after it."
    next_step = "Send the update of that period that carries its next sync committee."
    wire = (CODESPACE, 79)


class TrustedStateExpired(Refused):
    code = "ethereum.trusted_expired"
    summary = "The state that the update is judged from is older than the trusting period."
    next_step = "Name a newer trusted slot; if none is left, recover the client by governance."
    wire = (CLIENT, 29)


class AccountMissing(PeerFault):
    code = "ethereum.account_missing"
    summary = "There is no account at the packet host's address under this state root, so nothing is proven of it."
    next_step = "Prove at a height at which the contract is deployed; check the address of the client."
    wire = ("commitment", 2)


class InvalidClientState(Refused):
    code = "ethereum.client_state_invalid"
    summary = "A field of the ethereum client or consensus state has no usable value."
    next_step = "Create the client again with corrected states."
    wire = (CLIENT, 3)


class UpgradeUnknown(Refused):
    code = "ethereum.no_upgrade"
    summary = "An ethereum client follows one chain; later forks reach it by recovery from a client that knows them."
    next_step = "Create a new client with the longer fork schedule, and recover this one from it when it has expired."
    wire = (CLIENT, 25)


class NotOurs(Refused):
    code = "ethereum.not_a_ledger_of_ours"
    summary = "No ethereum client follows a ledger of ours: it has no sync committee."
    next_step = "Let the other side follow this ledger by a client of another kind."
    wire = (CLIENT, 3)


__all__ = (
    "CODESPACE",
    "AccountMissing",
    "BranchMismatch",
    "CommitteeRefused",
    "HeaderRefused",
    "InvalidClientState",
    "MalformedBeaconData",
    "NextCommitteeMissing",
    "NotOurs",
    "ParticipationLow",
    "PeriodSkipped",
    "SignatureRefused",
    "SlotAhead",
    "TrustedStateExpired",
    "UpdateStale",
    "UpgradeUnknown",
)
