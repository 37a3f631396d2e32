"""What a reader tells the chain it reads through, and may ask of it, where that is one node: there is no other.

A chain of several nodes (`sources_chain`) overrides all of it.
"""

from __future__ import annotations

from lockgate.courier.evidence import Conflict
from lockgate.primitives.errors import LockgateError


class OneSource:
    """A chain that is read from one node."""

    @property
    def reorganisations(self) -> int:
        """None, where a block is final when it is there."""
        return 0

    def forget(self, height: int) -> None:
        """Drop a block that is kept: another answer may be better. Nothing is kept here."""

    def refuted(self, height: int, failure: LockgateError) -> None:
        """The light client does not believe the block that was served of a height."""
        self.forget(height)

    def disproved(self, name: str, height: int, failure: LockgateError) -> None:
        """As `refuted`, of the block of one source in a conflict."""

    def take_conflicts(self) -> list[Conflict]:
        """Blocks of one height that contradict each other, each shown once."""
        return []

    def health(self) -> dict[str, object] | None:
        """Its sources for people; None where there is one."""
        return None


__all__ = ("OneSource",)
