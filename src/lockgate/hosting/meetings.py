"""What a host brings to a handshake, in packets or over a link: both parties, its claims, and its eye on the peer's."""

from __future__ import annotations

from lockgate.envelope.content import LedgerView
from lockgate.hosting.config import PeerRef
from lockgate.hosting.steps import Steps
from lockgate.hosting.work import Patience
from lockgate.machine import keys
from lockgate.machine.errors import UnknownEndpoint
from lockgate.machine.identity import KeyRecord
from lockgate.machine.records import EndpointState
from lockgate.primitives.errors import PeerFault
from lockgate.session.meeting import Claims, Party, Sides


class OldStart(PeerFault):
    code = "link.old_start"
    summary = (
        "The peer states a fence or key record that is not its newest on its ledger: a copy, or an old start (P8)."
    )
    untouched = "No link was opened, and no session made."
    next_step = "Look for a second process, or a restored copy, that runs with the peer's keys."


class Meetings:
    """Made of what the host's steps have proven."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._peers = steps.peers

    def sides(self, peer: PeerRef, record: KeyRecord) -> Sides:
        """Both parties on the lane to a peer whose `record` is proven current."""
        lane, ring = self._peers.lane(peer), self._steps.parts.keys
        own = _party(lane.local_domain, lane.local_client, ring.record)
        return Sides(own, _party(lane.remote_domain, lane.remote_client, record), own.identity(ring.signer))

    def claims(self, peer: PeerRef, *, signed: bool = False) -> Claims:
        """This host's fence, and the newest headers it trusts of both ledgers.

        Signed, they are evidence by themselves where histories differ; inside an envelope that evidence is there.
        """
        own, theirs = self._steps.seen(peer)
        if not signed:
            own, theirs = _bare(own), _bare(theirs)
        return Claims(self._steps.fence, own, theirs)

    async def compare(self, peer: PeerRef, claims: Claims, patience: Patience) -> EndpointState:
        """The peer has seen the ledgers that this host has seen (P20), and has taken the fence that it states (P8).

        Returns its state on its ledger, which may show a newer fence: in packets a host goes on that took one since.
        Raises TwoHistories, BadEnvelope, OldStart, UnknownEndpoint; NotYet and RpcError while there is patience.
        """
        await self._steps.views.compare(self._peers.reader(peer), claims.own_seen, patience)
        await self._steps.views.compare(self._steps.reader, claims.peer_seen, patience)
        reader, endpoint = self._peers.reader(peer), bytes.fromhex(peer.endpoint)
        data = await reader.value(keys.ENDPOINT, keys.endpoint_state(endpoint), reader.newest.height)
        if data is None:
            raise UnknownEndpoint("not registered on its ledger", endpoint=endpoint)
        state = EndpointState.from_bytes(data)
        if claims.fence > state.fence:
            raise OldStart("a fence that it has not taken", fence=claims.fence, newest=state.fence)
        return state


def _party(domain: bytes, client: str, record: KeyRecord) -> Party:
    return Party(domain, client, record.endpoint_id, record.hash, record.body(), record.identity)


def _bare(view: LedgerView) -> LedgerView:
    return LedgerView(view.height, view.header_hash)


__all__ = ("Meetings", "OldStart")
