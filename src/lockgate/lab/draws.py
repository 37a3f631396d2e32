"""Choices from a seed: whole numbers only, so that a run is the same on every machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

from lockgate.lab.entropy import SeededEntropy

PER_MILLE: Final = 1_000
T = TypeVar("T")


class Draws:
    """One stream of choices. `fork` gives an independent one, so that who draws more moves nobody else."""

    __slots__ = ("_entropy",)

    def __init__(self, entropy: SeededEntropy) -> None:
        self._entropy = entropy

    def fork(self, label: str) -> Draws:
        return Draws(self._entropy.fork(label))

    def bytes(self, count: int) -> bytes:
        return self._entropy.bytes(count)

    def below(self, bound: int) -> int:
        """A number from 0 to `bound` - 1. The bias of the remainder is below 2^-40 for any bound used here."""
        return int.from_bytes(self._entropy.bytes(8)) % bound

    def between(self, low: int, high: int) -> int:
        """A number from `low` to `high`, both included."""
        return low + self.below(high - low + 1)

    def chance(self, per_mille: int) -> bool:
        """True `per_mille` times out of a thousand; draws nothing where the answer is certain."""
        return per_mille > 0 and self.below(PER_MILLE) < per_mille

    def choice(self, items: Sequence[T]) -> T:
        if not items:
            raise IndexError("nothing to choose from")
        return items[self.below(len(items))]

    def delay_s(self, low_ms: int, high_ms: int) -> float:
        """A duration in seconds, drawn in whole milliseconds."""
        return self.between(low_ms, high_ms) / 1_000


__all__ = ("Draws",)
