"""How deterministic state is read and changed: a read-only view in, an outcome out.

A handler reads through a `View` and returns an `Outcome`; one place applies it. `Overlay` lets the
second message of a transaction see what the first one decided, and lets a caller drop a sub-state
whole, without anything having been written.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol, TypeVar, TypeVarTuple

from lockgate.primitives.ids import Height
from lockgate.primitives.quick import make
from lockgate.primitives.time import UnixNanos

Writes = dict[tuple[str, bytes], bytes | None]
T = TypeVar("T")
Ts = TypeVarTuple("Ts")
MAX_REMEMBERED: Final = 65_536  # places of the view below that a draft remembers: some megabytes
FEW: Final = 16  # keys that are put in order one by one: each moves half of the list, a sort reads all of it
_ABSENT: Final = bytes(bytearray(b"absent"))  # in an undo journal: was not pending. Told from values by identity


class View(Protocol):
    """Read-only state: named stores of byte keys to non-empty byte values."""

    def get(self, store: str, key: bytes, /) -> bytes | None: ...

    def scan(self, store: str, start: bytes, end: bytes, /) -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, value) with start <= key < end, ascending by key."""
        ...


class Event(NamedTuple):
    """An ABCI event: a type and string attributes, in order."""

    type: str
    attributes: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str | None:
        for key, value in self.attributes:
            if key == name:
                return value
        return None


@dataclass(frozen=True, slots=True)
class Block:
    """What a handler may know of the block it runs in. All of it is in the signed header."""

    chain_id: str
    height: Height
    time: UnixNanos


@dataclass(slots=True, init=False)
class Outcome:
    """What a handler decided: writes (None deletes), events in order, response bytes."""

    writes: Writes
    events: list[Event]
    response: bytes

    def __init__(self, writes: Writes | None = None, events: list[Event] | None = None, response: bytes = b"") -> None:
        # Written out: a packet makes a dozen of these, and factories of defaults cost three times as much.
        self.writes = {} if writes is None else writes
        self.events = [] if events is None else events
        self.response = response

    def set(self, store: str, key: bytes, value: bytes) -> None:
        self.writes[(store, key)] = value

    def delete(self, store: str, key: bytes) -> None:
        self.writes[(store, key)] = None

    def emit(self, type_: str, *attributes: tuple[str, str]) -> None:
        self.events.append(Event(type_, attributes))

    def then(self, other: Outcome) -> None:
        """Append what `other` decided after this; later writes win."""
        if other.writes:
            self.writes.update(other.writes)
        if other.events:
            self.events += other.events


class Overlay:
    """A view with pending writes on top of another view; dropping it drops the writes."""

    __slots__ = ("_base", "_writes")

    def __init__(self, base: View, writes: Mapping[tuple[str, bytes], bytes | None]) -> None:
        self._base = base
        self._writes = writes

    def get(self, store: str, key: bytes, /) -> bytes | None:
        value = self._writes.get((store, key), _ABSENT)
        return self._base.get(store, key) if value is _ABSENT else value

    def known(self, name: Hashable) -> _Fact | None:
        """A fact that a draft below remembers and that no pending write of this overlay touches."""
        base = self._base
        if type(base) is Draft:
            found = base.known(name)
        else:
            found = base.known(name) if type(base) is Overlay else None
        return found if found is not None and self._writes.keys().isdisjoint(found.seen.keys()) else None

    def scan(self, store: str, start: bytes, end: bytes, /) -> Iterator[tuple[bytes, bytes]]:
        pending = self._pending(store, start, end) if self._writes else []
        position = 0
        for key, value in self._base.scan(store, start, end):
            while position < len(pending) and pending[position][0] < key:
                fresh = pending[position][1]
                if fresh is not None:
                    yield pending[position][0], fresh
                position += 1
            if position < len(pending) and pending[position][0] == key:
                replaced = pending[position][1]
                position += 1
                if replaced is not None:
                    yield key, replaced
            else:
                yield key, value
        for key, last in pending[position:]:
            if last is not None:
                yield key, last

    def _pending(self, store: str, start: bytes, end: bytes) -> list[tuple[bytes, bytes | None]]:
        """The pending writes of a range, ascending by key."""
        inside = ((key, value) for (name, key), value in self._writes.items() if name == store and start <= key < end)
        return sorted(inside)


