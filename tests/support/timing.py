"""Can two ways to fail be told apart by their time? Welch's t-test over interleaved runs, the slow tail cut off.

Runs of both classes alternate in a drawn order, so that what the machine does meanwhile meets both. As in dudect
(Reparaz, Balasch, Verbauwhede), runs above a percentile are dropped: those are interruptions, not the code.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, median, variance

T = 4.5  # dudect's bound: beyond it, two equal distributions are as good as impossible
KEPT = 0.8  # of the runs, the fastest


@dataclass(frozen=True, slots=True)
class Difference:
    """Of two classes of runs: medians and their difference in nanoseconds, and Welch's t."""

    one_ns: float
    other_ns: float
    t: float

    @property
    def apart_ns(self) -> float:
        return abs(self.one_ns - self.other_ns)

    @property
    def told(self) -> bool:
        """Would whoever measures this closely tell them apart?"""
        return abs(self.t) > T

    def __str__(self) -> str:
        return f"{self.one_ns / 1e3:9.1f} µs {self.other_ns / 1e3:9.1f} µs  t = {self.t:8.1f}"


def compare(one: Callable[[], object], other: Callable[[], object], runs: int, seed: int = 1) -> Difference:
    """Run both `runs` times, interleaved."""
    draw, taken = random.Random(seed), {0: list[int](), 1: list[int]()}
    calls = (one, other)
    for call in calls * 5:
        call()
    order = [0, 1] * runs
    draw.shuffle(order)
    gc.collect()
    gc.disable()
    try:
        for which in order:
            begun = time.perf_counter_ns()
            calls[which]()
            taken[which].append(time.perf_counter_ns() - begun)
    finally:
        gc.enable()
    first, second = ([float(each) for each in sorted(taken[which])[: int(runs * KEPT)]] for which in (0, 1))
    spread = sqrt(variance(first) / len(first) + variance(second) / len(second))
    return Difference(median(first), median(second), (fmean(first) - fmean(second)) / (spread or 1.0))


__all__ = ("KEPT", "Difference", "T", "compare")
