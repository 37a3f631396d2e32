"""Failures of a handshake. What a peer is told of them is in `messages.ErrorMessage`, and less."""

from __future__ import annotations

from lockgate.primitives.errors import Misuse, PeerFault, Refused


class HandshakeMalformed(PeerFault):
    code = "edhoc.malformed"
    summary = "A handshake message is not in its one encoding, or its parts have the wrong types or lengths."
    untouched = "The handshake goes no further; sessions that exist are unchanged."
    next_step = "Drop the message. If the peer keeps sending such, compare both sides' versions."


class HandshakeFailed(PeerFault):
    code = "edhoc.failed"
    summary = "A handshake message did not authenticate: wrong keys, another transcript, or altered bytes."
    untouched = "The handshake goes no further; sessions that exist are unchanged."
    next_step = "Start a new handshake. If it fails again, compare the key records of both sides on their ledgers."


class WrongSuite(Refused):
    code = "edhoc.wrong_suite"
    summary = "The selected cipher suite is not supported, or one that the initiator prefers to it is."
    untouched = "No key was agreed on."
    next_step = "Answer with the own list; the initiator selects its first suite on it, and names those before."


class MethodRefused(Refused):
    code = "edhoc.method_refused"
    summary = "The method of authentication is not one this side or the cipher suite takes."
    untouched = "No key was agreed on."
    next_step = "Use method 0, signatures on both sides; the hybrid suites have no other."


class CriticalEad(Refused):
    code = "edhoc.critical_ead"
    summary = "A critical item of external authorisation data is not understood."
    untouched = "The handshake goes no further."
    next_step = "Upgrade, or ask the peer to send the item as one that may be ignored."


class PeerRefused(Refused):
    code = "edhoc.peer_refused"
    summary = "The peer answered with an error message instead of going on."
    untouched = "No session came of this handshake."
    next_step = "Code 2 carries the suites it supports: select one of those. Otherwise compare both sides' logs."


class CredentialUnusable(Misuse):
    code = "edhoc.credential_unusable"
    summary = "A credential or private key does not fit the method and cipher suite it was given for."
    next_step = "Give signature keys of the suite to a side that signs, a static key of its group to one that does not."


__all__ = (
    "CredentialUnusable",
    "CriticalEad",
    "HandshakeFailed",
    "HandshakeMalformed",
    "MethodRefused",
    "PeerRefused",
    "WrongSuite",
)
