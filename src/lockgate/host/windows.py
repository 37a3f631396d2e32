"""Replay windows: which message ids of a sender's start were accepted already (P8, I7).

A message id is (sender, fence, counter). Within one fence the counters may arrive in any order, so
each (sender, fence) has a sliding window: counters ahead of it move it on, counters inside it are
accepted once, counters behind it are refused. The window is part of the endpoint's state, under the
same root as the guest's, so a restored host cannot forget what it has accepted (P1).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Self

from lockgate.primitives.errors import Refused

WIDTH: Final = 1024  # counters; twice the most messages one lane may hold open for one grant
_BYTES: Final = WIDTH // 8


class Replayed(Refused):
    code = "host.replayed"
    summary = "The message id was accepted before, or lies behind the replay window."
    untouched = "The guest did not run."
    next_step = "Nothing: the first copy was handled. A sender with lost state starts again with a new fence."


@dataclass(frozen=True, slots=True)
class Window:
    """`highest` is the greatest counter accepted (-1: none); bit i of `seen` is highest - i.

    `until` is the latest timeout, in seconds, of what was accepted: from then on none of it can come again.
    """

    highest: int = -1
    seen: int = 0
    until: int = 0

    def accept(self, counter: int) -> Self:
        """Return the window after `counter`; raise Replayed when it must not act again."""
        if counter > self.highest:
            ahead = counter - self.highest
            moved = 1 if self.highest < 0 or ahead >= WIDTH else (self.seen << ahead) | 1
            return replace(self, highest=counter, seen=moved & ((1 << WIDTH) - 1))
        behind = self.highest - counter
        if behind >= WIDTH or self.seen >> behind & 1:
            raise Replayed("accepted before or too old", counter=counter, highest=self.highest)
        return replace(self, seen=self.seen | 1 << behind)

    def to_bytes(self) -> bytes:
        return (self.highest + 1).to_bytes(8, "big") + self.seen.to_bytes(_BYTES, "big") + self.until.to_bytes(8, "big")

    @classmethod
    def from_bytes(cls, data: bytes | None) -> Self:
        if data is None:
            return cls()
        until = int.from_bytes(data[8 + _BYTES :], "big")  # a build of before noted none
        return cls(int.from_bytes(data[:8], "big") - 1, int.from_bytes(data[8 : 8 + _BYTES], "big"), until)
