"""Ports the whole core shares. The core never asks the time or draws a byte: drivers hand it in."""

from __future__ import annotations

from typing import Protocol

from lockgate.primitives.time import UnixNanos


class Clock(Protocol):
    """Wall clock and a monotonic one, both in nanoseconds."""

    def now(self) -> UnixNanos: ...

    def monotonic(self) -> int: ...


class Rng(Protocol):
    """A source of uniform bytes: the operating system's in `node`, a seeded one in `lab`."""

    def bytes(self, count: int, /) -> bytes: ...


class Observer(Protocol):
    """Takes the events the core returns; drivers make traces, metrics and audit entries of them."""

    def on(self, event: object, /) -> None: ...


__all__ = ("Clock", "Observer", "Rng")
