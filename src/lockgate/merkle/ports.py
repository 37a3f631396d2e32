"""Where trees keep their nodes: `NodeStore`, met by memory and by SQLite in `storage`.

A node is named by one number: the version that made it in the upper bits, its place among the new
nodes of that version in the lower ones. Nodes are written once and never changed. With each version
goes the list of nodes it replaced: pruning up to a version deletes exactly what the lists up to it
name, without walking a tree.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Protocol

NONCE_BITS: Final = 24  # 16 million new nodes in one version; leaves 39 bits of version in a signed 64
MAX_VERSION: Final = (1 << 39) - 1


@dataclass(slots=True)
class Batch:
    """What one version adds: its root record, its new nodes, and the nodes no later version has."""

    version: int
    roots: bytes = b""
    nodes: list[tuple[int, bytes]] = field(default_factory=list)
    orphans: list[int] = field(default_factory=list)


class NodeStore(Protocol):
    """Nodes and root records by number. Writes become durable when the caller commits."""

    def get(self, number: int, /) -> bytes | None: ...

    def write(self, batch: Batch, /) -> None: ...

    def add(self, nodes: list[tuple[int, bytes]], /) -> None:
        """Write nodes of a version that comes from elsewhere; its `write`, with the root record, ends it."""
        ...

    def roots(self, version: int, /) -> bytes | None:
        """Return the root record of a version, None when it is pruned or not reached."""
        ...

    def versions(self) -> tuple[int, int]:
        """Oldest and newest version with a root record; (0, 0) when there is none."""
        ...

    def prune(self, oldest_kept: int, /) -> int:
        """Delete root records below `oldest_kept` and nodes replaced up to it; return how many nodes."""
        ...

    def discard_after(self, version: int, /) -> None:
        """Take back every version above `version`: its nodes, its list of replaced ones, its roots."""
        ...


__all__ = ("MAX_VERSION", "NONCE_BITS", "Batch", "NodeStore")
