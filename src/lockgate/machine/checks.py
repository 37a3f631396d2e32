"""Transactions that wait for a block, judged one after the other on top of the newest one.

All of them share one draft, so that what several ask of the state is found once. After a block everything that still
waits is judged anew; a transaction is not run for that where it would read what it read before. Nothing here is part
of a block's result: it decides what a node takes into its mempool.
"""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

from lockgate.machine.machine import Machine, TxResult
from lockgate.primitives.state import Draft, View, Writes
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos

MAX_REMEMBERED: Final = 8_192  # transactions; more than a mempool of either engine holds of small ones
MAX_PLACES: Final = 262_144  # read or written by all of them: some tens of megabytes
MAX_AGE_NS: Final = 5 * NANOS_PER_SECOND  # of ledger time: what depends on it (timeouts, expiries) is looked at again


class _Judged(NamedTuple):
    """A transaction that was found good: what it read, and what it would write."""

    result: TxResult
    seen: Writes
    writes: Writes
    time: UnixNanos

    @property
    def places(self) -> int:
        return len(self.seen) + len(self.writes)


class Checks:
    """The checks of one ledger's mempool."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._draft: Draft | None = None
        self._judged: dict[bytes, _Judged] = {}  # by hash, the oldest first
        self._places = 0

    def begin(self) -> None:
        """A block was committed: what was checked before it counts no more."""
        self._draft = None

    def check(self, view: View, data: bytes, height: int, now: UnixNanos) -> TxResult:
        """Would it be admitted after those that were since the newest block, whose state `view` is?

        A refused one leaves nothing behind.
        """
        draft = self._draft
        if draft is None:
            draft = self._draft = Draft(view)
        else:
            draft.rebase(view)
        digest = hashlib.sha256(data).digest()
        known = self._judged.get(digest)
        if known is not None:
            if 0 <= now - known.time <= MAX_AGE_NS and draft.holds(known.seen):
                draft.take(known.writes)
                return known.result
            self._forget(digest)
        before = draft.watch()
        try:
            result = self._machine.check(draft, data, height, now)
        except BaseException:
            self._draft = None  # it may hold half of a transaction
            raise
        seen = draft.watched(before)
        if not result.code and seen is not None:
            self._remember(digest, _Judged(result, seen, draft.since(before), now))
        return result

    def _remember(self, digest: bytes, judged: _Judged) -> None:
        self._judged[digest] = judged
        self._places += judged.places
        while self._places > MAX_PLACES or len(self._judged) > MAX_REMEMBERED:
            self._forget(next(iter(self._judged)))

    def _forget(self, digest: bytes) -> None:
        self._places -= self._judged.pop(digest).places


__all__ = ("Checks",)
