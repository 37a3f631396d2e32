"""A node store in plain dictionaries: the lab's, and the one measurements run on."""

from __future__ import annotations

from collections.abc import Iterable

from lockgate.merkle.ports import NodeKey


class MemoryNodes:
    """Meets `merkle.ports.NodeStore`."""

    def __init__(self) -> None:
        self._nodes: dict[tuple[str, NodeKey], bytes] = {}
        self._orphans: dict[str, list[tuple[int, NodeKey]]] = {}
        self._roots: dict[int, dict[str, tuple[NodeKey | None, bytes]]] = {}

    def get(self, store: str, key: NodeKey, /) -> bytes | None:
        return self._nodes.get((store, key))

    def put(self, store: str, nodes: Iterable[tuple[NodeKey, bytes]], /) -> None:
        for key, data in nodes:
            self._nodes[store, key] = data

    def orphan(self, store: str, replaced_at: int, keys: Iterable[NodeKey], /) -> None:
        self._orphans.setdefault(store, []).extend((replaced_at, key) for key in keys)

    def prune(self, store: str, oldest_kept: int, /) -> int:
        waiting = self._orphans.get(store, [])
        gone = [key for replaced_at, key in waiting if replaced_at <= oldest_kept]
        for key in gone:
            self._nodes.pop((store, key), None)
        self._orphans[store] = [(at, key) for at, key in waiting if at > oldest_kept]
        return len(gone)

    def put_roots(self, version: int, roots: Iterable[tuple[str, NodeKey | None, bytes]], /) -> None:
        self._roots[version] = {name: (key, root) for name, key, root in roots}

    def roots(self, version: int, /) -> dict[str, tuple[NodeKey | None, bytes]] | None:
        return self._roots.get(version)

    def versions(self) -> tuple[int, int]:
        return (min(self._roots), max(self._roots)) if self._roots else (0, 0)

    def prune_roots(self, oldest_kept: int, /) -> None:
        for version in [v for v in self._roots if v < oldest_kept]:
            del self._roots[version]

    def __len__(self) -> int:
        return len(self._nodes)
