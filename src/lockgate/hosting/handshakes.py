"""Handshakes in packets (P19): message_1 and message_3 are messages, message_2 and message_4 the replies to them.

They travel in envelopes to the long-term sealing keys, so that each side has proven the other's current key record, and
compared both ledgers, before EDHOC sees a byte. Half-open handshakes live in memory: a host that starts anew begins
anew, and one that meets a message it does not know refuses it, upon which the other begins anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from lockgate.codec import cbor
from lockgate.codec.errors import Malformed
from lockgate.codec.registry import SchemaName, Version
from lockgate.crypto.errors import DowngradeRefused
from lockgate.host import ports as guest_ports
from lockgate.host.sealing import schema_name
from lockgate.hosting.config import PeerRef
from lockgate.hosting.meetings import Meetings
from lockgate.hosting.queue import Queue
from lockgate.hosting.reader import TwoHistories
from lockgate.hosting.reserved import HANDSHAKE
from lockgate.hosting.sessions import SessionComing
from lockgate.hosting.steps import Steps
from lockgate.hosting.underway import TIMEOUT_S, Begun, UnderWay
from lockgate.hosting.work import Decision, Item, Patience, Plan, Sending, StepRefused
from lockgate.machine.identity import KeyRecord
from lockgate.primitives.errors import LockgateError, PeerFault, Refused
from lockgate.session import Direction, Fences, Session
from lockgate.session.chain import session_of
from lockgate.session.edhoc import Known, Method, receive, start
from lockgate.session.edhoc.errors import HandshakeMalformed
from lockgate.session.edhoc.established import Established
from lockgate.session.edhoc.initiator import Sent1, Sent3
from lockgate.session.edhoc.responder import Sent2
from lockgate.session.meeting import UNDERSTOOD, Claims, Sides

SCHEMA: Final = SchemaName("session/handshake", Version(1, 0))
PURPOSE: Final = HANDSHAKE  # of a message of the host itself, in its outbox
AGAIN_NS: Final = 2_000_000_000  # what waits for a handshake looks again this often: one that was lost is begun anew
PATIENCE: Final = 5  # handshakes that failed one after another, before whoever waits is told
FRESH_NS: Final = 10_000_000_000  # so long after the last of them everybody who waits is told
FIRST_PAUSE_NS: Final = 100_000_000  # between one that failed and the next, twice as long each time up to:
LONGEST_PAUSE_NS: Final = 60_000_000_000
FORGOTTEN_NS: Final = 300_000_000_000  # after so long, failures of before are no sign any more
_ID_BYTES: Final = 4


class HandshakeRefused(Refused):
    code = "session.handshake_refused"
    summary = "The peer's host refused the handshake; its own code is in the detail."
    untouched = "There is no new session; nothing was sealed."
    next_step = "Look the code up with `lockgate explain CODE`; both hosts need `sessions` and hybrid identities."


class Crossed(Refused):
    code = "session.crossed"
    summary = "Both endpoints began a handshake at once, and the other one goes on (P19)."
    untouched = "This handshake ended."
    next_step = "Nothing: the session comes of the other one."


class UnknownHandshake(Refused):
    code = "session.handshake_unknown"
    summary = "A handshake goes on that this host does not remember: it started anew meanwhile, or time passed."
    untouched = "No session was made."
    next_step = "Nothing: the peer begins a new handshake."


class NotOffered(Refused):
    code = "session.not_offered"
    summary = "This host uses no sessions."
    untouched = "No session was made."
    next_step = "Set `sessions` alike in the configurations of both hosts."


@dataclass(slots=True)
class _Ours(Begun):
    """A handshake that this host began. `third` are message_3s that may have left, by their packets."""

    sides: Sides
    sent: Sent1
    third: dict[bytes, tuple[Sent3, Fences]] = field(default_factory=dict)

    @property
    def hash(self) -> bytes:
        return self.sent.suite.hash.digest(self.sent.encoded)


@dataclass(slots=True)
class _Theirs(Begun):
    """A handshake of the peer's. The answer is kept: asked again, it is the same."""

    sides: Sides
    first: bytes  # message_1
    second: bytes
    sent: Sent2
    fence: int


@dataclass(slots=True)
class _Done(Begun):
    """What a message_3 that comes again needs of a handshake of the peer's that is done: no secret (P18)."""

    third: bytes  # SHA-256 of message_3
    fourth: bytes  # message_4
    name: bytes  # of the session


