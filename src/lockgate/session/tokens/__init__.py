"""Tokens: who may call what of a server for the next minutes, and only with its key (P22). Pure, like all of `session`.

- `claims`: what a token says; `cwt`: its form, and who signed it
- `proof`: what goes with each call; `nonces`: what a server gives out for it
- `revocation`: what a server knows of revoked tokens
- `guard`: lets a call in; the value `Admitted` proves all checks
- `errors`: one public code for whatever does not authenticate, reasons below it
"""

from lockgate.session.tokens.claims import MAX_LIFETIME_S, TOKEN_ID_BYTES, Claims, Holder
from lockgate.session.tokens.cwt import Issuer, Issuers, Token, issue, peek, read
from lockgate.session.tokens.errors import ListUnseen, NotAuthenticated, NotInScope
from lockgate.session.tokens.guard import SKEW_S, Admitted, Guard, Moment, Place
from lockgate.session.tokens.nonces import Nonces
from lockgate.session.tokens.proof import NO_CHANNEL, Call, Shown, show
from lockgate.session.tokens.revocation import AGE_S, Seen

__all__ = (
    "AGE_S",
    "MAX_LIFETIME_S",
    "NO_CHANNEL",
    "SKEW_S",
    "TOKEN_ID_BYTES",
    "Admitted",
    "Call",
    "Claims",
    "Guard",
    "Holder",
    "Issuer",
    "Issuers",
    "ListUnseen",
    "Moment",
    "Nonces",
    "NotAuthenticated",
    "NotInScope",
    "Place",
    "Seen",
    "Shown",
    "Token",
    "issue",
    "peek",
    "read",
    "show",
)
