"""The sending end of one direction: a key for each message, and none for a message that was sent.

A sender that starts anew takes the next fence on its ledger (P8) and steps the chain of starts to it; what an earlier
start could have sealed it cannot seal any more.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, Self

from lockgate.codec import cbor
from lockgate.codec.errors import Malformed
from lockgate.primitives.errors import Misuse
from lockgate.session.chain import (
    SALT_BYTES,
    SECRET_BYTES,
    message_of,
    next_message,
    next_start,
    reply_of,
    start_of,
)
from lockgate.session.errors import EpochSpent, SessionDamaged

MAX_STARTS: Final = 64  # of one sender in an epoch: a host that restarts once a minute needs a new epoch each hour
MAX_MESSAGES: Final = 1 << 20  # of one start: far below what any cipher of a suite bears under one key each
COUNTERS_AHEAD: Final = 1024  # as far as a receiver's window reaches (host.windows.WIDTH)


@dataclass(frozen=True, slots=True)
class MessageKeys:
    """What one message is sealed with, and its reply. `start` counts fences since the epoch's first."""

    epoch: int
    start: int
    salt: bytes
    counter: int
    message: bytes = field(repr=False)

    @property
    def reply(self) -> bytes:
        return reply_of(self.message)


@dataclass(frozen=True, slots=True)
class Started:
    """A process start's own chain."""

    start: int
    salt: bytes
    counter: int  # of the next message
    link: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Sending:
    """`link` is the chain of starts at `start`, the next one that may begin."""

    epoch: int
    start: int
    link: bytes = field(repr=False)
    current: Started | None = None

    def started(self, start: int, salt: bytes) -> Self:
        """Begin as start number `start`, with 32 fresh bytes. Raises EpochSpent beyond 64 starts, Misuse backwards."""
        if len(salt) != SALT_BYTES or start < self.start:
            raise Misuse("a start has 32 fresh bytes, and comes after the one before", start=start, next=self.start)
        if start >= MAX_STARTS:
            raise EpochSpent("too many starts", epoch=self.epoch, most=MAX_STARTS)
        link = self.link
        for _ in range(start - self.start):
            link = next_start(link)
        current = Started(start, salt, 0, start_of(link, salt))
        return replace(self, start=start + 1, link=next_start(link), current=current)

    def next(self, counter: int) -> tuple[MessageKeys, Self]:
        """Keys of message `counter`, and the state without them. Counters go up; those left out have no keys any more.

        Raises EpochSpent; Misuse before the first start, for a counter that was used, and for one further ahead than a
        receiver looks.
        """
        now = self.current
        if now is None or not now.counter <= counter < now.counter + COUNTERS_AHEAD:
            raise Misuse("no start, or a counter that was used or is too far ahead", counter=counter)
        if counter >= MAX_MESSAGES:
            raise EpochSpent("too many messages", epoch=self.epoch, most=MAX_MESSAGES)
        link = now.link
        for _ in range(counter - now.counter):
            link = next_message(link)
        keys = MessageKeys(self.epoch, now.start, now.salt, counter, message_of(link))
        return keys, replace(self, current=replace(now, counter=counter + 1, link=next_message(link)))

    def to_bytes(self) -> bytes:
        """What may outlive a process: the chain of starts. A start's own chain never does (P8)."""
        return cbor.encode([self.epoch, self.start, self.link])

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Raises SessionDamaged."""
        try:
            epoch, start, link = cbor.decode(data)
        except (Malformed, TypeError, ValueError) as error:
            raise SessionDamaged("not a sending end") from error
        numbers = type(epoch) is int and type(start) is int and 0 <= epoch < 1 << 32 and 0 <= start <= MAX_STARTS
        if not numbers or type(link) is not bytes or len(link) != SECRET_BYTES:
            raise SessionDamaged("not a sending end")
        return cls(epoch, start, link)


__all__ = ("COUNTERS_AHEAD", "MAX_MESSAGES", "MAX_STARTS", "MessageKeys", "Sending", "Started")
