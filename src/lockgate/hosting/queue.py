"""What waits to be done: found on the ledger from the last handled height on, or asked by the operator.

Everything found on the ledger is found again after a restart: the height to start from never passes an
item that is still open. A node that hides events delays; it decides nothing, since each item is proven
before it acts. What it hid of a message's end is found as well: a message that should have ended long ago
makes the host read its ledger again, from where nothing of its own was open.

Items wait in lines: one for each grant (lane and sender), one for the ends of own messages, one for what
the operator asks. The lines take turns, so that a sender that floods makes nobody wait but itself (P15).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from typing import Final

from lockgate.hosting.work import Item, Parts
from lockgate.primitives.state import Event
from lockgate.primitives.time import (
    NANOS_PER_SECOND,
    DurationNanos,
    UnixNanos,
    UnixSeconds,
    seconds,
    seconds_to_nanos,
)
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.rpc import BadAnswer, counted

CURSOR: Final = "cursor"
LOOK: Final = 50  # blocks of one look; then what was found is worked on
CLEAN: Final = "clean"  # up to this height nothing was under way
OVERDUE: Final = seconds(30)  # past its timeout; a courier brings the end of a packet in a few seconds
FIRST_LOOK_BACK: Final = seconds(15)  # between two readings of the same blocks, doubling up to:
LONGEST_LOOK_BACK: Final = seconds(600)


Line = tuple[str, str, str]  # kind, client, sender
ASKED: Final[Line] = ("", "", "")  # commands, sends and rotations keep their order


class Queue:
    """Items in lines that take turns; in a line, in the order they were found.

    `take` lends items out; each is given back by `done`, `again` or `give_back`.
    """

    def __init__(self, parts: Parts, chain: CometBftChain) -> None:
        self._parts = parts
        self._chain = chain
        self._lines: OrderedDict[Line, deque[Item]] = OrderedDict()  # whose turn is next stands first
        self._taken: list[Item] = []
        self._open: dict[tuple[str, str, int], Item] = {}
        self._next = 1
        self._clean = 0
        self._look_back_at = 0
        self._look_back_every = FIRST_LOOK_BACK
        self._endpoint = parts.config.endpoint

    def __len__(self) -> int:
        return sum(map(len, self._lines.values())) + len(self._taken)

    def held(self) -> int:
        """Items that were put off at least once."""
        return sum(1 for item in self._waiting() if item.attempts)

    def resume(self) -> None:
        """Start from the height that an earlier run had not handled."""
        self._next = int.from_bytes(self._parts.store.meta(CURSOR) or b"\x01", "big")
        self._clean = int.from_bytes(self._parts.store.meta(CLEAN) or b"", "big")

    def save(self) -> None:
        """Note, in the caller's transaction, from where a restart has to look again."""
        low = min((item.height for item in self._open.values()), default=self._next)
        self._parts.store.set_meta(CURSOR, min(low, self._next).to_bytes(8, "big"))
        self._parts.store.set_meta(CLEAN, self._clean.to_bytes(8, "big"))

    def put(self, item: Item) -> None:
        """Take an item of the operator's."""
        self._line(item).append(item)

    def put_all(self, items: Iterable[Item]) -> None:
        for item in items:
            self.put(item)

    def take(self, most: int) -> list[Item]:
        """The next items that are due: one of each line in turn, and the oldest of a line first.

        The line that was served last comes last, from one call to the next.
        """
        now = self._parts.clock.monotonic()
        taken: list[Item] = []
        turns = deque(self._lines)
        while turns and len(taken) < most:
            line = turns.popleft()
            item = _first_due(self._lines[line], now)
            if item is not None:
                taken.append(item)
                turns.append(line)
                self._lines.move_to_end(line)
        for line in [line for line, items in self._lines.items() if not items]:
            del self._lines[line]
        self._taken += taken
        return taken

    def done(self, item: Item) -> None:
        """Nothing is left to do about an item."""
        self._taken = [other for other in self._taken if other is not item]
        self._open.pop(item.name, None)

    def again(self, item: Item) -> None:
        """An item is to be looked at again, before others of its line, when it is due."""
        self._taken = [other for other in self._taken if other is not item]
        self._line(item).appendleft(item)

    def give_back(self) -> None:
        """Everything that was taken and has not come back is looked at again, in its old order."""
        for item in reversed(self._taken):
            self._line(item).appendleft(item)
        self._taken = []

    def clear(self) -> list[Item]:
        """Give up everything; returns it."""
        items = [*self._taken, *self._waiting()]
        self._taken = []
        self._lines.clear()
        return items

    def withdraw(self) -> list[Item]:
        """Give up what the operator asked and nobody has taken yet; returns it."""
        return list(self._lines.pop(ASKED, ()))

    def rest_s(self, longest_s: float) -> float:
        """Seconds until something that was put off is due again, at most `longest_s`."""
        now = self._parts.clock.monotonic()
        due = min((item.due for item in self._waiting()), default=now)
        return min(longest_s, (due - now) / NANOS_PER_SECOND) if due > now else longest_s

    def hurry(self) -> None:
        """What was put off is due now: what held it is over."""
        for item in self._waiting():
            item.due = 0

    async def look(self) -> None:
        """Read new blocks of the own ledger."""
        newest = await self._chain.tip()
        tip = newest.height.height
        if self._next > tip:
            self._look_back(newest.time)
        heights = range(self._next, min(tip, self._next + LOOK - 1) + 1)
        for height, events in zip(heights, await self._chain.events(heights) if heights else (), strict=True):
            for event in events:
                if event.get("endpoint") == self._endpoint:
                    self._found(event, height)
            self._next = height + 1

    def _look_back(self, now: UnixNanos) -> None:
        """Go back to where nothing was under way when a message is overdue whose end no node has shown."""
        oldest = self._parts.store.oldest_timeout()
        if oldest is None:
            self._look_back_every = FIRST_LOOK_BACK
            if not self._parts.store.any_staged() and not self._open:
                self._clean = self._next - 1
            return
        shown = any(item.kind == "ended" for item in self._open.values())
        clock = self._parts.clock.monotonic()
        if shown or seconds_to_nanos(UnixSeconds(oldest)) + OVERDUE > now or clock < self._look_back_at:
            return
        self._parts.report("look_back", {"from": self._clean + 1, "to": self._next - 1})
        self._look_back_at = clock + self._look_back_every
        self._look_back_every = DurationNanos(min(2 * self._look_back_every, LONGEST_LOOK_BACK))
        self._next = self._clean + 1

    def _found(self, event: Event, height: int) -> None:
        client, sequence = event.get("client") or "", number_in(event, "sequence")
        if not client.isascii():
            raise BadAnswer("an event names no client of a ledger", height=height)
        if event.type == "message_opened":
            fence, counter = number_in(event, "fence"), number_in(event, "counter")
            with self._parts.store.commit():
                self._parts.store.sent_as(fence, counter, client, sequence)
        elif event.type in {"inbox", "message_ended"}:
            kind, sender = ("inbox", event.get("sender") or "") if event.type == "inbox" else ("ended", "")
            item = Item(kind, client, sequence, height, sender=sender)
            if item.name not in self._open:
                self._open[item.name] = item
                self._line(item).append(item)

    def _line(self, item: Item) -> deque[Item]:
        line = (item.kind, item.client if item.kind == "inbox" else "", item.sender) if item.from_ledger else ASKED
        return self._lines.setdefault(line, deque())

    def _waiting(self) -> Iterator[Item]:
        for items in self._lines.values():
            yield from items


def number_in(event: Event, name: str) -> int:
    """A number that a node's event has; 0 where it has none. Raises BadAnswer for what no row can have."""
    return counted(event.get(name) or "0")


def _first_due(items: deque[Item], now: int) -> Item | None:
    """Take the first item of a line that is due out of it."""
    for place, item in enumerate(items):
        if item.due <= now:
            del items[place]
            return item
    return None


__all__ = ("Queue", "number_in")
