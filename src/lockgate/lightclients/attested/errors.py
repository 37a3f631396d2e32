"""What an attested client refuses beside what all clients do (`lightclients.standing`)."""

from __future__ import annotations

from typing import Final

from lockgate.lightclients.standing import CLIENT
from lockgate.primitives.errors import PeerFault, Refused

CODESPACE: Final = "lockgate"


class SignersRefused(Refused):
    code = "attested.signers_refused"
    summary = "A client may not rest on this signer set: too few operators or sources, too low a share, or overlap."
    next_step = "Name distinct keys and operators so that every quorum holds more than half of weight and operators."
    wire = (CODESPACE, 85)


class SignaturesRefused(PeerFault):
    code = "attested.signatures_refused"
    summary = "A signature is unordered, repeated, of an unknown or lapsed signer, or does not hold."
    next_step = "Send signatures of current signers only, each once, ascending by key hash."
    wire = (CODESPACE, 86)


class StaleEpoch(Refused):
    code = "attested.stale_epoch"
    summary = "The attestation is of a signer set that the client does not have, or has no longer."
    next_step = "Let the signers of the client's present epoch attest, or bring the rotations in order."
    wire = (CODESPACE, 87)


class RotationRefused(Refused):
    code = "attested.rotation_refused"
    summary = "The next signer set does not follow the present one, or would require less than it does."
    next_step = "Announce the next epoch with at least the present threshold, share, operators and sources."
    wire = (CODESPACE, 88)


class QuorumMissing(Refused):
    code = "attested.quorum_missing"
    summary = "The signatures that hold weigh less than the threshold."
    next_step = "Collect more signatures of the present signer set."
    wire = (CLIENT, 12)


class AttestationDated(Refused):
    code = "attested.time_refused"
    summary = "The attested time is too far ahead of this ledger's, or older than the trusting period."
    next_step = "Wait until this ledger's clock has come closer, or attest a newer height."
    wire = (CLIENT, 12)


class InvalidClientState(Refused):
    code = "attested.client_state_invalid"
    summary = "A field of the attested client or consensus state has no usable value."
    next_step = "Create the client again with corrected states."
    wire = (CLIENT, 3)


class UpgradeUnknown(Refused):
    code = "attested.no_upgrade"
    summary = "An attested client follows one domain and is never moved to another."
    next_step = "Create a new client for the new domain."
    wire = (CLIENT, 25)


__all__ = (
    "AttestationDated",
    "InvalidClientState",
    "QuorumMissing",
    "RotationRefused",
    "SignaturesRefused",
    "SignersRefused",
    "StaleEpoch",
    "UpgradeUnknown",
)
