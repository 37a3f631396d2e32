"""A host's sessions: keys of what it seals and opens, in a vault that forgets, and gone when a message ends (P18).

Nothing is sealed here. The book changes in memory; `save` writes it before anything that depends on it leaves the host,
and again after something in it was erased.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from lockgate.envelope.binding import SenderChoice
from lockgate.host.ports import MAX_TIMEOUT_S
from lockgate.hosting.config import EpochLimits, PeerRef
from lockgate.primitives.errors import Refused, Unavailable
from lockgate.primitives.ports import Rng
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos
from lockgate.session import Book, Direction, Epoch, Fences, MessageKeys, Place, Session
from lockgate.session.chain import SALT_BYTES
from lockgate.session.errors import EpochSpent, KeyGone, SessionDamaged
from lockgate.session.pair import ARRIVES_NS
from lockgate.storage.host import HostStore

LONGEST_TIMEOUT_S: Final = 3_600  # of a message in a session: how long its key may be needed


class SessionComing(Unavailable):
    code = "session.coming"
    summary = "The two endpoints have no session yet, or none under their newest keys; a handshake makes one."
    untouched = "Nothing was sealed or sent."
    next_step = "Nothing: what waits goes on when the handshake is done, or fails with its reason."

    def __init__(self, peer: str) -> None:
        super().__init__("no session with the peer", peer=peer)
        self.peer = peer


class SessionRequired(Refused):
    code = "session.required"
    summary = "A message came outside sessions, and this host takes messages in sessions only."
    untouched = "The guest did not run."
    next_step = "Set `sessions` alike in the configurations of both hosts."


class TimeoutTooLong(Refused):
    code = "session.timeout_too_long"
    summary = "A message in a session has at most an hour: its key is kept for that long (P18)."
    untouched = "Nothing was sealed or sent."
    next_step = "Send it with a timeout of 3,600 s or less."


class NotRestated(Refused):
    code = "session.not_restated"
    summary = "A reply does not restate the session, epoch and place of the message it answers."
    untouched = "Nothing was opened."
    next_step = "Nothing: the peer's host is broken, or somebody forges replies."


class Vault(Protocol):
    """Where the book lies. What was there before a `save` cannot be read any more once it returns."""

    def load(self) -> bytes | None: ...

    def save(self, book: bytes, /) -> None: ...


class ForgetfulVault:
    """Meets `Vault` in memory: a process that ends takes its sessions along."""

    def __init__(self) -> None:
        self._book: bytes | None = None

    def load(self) -> bytes | None:
        return self._book

    def save(self, book: bytes, /) -> None:
        self._book = book


@dataclass(frozen=True, slots=True)
class Keys:
    """The key of one message or reply, and the place it is for."""

    place: Place
    key: bytes = field(repr=False)
    reply: bytes = field(default=b"", repr=False)  # of a message's reply

    def choice(self, fence: int, counter: int) -> SenderChoice:
        place = self.place
        return SenderChoice(
            session=place.session,
            epoch=place.epoch,
            start_salt=place.salt,
            fence=fence,
            counter=counter,
            place=place.place,
        )


@dataclass(frozen=True, slots=True)
class ToPeer:
    """Which session a message may go in: between two key records, own and peer's, of one of these handshake suites.

    The strongest comes first: another one goes on until there is a session of it (S61).
    """

    peer: PeerRef
    records: tuple[bytes, bytes]
    timeout_s: int
    suites: Sequence[int]


class Sessions:
    """`required` is the host's rule: messages travel in sessions, or never do."""

    def __init__(self, vault: Vault, rng: Rng, *, required: bool, limits: EpochLimits | None = None) -> None:
        self.required = required
        self._limits = limits or EpochLimits()
        self._vault = vault
        self._rng = rng
        self._book = Book()
        self._fence = 0
        self._pending: dict[bytes, tuple[bytes, bytes, int]] = {}  # (peer, session, epoch) by what confirms it
        self._spent: dict[bytes, bytes] = {}  # peer → session that needs a new epoch
        self._outdone: set[bytes] = set()  # peers with which a stronger suite counts than that of the session

    @property
    def longest_timeout_s(self) -> int:
        """Of a message that is sent now."""
        return LONGEST_TIMEOUT_S if self.required else MAX_TIMEOUT_S

    # The life of the process.

    def recall(self, store: HostStore, report: Callable[[str, dict[str, object]], None]) -> None:
        """Take up the sessions that were saved, without the keys of what has ended since.

        Where they are damaged, or a copy of before, there are none: the next message makes another.
        """
        try:
            data = self._vault.load()
            self._book = Book() if data is None else Book.from_bytes(data)
        except SessionDamaged as error:
            self._book = Book()
            report("sessions_lost", {"detail": str(error)})
        under_way = (row.commitment for state in ("staged", "sent") for row in store.all_sent(state))
        self._book.keep_only(under_way, store.answered(tuple(self._book.owed)))

    def begin(self, fence: int) -> None:
        """This process holds a fence: it sends in starts of its own (P8). Saved before anything is sealed in them."""
        self._fence = fence
        self._book.started(fence, lambda: self._rng.bytes(SALT_BYTES))
        self.save()

    def save(self) -> None:
        if self._book.changed:
            self._vault.save(self._book.to_bytes())
            self._book.changed = False

    def overdue(self, now: UnixNanos) -> bool:
        """May anything have ended by now? What a clock says erases nothing: the ledger's time does."""
        return self._book.overdue(now)

    def sweep(self, now: UnixNanos) -> None:
        """Erase what has ended by the own ledger's proven time."""
        self._book.sweep(now)
        self.save()

    # Handshakes.

    def add(self, peer: PeerRef, session: Session) -> None:
        """Hold a session that a handshake made; send in it where the peer is known to hold it."""
        self._book.add(_id(peer), session)
        self._book.start(_id(peer), session.name, self._fence, self._rng.bytes(SALT_BYTES))

    def confirmed_by(self, commitment: bytes, peer: PeerRef, name: bytes, epoch: int = 0) -> None:
        """The answer to this packet, once it is proven, tells the peer what it needs to hold an epoch."""
        self._pending[commitment] = _id(peer), name, epoch

    def confirm(self, peer: bytes, name: bytes, epoch: int, now: UnixNanos) -> bool:
        """The peer holds an epoch: seal in it from here on. Tells whether that is news."""
        news = self._book.confirm(peer, name, epoch, UnixNanos(now + ARRIVES_NS))
        if news:
            self._book.start(peer, name, self._fence, self._rng.bytes(SALT_BYTES))
        return news

    # Epochs.

    def due(self) -> list[tuple[bytes, bytes]]:
        """Sessions whose epoch is spent since this was asked last, each with its peer."""
        spent, self._spent = list(self._spent.items()), {}
        return spent

    def asking(self, peer: PeerRef) -> None:
        """A message asks for a new epoch: that it is sealed in the spent one asks for none. The next message does."""
        self._spent.pop(_id(peer), None)

    def outdone(self) -> set[bytes]:
        """Peers to which messages went since this was asked last, in a session of a weaker suite than another is."""
        found, self._outdone = self._outdone, set()
        return found

    def sealing(self, peer: PeerRef, name: bytes) -> Epoch:
        """The epoch that this host seals in. Raises SessionUnknown, KeyGone."""
        epoch = self._book.find(_id(peer), name).newest
        if epoch is None:
            raise KeyGone("no epoch of it is confirmed", session=name)
        return epoch

    def suite(self, peer: PeerRef, name: bytes) -> int:
        """The suite of a session's handshake. Raises SessionUnknown."""
        return self._book.find(_id(peer), name).suite

    def direction(self, peer: PeerRef, name: bytes) -> Direction:
        """Whose handshake it came of. Raises SessionUnknown."""
        return self._book.find(_id(peer), name).direction

    def heal(self, peer: PeerRef, name: bytes, after: int, fresh: bytes, fences: Fences, now: UnixNanos) -> None:
        """Hold the next epoch of a session. Raises SessionUnknown, KeyGone."""
        self._book.replace(_id(peer), self._book.find(_id(peer), name).healed(after, fresh, fences, now))

    def lost(self, peer: PeerRef, commitment: bytes) -> None:
        """The peer does not hold the session of this message any more."""
        awaited = self._book.awaited.get(commitment)
        if awaited is not None:
            self._book.drop(_id(peer), awaited.place.session)

    # Messages.

    def ready(self, to: ToPeer, now: UnixNanos) -> Session:
        """The session that the next message to a peer is sealed in. Raises SessionComing, TimeoutTooLong."""
        if to.timeout_s > LONGEST_TIMEOUT_S:
            raise TimeoutTooLong(timeout_s=to.timeout_s)
        session = self._book.usable(_id(to.peer), to.records, now, to.suites)
        if session is None:
            raise SessionComing(to.peer.endpoint)
        return session

    def of_message(self, to: ToPeer, size: int, now: UnixNanos) -> Keys:
        """Keys of the next message to a peer, with a body of `size` bytes. Raises SessionComing, TimeoutTooLong."""
        peer, session = to.peer, self.ready(to, now)
        if session.suite != to.suites[0]:
            self._outdone.add(_id(peer))
        if _spent(session, self._limits, now):
            self._spent[_id(peer)] = session.name
        try:
            keys = self._book.seal(_id(peer), session, size)
        except EpochSpent as error:
            self._book.stop(_id(peer), session)
            raise SessionComing(peer.endpoint) from error
        return Keys(_place(session, keys), keys.message, keys.reply)

    def of_reply(self, peer: PeerRef, to: Place) -> Keys:
        """Keys of the answer to a message of a session. Raises SessionUnknown, KeyGone."""
        return Keys(to, self._book.reply_key(_id(peer), to))

    def find(self, peer: PeerRef, name: bytes) -> Session:
        """A session with a peer. Raises SessionUnknown."""
        return self._book.find(_id(peer), name)

    def opened(
        self, peer: PeerRef, after: Session, commitment: bytes, place: Place, until: UnixNanos, now: UnixNanos
    ) -> bool:
        """A message has authenticated: its key is kept until it is answered, at most until `until`.

        Whoever seals in an epoch holds it: tells whether that was not known before.
        """
        self._book.opened(_id(peer), after, commitment, place, until)
        return self.confirm(_id(peer), place.session, place.epoch, now)

    def await_reply(self, commitment: bytes, keys: Keys) -> None:
        self._book.await_reply(commitment, keys.place, keys.reply)

    def reply_to(self, commitment: bytes, choice: SenderChoice) -> bytes:
        """The key of the reply to a message of ours. Raises KeyGone, NotRestated."""
        awaited = self._book.awaited.get(commitment)
        if awaited is None:
            raise KeyGone("no reply is awaited", commitment=commitment)
        restated = place_of(choice)._replace(fence=awaited.place.fence)
        if restated != awaited.place:
            raise NotRestated(commitment=commitment)
        return awaited.key

    def in_session(self, commitment: bytes) -> bool:
        """Was this message of ours sealed in a session?"""
        return commitment in self._book.awaited

    def settled(self, commitments: Iterable[bytes], now: UnixNanos) -> bool:
        """Packets have ended, or their answers are proven. Tells whether a session may be sent in since then."""
        news = False
        for commitment in commitments:
            self._book.settled(commitment)
            pending = self._pending.pop(commitment, None)
            if pending is not None:
                news |= self.confirm(*pending, now)
        return news

    def status(self) -> list[dict[str, object]]:
        """What `host status` shows: nothing secret."""
        return [
            {
                "peer": peer.hex(),
                "session": one.name.hex(),
                "suite": one.suite,
                "epoch": one.epochs[-1].number if one.newest is None else one.newest.number,
                "sends": one.sends,
                "keys_kept": one.kept,
            }
            for peer, sessions in self._book.sessions.items()
            for one in sessions
        ]


def place_of(choice: SenderChoice) -> Place:
    """The place that an envelope of a session names."""
    assert choice.session is not None, "an envelope in a session"
    assert choice.place is not None, "it has its place there"
    return Place(choice.session, choice.epoch, choice.start_salt, choice.fence, choice.place)


def _spent(session: Session, limits: EpochLimits, now: UnixNanos) -> bool:
    epoch = session.newest
    if epoch is None:
        return False
    old = now - epoch.began >= limits.age_s * NANOS_PER_SECOND
    return old or epoch.messages >= limits.messages or epoch.size >= limits.size


def _place(session: Session, keys: MessageKeys) -> Place:
    assert session.newest is not None, "it seals"
    fence = session.newest.fences.own + keys.start
    return Place(session.name, keys.epoch, keys.salt, fence, keys.counter)


def _id(peer: PeerRef) -> bytes:
    return bytes.fromhex(peer.endpoint)


__all__ = (
    "ForgetfulVault",
    "Keys",
    "NotRestated",
    "SessionComing",
    "SessionRequired",
    "Sessions",
    "TimeoutTooLong",
    "ToPeer",
    "Vault",
    "place_of",
)