class Draft(Overlay):
    """The pending writes of a block under construction: taken step by step, undone back to a mark.

    One dictionary holds them all, and what was read of the view below stands in it, too: a read costs one look-up
    however many steps came before it. So the view must not change while a draft is over it. A draft can be asked to
    note what is read of it, so that a step need not be run again where it would read the same.
    """

    __slots__ = ("_facts", "_now", "_readers", "_scanned", "_seen", "_sorted", "_sorted_to", "_undo", "writes")

    def __init__(self, base: View) -> None:
        self.writes: Writes = {}
        self._now: Writes = {}  # what `get` gives, of places that were read or written; any may be missing
        self._facts: dict[Hashable, _Fact] = {}
        self._readers: dict[tuple[str, bytes], list[Hashable]] = {}  # place -> facts that were read off it
        self._undo: list[tuple[tuple[str, bytes], bytes | None]] = []  # place, value before or `_ABSENT`
        self._seen: Writes | None = None  # while reads are noted: places, with what they gave
        self._scanned = False
        self._sorted: dict[str, list[bytes]] = {}  # keys of each store that were written before `_sorted_to`, ascending
        self._sorted_to = 0
        super().__init__(base, self.writes)

    def get(self, store: str, key: bytes, /) -> bytes | None:
        place = (store, key)
        value = self._now.get(place, _ABSENT)
        if value is _ABSENT:
            value = self._find(place)
        if self._seen is not None:
            self._seen[place] = value
        return value

    def _find(self, place: tuple[str, bytes]) -> bytes | None:
        value = self.writes.get(place, _ABSENT)
        if value is _ABSENT:
            value = self._base.get(*place)
        if len(self._now) >= MAX_REMEMBERED:
            self._now.clear()
        self._now[place] = value
        return value

    def scan(self, store: str, start: bytes, end: bytes, /) -> Iterator[tuple[bytes, bytes]]:
        self._scanned = True
        return super().scan(store, start, end)

    def _pending(self, store: str, start: bytes, end: bytes) -> list[tuple[bytes, bytes | None]]:
        # A block writes tens of thousands of places: a message that scans must not look through all of them.
        self._sort()
        ascending = self._sorted.get(store, [])
        inside = ascending[bisect_left(ascending, start) : bisect_left(ascending, end)]
        return [(key, self.writes[store, key]) for key in inside]

    def _sort(self) -> None:
        """Put the keys written since the last time in order: a few one by one, many at once."""
        fresh: dict[str, list[bytes]] = {}
        for (store, key), before in self._undo[self._sorted_to :]:
            if before is _ABSENT:
                fresh.setdefault(store, []).append(key)
        for store, found in fresh.items():
            ascending = self._sorted.setdefault(store, [])
            if len(found) <= FEW:
                for key in found:
                    insort(ascending, key)
            else:
                ascending += found
                ascending.sort()
        self._sorted_to = len(self._undo)

    def known(self, name: Hashable) -> _Fact | None:
        """A fact that is remembered; what it rests on counts as read."""
        found = self._facts.get(name)
        if found is not None and self._seen is not None:
            self._seen.update(found.seen)
        return found

    def watch(self) -> int:
        """Note from now on what is read; returns the mark for `watched`."""
        self._seen, self._scanned = {}, False
        return self.mark()

    def watched(self, mark: int) -> Writes | None:
        """End that: each place that was read, with its value at the mark; None where somebody scanned or undid."""
        seen, self._seen = self._seen, None
        if seen is None or self._scanned:
            return None
        for place, value in reversed(self._undo[mark:]):  # read, perhaps, after it was written
            if place in seen:
                seen[place] = self._base.get(*place) if value is _ABSENT else value
        return seen

    def holds(self, seen: Writes) -> bool:
        """Would all of these places give the same values now?"""
        if seen.items() <= self._now.items():
            return True
        get = self.get
        return all(get(store, key) == value for (store, key), value in seen.items())

    def since(self, mark: int) -> Writes:
        """What was taken after a mark, as it stands now."""
        return {place: self.writes[place] for place, _ in self._undo[mark:]}

    def rebase(self, base: View) -> None:
        """Read through another view of the very same state from now on."""
        self._base = base

    def take(self, writes: Mapping[tuple[str, bytes], bytes | None]) -> None:
        """Add what a step decided; later writes win."""
        mine, readers = self.writes, self._readers
        self._undo += [(place, mine.get(place, _ABSENT)) for place in writes]
        mine.update(writes)
        self._now.update(writes)
        if not readers.keys().isdisjoint(writes):
            for place in writes:
                if place in readers:
                    self._forget(place)

    def rests_on(self, writes: Writes) -> bool:
        """Would taking these writes make the draft forget a fact?"""
        return not self._readers.keys().isdisjoint(writes)

    def mark(self) -> int:
        """A point that `undo_to` can go back to."""
        return len(self._undo)

    def undo_to(self, mark: int) -> None:
        """Forget everything taken since `mark`. What is noted just then tells nothing any more."""
        self._scanned = True
        while len(self._undo) > mark:
            place, before = self._undo.pop()
            if before is _ABSENT:
                if len(self._undo) < self._sorted_to:
                    ascending = self._sorted[place[0]]
                    del ascending[bisect_left(ascending, place[1])]
                del self.writes[place]
                self._now.pop(place, None)
            else:
                self.writes[place] = self._now[place] = before
            if place in self._readers:
                self._forget(place)
        self._sorted_to = min(self._sorted_to, len(self._undo))

    def learn(self, name: Hashable, compute: Callable[[View], T]) -> T:
        """Compute a fact and remember it until a place it read is written. One that scans is not kept."""
        reading = _Reading(self)
        value = compute(reading)
        if not reading.scanned:
            self._keep(name, value, reading.seen)
        return value

    def _keep(self, name: Hashable, value: object, seen: Writes) -> None:
        self._facts[name] = make(_Fact, (value, seen))
        for place in seen:
            self._readers.setdefault(place, []).append(name)

    def _forget(self, place: tuple[str, bytes]) -> None:
        for name in self._readers.pop(place):
            self._facts.pop(name, None)


