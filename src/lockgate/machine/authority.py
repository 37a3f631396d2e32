"""Who acts as the ledger's authority: keys of the genesis, or those that followed them, which sign actions and nothing
else (P16, I2).

An authority is an identity, hybrid by default, and no account. What it wants done travels in a
transaction of any account's, as a message with an `authorization`: which authority, for which domain,
its next number, until when, and a signature over all of that with the message's name and fields. So who
submits it decides nothing, and what was signed means nothing twice, later, elsewhere or for another
message (P6). The number is used up only when the message succeeds.
Source: P6, P16; `cddl/messages.1.0.cddl`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lockgate.codec import cbor
from lockgate.crypto.hybrid import Purpose, signing_bytes
from lockgate.crypto.keys import IdentityKey, IdentitySigner
from lockgate.machine import keys, succession
from lockgate.machine.context import Context, field, only_fields
from lockgate.machine.errors import CODESPACE
from lockgate.machine.gas import AUTHORIZATION
from lockgate.primitives.errors import PeerFault, Refused
from lockgate.primitives.ids import DomainId
from lockgate.primitives.state import Outcome, View
from lockgate.primitives.time import UnixSeconds, floor_seconds

_UNTOUCHED: Final = "No message of the transaction took effect, and the authority's number is not used up."


class NotAuthority(Refused):
    code = "gov.not_authority"
    summary = "No authority of this ledger has this key: it never was one's, or another has followed it (P16)."
    untouched = _UNTOUCHED
    next_step = "Let an authority that stands now sign the action."
    wire = (CODESPACE, 50)


class BadAuthorization(PeerFault):
    code = "gov.signature"
    summary = "The signature is not that of the authority, with all its halves, over this action on this ledger (P6)."
    untouched = _UNTOUCHED
    next_step = "Sign the action with all of the authority's keys, for this domain id and revision."
    wire = (CODESPACE, 59)


class AuthorizationForElsewhere(Refused):
    code = "gov.wrong_domain"
    summary = "The authority authorized the action on another ledger."
    untouched = _UNTOUCHED
    next_step = "Submit it to the ledger it was signed for, or let the authority sign it for this one."
    wire = (CODESPACE, 64)


class AuthorizationExpired(Refused):
    code = "gov.expired"
    summary = "Ledger time is past the authorization's `valid_until`."
    untouched = _UNTOUCHED
    next_step = "Let the authority sign the action anew, with a later `valid_until`."
    wire = (CODESPACE, 61)


class AuthorizationSequence(Refused):
    code = "gov.sequence"
    summary = "The authorization does not carry the authority's next number: it was used already, or comes too early."
    untouched = _UNTOUCHED
    next_step = "Nothing to do when the action has happened; otherwise sign it with the expected number."
    wire = (CODESPACE, 62)


def authorize(
    signer: IdentitySigner,
    domain: DomainId,
    revision: int,
    message: tuple[str, Mapping[str, Any]],
    sequence: int,
    valid_until: UnixSeconds,
) -> tuple[str, dict[str, Any]]:
    """The message with the authority's authorization beside its fields, to be submitted by any account.

    `sequence` is the authority's `next_sequence` on that ledger, `valid_until` in ledger time. Raises
    WrongPurpose when the key is not an authority's.
    """
    name, fields = message
    signed = _signed(name, fields, sequence, valid_until)
    authorization = {
        "authority": signer.key.hash,
        "domain": domain,
        "sequence": sequence,
        "valid_until": valid_until,
        "signature": signer.sign_for(Purpose.GOVERNANCE, domain, revision, signed),
    }
    return name, {**fields, AUTHORIZATION: authorization}


def require(view: View, context: Context, name: str, message: Mapping[str, Any]) -> tuple[IdentityKey, Outcome]:
    """The authority that authorized a message, and what uses its number up.

    Raises NotAuthority, AuthorizationForElsewhere, AuthorizationExpired, AuthorizationSequence,
    BadAuthorization, BadMessage.
    """
    given = field(message, AUTHORIZATION, dict)
    only_fields(given, "authority", "domain", "sequence", "valid_until", "signature")
    wanted = field(given, "authority", bytes, size=32)
    key = succession.standing(view, context.genesis).of(wanted)
    if key is None:
        raise NotAuthority("it is none of this ledger's", authority=wanted)
    if field(given, "domain", bytes, size=32) != context.domain:
        raise AuthorizationForElsewhere("authorized on another ledger", domain=given["domain"])
    valid_until, sequence = field(given, "valid_until", int), field(given, "sequence", int)
    if floor_seconds(context.block.time) > valid_until:
        raise AuthorizationExpired("expired", valid_until=valid_until)
    expected = next_sequence(view, key)
    if sequence != expected:
        raise AuthorizationSequence("not the next number", got=sequence, expected=expected)
    fields = {item: value for item, value in message.items() if item != AUTHORIZATION}
    signed = _signed(name, fields, sequence, valid_until)
    covered = signing_bytes(
        Purpose.GOVERNANCE, key.suite, key.hash, context.domain, context.block.height.revision, signed
    )
    if not key.verify(covered, field(given, "signature", bytes)):
        raise BadAuthorization("the signature does not hold", authority=wanted)
    outcome = Outcome()
    outcome.set(keys.GOVERNANCE, keys.authority(key.hash), keys.u64(expected + 1))
    return key, outcome


def next_sequence(view: View, key: IdentityKey) -> int:
    """The number that the authority's next authorization on this ledger must carry; 0 at first."""
    return int.from_bytes(view.get(keys.GOVERNANCE, keys.authority(key.hash)) or b"", "big")


def _signed(name: str, fields: Mapping[str, Any], sequence: int, valid_until: int) -> bytes:
    """The signed message; domain, revision and keys are in front of it (P6)."""
    return cbor.encode([name, dict(fields), sequence, valid_until])


__all__ = (
    "AuthorizationExpired",
    "AuthorizationForElsewhere",
    "AuthorizationSequence",
    "BadAuthorization",
    "NotAuthority",
    "authorize",
    "next_sequence",
    "require",
)
