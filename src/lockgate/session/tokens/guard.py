"""Lets calls in: nonce, issuer, times, place, proof, revocation, scope, in this order, and none is left out (P22).

Time is the wall clock, or that of the guard's beginning and what has passed since, whichever is later. A clock that is
set back behind that revives no token that has ended; one that was ahead and is set right does, and each call still
needs a nonce of its own. One that is set forward ends tokens early, and harms nobody else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

from lockgate.primitives.errors import LockgateError
from lockgate.primitives.sealed import Sealed
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos, UnixSeconds, floor_seconds, seconds_to_nanos
from lockgate.session.tokens.claims import Claims
from lockgate.session.tokens.cwt import Issuers, Token, read
from lockgate.session.tokens.errors import (
    ListUnseen,
    NotAuthenticated,
    NotInScope,
    OtherAudience,
    TokenExpired,
    TokenNotYet,
)
from lockgate.session.tokens.nonces import Nonces
from lockgate.session.tokens.proof import Call, Shown, require_proof
from lockgate.session.tokens.revocation import Seen, require_standing

SKEW_S: Final = 30  # between two machines' clocks: synchronised ones differ by less than one, one that woke up by some


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a server's tokens must be for. `lane`, `session` None: its calls belong to none, and no token may."""

    audience: str
    domain: bytes  # of the ledger whose rules the server goes by; of 32 bytes
    revision: int
    lane: bytes | None = None
    session: bytes | None = None


@final
@dataclass(frozen=True, slots=True)
class Admitted(metaclass=Sealed):
    """A call that was let in. Only `Guard.admit` makes one."""

    token: Token
    ends: UnixNanos  # when whatever it began must have ended

    @property
    def claims(self) -> Claims:
        return self.token.claims


@dataclass(frozen=True, slots=True)
class Moment:
    """What both clocks of a server show: `wall`, and `monotonic` nanoseconds."""

    wall: UnixNanos
    monotonic: int


class Guard:
    """One server's door."""

    def __init__(
        self, place: Place, issuers: Callable[[], Issuers], revoked: Callable[[], Seen | None], began: Moment
    ) -> None:
        """`issuers` is asked for each call, so that a key that was rotated away lets nobody in from then on; `revoked`
        is the newest list that was proven, None before the first.
        """
        self.place: Final = place
        self._issuers = issuers
        self._revoked = revoked
        self._began = began

    def time(self, at: Moment) -> UnixNanos:
        """The time that tokens are judged by."""
        return UnixNanos(max(at.wall, self._began.wall + at.monotonic - self._began.monotonic))

    def admit(self, shown: bytes, call: Call, nonces: Nonces, at: Moment) -> Admitted:
        """Let a call in. The nonce is used up, whatever comes of it.

        Raises NotAuthenticated with the reason as its cause; ListUnseen and NotInScope, which only who holds a token
        and its key sees.
        """
        try:
            nonces.take(call.nonce, at.monotonic)
            token = self._authenticated(Shown.decode(shown), call, at)
            require_standing(token, self._revoked(), self.time(at))
        except ListUnseen:
            raise
        except LockgateError as error:
            raise NotAuthenticated from error
        claims = token.claims
        if call.method not in claims.scope:
            raise NotInScope(method=call.method, scope=" ".join(claims.scope))
        return Sealed.make(Admitted, token, seconds_to_nanos(UnixSeconds(claims.expires + SKEW_S)))

    def left(self, admitted: Admitted, at: Moment) -> float:
        """Seconds that what was let in may go on; 0 when it must end.

        That is when its token is over or was revoked since, and when its issuer's key issues here no more: whoever had
        stolen that key made the token, as far as a rotation can tell.
        """
        if admitted.token.issuer.key.hash not in self._issuers():
            return 0.0
        seen = self._revoked()
        if seen is not None and seen.names(admitted.token):
            return 0.0
        return max(0.0, (admitted.ends - self.time(at)) / NANOS_PER_SECOND)

    def _authenticated(self, shown: Shown, call: Call, at: Moment) -> Token:
        place = self.place
        token = read(shown.token, self._issuers(), place.domain, place.revision)
        require_for(token.claims, place, floor_seconds(self.time(at)))
        require_proof(token.claims.holder, token.digest, shown, call, place.domain, place.revision)
        return token


def require_for(claims: Claims, place: Place, now: UnixSeconds) -> None:
    """Raise unless claims are good at a place and a time.

    Raises TokenTooLong, TokenExpired, TokenNotYet, OtherAudience. The lifetime is judged here, whatever was signed.
    """
    claims.require_short()
    if now >= claims.expires + SKEW_S:
        raise TokenExpired(expired=claims.expires, now=now)
    if max(claims.not_before, claims.issued) > now + SKEW_S:
        raise TokenNotYet(begins=claims.not_before, issued=claims.issued, now=now)
    for what, named, expected in (
        ("audience", claims.audience, place.audience),
        ("lane", claims.lane, place.lane),
        ("session", claims.session, place.session),
    ):
        if named != expected:
            raise OtherAudience(what, named=named, expected=expected)


__all__ = ("SKEW_S", "Admitted", "Guard", "Moment", "Place", "require_for")
