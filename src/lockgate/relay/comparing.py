"""Blocks in which clients were given headers that are still to be compared, in an order that no flood changes.

Anybody can make clients that name a ledger, and give them headers, some of heights that it never reaches. So what the
clients got that lanes rest on comes first, and makes room for nothing else; every other client has a few places of its
own. What finds none is told, not dropped in silence. A block is one entry, however many headers it brought.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from lockgate.primitives.ids import Height
from lockgate.relay.endpoint import EndPoint

LANES_MOST: Final = 4_096  # blocks that wait with updates of clients that lanes rest on
OTHERS_MOST: Final = 1_024  # with updates of all others
PER_CLIENT: Final = 16  # of those, with updates of one and the same

Dropped = Callable[[EndPoint, str, Height], None]  # on which ledger, which client, in which block


@dataclass(slots=True)
class Given:
    """A block of `on`, and the clients there that it gave headers."""

    on: EndPoint
    height: Height
    clients: set[str] = field(default_factory=set)
    ahead: dict[str, int] = field(default_factory=dict)  # the height that its ledger has yet to reach, by client
    looks: int = 0


Blocks = OrderedDict[tuple[str, int], Given]


class Comparing:
    """What waits. `dropped` is told of each client whose update in a block will not be compared."""

    def __init__(self, dropped: Dropped) -> None:
        self._dropped = dropped
        self._lanes: Blocks = OrderedDict()
        self._others: Blocks = OrderedDict()
        self._places: Counter[tuple[str, str]] = Counter()  # taken in `_others`, by ledger and client

    def __bool__(self) -> bool:
        return bool(self._lanes or self._others)

    def add(self, on: EndPoint, client: str, height: Height) -> None:
        """A block gave a client a header."""
        if client in on.clients:
            self._into(self._lanes, on, height).clients.add(client)
            self._bound(self._lanes, LANES_MOST)
            return
        given = self._into(self._others, on, height)
        if client not in given.clients:
            given.clients.add(client)
            self._places[on.chain.chain_id, client] += 1
            if self._places[on.chain.chain_id, client] > PER_CLIENT:
                self._make_room(on, client)
            self._bound(self._others, OTHERS_MOST)

    def take(self) -> Given | None:
        """The next block: what lanes rest on first, then the oldest."""
        if self._lanes:
            return self._lanes.popitem(last=False)[1]
        if not self._others:
            return None
        given = self._others.popitem(last=False)[1]
        self._free(given)
        return given

    def again(self, given: Given) -> None:
        """It is to be looked at once more, after those that wait already."""
        for client in given.clients:
            self.add(given.on, client, given.height)
        for blocks in (self._lanes, self._others):
            kept = blocks.get((given.on.chain.chain_id, given.height.height))
            if kept is not None and kept.clients & given.clients:
                kept.looks = given.looks
                kept.ahead.update({client: at for client, at in given.ahead.items() if client in kept.clients})

    def _into(self, blocks: Blocks, on: EndPoint, height: Height) -> Given:
        return blocks.setdefault((on.chain.chain_id, height.height), Given(on, height))

    def _bound(self, blocks: Blocks, most: int) -> None:
        while len(blocks) > most:
            given = blocks.popitem(last=False)[1]
            if blocks is self._others:
                self._free(given)
            for client in given.clients:
                self._dropped(given.on, client, given.height)

    def _make_room(self, on: EndPoint, client: str) -> None:
        """A client has more places than its own: its oldest block goes."""
        for key, given in self._others.items():
            if given.on is on and client in given.clients:
                given.clients.discard(client)
                self._take_place(on, client)
                if not given.clients:
                    del self._others[key]
                self._dropped(on, client, given.height)
                return

    def _free(self, given: Given) -> None:
        for client in given.clients:
            self._take_place(given.on, client)

    def _take_place(self, on: EndPoint, client: str) -> None:
        key = (on.chain.chain_id, client)
        self._places[key] -= 1
        if not self._places[key]:
            del self._places[key]


__all__ = ("Comparing", "Given")
