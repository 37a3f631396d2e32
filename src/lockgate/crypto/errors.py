"""Failures of the cryptographic layer. None of them ever carries a secret in its fields."""

from __future__ import annotations

from lockgate.primitives.errors import Misuse, PeerFault, Refused


class BadKey(PeerFault):
    code = "crypto.bad_key"
    summary = "A key is not well formed for its algorithm: wrong length, off the curve, or not canonical."
    next_step = "Take the key again from its owner; do not repair its bytes."


class BadSignature(PeerFault):
    code = "crypto.bad_signature"
    summary = "A signature does not verify under the key and the bytes it was presented with."
    next_step = "Drop the message. If it is your own, check that signer and verifier name the same domain."


class OpenFailed(PeerFault):
    code = "crypto.open_failed"
    summary = "A ciphertext did not authenticate under its key, nonce and associated data."
    next_step = "Drop the message; ask the sender to seal it again."


class BadEncapsulation(PeerFault):
    code = "crypto.bad_encapsulation"
    summary = "An encapsulated key has the wrong length or is not a point that may be used."
    next_step = "Drop the message; ask the sender to seal it again."


class KeyCommitmentMismatch(PeerFault):
    code = "crypto.key_commitment_mismatch"
    summary = "A ciphertext commits to another key than the one its recipient derived (P17)."
    next_step = "Drop the message; it was not sealed for this context."


class UnwrapFailed(PeerFault):
    code = "crypto.unwrap_failed"
    summary = "A wrapped key did not authenticate under its wrapping key."
    next_step = "Drop the message; ask the sender to wrap the key again."


class WrongLength(Misuse):
    code = "crypto.wrong_length"
    summary = "A key, nonce, tag or output length is not one the algorithm takes."
    next_step = "Report this: the caller passed a value of the wrong size."


class BadPsk(Misuse):
    code = "crypto.bad_psk"
    summary = "A pre-shared key needs at least 32 bytes and an id, and comes with neither or both."
    next_step = "Pass both the key and its id, or none of them."


class UnsupportedMode(Misuse):
    code = "crypto.unsupported_mode"
    summary = "The algorithm has no such operation: an authenticated mode, or sealing when export-only."
    next_step = "Choose a suite that offers the mode."


class MessageLimitReached(Refused):
    code = "crypto.message_limit"
    summary = "A sealing context has used its last sequence number."
    next_step = "Set up a new context with a fresh encapsulation."


class UnknownSuite(Refused):
    code = "crypto.unknown_suite"
    summary = "A message or record names a suite that this build does not know."
    next_step = "Upgrade, or ask the peer for one of the suites listed by `lockgate explain`."


class SuiteNotAllowed(Refused):
    code = "crypto.suite_not_allowed"
    summary = "The suite is known, but not allowed at this height: not active yet, past its sunset, or not listed."
    next_step = "Use a suite from the domain's list; the list is a governance record."


class NoCommonSuite(Refused):
    code = "crypto.no_common_suite"
    summary = "The two sides have no suite in common that is allowed at this height."
    next_step = "Enable a common suite on one side."


class DowngradeRefused(Refused):
    code = "crypto.downgrade_refused"
    summary = "A weaker suite was used although both sides allow a stronger one."
    next_step = "Treat it as an attack until explained: someone removed the stronger suite from the offer."


class WrongPurpose(Refused):
    code = "crypto.wrong_purpose"
    summary = "A key was asked to sign for a purpose that is not its own (P6)."
    next_step = "Use the key made for this purpose; one key has one purpose."


__all__ = (
    "BadEncapsulation",
    "BadKey",
    "BadPsk",
    "BadSignature",
    "DowngradeRefused",
    "KeyCommitmentMismatch",
    "MessageLimitReached",
    "NoCommonSuite",
    "OpenFailed",
    "SuiteNotAllowed",
    "UnknownSuite",
    "UnsupportedMode",
    "UnwrapFailed",
    "WrongLength",
    "WrongPurpose",
)
