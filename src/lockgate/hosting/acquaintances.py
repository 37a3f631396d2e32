"""Whom a host meets over links: its peers, with key records its own light clients have proven (P5, P19, P20)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from lockgate.hosting.config import PeerRef
from lockgate.hosting.meetings import Meetings, OldStart
from lockgate.hosting.reader import TwoHistories
from lockgate.hosting.steps import Steps
from lockgate.hosting.work import Patience
from lockgate.machine.errors import EndpointRevoked
from lockgate.primitives.errors import PeerFault, Refused, Unavailable
from lockgate.session.meeting import Claims, Sides

PROVE_S: Final = 5.0  # for the records of all peers: a ledger that is away keeps out its own endpoints alone
NO_FOR_NS: Final = 5_000_000_000  # so long a peer that could not be proven is not asked for again: anybody may call


class HostStarting(Unavailable):
    code = "link.host_starting"
    summary = "The host has not taken its fence yet, so it meets nobody."
    untouched = "No link was opened."
    next_step = "Nothing: it is tried again."


class HostAcquaintances:
    """Meets `session.link.Acquaintances`. `found` is told of a second history, which the host acts on in its turn."""

    def __init__(self, steps: Steps, found: Callable[[TwoHistories], None]) -> None:
        self._steps = steps
        self._peers = steps.peers
        self._meetings = Meetings(steps)
        self._found = found
        self._proving: dict[str, asyncio.Lock] = {}
        self._not_before: dict[str, int] = {}  # monotonic nanoseconds, by peer

    async def all(self) -> Sequence[Sides]:
        self._started()
        peers = list(self._steps.parts.config.peers.values())
        proven = await asyncio.gather(*map(self._proven, peers))
        return [sides for sides in proven if sides is not None]

    async def one(self, endpoint: bytes, /) -> Sides:
        """Raises UnknownPeer, EndpointRevoked, Distrusted, NoSuiteLeft, and what the peer's ledger's node causes."""
        self._started()
        peer = self._peers.named(endpoint.hex())
        return await self._sides(peer)

    async def claims(self, sides: Sides, /) -> Claims:
        return self._meetings.claims(self._peer(sides), signed=True)

    async def judge(self, sides: Sides, claims: Claims, /) -> None:
        """The peer has seen this host's ledgers, and is the newest start of its endpoint, under its newest record.

        Raises TwoHistories, BadEnvelope, OldStart, EndpointRevoked; NotYet and RpcError where a node does not show what
        the peer has seen: the link is not opened, and whoever called tries again.
        """
        peer = self._peer(sides)
        try:
            state = await self._meetings.compare(peer, claims, Patience())
        except TwoHistories as found:
            self._found(found)
            raise
        if state.revoked_at:
            raise EndpointRevoked("the peer is revoked", endpoint=sides.peer.endpoint, height=state.revoked_at)
        if state.record_hash != sides.peer.record or claims.fence < state.fence:
            raise OldStart(fence=claims.fence, newest=state.fence, record=sides.peer.record)

    async def _sides(self, peer: PeerRef) -> Sides:
        """Both parties, with the suites that both ledgers allow between their key records (S61)."""
        own, record = self._steps.parts.keys.record, await self._peers.record(peer)
        allowed = await self._steps.suites.check(peer, (own, record))
        return replace(self._meetings.sides(peer, record), suites=allowed.handshakes(own, record))

    async def _proven(self, peer: PeerRef) -> Sides | None:
        """Both parties, where the peer can be proven; one proof at a time, and a no is a no for a moment.

        Who calls is a stranger until the handshake is done, and must not have a ledger asked each time.
        """
        clock = self._steps.parts.clock
        async with self._proving.setdefault(peer.endpoint, asyncio.Lock()):
            if clock.monotonic() < self._not_before.get(peer.endpoint, 0):
                return None
            sides = await self._tried(peer)
            if sides is None:
                self._not_before[peer.endpoint] = clock.monotonic() + NO_FOR_NS
            return sides

    async def _tried(self, peer: PeerRef) -> Sides | None:
        try:
            async with asyncio.timeout(PROVE_S):
                return await self._sides(peer)
        except (PeerFault, Refused, Unavailable, TimeoutError) as error:
            said = {"peer": peer.endpoint, "code": getattr(error, "code", "timeout"), "detail": str(error)}
            self._steps.parts.report("link_unproven", dict(said))
            return None

    def _peer(self, sides: Sides) -> PeerRef:
        return self._peers.named(sides.peer.endpoint.hex())

    def _started(self) -> None:
        if not self._steps.fence:
            raise HostStarting


__all__ = ("HostAcquaintances", "HostStarting", "OldStart")
