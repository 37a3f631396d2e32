"""Where trees keep their nodes: `NodeStore`, met by memory and by SQLite in `storage`.

A node's key is (store, version, number): the tree version that created it and its place in the
post-order of that version's new nodes. Nodes are never changed; pruning removes the nodes that a
later version replaced, which `orphans` records when they are replaced.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

NodeKey = tuple[int, int]  # (version, number)


class NodeStore(Protocol):
    """Nodes of several named trees. Writes become durable when the caller commits."""

    def get(self, store: str, key: NodeKey, /) -> bytes | None: ...

    def put(self, store: str, nodes: Iterable[tuple[NodeKey, bytes]], /) -> None: ...

    def orphan(self, store: str, replaced_at: int, keys: Iterable[NodeKey], /) -> None:
        """Note that these nodes are not part of version `replaced_at` or any later one."""
        ...

    def prune(self, store: str, oldest_kept: int, /) -> int:
        """Delete nodes replaced at or before `oldest_kept`; return how many."""
        ...

    def put_roots(self, version: int, roots: Iterable[tuple[str, NodeKey | None, bytes]], /) -> None:
        """Record, for every store, the root node's key (None: empty tree) and root hash at a version."""
        ...

    def roots(self, version: int, /) -> dict[str, tuple[NodeKey | None, bytes]] | None: ...

    def versions(self) -> tuple[int, int]:
        """Oldest and newest version with recorded roots; (0, 0) when there is none."""
        ...

    def prune_roots(self, oldest_kept: int, /) -> None: ...
