"""Why a CometBFT header, validator set or commit was refused. Each row of the digest has a name.

`wire` is what ibc-go answers for the same fault: it wraps failures of `light.Verify` without a code
of their own, which the SDK shows as `undefined/1`.
"""

from __future__ import annotations

from typing import ClassVar

from lockgate.primitives.errors import Misuse, PeerFault, Refused

_ASK_ANOTHER = "Fetch the light block again, from another node if it persists; do not retry these bytes."


class HeaderRefused(PeerFault):
    """Base of every refusal of a header, its validator set or its commit, except by the clock."""

    wire: ClassVar[tuple[str, int] | None] = ("undefined", 1)
    next_step: ClassVar[str] = _ASK_ANOTHER


class MalformedChainData(HeaderRefused):
    code = "cometbft.malformed"
    summary = "Bytes or JSON are not the CometBFT structure they stand for."


class HeaderInvalid(HeaderRefused):
    code = "cometbft.header_invalid"
    summary = "A header field has a value that no CometBFT header can have."


class WrongChain(HeaderRefused):
    code = "cometbft.wrong_chain"
    summary = "The header belongs to another chain id than the trusted one."
    next_step = "Check which chain the node serves, and which chain the client was created for."


class CommitInvalid(HeaderRefused):
    code = "cometbft.commit_invalid"
    summary = "A commit is not well formed."


class CommitMismatch(HeaderRefused):
    code = "cometbft.commit_mismatch"
    summary = "The commit is for another height or block than the header beside it."


class InvalidValidatorSet(HeaderRefused):
    code = "cometbft.validator_set_invalid"
    summary = "A list of validators is not a validator set: empty, doubled, disordered or overflowing."


class UnsupportedKey(HeaderRefused):
    code = "cometbft.key_type_unsupported"
    summary = "A validator has no Ed25519 key of 32 bytes."
    next_step = "Chains with other consensus key types cannot be followed by this client."


class ValidatorSetMismatch(HeaderRefused):
    code = "cometbft.validator_set_mismatch"
    summary = "The validator set does not hash to what the header commits to."
    wire = ("client", 12)


class UntrustedValidators(HeaderRefused):
    code = "cometbft.untrusted_validators"
    summary = "The validators offered as trusted are not those the trusted header announced."
    next_step = "Send the validator set of the trusted height plus one."
    wire = ("07-tendermint", 14)


class NotNextValidators(HeaderRefused):
    code = "cometbft.not_next_validators"
    summary = "An adjacent header is signed by another validator set than the trusted header announced."


class HeightNotAfterTrusted(HeaderRefused):
    code = "cometbft.height_not_after_trusted"
    summary = "The header is not higher than the trusted one."


class TimeNotAfterTrusted(HeaderRefused):
    code = "cometbft.time_not_after_trusted"
    summary = "The header is not later than the trusted one."


class CommitAddressMismatch(HeaderRefused):
    code = "cometbft.commit_address_mismatch"
    summary = "A commit signature names another validator than the one at its place in the set."


class DuplicateVote(HeaderRefused):
    code = "cometbft.duplicate_vote"
    summary = "One validator appears twice among the signatures of a commit."


class WrongSignature(HeaderRefused):
    code = "cometbft.wrong_signature"
    summary = "A commit signature does not verify under its validator's key."


class InsufficientPower(HeaderRefused):
    code = "cometbft.insufficient_power"
    summary = "Not more than two thirds of the header's own validator set signed it."


class InsufficientOverlap(HeaderRefused):
    code = "cometbft.insufficient_overlap"
    summary = "Too little of the trusted validator set signed this header to skip to it."
    next_step = "Verify a header between the two heights first."


class TrustedHeaderExpired(Refused):
    code = "cometbft.trusted_header_expired"
    summary = "The trusted header is older than the trusting period."
    next_step = "Start again from a header obtained out of band, or recover the client by governance."
    wire: ClassVar[tuple[str, int] | None] = ("07-tendermint", 11)


class HeaderFromFuture(Refused):
    code = "cometbft.header_from_future"
    summary = "The header's time is not before the present plus the allowed clock drift."
    next_step = "Wait, or set this machine's clock; the header may be accepted later."
    wire: ClassVar[tuple[str, int] | None] = ("undefined", 1)


class TrustLevelInvalid(Refused):
    code = "cometbft.trust_level_invalid"
    summary = "A trust level must be a fraction from 1/3 to 1."
    next_step = "Choose a trust level between 1/3 and 1; 1/3 is the usual one."
    wire: ClassVar[tuple[str, int] | None] = ("07-tendermint", 15)


class BisectionExhausted(Refused):
    code = "cometbft.bisection_exhausted"
    summary = "Skipping to the target height needed more headers than the bound allows."
    next_step = "Follow the chain in smaller steps, or start from a newer trusted header."


class BisectionMisused(Misuse):
    code = "cometbft.bisection_misused"
    summary = "A bisection plan was fed a block it did not ask for, or after its end."
    next_step = "Feed the block of `wanted`, and stop when `wanted` is None."


__all__ = (
    "BisectionExhausted",
    "BisectionMisused",
    "CommitAddressMismatch",
    "CommitInvalid",
    "CommitMismatch",
    "DuplicateVote",
    "HeaderFromFuture",
    "HeaderInvalid",
    "HeaderRefused",
    "HeightNotAfterTrusted",
    "InsufficientOverlap",
    "InsufficientPower",
    "InvalidValidatorSet",
    "MalformedChainData",
    "NotNextValidators",
    "TimeNotAfterTrusted",
    "TrustLevelInvalid",
    "TrustedHeaderExpired",
    "UnsupportedKey",
    "UntrustedValidators",
    "ValidatorSetMismatch",
    "WrongChain",
    "WrongSignature",
)
