"""What a 07-tendermint client refuses, with the code ibc-go v11 gives the same refusal.

Faults of a header in itself are in `lightclients.cometbft.errors`.
"""

from __future__ import annotations

from typing import Final

from lockgate.lightclients.standing import (
    CLIENT,
    CORE,
    ClientExpired,
    ClientFrozen,
    ClientUnknown,
    ConsensusStateMissing,
    MalformedState,
    NotMisbehaviour,
    ProofHeightAhead,
    RootUnset,
    SubstituteMismatch,
    SubstituteUnusable,
)
from lockgate.primitives.errors import PeerFault, Refused

MODULE: Final = "07-tendermint"

_RECREATE = "Create the client again with corrected states."


class MessageTooLarge(PeerFault):
    code = "tendermint.message_too_large"
    summary = "A header or misbehaviour message is larger than any the validator limit allows."
    next_step = "Send one header per message."
    wire = (CORE, 17)


class InvalidChainId(Refused):
    code = "tendermint.chain_id_invalid"
    summary = "The client state's chain id is blank or longer than CometBFT allows."
    next_step = _RECREATE
    wire = (MODULE, 2)


class InvalidTrustingPeriod(Refused):
    code = "tendermint.trusting_period_invalid"
    summary = "The trusting period must be positive and shorter than the unbonding period."
    next_step = "Choose about two thirds of the unbonding period."
    wire = (MODULE, 3)


class InvalidUnbondingPeriod(Refused):
    code = "tendermint.unbonding_period_invalid"
    summary = "The unbonding period must be positive."
    next_step = _RECREATE
    wire = (MODULE, 4)


class InvalidHeight(Refused):
    code = "tendermint.height_invalid"
    summary = "A height is zero, of another revision than its chain id, or not after the trusted one."
    next_step = "Check the chain id's revision; trust a height below the header's, of the same revision."
    wire = (MODULE, 5)


class InvalidClockDrift(Refused):
    code = "tendermint.clock_drift_invalid"
    summary = "The largest clock drift must be positive."
    next_step = _RECREATE
    wire = (MODULE, 7)


class InvalidProofSpecs(Refused):
    code = "tendermint.proof_specs_invalid"
    summary = "The client state has no proof specs, or too many."
    next_step = "Use the IAVL and the Tendermint spec for a Cosmos SDK or Lockgate ledger."
    wire = (MODULE, 13)


class InvalidClientState(Refused):
    code = "tendermint.client_state_invalid"
    summary = "A field of the client state has no usable value."
    next_step = _RECREATE
    wire = (CLIENT, 3)


class InvalidConsensusState(Refused):
    code = "tendermint.consensus_state_invalid"
    summary = "A consensus state must have a positive time, a root and a validators hash, none of them unset."
    next_step = _RECREATE
    wire = (CLIENT, 8)


class UpgradeRefused(Refused):
    code = "tendermint.upgrade_refused"
    summary = "The upgraded client is not one the old chain's upgrade plan can have committed to."
    next_step = "Send the client and consensus state exactly as the old chain's last block commits to them."
    wire = (CLIENT, 25)


class UpgradeHeight(Refused):
    code = "tendermint.upgrade_height"
    summary = "The upgraded client's height is not greater than the current one."
    next_step = "Check that this client has not been upgraded already."
    wire = (CORE, 9)


__all__ = (
    "ClientExpired",
    "ClientFrozen",
    "ClientUnknown",
    "ConsensusStateMissing",
    "InvalidChainId",
    "InvalidClientState",
    "InvalidClockDrift",
    "InvalidConsensusState",
    "InvalidHeight",
    "InvalidProofSpecs",
    "InvalidTrustingPeriod",
    "InvalidUnbondingPeriod",
    "MalformedState",
    "MessageTooLarge",
    "NotMisbehaviour",
    "ProofHeightAhead",
    "RootUnset",
    "SubstituteMismatch",
    "SubstituteUnusable",
    "UpgradeHeight",
    "UpgradeRefused",
)
