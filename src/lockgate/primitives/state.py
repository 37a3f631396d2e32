"""How deterministic state is read and changed: a read-only view in, an outcome out.

A handler reads through a `View` and returns an `Outcome`; one place applies it. `Overlay` lets the
second message of a transaction see what the first one decided, and lets a caller drop a sub-state
whole, without anything having been written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from lockgate.primitives.ids import Height
from lockgate.primitives.time import UnixNanos

Writes = dict[tuple[str, bytes], bytes | None]


class View(Protocol):
    """Read-only state: named stores of byte keys to non-empty byte values."""

    def get(self, store: str, key: bytes, /) -> bytes | None: ...

    def scan(self, store: str, start: bytes, end: bytes, /) -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, value) with start <= key < end, ascending by key."""
        ...


@dataclass(frozen=True, slots=True)
class Event:
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


@dataclass(slots=True)
class Outcome:
    """What a handler decided: writes (None deletes), events in order, response bytes."""

    writes: Writes = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    response: bytes = b""

    def set(self, store: str, key: bytes, value: bytes) -> None:
        self.writes[(store, key)] = value

    def delete(self, store: str, key: bytes) -> None:
        self.writes[(store, key)] = None

    def emit(self, type_: str, *attributes: tuple[str, str]) -> None:
        self.events.append(Event(type_, attributes))

    def then(self, other: Outcome) -> None:
        """Append what `other` decided after this; later writes win."""
        self.writes.update(other.writes)
        self.events.extend(other.events)


class Overlay:
    """A view with pending writes on top of another view; dropping it drops the writes."""

    __slots__ = ("_base", "_writes")

    def __init__(self, base: View, writes: Mapping[tuple[str, bytes], bytes | None]) -> None:
        self._base = base
        self._writes = writes

    def get(self, store: str, key: bytes, /) -> bytes | None:
        try:
            return self._writes[(store, key)]
        except KeyError:
            return self._base.get(store, key)

    def scan(self, store: str, start: bytes, end: bytes, /) -> Iterator[tuple[bytes, bytes]]:
        pending = (
            sorted((key, value) for (name, key), value in self._writes.items() if name == store and start <= key < end)
            if self._writes
            else []
        )
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


class Draft(Overlay):
    """The pending writes of a block under construction: taken step by step, undone back to a mark.

    One dictionary holds them all, so a read costs one look-up however many steps came before it.
    """

    __slots__ = ("_undo", "writes")

    def __init__(self, base: View) -> None:
        self.writes: Writes = {}
        self._undo: list[tuple[tuple[str, bytes], bytes | None, bool]] = []  # place, value before, was it pending
        super().__init__(base, self.writes)

    def take(self, writes: Mapping[tuple[str, bytes], bytes | None]) -> None:
        """Add what a step decided; later writes win."""
        mine, undo = self.writes, self._undo
        for place, value in writes.items():
            undo.append((place, mine.get(place), place in mine))
            mine[place] = value

    def mark(self) -> int:
        """A point that `undo_to` can go back to."""
        return len(self._undo)

    def undo_to(self, mark: int) -> None:
        """Forget everything taken since `mark`."""
        while len(self._undo) > mark:
            place, before, pending = self._undo.pop()
            if pending:
                self.writes[place] = before
            else:
                del self.writes[place]


__all__ = ("Block", "Draft", "Event", "Outcome", "Overlay", "View", "Writes")
