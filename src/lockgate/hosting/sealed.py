"""What was sealed and has no place on any ledger yet: it goes out with a step, or its keys go (P18)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from lockgate.hosting.sessions import Sessions
from lockgate.primitives.time import UnixNanos


class Sealed:
    """Packets by their commitments, from the moment they were sealed until their step is staged.

    A decision that comes to nothing, or a step that the ledger does not take, lets them go: the keys of their replies
    are forgotten, and `never_went` is told to whoever waits for them.
    """

    def __init__(self, sessions: Sessions) -> None:
        self.never_went: list[Callable[[Collection[bytes]], None]] = []
        self._sessions = sessions
        self._loose: set[bytes] = set()

    def add(self, commitment: bytes) -> None:
        self._loose.add(commitment)

    def staged(self) -> None:
        """All of them are in steps that the store has now."""
        self._loose = set()

    def let_go(self, now: UnixNanos, staged: Iterable[bytes] = ()) -> None:
        """None of them leaves, nor those that were `staged`. `now` is the own ledger's time."""
        gone, self._loose = self._loose.union(staged), set()
        self._sessions.settled(gone, now)
        for tell in self.never_went if gone else ():
            tell(gone)


__all__ = ("Sealed",)
