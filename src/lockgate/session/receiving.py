"""The receiving end of one direction: keys of messages that come in any order, each until it is erased (P18).

Looking up a key changes nothing: a host that lost its work reads the message again. `open` gives the state to keep once
the message has authenticated under the key, so that a forged header moves no chain; `erase` follows a proven end.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

from lockgate.codec import cbor
from lockgate.codec.errors import Malformed
from lockgate.session.chain import SALT_BYTES, SECRET_BYTES, message_of, next_message, next_start, start_of
from lockgate.session.errors import KeyGone, OtherStart, SessionDamaged, TooFarAhead
from lockgate.session.sending import COUNTERS_AHEAD, MAX_MESSAGES, MAX_STARTS, MessageKeys

MAX_KEPT: Final = COUNTERS_AHEAD  # keys of one start: as many counters as its replay window holds
_LIMITS: Final = cbor.Limits(size=MAX_STARTS * (MAX_KEPT * 48 + 128), items=1 << 18, depth=6)


@dataclass(frozen=True, slots=True)
class Start:
    """One start of the sender. `link` gives the key of `next`; `kept` are keys before it whose messages are open."""

    salt: bytes
    next: int
    link: bytes = field(repr=False)
    kept: Mapping[int, bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Receiving:
    """`link` is the chain of starts at `ahead`; `unseen` are links of earlier starts that no message has named yet."""

    epoch: int
    ahead: int
    link: bytes = field(repr=False)
    unseen: Mapping[int, bytes] = field(default_factory=dict, repr=False)
    starts: Mapping[int, Start] = field(default_factory=dict, repr=False)

    def open(self, start: int, salt: bytes, counter: int) -> tuple[MessageKeys, Self]:
        """The keys of a message, and the state to keep if it authenticates; the key is in it until it is erased.

        Raises KeyGone, TooFarAhead, OtherStart.
        """
        if not 0 <= start < MAX_STARTS or not 0 <= counter < MAX_MESSAGES or len(salt) != SALT_BYTES:
            raise TooFarAhead("out of range", start=start, counter=counter)
        state, found = self._at(start, salt)
        if found.salt != salt:
            raise OtherStart(epoch=self.epoch, start=start)
        if counter < found.next:
            key = found.kept.get(counter)
            if key is None:
                raise KeyGone(epoch=self.epoch, start=start, counter=counter)
            return MessageKeys(self.epoch, start, salt, counter, key), state
        if counter >= found.next + COUNTERS_AHEAD:
            raise TooFarAhead("a counter", start=start, counter=counter, next=found.next)
        link, kept = found.link, {at: key for at, key in found.kept.items() if at + MAX_KEPT > counter}
        for at in range(found.next, counter + 1):
            if at + MAX_KEPT > counter:
                kept[at] = message_of(link)
            link = next_message(link)
        after = Start(salt, counter + 1, link, kept)
        keys = MessageKeys(self.epoch, start, salt, counter, kept[counter])
        return keys, replace(state, starts={**state.starts, start: after})

    def _at(self, start: int, salt: bytes) -> tuple[Self, Start]:
        """The state with a start in it, made of its link of the chain of starts when it is new."""
        known = self.starts.get(start)
        if known is not None:
            return self, known
        if start < self.ahead:
            link = self.unseen.get(start)
            if link is None:
                raise KeyGone("the sender's start is over", epoch=self.epoch, start=start)
            unseen = {at: one for at, one in self.unseen.items() if at != start}
            made = Start(salt, 0, start_of(link, salt), {})
            return replace(self, unseen=unseen, starts={**self.starts, start: made}), made
        link, unseen = self.link, dict(self.unseen)
        for at in range(self.ahead, start):
            unseen[at] = link
            link = next_start(link)
        made = Start(salt, 0, start_of(link, salt), {})
        after = replace(
            self, ahead=start + 1, link=next_start(link), unseen=unseen, starts={**self.starts, start: made}
        )
        return after, made

    def erase(self, start: int, counter: int) -> Self:
        """Forget one message's key, when its end is proven or its time has passed. Twice is once."""
        found = self.starts.get(start)
        if found is None or counter not in found.kept:
            return self
        kept = {at: key for at, key in found.kept.items() if at != counter}
        return replace(self, starts={**self.starts, start: replace(found, kept=kept)})

    def without(self, places: Collection[tuple[int, int]]) -> Self:
        """Forget many keys, by start and counter."""
        starts = {
            at: replace(one, kept={n: key for n, key in one.kept.items() if (at, n) not in places})
            for at, one in self.starts.items()
        }
        return replace(self, starts=starts)

    def ended(self, start: int) -> Self:
        """Forget every start before one: what they sent opens no more."""
        return replace(
            self,
            unseen={at: link for at, link in self.unseen.items() if at >= start},
            starts={at: one for at, one in self.starts.items() if at >= start},
        )

    @property
    def kept(self) -> int:
        """How many message keys are held: what a thief of this state could open (P18)."""
        return sum(len(one.kept) for one in self.starts.values())

    def to_bytes(self) -> bytes:
        starts = {at: [one.salt, one.next, one.link, dict(one.kept)] for at, one in self.starts.items()}
        return cbor.encode([self.epoch, self.ahead, self.link, dict(self.unseen), starts])

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Raises SessionDamaged."""
        try:
            epoch, ahead, link, unseen, starts = cbor.decode(data, limits=_LIMITS)
            found = {at: Start(salt, after, one, kept) for at, (salt, after, one, kept) in starts.items()}
        except (Malformed, TypeError, ValueError, AttributeError) as error:
            raise SessionDamaged("not a receiving end") from error
        if not (_number(epoch, 1 << 32) and _number(ahead, MAX_STARTS + 1) and _secret(link) and _links(unseen, ahead)):
            raise SessionDamaged("not a receiving end")
        if not all(_number(at, ahead) and _is_start(one) for at, one in found.items()) or set(found) & set(unseen):
            raise SessionDamaged("not a receiving end")
        return cls(epoch, ahead, link, unseen, found)


def _number(value: Any, below: int) -> bool:
    return type(value) is int and 0 <= value < below


def _secret(value: Any) -> bool:
    return type(value) is bytes and len(value) == SECRET_BYTES


def _links(value: Any, below: int) -> bool:
    return isinstance(value, Mapping) and all(_number(at, below) and _secret(one) for at, one in value.items())


def _is_start(one: Start) -> bool:
    good = type(one.salt) is bytes and len(one.salt) == SALT_BYTES and _number(one.next, MAX_MESSAGES + 1)
    return good and _secret(one.link) and _links(one.kept, one.next) and len(one.kept) <= MAX_KEPT


__all__ = ("MAX_KEPT", "Receiving", "Start")
