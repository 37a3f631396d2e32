"""A node store in plain dictionaries: the lab's, where a crashed party starts again from it."""

from __future__ import annotations

from lockgate.merkle.ports import NONCE_BITS, Batch


class MemoryNodes:
    """Meets `merkle.ports.NodeStore`."""

    def __init__(self) -> None:
        self._nodes: dict[int, bytes] = {}
        self._orphans: dict[int, list[int]] = {}
        self._roots: dict[int, bytes] = {}

    def get(self, number: int, /) -> bytes | None:
        return self._nodes.get(number)

    def write(self, batch: Batch, /) -> None:
        self._nodes.update(batch.nodes)
        self._roots[batch.version] = batch.roots
        if batch.orphans:
            self._orphans[batch.version] = list(batch.orphans)

    def add(self, nodes: list[tuple[int, bytes]], /) -> None:
        self._nodes.update(nodes)

    def roots(self, version: int, /) -> bytes | None:
        return self._roots.get(version)

    def versions(self) -> tuple[int, int]:
        # Versions are written in rising order and pruned from the front: dictionaries keep both.
        return (next(iter(self._roots)), next(reversed(self._roots))) if self._roots else (0, 0)

    def prune(self, oldest_kept: int, /) -> int:
        for version in _until(self._roots, oldest_kept - 1):
            del self._roots[version]
        gone = [number for version in _until(self._orphans, oldest_kept) for number in self._orphans.pop(version)]
        for number in gone:
            del self._nodes[number]
        return len(gone)

    def discard_after(self, version: int, /) -> None:
        for number in [n for n in self._nodes if n >> NONCE_BITS > version]:
            del self._nodes[number]
        for kept in (self._roots, self._orphans):
            for newer in [v for v in kept if v > version]:
                del kept[newer]

    def __len__(self) -> int:
        return len(self._nodes)


def _until(versions: dict[int, object] | dict[int, bytes] | dict[int, list[int]], last: int) -> list[int]:
    return [version for version in versions if version <= last]


__all__ = ("MemoryNodes",)