class _Fact(NamedTuple):
    value: Any
    seen: Writes  # what it was read off, all of it as long as the fact stands


class _Reading:
    """A view that notes what is read through it."""

    __slots__ = ("_base", "scanned", "seen")

    def __init__(self, base: Draft) -> None:
        self._base = base
        self.seen: Writes = {}
        self.scanned = False

    def get(self, store: str, key: bytes, /) -> bytes | None:
        value = self.seen[store, key] = self._base.get(store, key)
        return value

    def scan(self, store: str, start: bytes, end: bytes, /) -> Iterator[tuple[bytes, bytes]]:
        self.scanned = True
        return self._base.scan(store, start, end)

    def learn(self, name: Hashable, compute: Callable[[View], T]) -> T:
        """A fact that another one rests on: the draft remembers it, too, and its places count for both."""
        found = self._base.known(name)
        if found is not None:
            self.seen.update(found.seen)
            return found.value  # type: ignore[no-any-return]  # what the same function returned before
        within = _Reading(self._base)
        value = compute(within)
        self.seen.update(within.seen)
        self.scanned = self.scanned or within.scanned
        if not within.scanned:
            self._base._keep(name, value, within.seen)
        return value


def fact(view: View, compute: Callable[[View, *Ts], T], *arguments: *Ts) -> T:
    """`compute(view, *arguments)`, which must be a function of what it reads there; a draft remembers it.

    The packets of a block ask the same things again and again: which lane, which client, is it active.
    Arguments must be hashable and positional.
    """
    if type(view) is Draft:
        name = (compute, *arguments)
        found = view._facts.get(name)
        if found is None:
            return view.learn(name, lambda reading: compute(reading, *arguments))
        if view._seen is not None:
            view._seen.update(found.seen)
    elif type(view) is Overlay:
        found = view.known((compute, *arguments))
        if found is None:
            return compute(view, *arguments)
    elif type(view) is _Reading:
        return view.learn((compute, *arguments), lambda reading: compute(reading, *arguments))
    else:
        return compute(view, *arguments)
    return found.value  # type: ignore[no-any-return]  # what the same function returned before


__all__ = ("Block", "Draft", "Event", "Outcome", "Overlay", "View", "Writes", "fact")
