"""What a server knows of revoked tokens: a list that its ledger proves, and how old it is (P22).

A revoked token is let in for a minute at most after its revocation stands on the ledger. So a list must be no older
than that; where none is to be had, a token that is itself no older is taken all the same, since whoever revoked it did
so less than a minute ago. What is on a list is refused however old the list is: nothing ever leaves it before its end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos
from lockgate.session.tokens.cwt import Token
from lockgate.session.tokens.errors import ListUnseen, TokenRevoked

AGE_S: Final = 60  # of a list, as of a registry's proof (P19)


@dataclass(frozen=True, slots=True)
class Seen:
    """The ids of revoked tokens and the hashes of revoked keys, as a header of this time proved them."""

    ids: frozenset[bytes]
    time: UnixNanos

    def names(self, token: Token) -> bool:
        """Whether the token, or the key that issued it, is on the list."""
        return token.claims.token_id in self.ids or bytes(token.issuer.key.hash) in self.ids


def require_standing(token: Token, seen: Seen | None, now: UnixNanos) -> None:
    """Raise TokenRevoked, or ListUnseen where it cannot be told."""
    if seen is not None and seen.names(token):
        raise TokenRevoked(id=token.claims.token_id, issuer=token.issuer.name)
    oldest = now - AGE_S * NANOS_PER_SECOND
    if token.claims.issued * NANOS_PER_SECOND >= oldest:
        return
    if seen is None or seen.time < oldest:
        raise ListUnseen(list_from=None if seen is None else seen.time // NANOS_PER_SECOND, limit_s=AGE_S)


__all__ = ("AGE_S", "Seen", "require_standing")
