"""What evidence, certificates, statements and receipts are refused for."""

from __future__ import annotations

from lockgate.primitives.errors import Misuse, PeerFault, Refused

_NOTHING_BELIEVED = "Nothing of the evidence was believed; no verdict was kept."


class EvidenceMalformed(PeerFault):
    code = "attest.malformed"
    summary = "Bytes are not the evidence, certificate or statement they are given for, or go beyond its limits."
    untouched = _NOTHING_BELIEVED
    next_step = "Fetch the evidence again from its attester; if it stays so, drop the attester."


class PathRefused(Refused):
    code = "attest.path"
    summary = "A certificate does not lead, at the time it is judged at, to an anchor that the verifier trusts."
    untouched = _NOTHING_BELIEVED
    next_step = "Compare the chain with the vendor's published roots, and the time with each certificate's validity."


class EvidenceRefused(Refused):
    code = "attest.evidence"
    summary = "A hardware report is not signed by the key of its certificate, or says what no policy admits."
    untouched = _NOTHING_BELIEVED
    next_step = "Ask the attester for a report of this machine, in production mode, with its own certificate."


class NotBound(Refused):
    code = "attest.not_bound"
    summary = "Genuine evidence of a machine says nothing of this key: its report data is another."
    untouched = _NOTHING_BELIEVED
    next_step = "Treat the key as anybody's. The attester must put the key's digest into its report."


class IssuerRefused(Refused):
    code = "attest.issuer"
    summary = (
        "A statement's issuer, service or workload is not one that the verifier expects, or its chain is another's."
    )
    untouched = _NOTHING_BELIEVED
    next_step = "Name the issuer among the expected ones, if it is to be believed."


class ReceiptRefused(Refused):
    code = "attest.receipt"
    summary = "A receipt does not show that its log holds this statement."
    untouched = _NOTHING_BELIEVED
    next_step = "Ask the log for a receipt of these bytes; if it signs two roots, keep both."


class NoExpectation(Misuse):
    code = "attest.no_expectation"
    summary = "A verifier was asked to judge a claim without being told what it should be."
    untouched = _NOTHING_BELIEVED
    next_step = "Name at least one expected value for every claim; nothing is ever unchecked by default."


__all__ = (
    "EvidenceMalformed",
    "EvidenceRefused",
    "IssuerRefused",
    "NoExpectation",
    "NotBound",
    "PathRefused",
    "ReceiptRefused",
)
