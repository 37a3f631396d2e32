"""Failures of tokens. Three are for the caller; the rest are for the log of whoever refused (P22).

`NotAuthenticated` is the one answer to every token and proof that does not hold, so that trying out changes of a stolen
one teaches nothing. What it was stands below it (`__cause__`). Who has authenticated may know that its token does not
reach so far, or that nobody can tell whether it was revoked.
"""

from __future__ import annotations

from lockgate.primitives.errors import PeerFault, Refused, Unavailable

_NOTHING = "The call was not carried out."


class NotAuthenticated(Refused):
    code = "token.refused"
    summary = "The call carries no token, or one that does not hold for it. The reason stays in the log of who refused."
    untouched = _NOTHING
    next_step = "Take a new token (`lockgate token issue`); the log of the host that refused says what was wrong."


class NotInScope(Refused):
    code = "token.not_in_scope"
    summary = "The token is good, and does not allow this method."
    untouched = _NOTHING
    next_step = "Ask whoever issued it for a token that names the method in its scope."


class TokenDetail(Refused):
    """Base of what stays in the log of whoever refused."""

    untouched = _NOTHING


class TokenMalformed(PeerFault):
    code = "token.malformed"
    summary = "Bytes are not a token, or not the proof of one: shape, type, length or encoding of a field."
    untouched = _NOTHING
    next_step = "Issue it again with `lockgate token issue`; docs/spec/tokens.md has the form."


class IssuerUnknown(TokenDetail):
    code = "token.issuer_unknown"
    summary = (
        "A token is signed by a key that may issue none here, or no longer: it was rotated away or never accepted."
    )
    next_step = "Take a token from the operator of this host; after a rotation of keys, take a new one."


class TokenSignature(TokenDetail):
    code = "token.signature"
    summary = "A token's signature does not hold, with all its halves, for this ledger's domain and revision (P6)."
    next_step = "Take a new token; whoever shows this one has altered it, or it is of another deployment."


class TokenTooLong(TokenDetail):
    code = "token.lifetime"
    summary = "A token lives longer than tokens may, or its times are not in order."
    next_step = "Issue it for ten minutes at most, and renew it."


class TokenExpired(TokenDetail):
    code = "token.expired"
    summary = "A token's end has passed by more than clocks may differ."
    next_step = "Take a new token; if it is new, compare the clocks of both machines."


class TokenNotYet(TokenDetail):
    code = "token.not_yet"
    summary = "A token's beginning is further ahead than clocks may differ."
    next_step = "Wait for it; if it is meant for now, compare the clocks of both machines."


class OtherAudience(TokenDetail):
    code = "token.other_audience"
    summary = "A token is for another audience, lane or session than the call."
    next_step = "Take a token for this one."


class ScopeTooWide(TokenDetail):
    code = "token.scope_too_wide"
    summary = "A token allows methods that its issuer may not grant."
    next_step = "Take a token from who may grant them: for the methods of a host, its operator."


class TokenRevoked(TokenDetail):
    code = "token.revoked"
    summary = "A token, or the key that issued it, is on the list of revoked ones that the ledger proves."
    next_step = "Ask the operator for a new token, if there is to be one."


class ListUnseen(Unavailable):
    code = "token.list_unseen"
    summary = (
        "No proven list of revoked tokens is younger than a minute, and the token is older, so it is not believed."
    )
    untouched = _NOTHING
    next_step = "See that the host reaches its ledger (`lockgate doctor`); a new token is taken for its first minute."


class ProofRefused(TokenDetail):
    code = "token.proof"
    summary = "The call is not signed by the key the token confirms, over this method, path, body, nonce and channel."
    next_step = "Use the key the token was issued to; a token alone opens nothing."


class NonceRefused(TokenDetail):
    code = "token.nonce"
    summary = "The nonce of a call was not given out on this connection, was used before, or is too old."
    next_step = "Ask again on a new connection."


__all__ = (
    "IssuerUnknown",
    "ListUnseen",
    "NonceRefused",
    "NotAuthenticated",
    "NotInScope",
    "OtherAudience",
    "ProofRefused",
    "ScopeTooWide",
    "TokenDetail",
    "TokenExpired",
    "TokenMalformed",
    "TokenNotYet",
    "TokenRevoked",
    "TokenSignature",
    "TokenTooLong",
)
