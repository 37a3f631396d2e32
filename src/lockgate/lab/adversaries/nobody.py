"""What an adversary is, and the one that does nothing."""

from __future__ import annotations

from typing import ClassVar

from lockgate.lab.draws import Draws
from lockgate.lab.faults import Cast
from lockgate.lab.origin import Origin
from lockgate.lab.parties import Surroundings


class Adversary:
    """Acts during the stormy part of a run. `name` stands in the event log."""

    name: ClassVar[str]

    def __init__(self, cast: Cast, origin: Origin, world: Surroundings, draws: Draws) -> None:
        self.cast = cast
        self.origin = origin
        self.world = world
        self.draws = draws

    async def run(self, ticks: int) -> None:
        """Act for `ticks` seconds of virtual time."""
        raise NotImplementedError


class Nobody(Adversary):
    """Everybody is honest; things only break."""

    name = "nobody"

    async def run(self, ticks: int) -> None:
        """Do nothing."""


__all__ = ("Adversary", "Nobody")
