"""Nonces a server gives out: each is good once, for a while, and for the connection it was given on.

A connection has a book of its own, so that a stranger who opens many cannot push out another's nonces; how many there
are is bounded by the server. A used nonce is forgotten at once: what is not in the book is refused.
"""

from __future__ import annotations

from typing import Final

from lockgate.primitives.ports import Rng
from lockgate.primitives.time import NANOS_PER_SECOND
from lockgate.session.tokens.errors import NonceRefused

NONCE_BYTES: Final = 32
MOST: Final = 4  # waiting on one connection: a caller needs one for its next call
LIVES_S: Final = 60  # to sign a call, also with a token that asks a person for a PIN


class Nonces:
    """One connection's. `now` is monotonic nanoseconds throughout."""

    __slots__ = ("_given", "_rng")

    def __init__(self, rng: Rng) -> None:
        self._rng = rng
        self._given: dict[bytes, int] = {}

    def give(self, now: int) -> bytes:
        """A new nonce; the oldest is dropped when too many wait."""
        while len(self._given) >= MOST:
            self._given.pop(next(iter(self._given)))
        nonce = self._rng.bytes(NONCE_BYTES)
        self._given[nonce] = now
        return nonce

    def take(self, nonce: bytes, now: int) -> None:
        """Use a nonce up. Raises NonceRefused."""
        given = self._given.pop(nonce, None)
        if given is None:
            raise NonceRefused("not given out here, or used before")
        if now - given > LIVES_S * NANOS_PER_SECOND:
            raise NonceRefused("too old", seconds=(now - given) // NANOS_PER_SECOND, limit=LIVES_S)


__all__ = ("LIVES_S", "MOST", "NONCE_BYTES", "Nonces")
