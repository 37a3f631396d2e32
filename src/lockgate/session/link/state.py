"""A link as a state machine: whole frames in, events and frames out; the caller owns the socket and the clock.

    link.wanted → the caller reads as many bytes → link.receive → event → (answer_with, accept) → link.take → it writes

A frame is read in two parts, so that its length is judged before memory is taken for the rest. Any failure ends the
link. The first epoch's keys come of the handshake's exporter, each later one's of the epoch before and of a fresh
handshake inside the link; in between each direction steps its key forward on its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Final, Self

from lockgate.crypto.aead import Aead
from lockgate.crypto.errors import OpenFailed
from lockgate.crypto.ports import Encapsulator
from lockgate.primitives.errors import LockgateError, Misuse
from lockgate.primitives.time import NANOS_PER_SECOND
from lockgate.session.chain import Direction, direction_of, link_of, next_epoch, onward_of
from lockgate.session.edhoc.errors import PeerRefused
from lockgate.session.link.errors import FrameRefused, LinkBroken, LinkBusy, LinkOver, LinkStale, LinkTruncated
from lockgate.session.link.frames import HEADER_BYTES, MAX_CONTENT, Kind, check_record, header, read_header
from lockgate.session.link.handshake import LONGEST, Asked, Handshake, Presented, error_of
from lockgate.session.link.records import MAX_RECORDS, LinkLimits, RecordKeys
from lockgate.session.meeting import Claims, Party, Sides

LEAST_HEAL_NS: Final = 10 * NANOS_PER_SECOND  # between handshakes on a link: each costs four signatures
_UNTOLD: Final = (FrameRefused, LinkBroken, LinkBusy, LinkStale, PeerRefused)


@dataclass(frozen=True, slots=True)
class Data:
    """What the peer's application has sent: one record's content, never empty."""

    content: bytes


@dataclass(frozen=True, slots=True)
class Healed:
    """Both directions are under the keys of a fresh handshake."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Closed:
    """The peer sends nothing more, and what came before is all of it."""


Event = Asked | Presented | Data | Healed | Closed


class _Phase(Enum):
    MEETING = "the first handshake"
    OPEN = "records"
    OVER = "nothing"


_OPEN: Final = _Phase.OPEN
_DATA: Final = Kind.DATA


