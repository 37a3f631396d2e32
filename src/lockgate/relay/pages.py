"""Walking over the pages of a node that may never come to an end.

The next page's key is the node's own word. An honest node's keys rise, each page but the last holds something, and
the whole fits what a ledger can hold; a walk goes on for as long as all of that is so.
"""

from __future__ import annotations

from typing import Final

from lockgate.relay.rpc import BadAnswer

MOST_ITEMS: Final = 1_000_000  # a lane of ours holds 16,384 open packets at the default; some tens of megabytes
MOST_PAGES: Final = 1_000
MOST_HITS: Final = 1_000  # of one search: what is asked for is a page of a hundred, from each of several nodes


class EndlessAnswer(BadAnswer):
    code = "rpc.endless"
    summary = "A node's pages go on where an honest one's end."
    next_step = "Take another node: this one is broken or hostile."


class Walk:
    """One walk over pages. `key` is what to ask for next; empty at first, and when `done`."""

    def __init__(self, what: str) -> None:
        self.key = b""
        self.done = False
        self._what = what
        self._items = 0
        self._pages = 0

    def took(self, items: int, following: bytes) -> None:
        """A page came with so many items and the key of the next one. Raises EndlessAnswer."""
        self._pages += 1
        self._items += items
        if self._items > MOST_ITEMS or (following and self._pages >= MOST_PAGES):
            raise EndlessAnswer("more than there can be", of=self._what, items=self._items, pages=self._pages)
        if following and (not items or following <= self.key):
            raise EndlessAnswer("a page that leads nowhere", of=self._what, pages=self._pages)
        self.key, self.done = following, not following


def check_hits(hits: int, most: int, method: str) -> None:
    """A search's answer holds no more than was asked for. Raises EndlessAnswer."""
    if hits > most:
        raise EndlessAnswer("more hits than were asked for", of=method, items=hits, most=most)


__all__ = ("MOST_HITS", "EndlessAnswer", "Walk", "check_hits")
