"""Below which height a node may let its blocks go (Commit's retain height), where it is told to (I15).

The node's blocks serve others: a relayer reads a packet in the block that it was sent in, a host in the one that
received it; a light client goes on from a header that it trusted days ago; a node that took the state in plays the
blocks after it; evidence names old ones. So of the height below which all may go, each of these has its say, and the
lowest counts:

- the newest `blocks` stay, which cover the evidence's age in blocks and what the ledger itself asks for;
- a block younger than the longest period that a client of ours trusts a header for stays;
- the older of the two snapshots is the oldest state that a new node can begin with; before there is one it begins with
  the first block, so all stay;
- whatever is still open stays with the block that it was written in (`openness`), and every block after that.

The last one asks the tree: a leaf says in which block it was written. That takes a while where much is open, so it is
done between requests, on a version that is kept, and what it finds holds from then on: what opens later is in later
blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from lockgate.codec import cbor
from lockgate.engines.shared.openness import open_since
from lockgate.engines.shared.ports import AppStore
from lockgate.machine.clients import Clients
from lockgate.machine.genesis import Parameters
from lockgate.merkle.errors import NotAvailable
from lockgate.merkle.multistore import MultiStore
from lockgate.primitives.errors import Refused
from lockgate.primitives.time import DurationNanos, UnixNanos, seconds

EVIDENCE_BLOCKS: Final = 100_000  # `evidence.max_age_num_blocks` of the genesis
LEAST_VERSIONS: Final = 100  # a relayer proves at the newest header but one; readers lag by a few blocks
TRUSTED: Final[DurationNanos] = seconds(14 * 86_400)  # as clients of ours trust a header; evidence lasts 48 h
EVERY: Final = 100  # blocks between two looks
AT_ONCE: Final = 500  # leaves, some milliseconds
MARKS: Final = 400  # of a period: it ends up to a four-hundredth later
STORE: Final = "retention/marks"  # [[height, time], …]: some blocks and when they were made, ascending


class TooFewBlocks(Refused):
    code = "cometbft.retention"
    summary = "A validator was told to keep less of the past than its ledger and others need."
    untouched = "The validator did not start."
    next_step = "Keep at least 100 versions, and 0 blocks (all) or at least header_memory, and 100,000."


def check(parameters: Parameters, versions: int, blocks: int) -> None:
    """Raise TooFewBlocks for a number below what is needed."""
    if versions < LEAST_VERSIONS:
        raise TooFewBlocks("too few versions", keep=versions, least=LEAST_VERSIONS)
    least = max(parameters.header_memory, EVIDENCE_BLOCKS)
    if blocks and blocks < least:
        raise TooFewBlocks("too few blocks", keep=blocks, least=least)


class Retaining:
    """The rule of one application. `snapshots` tells the heights of those that are kept, the newest first."""

    def __init__(
        self, store: AppStore, state: MultiStore, blocks: int, snapshots: Callable[[], list[int]], clients: Clients
    ) -> None:
        self.height = 0  # the node may let go what is below; 0: nothing
        self._store = store
        self._state = state
        self._blocks = blocks
        self._snapshots = snapshots
        self._clients = clients
        self._looking: Iterator[int] | None = None
        self._bound = 0  # of the look that is being taken: what the numbers, times and snapshots allow

    def executed(self, height: int, time: UnixNanos) -> None:
        """Inside the transaction of a block: remember now and then when one was made."""
        if not self._blocks:
            return
        marks = self._marks()
        if not marks or time - marks[-1][1] >= TRUSTED // MARKS:
            old = [mark for mark in marks if mark[1] <= time - TRUSTED]
            kept = marks[len(old) - 1 :] if old else marks
            self._store.set_meta(STORE, cbor.encode([*kept, [height, time]]))

    def committed(self, height: int, time: UnixNanos) -> None:
        """After a block: begin to look how much may go."""
        if not self._blocks or height % EVERY or self._looking is not None:
            return
        old = [at for at, made in self._marks() if made <= time - TRUSTED]
        snapshots = self._snapshots()
        self._bound = min(height - self._blocks + 1, old[-1] if old else 0, snapshots[-1] if snapshots else 0)
        if self._bound > self.height:
            self._looking = open_since(self._state.view(height), self._clients, time)

    def step(self) -> bool:
        """Look on for a moment; tells whether more is to do. Raises what a store raises."""
        looking = self._looking
        if looking is None:
            return False
        try:
            for _ in range(AT_ONCE):
                written = next(looking, None)
                if written is None:
                    self._looking, self.height = None, max(self.height, self._bound)
                    return False
                self._bound = min(self._bound, written)
        except NotAvailable:
            self._looking = None  # the version was let go meanwhile; the next look may come through
            return False
        except BaseException:
            self._looking = None
            raise
        return True

    def _marks(self) -> list[Any]:
        data = self._store.meta(STORE)
        return [] if data is None else [list(mark) for mark in cbor.decode(data)]


__all__ = ("Retaining", "TooFewBlocks", "check")