@dataclass(frozen=True, slots=True)
class _Failures:
    """Handshakes with one peer that failed one after another; times are monotonic nanoseconds."""

    count: int
    error: LockgateError
    at: int
    again: int  # before that none is begun


class Handshakes:
    """Begins, answers and finishes handshakes; one half-open of each side for a pair."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._parts = steps.parts
        self._sessions = steps.parts.sessions
        self._peers = steps.peers
        self._meetings = Meetings(steps)
        self._ours: UnderWay[_Ours] = UnderWay(steps)
        self._theirs: UnderWay[_Theirs] = UnderWay(steps)
        self._done: UnderWay[_Done] = UnderWay(steps)
        self._asked: set[str] = set()  # peers that an item of the queue is for
        self._failures: dict[str, _Failures] = {}
        self._waiting: dict[int, tuple[str, Item]] = {}  # by identity: one waits once, however often it looked again
        steps.sealed.never_went.append(self._never_went)

    # What waits for a session.

    def wait(self, item: Item, coming: SessionComing, queue: Queue) -> LockgateError | None:
        """Put an item off until there is a session, and begin a handshake if none is under way.

        Returns what made the handshakes fail, for what the operator asked, when they fail again and again, or when the
        own ledger refused one that it waited for.
        """
        hopeless = StepRefused(item.declined, kind=PURPOSE) if item.declined else self.hopeless(coming.peer)
        if hopeless is not None and not item.from_ledger:
            self._waiting.pop(id(item), None)
            return hopeless
        item.due = self._parts.clock.monotonic() + AGAIN_NS
        self._waiting[id(item)] = coming.peer, item
        queue.again(item)
        queue.put_all(self._wanted([coming.peer]))
        return None

    def due(self) -> list[Item]:
        """Items for handshakes with peers with whom a stronger suite counts by now than that of the session (S61).

        What is half done and over is forgotten.
        """
        for half_done in (self._ours, self._theirs, self._done):
            half_done.expire()
        return self._wanted(peer.hex() for peer in self._sessions.outdone())

    def _wanted(self, peers: Iterable[str]) -> list[Item]:
        """An item for each peer with which none is under way, nor has just failed."""
        now, failed = self._parts.clock.monotonic(), self._failures
        free = (peer for peer in peers if peer not in self._asked and peer not in self._ours)
        begun = [peer for peer in free if peer not in failed or now >= failed[peer].again]
        self._asked.update(begun)
        return [Item(PURPOSE, to=peer, failed=partial(self._not_begun, peer)) for peer in begun]

    def _not_begun(self, peer: str, error: BaseException) -> None:
        """An item for a handshake came to nothing: where the own ledger does not take it, whoever waits is told."""
        self._asked.discard(peer)
        if not isinstance(error, StepRefused):
            return
        self._failed(self._peers.named(peer), error)
        for waits_for, item in self._waiting.values():
            if waits_for == peer and not item.from_ledger:
                item.declined, item.due = error.detail or error.summary, 0

    def _never_went(self, packets: Collection[bytes]) -> None:
        for ours in self._ours:
            ours.third = {packet: sent for packet, sent in ours.third.items() if packet not in packets}

    def hopeless(self, peer: str) -> LockgateError | None:
        """What makes handshakes with a peer fail, where they fail again and again."""
        failed = self._failures.get(peer)
        fresh = failed is not None and self._parts.clock.monotonic() - failed.at < FRESH_NS
        return failed.error if failed is not None and fresh and failed.count >= PATIENCE else None

    def go_on(self) -> None:
        """There is a session: what waited is due."""
        for _, item in self._waiting.values():
            item.due = 0
        self._waiting = {}

    @property
    def open(self) -> bool:
        """Is a handshake under way on this side?"""
        return bool(self._ours)

    # The initiator.

    async def begin(self, item: Item) -> Decision:
        """Send message_1; nothing where the peer's record does not allow it, or one is under way.

        Raises what its ledger's node causes.
        """
        self._asked.discard(item.to)
        peer = self._peers.named(item.to)
        if peer.endpoint in self._ours:
            return Decision()
        try:
            record = await self._peers.record(peer, fresh=True)
            sides, suites = self._meetings.sides(peer, record), await self._suites(peer, record)
            c_i = self._parts.rng.bytes(_ID_BYTES)
            message_1, sent = start(Method.SIGN_SIGN, suites, c_i, self._parts.encapsulator)
            sending = await self._sending(peer, 1, message_1)
        except Refused as error:
            self._failed(peer, error)
            return Decision()
        self._ours.begin(peer.endpoint, _Ours(sides, sent, packet=sending.row.commitment))
        self._parts.report("handshake", {"peer": peer.endpoint, "step": 1})
        return Decision((Plan(sends=(sending,)),))

    async def replied(self, peer: PeerRef, commitment: bytes, body: bytes, patience: Patience) -> tuple[Plan, ...]:
        """message_2 or message_4 has come: the step that carries message_3, or none. Raises TwoHistories; NotYet and
        RpcError while there is patience."""
        ours = self._ours.get(peer.endpoint)
        if ours is None:
            return ()
        try:
            step, message = _read(body)
            if step == 2 and commitment == ours.packet:
                return (Plan(sends=(await self._third(peer, ours, message, patience),)),)
            if step == 4 and commitment in ours.third:
                self._finish(peer, ours, commitment, message)
        except TwoHistories:
            raise
        except (PeerFault, Refused) as error:
            self._failed(peer, error)
        return ()

    async def _third(self, peer: PeerRef, ours: _Ours, message_2: bytes, patience: Patience) -> Sending:
        sides = ours.sides
        met = ours.sent.take(message_2, sides.identity, Known([sides.peer.credential]), UNDERSTOOD)
        claims = Claims.of(met.eads)
        await self._meetings.compare(peer, claims, patience)
        fences = Fences(self._steps.fence, claims.fence)
        message_3, sent = met.message_3(self._meetings.claims(peer).eads())
        sending = await self._sending(peer, 3, message_3)
        ours.third[sending.row.commitment] = sent, fences
        self._ours.prolong(ours)
        return sending

    def _finish(self, peer: PeerRef, ours: _Ours, commitment: bytes, message_4: bytes) -> None:
        sent, fences = ours.third[commitment]
        done, _ = sent.take(message_4, UNDERSTOOD)
        self._ours.end(peer.endpoint)
        self._failures.pop(peer.endpoint, None)
        self._hold(peer, ours.sides, done, Direction.INITIATOR, fences, confirmed=True)
        self.go_on()

    def ended(self, peer: PeerRef, commitment: bytes, error: LockgateError) -> None:
        """A packet of a handshake was refused or timed out."""
        ours = self._ours.get(peer.endpoint)
        if ours is not None and (commitment == ours.packet or commitment in ours.third):
            self._failed(peer, error)

    def _failed(self, peer: PeerRef, error: LockgateError) -> None:
        self._ours.end(peer.endpoint)
        self._parts.report("handshake_failed", {"peer": peer.endpoint, "code": error.code, "detail": str(error)})
        if isinstance(error, Crossed):
            return
        now, before = self._parts.clock.monotonic(), self._failures.get(peer.endpoint)
        count = 1 if before is None or now - before.at > FORGOTTEN_NS else before.count + 1
        pause = min(FIRST_PAUSE_NS << min(count - 1, 16), LONGEST_PAUSE_NS)
        self._failures[peer.endpoint] = _Failures(count, error, now, now + pause)

    # The responder.

    async def answer(
        self, peer: PeerRef, record: KeyRecord, commitment: bytes, body: bytes, patience: Patience
    ) -> guest_ports.Reply:
        """Answer message_1 or message_3 of a peer whose current record is proven.

        Raises what refuses it: PeerFault and Refused, none of which tells apart what must not be told (P19); NotYet and
        RpcError while there is patience.
        """
        if not self._sessions.required:
            raise NotOffered
        step, message = _read(body)
        if step == 1:
            return guest_ports.Reply(cbor.encode([2, await self._second(peer, record, message)]))
        if step == 3:
            return guest_ports.Reply(cbor.encode([4, await self._fourth(peer, commitment, message, patience)]))
        raise HandshakeMalformed("a request of a handshake is message_1 or message_3", step=step)

    async def _second(self, peer: PeerRef, record: KeyRecord, message_1: bytes) -> bytes:
        sides = self._meetings.sides(peer, record)
        known = self._theirs.get(peer.endpoint)
        if known is not None and known.first == message_1 and known.sides == sides:
            return known.second
        suites = await self._suites(peer, record)
        asked = receive(message_1, suites, understood=UNDERSTOOD)
        if asked.suite.id != suites[0]:  # proven tables say what the peer could offer: somebody left the best one out
            raise DowngradeRefused(used=asked.suite.id, best=suites[0])
        ours = self._ours.get(peer.endpoint)
        if ours is not None:
            if ours.hash < asked.hash:
                raise Crossed("the handshake of this side goes on")
            self._ours.end(peer.endpoint)
        claims = self._meetings.claims(peer)
        message_2, sent = asked.message_2(
            self._parts.rng.bytes(_ID_BYTES), sides.identity, self._parts.encapsulator, claims.eads()
        )
        self._theirs.begin(peer.endpoint, _Theirs(sides, message_1, message_2, sent, claims.fence))
        return message_2

    async def _fourth(self, peer: PeerRef, commitment: bytes, message_3: bytes, patience: Patience) -> bytes:
        digest, done = hashlib.sha256(message_3).digest(), self._done.get(peer.endpoint)
        if done is None or done.third != digest:
            theirs = self._theirs.get(peer.endpoint)
            if theirs is None:
                raise UnknownHandshake("no message_2 of this host is open", peer=peer.endpoint)
            sides = theirs.sides
            proven = theirs.sent.take(message_3, Known([sides.peer.credential]), UNDERSTOOD)
            claims = Claims.of(proven.eads)
            await self._meetings.compare(peer, claims, patience)
            fences = Fences(theirs.fence, claims.fence)
            name = self._hold(peer, sides, proven.established, Direction.RESPONDER, fences, confirmed=False)
            done = _Done(digest, proven.message_4(), name)
            self._theirs.end(peer.endpoint)  # with it the session's first keys could be made again
            self._done.begin(peer.endpoint, done)
        self._sessions.confirmed_by(commitment, peer, done.name)
        return done.fourth

    # Both.

    def _hold(
        self, peer: PeerRef, sides: Sides, done: Established, direction: Direction, fences: Fences, *, confirmed: bool
    ) -> bytes:
        name, secret = session_of(done, sides.context(initiator=direction is Direction.INITIATOR))
        session = Session.begin(
            name, secret, direction, done.suite.id, sides.records, fences, self._steps.time, confirmed=confirmed
        )
        self._sessions.add(peer, session)
        self._parts.report("session", {"peer": peer.endpoint, "session": name.hex(), "suite": done.suite.name})
        return name

    async def _suites(self, peer: PeerRef, record: KeyRecord) -> tuple[int, ...]:
        """What both ledgers allow between the two records, the strongest first. Raises NoSuiteLeft, WrongSuite."""
        return (await self._steps.suites.of(peer, fresh=True)).handshakes(self._parts.keys.record, record)

    async def _sending(self, peer: PeerRef, step: int, message: bytes) -> Sending:
        ref = hashlib.sha256(b"lockgate/handshake/1" + self._parts.rng.bytes(32)).digest()
        send = guest_ports.Send(
            ref=guest_ports.MessageRef(ref),
            to=peer.endpoint,
            schema=schema_name(SCHEMA),
            body=cbor.encode([step, message]),
            timeout_s=TIMEOUT_S,
        )
        return await self._steps.sending(send, purpose=PURPOSE)


def is_handshake(schema: SchemaName) -> bool:
    return schema.id == SCHEMA.id and schema.version.major == SCHEMA.version.major


def read_array(body: bytes, count: int) -> tuple[Any, ...]:
    """An array of `count` items. Raises HandshakeMalformed."""
    try:
        value: Any = cbor.decode(body)
    except Malformed as error:
        raise HandshakeMalformed("not deterministic CBOR") from error
    if type(value) is not tuple or len(value) != count:
        raise HandshakeMalformed("not an array of the right length", expected=count)
    return value


def _read(body: bytes) -> tuple[int, bytes]:
    """Raises HandshakeMalformed."""
    step, message = read_array(body, 2)
    if type(step) is not int or type(message) is not bytes:
        raise HandshakeMalformed("a message of a handshake is a number and a byte string")
    return step, message


__all__ = ("PURPOSE", "SCHEMA", "Crossed", "HandshakeRefused", "Handshakes", "is_handshake", "read_array")