class Link:
    """One end of a link."""

    def __init__(self, entropy: Encapsulator, now: int, *, initiator: bool, limits: LinkLimits) -> None:
        self._entropy: Final = entropy
        self._limits: Final = limits
        self._direction: Final = Direction.INITIATOR if initiator else Direction.RESPONDER
        self._phase = _Phase.MEETING
        self._shake: Handshake | None = Handshake(entropy)
        self._out: list[bytes] = []
        self._header = b""
        self._kind = Kind.HANDSHAKE
        self._wanted = HEADER_BYTES
        self._sending: RecordKeys | None = None
        self._receiving: RecordKeys | None = None
        self._made: tuple[Aead, bytes] | None = None  # the newest epoch's, while not both directions are in it
        self._onward = b""
        self._began = now  # of the epoch that both directions are in
        self._stale_at = now + limits.stale_ns
        self._sides: Sides | None = None
        self.name = b""  # of the epoch: public, the same on both sides, and no other link's
        self.epoch = -1
        self.closing = False  # this side has said that it sends nothing more
        self.closed = False  # the peer has

    def __repr__(self) -> str:
        return f"Link({self._direction.name}, {self._phase.value}, epoch={self.epoch})"

    @classmethod
    def call(
        cls, sides: Sides, claims: Claims, entropy: Encapsulator, now: int, limits: LinkLimits | None = None
    ) -> Self:
        """Open a link to one peer. Raises WrongSuite."""
        link = cls(entropy, now, initiator=True, limits=limits or LinkLimits())
        assert link._shake is not None
        link._emit(Kind.HANDSHAKE, link._shake.begin(sides, claims))
        return link

    @classmethod
    def answer(cls, entropy: Encapsulator, now: int, limits: LinkLimits | None = None) -> Self:
        """Wait for whoever opens a link."""
        return cls(entropy, now, initiator=False, limits=limits or LinkLimits())

    # What the caller reads and writes.

    @property
    def wanted(self) -> int:
        """How many bytes `receive` takes next; 0 while it waits for its caller, and when it reads nothing more."""
        return self._wanted

    @property
    def between(self) -> bool:
        """Is it between two frames? Then the peer may be silent for as long as the application bears."""
        return not self._header

    def take(self) -> list[bytes]:
        """What is to be written, in order; also after a failure, when it is the error that a peer is told."""
        out, self._out = self._out, []
        return out

    def receive(self, data: bytes | bytearray, now: int) -> Event | None:
        """Take `wanted` bytes.

        Raises what ends the link: FrameRefused, LinkBroken, LinkStale, LinkBusy, PeerRefused, OtherPeer, and in a
        handshake HandshakeMalformed, HandshakeFailed, WrongSuite, MethodRefused, CriticalEad.
        """
        if not data or len(data) != self._wanted:
            raise LinkOver("a link takes what it wants, when it wants it", wanted=self._wanted, got=len(data))
        receiving, head = self._receiving, self._header
        try:
            if not head:
                self._head(bytes(data), receiving)
                return None
            self._header, self._wanted = b"", HEADER_BYTES
            if receiving is None:
                return self._met(bytes(data), now)
            return self._record(receiving, head, self._kind, data, now)
        except LockgateError as failure:
            self._failed(failure)
            raise

    def ended(self) -> None:
        """The stream has ended. Raises LinkTruncated unless the peer had closed the link."""
        was = self._phase
        self._over()
        if not self.closed and was is not _Phase.OVER:
            raise LinkTruncated("the stream ended early", within=not self.between or was is _Phase.MEETING)

    # The handshake's caller.

    def answer_with(self, table: Sequence[Sides], now: int) -> None:
        """After Asked: everybody who may be met, with key records proven current. Raises as `receive` does."""
        shake = self._shaking
        with self._ending():
            self._emit(Kind.HANDSHAKE, shake.answer(table), now)
            self._wanted = HEADER_BYTES

    def accept(self, claims: Claims | None, now: int) -> Healed | None:
        """After Presented: the peer's claims hold. `claims` are the own ones, stated by the side that answers."""
        shake, first = self._shaking, self._sending is None
        with self._ending():
            fourth = shake.accept(claims)
            self._wanted = HEADER_BYTES
            if fourth is not None:
                self._emit(Kind.HANDSHAKE, fourth, now)
                self._derive(shake)
                self._sending = self._keys(self._direction, now)
                if not first:
                    return None  # the peer's SWITCH comes
                self._receiving = self._keys(self._direction.other, now)
            else:
                if not first:
                    self._emit(Kind.SWITCH, b"", now)
                self._sending = self._keys(self._direction, now)
            self._phase = _Phase.OPEN
            return self._switched(now, first=first)

    # The application.

    @property
    def peer(self) -> Party:
        """Raises LinkOver before the link is open."""
        if self._sides is None or self._sending is None:
            raise LinkOver("nobody has been met yet")
        return self._sides.peer

    @property
    def open(self) -> bool:
        """May it send?"""
        return self._phase is _Phase.OPEN and not self.closing

    def send(self, content: bytes, now: int) -> None:
        """Seal one record of 1 to MAX_CONTENT bytes. Raises LinkStale; LinkOver before it is open and after `close`."""
        sending = self._sending
        if self._phase is not _OPEN or self.closing or sending is None or not 0 < len(content) <= MAX_CONTENT:
            raise LinkOver("a link sends 1 to 65,536 bytes at a time while it is open", size=len(content))
        if now >= self._stale_at or sending.spent(now):
            with self._ending():
                self._fresh(now)
        head = header(_DATA, len(content) + sending.tag_bytes)
        self._out += (head, sending.seal(head, content))

    def close(self, now: int) -> None:
        """Say that nothing more is sent. What the peer sends is received still."""
        if self.open:
            self._emit(Kind.CLOSE, b"", now)
            self.closing = True
            self._finish()

    def busy(self) -> None:
        """Turn away whoever opens a link, before its handshake or in the midst of it; an open link just ends."""
        if self._phase is _Phase.MEETING and self._direction is Direction.RESPONDER:
            self._emit(Kind.BUSY, b"")
        self._over()

    def abort(self) -> None:
        """End without a word: the peer finds its link truncated."""
        self._over()
        self._out = []

    def tick(self, now: int) -> bool:
        """Step an idle key forward; tells whether a fresh handshake is due from this side. Raises LinkStale."""
        if not self.open or self._sending is None:
            return False
        with self._ending():
            self._fresh(now)
        due = self._direction is Direction.INITIATOR and self._shake is None and not self.closed
        return due and now - self._began >= max(self._limits.heal_ns, LEAST_HEAL_NS)

    def heal(self, sides: Sides, claims: Claims, now: int) -> None:
        """Begin a fresh handshake inside the link, with the same endpoint. Raises OtherPeer, WrongSuite."""
        if not self.open or self._direction is Direction.RESPONDER or self._shake is not None:
            raise LinkOver("the side that opened a link heals it, once at a time")
        self._shake = Handshake(self._entropy, self.peer.endpoint)
        with self._ending():
            self._emit(Kind.HANDSHAKE, self._shake.begin(sides, claims), now)

    # Frames.

    def _head(self, data: bytes, receiving: RecordKeys | None) -> None:
        kind, length = read_header(data)
        if receiving is not None:
            check_record(kind, length, receiving.tag_bytes)
        elif kind is Kind.BUSY and not length and self._direction is Direction.INITIATOR:
            raise LinkBusy
        elif kind is not Kind.HANDSHAKE or not 0 < length <= LONGEST[self._shaking.step]:
            raise FrameRefused("no message of a handshake is so long", kind=kind.name, length=length)
        self._header, self._kind, self._wanted = data, kind, length

    def _met(self, message: bytes, now: int) -> Event | None:
        """A message of a handshake, sealed or not."""
        shake = self._shaking
        result = shake.receive(message)
        if isinstance(result, bytes):
            self._emit(Kind.HANDSHAKE, result, now)
            return None
        if isinstance(result, Presented) and shake.initiator:
            self._derive(shake)  # the peer's next record is under the new keys
            self._receiving = self._keys(self._direction.other, now)
        self._wanted = 0  # until the caller has answered
        return result

    def _record(
        self, receiving: RecordKeys, head: bytes, kind: Kind, sealed: bytes | bytearray, now: int
    ) -> Event | None:
        if now >= self._stale_at or receiving.records >= MAX_RECORDS:
            self._check_age(now)
            raise LinkStale("the peer has used a key for too many records")
        try:
            content = receiving.open(head, sealed)
        except OpenFailed:
            raise LinkBroken from None
        if kind is _DATA:
            if not content:
                raise FrameRefused("a record without content")
            return Data(content)
        match kind:
            case Kind.UPDATE:
                if receiving.records < 2:
                    raise FrameRefused("a key that sealed nothing is updated")
                receiving.update(now)
                return None
            case Kind.SWITCH:
                if self._made is None or self._direction is Direction.INITIATOR:
                    raise FrameRefused("no fresh handshake is waiting for it")
                self._receiving = self._keys(self._direction.other, now)
                return self._switched(now, first=False)
            case Kind.CLOSE:
                self.closed, self._wanted = True, 0
                self._finish()
                return Closed()
            case _:
                return self._inner(content, now)

    def _inner(self, message: bytes, now: int) -> Event | None:
        """A message of a fresh handshake inside the link."""
        if self._shake is None:
            if self._direction is Direction.INITIATOR or now - self._began < LEAST_HEAL_NS:
                raise FrameRefused("no fresh handshake is due")
            self._shake = Handshake(self._entropy, self.peer.endpoint)
        if len(message) > LONGEST.get(self._shake.step, 0):
            raise FrameRefused("no message of a handshake is so long", length=len(message))
        return self._met(message, now)

    def _emit(self, kind: Kind, content: bytes, now: int = 0) -> None:
        if self._sending is None:
            self._out += [header(kind, len(content)), content]
            return
        head = header(kind, len(content) + self._sending.tag_bytes)
        self._out += [head, self._sending.seal(head, content)]
        if kind is Kind.UPDATE:
            self._sending.update(now)

    # Keys.

    def _fresh(self, now: int) -> None:
        """Before a record: the keys are young enough, or the next ones are taken. Raises LinkStale."""
        self._check_age(now)
        assert self._sending is not None
        if self._sending.spent(now):
            self._emit(Kind.UPDATE, b"", now)

    def _check_age(self, now: int) -> None:
        if now >= self._stale_at:
            raise LinkStale("no fresh handshake came in time", epoch=self.epoch)

    def _derive(self, shake: Handshake) -> None:
        """The next epoch's secret. Of the one before only what leads on enters: whoever knew its keys is shut out."""
        done = shake.established
        assert done is not None
        assert shake.sides is not None
        name, secret = link_of(done, shake.context)
        if self._onward:
            secret = next_epoch(self._onward, secret)
        self._onward, self._made, self._sides = onward_of(secret), (done.suite.application_aead, secret), shake.sides
        self.name, self.epoch = name, self.epoch + 1

    def _keys(self, direction: Direction, now: int) -> RecordKeys:
        assert self._made is not None
        aead, secret = self._made
        return RecordKeys(aead, direction_of(secret, direction), self._limits, now)

    def _switched(self, now: int, *, first: bool) -> Healed | None:
        """Both directions are in the newest epoch."""
        self._made = self._shake = None
        self._began, self._stale_at = now, now + self._limits.stale_ns
        return None if first else Healed(self.epoch)

    # Ends.

    @contextmanager
    def _ending(self) -> Iterator[None]:
        try:
            yield
        except LockgateError as failure:
            self._failed(failure)
            raise

    def _failed(self, failure: LockgateError) -> None:
        """Whatever fails ends the link; a peer in a handshake is told so, in words that tell nothing more (P19)."""
        if isinstance(failure, Misuse):
            return
        if self._shake is not None and not isinstance(failure, _UNTOLD):
            self._emit(Kind.HANDSHAKE, error_of(failure).encode())
        self._over()

    def _finish(self) -> None:
        if self.closed and self.closing:
            self._over()

    def _over(self) -> None:
        self._phase, self._wanted = _Phase.OVER, 0
        self._sending = self._receiving = self._made = self._shake = None
        self._onward = b""

    @property
    def _shaking(self) -> Handshake:
        if self._shake is None or self._phase is _Phase.OVER:
            raise LinkOver("no handshake is under way")
        return self._shake


__all__ = ("LEAST_HEAL_NS", "Closed", "Data", "Event", "Healed", "Link")
