"""Which blocks an EVM node has shown, and where what it shows now departs from them.

Theory of operation. The newest block and the one that counts as final are told apart: only what is final is
released to the other ledger. From the final one to the newest every header is kept with its hash, and each new one
must name its parent. A header that does not is a re-organisation: the run is followed down until it meets a block
that is known. What stood above the meeting point is forgotten. If that reaches below the newest block that was
released, finality has failed (or another chain is shown), and nothing is read any more: `ReorganisedAfterRelease`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from lockgate.primitives.errors import Misuse, PeerFault
from lockgate.relay.chains.evm.answers import EvmBlock
from lockgate.relay.rpc import BadAnswer

MOST_KEPT: Final = 1_024  # headers: Ethereum finalises within some 100 blocks, and hours behind in bad times
TAGS: Final = ("finalized", "safe")


class ReorganisedAfterRelease(PeerFault):
    code = "evm.reorganised_after_release"
    summary = "A block that counted as final is no longer part of the chain."
    untouched = "Nothing more is read of this chain, and nothing more is proven from it."
    next_step = (
        "Pause the lane on both sides; compare the node with another one; what was delivered from blocks that are gone "
        "is settled by people. Start again with a finality that is deep enough."
    )


@dataclass(frozen=True, slots=True)
class Finality:
    """When a block is final: so many blocks under the newest one, or what the node tags `finalized` or `safe`."""

    depth: int = 0
    tag: str = ""

    def __post_init__(self) -> None:
        if self.tag not in {"", *TAGS} or (self.tag and self.depth) or not 0 <= self.depth < MOST_KEPT:
            raise Misuse(
                "a finality is a depth below 1,024 or a tag, finalized or safe", depth=self.depth, tag=self.tag
            )

    @classmethod
    def parse(cls, text: str) -> Finality:
        """`finalized`, `safe` or a number of blocks. Raises Misuse."""
        if text.isascii() and text.isdigit() and len(text) <= 4:
            return cls(int(text))
        return cls(tag=text or "none")

    def __str__(self) -> str:
        return self.tag or str(self.depth)


@dataclass(slots=True)
class History:
    """The headers from the newest final one to the newest; pure."""

    released: EvmBlock | None = None  # the newest that anything was derived from for the other ledger
    reorganisations: int = 0
    _kept: dict[int, EvmBlock] = field(default_factory=dict)  # consecutive, ascending

    @property
    def newest(self) -> EvmBlock | None:
        return self._kept[max(self._kept)] if self._kept else None

    @property
    def lowest(self) -> int:
        return min(self._kept, default=0)

    def at(self, number: int) -> EvmBlock | None:
        return self._kept.get(number)

    def meets(self, lowest: EvmBlock) -> bool:
        """Whether a run down to this block hangs on what is known, by its hash or by its parent's."""
        same, below = self._kept.get(lowest.number), self._kept.get(lowest.number - 1)
        return (same is not None and same.hash == lowest.hash) or (below is not None and below.hash == lowest.parent)

    def require(self, block: EvmBlock) -> None:
        """Raise ReorganisedAfterRelease if this is another block of the height that was released."""
        known = self.released
        if known is not None and known.number == block.number and known.hash != block.hash:
            raise ReorganisedAfterRelease(
                "another block stands there", number=block.number, released=known.hash, found=block.hash
            )

    def take(self, run: Sequence[EvmBlock]) -> int | None:
        """Take in consecutive headers, ascending. Returns the first number that is another block now, else None.

        Raises BadAnswer for headers that are no chain, ReorganisedAfterRelease when they depart below what was
        released; then nothing is taken.
        """
        for one, following in itertools.pairwise(run):
            if following.parent != one.hash or following.number != one.number + 1:
                raise BadAnswer("headers that do not follow each other", number=following.number)
        for block in run:
            self.require(block)
        changed = next((b.number for b in run if b.number in self._kept and self._kept[b.number].hash != b.hash), None)
        if changed is not None:
            self.reorganisations += 1
            self._kept = {number: block for number, block in self._kept.items() if number < changed}
        self._kept.update((block.number, block) for block in run)
        return changed

    def release(self, block: EvmBlock) -> EvmBlock:
        """From here down nothing may change any more. Returns the newest block that was ever released."""
        if self.released is None or block.number > self.released.number:
            self.released = block
        first = max(self.released.number, max(self._kept, default=0) - MOST_KEPT + 1)
        self._kept = {number: block for number, block in self._kept.items() if number >= first}
        return self.released

    def restart(self) -> None:
        """Forget the headers, but not what was released."""
        self._kept.clear()


__all__ = ("MOST_KEPT", "Finality", "History", "ReorganisedAfterRelease")
