"""A session's next epoch: a fresh key exchange inside it, so that whoever knew its keys knows them no more (P18).

One message and its reply, both in the session: an ephemeral key and the fence of whoever asks, the exchange's answer
and the other's fence. The suite of the handshake decides the kind of exchange. Whoever asked seals in the new epoch
when the reply is proven, the other when its answer is, or when a message in the new epoch comes. Of two that ask at
once, the initiator of the session goes on.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final

from lockgate.codec import cbor
from lockgate.codec.registry import SchemaName, Version
from lockgate.host import ports as guest_ports
from lockgate.host.sealing import schema_name
from lockgate.hosting.config import PeerRef
from lockgate.hosting.handshakes import Crossed, read_array
from lockgate.hosting.sessions import SessionComing
from lockgate.hosting.steps import Steps
from lockgate.hosting.underway import TIMEOUT_S, Begun, UnderWay
from lockgate.hosting.work import Decision, Item, Plan
from lockgate.primitives.errors import LockgateError, PeerFault, Refused
from lockgate.session import Direction, Fences, Place
from lockgate.session.chain import fresh_of
from lockgate.session.edhoc import SUITES
from lockgate.session.edhoc.errors import HandshakeMalformed
from lockgate.session.edhoc.exchange import EXCHANGE_FAILURES, Ephemeral
from lockgate.session.errors import KeyGone, SessionUnknown

SCHEMA: Final = SchemaName("session/epoch", Version(1, 0))
PURPOSE: Final = "epoch"  # of a message of the host itself, in its outbox


@dataclass(slots=True)
class _Ours(Begun):
    """An exchange that this host asked for."""

    session: bytes
    after: int  # the epoch that it was asked in
    fence: int
    ephemeral: Ephemeral = field(repr=False)


class Epochs:
    """Asks for epochs and answers; one exchange of this side's under way for a peer."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._parts = steps.parts
        self._sessions = steps.parts.sessions
        self._peers = steps.peers
        self._ours: UnderWay[_Ours] = UnderWay(steps)
        self._answers: dict[str, tuple[bytes, bytes]] = {}  # by peer: what asked, and the answer: again, it is the same

    def due(self) -> list[Item]:
        """Items for the exchanges that are due. One that is over is forgotten."""
        self._ours.expire()
        return [
            Item(PURPOSE, to=peer.hex(), input=name)
            for peer, name in self._sessions.due()
            if peer.hex() not in self._ours
        ]

    @property
    def open(self) -> bool:
        """Is an exchange of this side's under way?"""
        return bool(self._ours)

    async def begin(self, item: Item) -> Decision:
        """Send an ephemeral key. Nothing is done where the session is gone, or another follows it already."""
        peer = self._peers.named(item.to)
        if peer.endpoint in self._ours:
            return Decision()
        try:
            epoch = self._sessions.sealing(peer, item.input)
            suite = self._sessions.suite(peer, item.input)
            ephemeral = SUITES[suite].exchange.offer(self._parts.encapsulator)
            fence = self._steps.fence
            body = cbor.encode([item.input, epoch.number, fence, ephemeral.public])
            ref = hashlib.sha256(b"lockgate/epoch/1" + self._parts.rng.bytes(32)).digest()
            send = guest_ports.Send(
                ref=guest_ports.MessageRef(ref),
                to=peer.endpoint,
                schema=schema_name(SCHEMA),
                body=body,
                timeout_s=TIMEOUT_S,
            )
            sending = await self._steps.sending(send, purpose=PURPOSE)
        except (SessionUnknown, KeyGone, SessionComing):
            return Decision()
        self._sessions.asking(peer)
        ours = _Ours(item.input, epoch.number, fence, ephemeral, packet=sending.row.commitment)
        self._ours.begin(peer.endpoint, ours)
        return Decision((Plan(sends=(sending,)),))

    def replied(self, peer: PeerRef, commitment: bytes, body: bytes) -> None:
        """The other's half has come: seal in the new epoch from here on."""
        ours = self._ours.get(peer.endpoint)
        if ours is None or ours.packet != commitment:
            return
        self._ours.end(peer.endpoint)
        try:
            fence, public = read_array(body, 2)
            if type(fence) is not int or not 0 < fence < 1 << 32 or type(public) is not bytes:
                raise HandshakeMalformed("an answer is a fence and a key")
            shared = ours.ephemeral.finish(public)
            fresh = fresh_of(shared, ours.ephemeral.public, public)
            fences = Fences(ours.fence, fence)
            self._sessions.heal(peer, ours.session, ours.after, fresh, fences, self._steps.time)
            self._sessions.confirm(bytes.fromhex(peer.endpoint), ours.session, ours.after + 1, self._steps.time)
        except EXCHANGE_FAILURES as error:
            self._report(peer, HandshakeMalformed("the key is none of this suite"), error)
        except (PeerFault, Refused) as error:
            self._report(peer, error, None)
        else:
            self._parts.report("epoch", {"peer": peer.endpoint, "epoch": ours.after + 1})

    def ended(self, peer: PeerRef, commitment: bytes) -> None:
        """The exchange was refused or timed out: the session goes on in its epoch, and a later message asks again."""
        ours = self._ours.get(peer.endpoint)
        if ours is not None and ours.packet == commitment:
            self._ours.end(peer.endpoint)

    def answer(self, peer: PeerRef, commitment: bytes, within: Place, body: bytes) -> guest_ports.Reply:
        """This host's half, for a key that came in a session. Raises PeerFault, Refused."""
        asked, answer = self._answers.get(peer.endpoint, (b"", b""))
        if asked == commitment:
            return guest_ports.Reply(answer)
        name, after, fence, public = read_array(body, 4)
        numbers = all(type(one) is int and 0 <= one < 1 << 32 for one in (after, fence))
        if name != within.session or after != within.epoch or not numbers or type(public) is not bytes:
            raise HandshakeMalformed("a request names its own session and epoch, a fence and a key")
        ours = self._ours.get(peer.endpoint)
        if ours is not None and ours.session == name:
            if self._sessions.direction(peer, name) is Direction.INITIATOR:
                raise Crossed("the exchange of this side goes on")
            self._ours.end(peer.endpoint)
        exchange = SUITES[self._sessions.suite(peer, name)].exchange
        try:
            exchange.check(public)
            response = exchange.answer(public, self._parts.encapsulator)
        except EXCHANGE_FAILURES as error:
            raise HandshakeMalformed("the key is none of this suite") from error
        own = self._steps.fence
        fresh = fresh_of(response.shared, public, response.public)
        self._sessions.heal(peer, name, after, fresh, Fences(own, fence), self._steps.time)
        self._sessions.confirmed_by(commitment, peer, name, after + 1)
        self._answers[peer.endpoint] = commitment, (made := cbor.encode([own, response.public]))
        return guest_ports.Reply(made)

    def _report(self, peer: PeerRef, error: LockgateError, cause: Exception | None) -> None:
        said: dict[str, object] = {
            "peer": peer.endpoint,
            "code": error.code,
            "detail": str(error),
            "cause": repr(cause),
        }
        self._parts.report("epoch_failed", said)


__all__ = ("PURPOSE", "SCHEMA", "Epochs")
