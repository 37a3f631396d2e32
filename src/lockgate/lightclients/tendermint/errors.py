"""What a 07-tendermint client refuses, with the code ibc-go v11 gives the same refusal.

Faults of a header in itself are in `lightclients.cometbft.errors`.
"""

from __future__ import annotations

from typing import Final

from lockgate.primitives.errors import PeerFault, Refused, Unavailable

MODULE: Final = "07-tendermint"
CLIENT: Final = "client"
CORE: Final = "ibc"

_RECREATE = "Create the client again with corrected states."


class MalformedState(PeerFault):
    code = "tendermint.state_malformed"
    summary = "Bytes are not the 07-tendermint client state, consensus state or message they claim to be."
    next_step = "Check the type URL and the encoding; do not retry these bytes."
    wire = (CLIENT, 10)


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


class ClientUnknown(Refused):
    code = "tendermint.client_unknown"
    summary = "There is no client of that id."
    next_step = "Check the client id."
    wire = (CLIENT, 4)


class ClientFrozen(Refused):
    code = "tendermint.client_frozen"
    summary = "The client is frozen: its ledger was caught with two histories."
    next_step = "See the evidence in the transaction that froze it; governance decides what follows."
    wire = (CLIENT, 29)


class ClientExpired(Refused):
    code = "tendermint.client_expired"
    summary = "The client's newest header is older than its trusting period."
    next_step = "Create a substitute client and recover this one by governance."
    wire = (CLIENT, 29)


class ConsensusStateMissing(Refused):
    code = "tendermint.consensus_state_missing"
    summary = "The client holds no consensus state at that height."
    next_step = "Update the client to exactly that height, or use one it holds."
    wire = (CLIENT, 7)


class ProofHeightAhead(Unavailable):
    code = "tendermint.proof_height_ahead"
    summary = "The proof is for a height above the client's newest header."
    next_step = "Update the client to the proof's height first."
    wire = (CORE, 9)


class RootUnset(Refused):
    code = "tendermint.root_unset"
    summary = "The state root is not 32 bytes, or is all zero: nothing can be proven against it."
    next_step = "Update the client to a later header and prove against that."
    wire = (CLIENT, 11)


class NotMisbehaviour(PeerFault):
    code = "tendermint.not_misbehaviour"
    summary = "The two headers do not contradict each other, or are not both valid."
    next_step = "Send two valid headers of one height with different hashes, or with times out of order."
    wire = (CLIENT, 13)


class SubstituteMismatch(Refused):
    code = "tendermint.substitute_mismatch"
    summary = "The substitute client differs from the subject in a parameter that must be equal."
    next_step = "Create a substitute with the subject's trust level, unbonding period, drift, specs and path."
    wire = (CLIENT, 27)


class SubstituteUnusable(Refused):
    code = "tendermint.substitute_unusable"
    summary = "Recovery needs a subject that is not active and an active, newer substitute."
    next_step = "Update the substitute, or leave an active subject as it is."
    wire = (CLIENT, 27)


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
