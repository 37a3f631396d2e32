"""How large a backlog's batches are: by what a batch costs more for each packet in it.

A batch has a price of its own (a header, a signature, the wait for a block) that no packet is to blame
for, and one of each packet. Only the second grows with the batch, and only it is what a fresh packet
may have to wait for. So the two are told apart: a straight line through what the batches of late took,
by least squares, old ones fading. Dividing the time by the packets would see small batches cost more per
packet, make the next ones smaller, and stay there.
"""

from __future__ import annotations

from typing import Final

from lockgate.courier.batches import BATCH_LEAST, BATCH_MOST

IDLE_TARGET_S: Final = 0.5  # of a batch's packets while nothing fresh is about
BUSY_SHARE: Final = 0.25  # of a fresh packet's life, which passes through several places where it may wait
BUSY_LEAST_S: Final = 0.004
PATIENCE_LIVES: Final = 4  # of fresh packets that a batch lets go first: those that come while one is on its way
PATIENCE_LEAST_S: Final = 0.25
PATIENCE_MOST_S: Final = 2.0  # a lane that always has fresh packets must not starve a backlog
FADING: Final = 0.2  # weight of the newest batch: the last five or so count
FIRST_LIFE_S: Final = 0.1  # of a fresh packet, before one was seen to end
LIFE_SMOOTHING: Final = 0.3  # weight of the newest
ALIKE: Final = 0.02  # sizes whose variance is below this share of their mean's square show no line
NEAR: Final = 1.25  # times the least: fewer would be no other size
STEP: Final = 2  # a batch is at most so many times the one before


class Target:
    """How long the packets of one batch may take, and how long it waits for others: both by a fresh packet's life."""

    def __init__(self) -> None:
        self._life_s = FIRST_LIFE_S

    def lived(self, seconds: float) -> None:
        """A fresh packet ended this long after it was first seen."""
        self._life_s += LIFE_SMOOTHING * (seconds - self._life_s)

    def seconds(self, *, busy: bool) -> float:
        """`busy` says that fresh packets are about."""
        return max(BUSY_LEAST_S, BUSY_SHARE * self._life_s) if busy else IDLE_TARGET_S

    @property
    def patience_s(self) -> float:
        """How long one batch lets fresh packets go first, all its waits together."""
        return min(max(PATIENCE_LEAST_S, PATIENCE_LIVES * self._life_s), PATIENCE_MOST_S)


class Pace:
    """Chooses the size of a worker's next batch from how long those before took."""

    def __init__(self) -> None:
        self._size = self._seconds = 0.0  # means, of batches of late
        self._size_size = self._size_seconds = 0.0  # and of the products
        self._last = 0

    def took(self, packets: int, seconds: float) -> None:
        """A batch was on its way for this long, without the time that it waited for fresh packets."""
        share = FADING if self._last else 1.0
        self._last = packets
        self._size += share * (packets - self._size)
        self._seconds += share * (seconds - self._seconds)
        self._size_size += share * (packets * packets - self._size_size)
        self._size_seconds += share * (packets * seconds - self._size_seconds)

    def size(self, target_s: float) -> int:
        """Packets for the next batch, which are to take `target_s` together."""
        most = max(BATCH_LEAST, min(BATCH_MOST, STEP * self._last))
        variance = self._size_size - self._size * self._size
        if variance <= ALIKE * self._size * self._size:
            # Batches of one size say nothing of another: try fewer, which delays nobody; near the least, more.
            wanted = self._size / STEP if self._size > NEAR * BATCH_LEAST else most
        else:
            slope = (self._size_seconds - self._size * self._seconds) / variance
            wanted = target_s / slope if slope > target_s / most else most
        return max(BATCH_LEAST, int(min(most, wanted)))


__all__ = ("Pace", "Target")
