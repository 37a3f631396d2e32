"""All sessions of one endpoint, and the keys of what is under way: the one secret state that a host writes (P18).

A mutable book over immutable sessions. It changes only after a message has authenticated, was sealed, or has ended;
whoever writes it out writes all of it, and what is not in it any more is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Self

from lockgate.codec import cbor
from lockgate.codec.errors import Malformed
from lockgate.primitives.time import UnixNanos
from lockgate.session.chain import SALT_BYTES, SECRET_BYTES, SESSION_BYTES
from lockgate.session.errors import EpochSpent, SessionDamaged, SessionUnknown
from lockgate.session.pair import Place, Session
from lockgate.session.sending import MessageKeys

FORMAT: Final = 1
MAX_SESSIONS: Final = 4  # with one peer: the newest, one that is being made, and two whose messages are under way
MAX_BOOK: Final = 64 << 20  # two hundred peers that skip all they may
_LIMITS: Final = cbor.Limits(size=MAX_BOOK, items=1 << 22, depth=12)
_COMMITMENT_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Awaited:
    """The reply to a message of ours that is under way: its key, and what the reply has to restate."""

    place: Place
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Owed:
    """A peer's message that was opened and not answered yet. At `until`, by the ledger's time, it has ended."""

    peer: bytes  # endpoint id
    place: Place
    until: UnixNanos


class Book:
    """Sessions by peer, oldest first; awaited replies and owed answers by packet commitment."""

    def __init__(self) -> None:
        self.sessions: dict[bytes, tuple[Session, ...]] = {}
        self.awaited: dict[bytes, Awaited] = {}
        self.owed: dict[bytes, Owed] = {}
        self.changed = False

    def __iter__(self) -> Iterator[Session]:
        for sessions in self.sessions.values():
            yield from sessions

    # Sessions.

    def add(self, peer: bytes, session: Session) -> None:
        """Hold one more session with a peer; the oldest ones go."""
        others = tuple(one for one in self.sessions.get(peer, ()) if one.name != session.name)
        self._set(peer, (*others, session)[-MAX_SESSIONS:])

    def drop(self, peer: bytes, name: bytes) -> None:
        self._set(peer, tuple(one for one in self.sessions.get(peer, ()) if one.name != name))

    def find(self, peer: bytes, name: bytes) -> Session:
        """Raises SessionUnknown."""
        found = next((one for one in self.sessions.get(peer, ()) if one.name == name), None)
        if found is None:
            raise SessionUnknown(session=name)
        return found

    def confirm(self, peer: bytes, name: bytes, epoch: int, expires: UnixNanos) -> bool:
        """The peer holds this epoch too; those before it, and older sessions, open until `expires`.

        Tells whether that is news.
        """
        session = next((one for one in self.sessions.get(peer, ()) if one.name == name), None)
        if session is None or (after := session.confirm(epoch, expires)) is session:
            return False
        held = self.sessions[peer]
        place = held.index(session)
        self._set(peer, (*(one.ending(expires) for one in held[:place]), after, *held[place + 1 :]))
        return True

    def usable(
        self, peer: bytes, records: tuple[bytes, bytes], now: UnixNanos, suites: Collection[int]
    ) -> Session | None:
        """The newest session between two key records, own and peer's, that may seal and came of one of these suites."""
        held = self.sessions.get(peer, ())
        between = [one for one in held if (one.own_record, one.peer_record) == records]
        found = [one for one in between if one.seals(now) and one.suite in suites]
        return found[-1] if found else None

    def started(self, fence: int, salt: Callable[[], bytes]) -> None:
        """Begin to send as the process that holds `fence`, in every session that bears one more start."""
        for peer, sessions in list(self.sessions.items()):
            self._set(peer, tuple(_started(one, fence, salt()) for one in sessions))

    def start(self, peer: bytes, name: bytes, fence: int, salt: bytes) -> None:
        """The same in one session, whose newest epoch this process has not sent in."""
        self.replace(peer, _started(self.find(peer, name), fence, salt))

    def stop(self, peer: bytes, session: Session) -> None:
        """Send nothing more in a session; it still opens."""
        self.replace(peer, session.stopped())

    # Messages.

    def seal(self, peer: bytes, session: Session, size: int) -> MessageKeys:
        """The keys of the next message to a peer: given once, whatever becomes of the message. Raises EpochSpent."""
        keys, after = session.next(size)
        self.replace(peer, after)
        return keys

    def await_reply(self, commitment: bytes, place: Place, key: bytes) -> None:
        self.awaited[commitment] = Awaited(place, key)
        self.changed = True

    def opened(self, peer: bytes, session: Session, commitment: bytes, place: Place, until: UnixNanos) -> None:
        """A message has authenticated under `session`, the state that opening it gave."""
        self.owed[commitment] = Owed(peer, place, until)
        self.replace(peer, session.bounded(self._owed_in(session)))

    def reply_key(self, peer: bytes, place: Place) -> bytes:
        """The key of the answer to a message that was opened. Raises SessionUnknown, KeyGone."""
        keys, _ = self.find(peer, place.session).open(place)
        return keys.reply

    def settled(self, commitment: bytes) -> None:
        """A packet has ended, or its answer is proven: nothing opens it from here on."""
        self.changed |= self.awaited.pop(commitment, None) is not None
        owed = self.owed.pop(commitment, None)
        if owed is not None:
            self.changed = True
            session = next((s for s in self.sessions.get(owed.peer, ()) if s.name == owed.place.session), None)
            if session is not None:
                self.replace(owed.peer, session.erase(owed.place))

    def keep_only(self, sent: Iterable[bytes], answered: Iterable[bytes]) -> None:
        """At a start: replies are awaited to messages of `sent` alone, and nothing is owed of what was `answered`."""
        wanted = set(sent)
        for commitment in [*(one for one in self.awaited if one not in wanted), *answered]:
            self.settled(commitment)

    def overdue(self, now: UnixNanos) -> bool:
        """Would `sweep` erase anything at this time?"""
        ended = any(owed.until <= now for owed in self.owed.values())
        return ended or any(epoch.over <= now for session in self for epoch in session.epochs)

    def sweep(self, now: UnixNanos) -> None:
        """Erase what ended by the ledger's time: messages past their deadline, epochs nothing can arrive in."""
        for commitment in [name for name, owed in self.owed.items() if owed.until <= now]:
            self.settled(commitment)
        for peer, sessions in list(self.sessions.items()):
            left = tuple(one for session in sessions if (one := session.expired(now)).epochs)
            if left != sessions:
                self._set(peer, left)

    def replace(self, peer: bytes, session: Session) -> None:
        """Hold another state of a session that is held."""
        self._set(peer, tuple(session if one.name == session.name else one for one in self.sessions[peer]))

    def _owed_in(self, session: Session) -> list[Place]:
        return [one.place for one in self.owed.values() if one.place.session == session.name]

    def _set(self, peer: bytes, sessions: tuple[Session, ...]) -> None:
        self.changed = True
        if sessions:
            self.sessions[peer] = sessions
        else:
            self.sessions.pop(peer, None)

    # Bytes.

    def to_bytes(self, most: int = MAX_BOOK) -> bytes:
        """All of it, in `most` bytes; what does not fit is dropped from the book, so that it can be read again.

        Of the peer whose sessions take most: first keys that it skipped, then its oldest session with the replies that
        are awaited and the answers that are owed in it. So again until it fits.
        """
        while len(data := self._encoded()) > most:
            self._drop_some(len(data) - most)
        return data

    def _drop_some(self, over: int) -> None:
        sizes = {peer: self._size(peer) for peer in self.sessions}
        while over > 0 and sizes:
            peer = max(sizes, key=lambda one: (sizes[one], one))
            held = self.sessions[peer]
            less = tuple(one.bounded(owed, len(owed)) for one in held for owed in [self._owed_in(one)])
            self._set(peer, less if sum(one.kept for one in less) < sum(one.kept for one in held) else held[1:])
            left = self._size(peer)
            over, sizes[peer] = over - sizes[peer] + left, left
            if peer not in self.sessions:
                del sizes[peer]
        names = {session.name for session in self}
        self.awaited = {name: one for name, one in self.awaited.items() if one.place.session in names}
        self.owed = {name: one for name, one in self.owed.items() if one.place.session in names}

    def _size(self, peer: bytes) -> int:
        return len(cbor.encode([one.to_value() for one in self.sessions.get(peer, ())]))

    def _encoded(self) -> bytes:
        return cbor.encode(
            [
                FORMAT,
                {peer: [one.to_value() for one in sessions] for peer, sessions in self.sessions.items()},
                {name: [*one.place, one.key] for name, one in self.awaited.items()},
                {name: [one.peer, *one.place, one.until] for name, one in self.owed.items()},
            ]
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Raises SessionDamaged."""
        book = cls()
        try:
            version, sessions, awaited, owed = cbor.decode(data, limits=_LIMITS)
            if version != FORMAT:
                raise SessionDamaged("another format", format=version)
            for peer, many in sessions.items():
                book.sessions[_sized(peer, 32)] = tuple(map(Session.from_value, many))
            for name, (*place, key) in awaited.items():
                book.awaited[_sized(name, _COMMITMENT_BYTES)] = Awaited(_place(place), _sized(key, SECRET_BYTES))
            for name, (peer, *place, until) in owed.items():
                made = Owed(_sized(peer, 32), _place(place), UnixNanos(_number(until)))
                book.owed[_sized(name, _COMMITMENT_BYTES)] = made
        except (Malformed, TypeError, ValueError, AttributeError) as error:
            raise SessionDamaged("not a book of sessions") from error
        return book


def _started(session: Session, fence: int, salt: bytes) -> Session:
    try:
        return session.started(fence, salt)
    except EpochSpent:  # it still opens; the next message asks for a new session
        return session.stopped()


def _place(value: Any) -> Place:
    session, epoch, salt, fence, place = value
    return Place(
        _sized(session, SESSION_BYTES), _number(epoch), _sized(salt, SALT_BYTES), _number(fence), _number(place)
    )


def _sized(value: Any, size: int) -> bytes:
    if type(value) is not bytes or len(value) != size:
        raise SessionDamaged("not a byte string of the right length")
    return value


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 64:
        raise SessionDamaged("not a number of the right size")
    return value


__all__ = ("MAX_SESSIONS", "Awaited", "Book", "Owed")
