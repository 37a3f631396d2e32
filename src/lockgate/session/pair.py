"""A session of two endpoints: its epochs, each with a sending and a receiving end (P8, P18).

Values: every step gives the next state, and nothing is used up by looking. Of an epoch's secret nothing is kept but the
two directions and what leads to the next epoch.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple, Self

from lockgate.primitives.errors import Misuse
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos
from lockgate.session.chain import SECRET_BYTES, SESSION_BYTES, Direction, direction_of, next_epoch, onward_of
from lockgate.session.errors import KeyGone, SessionDamaged, SessionUnknown
from lockgate.session.receiving import Receiving
from lockgate.session.sending import COUNTERS_AHEAD, MessageKeys, Sending

MAX_EPOCHS: Final = 3  # of one session at a time: one that is being agreed on, the one that seals, and the one before
SEALS_NS: Final = 2 * 3_600 * NANOS_PER_SECOND  # nobody seals in an epoch that is older, by the own ledger's time
ARRIVES_NS: Final = 2 * 3_600 * NANOS_PER_SECOND  # all that was sealed has ended: timeout, longest grace of an answer
STARTS_HELD: Final = 4  # of the peer in an epoch, beside those in which an answer is owed: it starts anew now and then
MAX_HELD: Final = 2 * COUNTERS_AHEAD  # keys of the peer's messages in a session: two starts that skip all they may
_RECORD_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Fences:
    """The fences that both sides held when an epoch began: each counts its starts from there."""

    own: int
    peer: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """`began` and `expires` are times of the own ledger; `expires` is 0 while nothing later is confirmed.

    `confirmed` tells that the peer is known to hold it too: before, nothing is sealed in it (P19).
    """

    number: int
    fences: Fences
    began: UnixNanos
    expires: UnixNanos = UnixNanos(0)
    confirmed: bool
    sending: Sending
    receiving: Receiving
    onward: bytes = field(repr=False)
    messages: int = 0  # sealed in it by this side, over all starts
    size: int = 0  # bytes of the contents sealed in it

    @classmethod
    def begin(
        cls, number: int, secret: bytes, direction: Direction, fences: Fences, now: UnixNanos, *, confirmed: bool
    ) -> Self:
        return cls(
            number=number,
            fences=fences,
            began=now,
            confirmed=confirmed,
            sending=Sending(number, 0, direction_of(secret, direction)),
            receiving=Receiving(number, 0, direction_of(secret, direction.other)),
            onward=onward_of(secret),
        )

    @property
    def over(self) -> UnixNanos:
        """When it opens nothing any more, whether another followed or nobody has spoken since (P18)."""
        longest = UnixNanos(self.began + SEALS_NS + ARRIVES_NS)
        return min(self.expires, longest) if self.expires else longest

    def to_value(self) -> list[Any]:
        return [
            self.number, self.fences.own, self.fences.peer, self.began, self.expires, self.sending.to_bytes(),
            self.receiving.to_bytes(), self.onward, self.messages, self.size, self.confirmed,
        ]  # fmt: skip

    @classmethod
    def from_value(cls, value: Any) -> Self:
        number, own, peer, began, expires, sending, receiving, onward, messages, size, confirmed = value
        numbers = (number, own, peer, began, expires, messages, size)
        shaped = _is_bytes(onward, SECRET_BYTES) and type(confirmed) is bool
        if not shaped or not all(type(one) is int and 0 <= one < 1 << 64 for one in numbers):
            raise SessionDamaged("not an epoch")
        return cls(
            number=number,
            fences=Fences(own, peer),
            began=UnixNanos(began),
            expires=UnixNanos(expires),
            confirmed=confirmed,
            sending=Sending.from_bytes(sending),
            receiving=Receiving.from_bytes(receiving),
            onward=onward,
            messages=messages,
            size=size,
        )


class Place(NamedTuple):
    """Where a message stands in a session, as its envelope names it and its reply restates it."""

    session: bytes
    epoch: int
    salt: bytes
    fence: int
    place: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What one side holds of a session. `name` is public; the records are hashes of those that met in the handshake."""

    name: bytes
    direction: Direction
    suite: int  # of the handshake
    own_record: bytes
    peer_record: bytes
    epochs: tuple[Epoch, ...]  # ascending

    @classmethod
    def begin(
        cls,
        name: bytes,
        secret: bytes,
        direction: Direction,
        suite: int,
        records: tuple[bytes, bytes],
        fences: Fences,
        now: UnixNanos,
        *,
        confirmed: bool,
    ) -> Self:
        """`records` are the own one's hash and the peer's. The caller forgets `secret`."""
        first = Epoch.begin(0, secret, direction, fences, now, confirmed=confirmed)
        own, peer = records
        return cls(
            name=name,
            direction=direction,
            suite=suite,
            own_record=own,
            peer_record=peer,
            epochs=(first,),
        )

    @property
    def newest(self) -> Epoch | None:
        """The newest epoch that the peer is known to hold."""
        return next((epoch for epoch in reversed(self.epochs) if epoch.confirmed), None)

    # Sending.

    def started(self, fence: int, salt: bytes) -> Self:
        """Begin to send as the process that holds `fence`, in the newest confirmed epoch. Raises EpochSpent, Misuse."""
        epoch = self.newest
        if epoch is None:
            return self
        started = replace(epoch, sending=epoch.sending.started(fence - epoch.fences.own, salt))
        return self.stopped()._with(started)

    def stopped(self) -> Self:
        """The session without a start to send in: it only opens."""
        epochs = (replace(epoch, sending=replace(epoch.sending, current=None)) for epoch in self.epochs)
        return replace(self, epochs=tuple(epochs))

    @property
    def sends(self) -> bool:
        """Has this process a start to send in?"""
        epoch = self.newest
        return epoch is not None and epoch.sending.current is not None

    def seals(self, now: UnixNanos) -> bool:
        """Has it one in an epoch that is young enough?"""
        epoch = self.newest
        return self.sends and epoch is not None and now < epoch.began + SEALS_NS

    def next(self, size: int) -> tuple[MessageKeys, Self]:
        """The keys of the next message, with a body of `size` bytes, and the state without them.

        Raises EpochSpent, Misuse before a start.
        """
        epoch = self.newest
        now = None if epoch is None else epoch.sending.current
        if epoch is None or now is None:
            raise Misuse("a session seals nothing before its sender has started", session=self.name)
        keys, sending = epoch.sending.next(now.counter)
        counted = replace(epoch, sending=sending, messages=epoch.messages + 1, size=epoch.size + size)
        return keys, self._with(counted)

    # Receiving.

    def open(self, place: Place) -> tuple[MessageKeys, Self]:
        """The keys of a message of the peer, and the state to keep if it authenticates.

        Raises KeyGone, TooFarAhead, OtherStart, and SessionUnknown for an epoch that is not held yet.
        """
        epoch = self._epoch(place.epoch)
        start = place.fence - epoch.fences.peer
        if start < 0:
            raise KeyGone("a fence of before the epoch", epoch=epoch.number, fence=place.fence)
        keys, receiving = epoch.receiving.open(start, place.salt, place.place)
        return keys, self._with(replace(epoch, receiving=receiving))

    def erase(self, place: Place) -> Self:
        """Forget the key of a message that has ended. What is gone already is gone."""
        epoch = next((one for one in self.epochs if one.number == place.epoch), None)
        if epoch is None:
            return self
        receiving = epoch.receiving.erase(place.fence - epoch.fences.peer, place.place)
        return self._with(replace(epoch, receiving=receiving))

    @property
    def kept(self) -> int:
        """How many keys of the peer's messages are held."""
        return sum(epoch.receiving.kept for epoch in self.epochs)

    def bounded(self, owed: Collection[Place], most: int = MAX_HELD) -> Self:
        """The session with no more of the peer's direction than is to be held, whatever the peer skips.

        Of each epoch the last starts, and all from one in which an answer is `owed`; of keys `most`: those of messages
        that were skipped go first, the oldest first, then those of owed answers. What is gone is refused with KeyGone,
        upon which its sender seals it again.
        """
        starts = {(place.epoch, place.fence) for place in owed}
        epochs = []
        for epoch in self.epochs:
            kept = [fence - epoch.fences.peer for number, fence in starts if number == epoch.number]
            first = min(epoch.receiving.ahead - STARTS_HELD, *kept, epoch.receiving.ahead)
            epochs.append(replace(epoch, receiving=epoch.receiving.ended(first)))
        found = replace(self, epochs=tuple(epochs))
        if found.kept <= most:
            return found
        answers = {(place.epoch, place.fence, place.place) for place in owed}
        held = [
            (epoch.number, epoch.fences.peer + at, counter)
            for epoch in found.epochs
            for at, start in epoch.receiving.starts.items()
            for counter in start.kept
        ]
        held.sort(key=lambda key: (key in answers, key))
        gone = held[: len(held) - most]
        for epoch in found.epochs:
            places = {(fence - epoch.fences.peer, n) for number, fence, n in gone if number == epoch.number}
            found = found._with(replace(epoch, receiving=epoch.receiving.without(places)))
        return found

    # Epochs.

    def healed(self, after: int, fresh: bytes, fences: Fences, now: UnixNanos) -> Self:
        """The session with the epoch after number `after`, from a fresh shared secret; nobody is known to hold it.

        Raises KeyGone where the peer is known to hold a later one already.
        """
        last = self._epoch(after)
        if last is not self.newest:
            raise KeyGone("another epoch came after it", epoch=after)
        secret = next_epoch(last.onward, fresh)
        made = Epoch.begin(after + 1, secret, self.direction, fences, now, confirmed=False)
        kept = tuple(one for one in self.epochs if one.number <= after)
        return replace(self, epochs=(*kept, made)[-MAX_EPOCHS:])

    def confirm(self, number: int, expires: UnixNanos) -> Self:
        """The peer holds this epoch too; those before it open until `expires`."""
        epoch = self._epoch(number)
        if epoch.confirmed:
            return self
        made = replace(epoch, confirmed=True)
        before = (replace(one, expires=one.expires or expires) for one in self.epochs if one.number < number)
        return replace(self, epochs=(*before, made))

    def ending(self, expires: UnixNanos) -> Self:
        """The session, with another one in its place: it opens until `expires`."""
        epochs = (replace(one, expires=one.expires or expires) for one in self.epochs)
        return replace(self, epochs=tuple(epochs))

    def expired(self, now: UnixNanos) -> Self:
        """The session without epochs whose last message cannot arrive any more."""
        return replace(self, epochs=tuple(one for one in self.epochs if now < one.over))

    def _epoch(self, number: int) -> Epoch:
        found = next((one for one in self.epochs if one.number == number), None)
        if found is None and number > self.epochs[-1].number:
            raise SessionUnknown("an epoch that is not held", epoch=number, newest=self.epochs[-1].number)
        if found is None:
            raise KeyGone("the epoch is over", epoch=number)
        return found

    def _with(self, epoch: Epoch) -> Self:
        return replace(self, epochs=tuple(epoch if one.number == epoch.number else one for one in self.epochs))

    def to_value(self) -> list[Any]:
        """What may outlive a process: no start's own chain is in it (P8)."""
        return [
            self.name, int(self.direction), self.suite, self.own_record, self.peer_record,
            [epoch.to_value() for epoch in self.epochs],
        ]  # fmt: skip

    @classmethod
    def from_value(cls, value: Any) -> Self:
        """Raises SessionDamaged, TypeError, ValueError."""
        name, direction, suite, own, peer, epochs = value
        shaped = _is_bytes(name, SESSION_BYTES) and _is_bytes(own, _RECORD_BYTES) and _is_bytes(peer, _RECORD_BYTES)
        if not shaped or type(suite) is not int or not 1 <= len(epochs) <= MAX_EPOCHS:
            raise SessionDamaged("not a session")
        return cls(
            name=name,
            direction=Direction(direction),
            suite=suite,
            own_record=own,
            peer_record=peer,
            epochs=tuple(map(Epoch.from_value, epochs)),
        )


def _is_bytes(value: Any, size: int) -> bool:
    return type(value) is bytes and len(value) == size


__all__ = (
    "ARRIVES_NS",
    "MAX_EPOCHS",
    "MAX_HELD",
    "SEALS_NS",
    "STARTS_HELD",
    "Epoch",
    "Fences",
    "Place",
    "Session",
)
