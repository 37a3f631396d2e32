"""What is half done with a peer: one of a kind for each, until it ends, never left, or its time is over (P18, P19).

Secrets of exchanges are in these and nowhere else, so what is over is dropped and not only passed over.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from lockgate.hosting.steps import Steps
from lockgate.primitives.time import floor_seconds

TIMEOUT_S: Final = 120  # of the packets of a handshake, or of an exchange
_LASTS_S: Final = 2 * TIMEOUT_S  # a packet's timeout, and as long for its answer


@dataclass(slots=True, kw_only=True)
class Begun:
    """`packet` is the commitment of what began it, where this side did."""

    packet: bytes = b""
    until: int = 0  # seconds of the own ledger's time


T = TypeVar("T", bound=Begun)


class UnderWay(Generic[T]):
    """Things half done, by the peer's endpoint id in hex."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._begun: dict[str, T] = {}
        steps.sealed.never_went.append(self._never_went)

    def __contains__(self, peer: str) -> bool:
        return peer in self._begun

    def __iter__(self) -> Iterator[T]:
        return iter(self._begun.values())

    def __bool__(self) -> bool:
        return bool(self._begun)

    def get(self, peer: str) -> T | None:
        """What is under way with a peer."""
        return self._begun.get(peer)

    def begin(self, peer: str, begun: T) -> None:
        """In the place of what was under way with the peer."""
        self._begun[peer] = begun
        self.prolong(begun)

    def prolong(self, begun: T) -> None:
        """Another packet of it leaves."""
        begun.until = self._now + _LASTS_S

    def end(self, peer: str) -> None:
        self._begun.pop(peer, None)

    def expire(self) -> None:
        """Drop what is over by the own ledger's time; called in every turn."""
        self._begun = {peer: one for peer, one in self._begun.items() if one.until >= self._now}

    def _never_went(self, packets: Collection[bytes]) -> None:
        self._begun = {peer: one for peer, one in self._begun.items() if one.packet not in packets}

    @property
    def _now(self) -> int:
        return floor_seconds(self._steps.time)


__all__ = ("TIMEOUT_S", "Begun", "UnderWay")
