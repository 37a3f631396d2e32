"""What a link asks of whoever knows endpoints and ledgers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from lockgate.session.meeting import Claims, Sides


class Acquaintances(Protocol):
    """The endpoints that may be met. Key records are proven current on their ledgers, and not revoked (P5, P19)."""

    async def all(self) -> Sequence[Sides]:
        """Everybody who may open a link to this side. Called after a message_1, and told nothing of it."""
        ...

    async def one(self, endpoint: bytes, /) -> Sides:
        """The endpoint that a link is to be opened to. Raises Refused where it is unknown or revoked."""
        ...

    async def claims(self, sides: Sides, /) -> Claims:
        """What this side states of itself to that peer."""
        ...

    async def judge(self, sides: Sides, claims: Claims, /) -> None:
        """Compare what an authenticated peer has stated (P20). Raises PeerFault, Refused, Unavailable."""
        ...


__all__ = ("Acquaintances",)
