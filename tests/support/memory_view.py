"""A `View` held in dictionaries, with the one line that applies an outcome."""

from __future__ import annotations

from collections.abc import Iterator

from lockgate.primitives.state import Outcome


class MemoryView:
    """Named stores of byte keys; `scanned` counts the pairs that scans have yielded."""

    def __init__(self) -> None:
        self.stores: dict[str, dict[bytes, bytes]] = {}
        self.scanned = 0

    def get(self, store: str, key: bytes, /) -> bytes | None:
        return self.stores.get(store, {}).get(key)

    def scan(self, store: str, start: bytes, end: bytes, /) -> Iterator[tuple[bytes, bytes]]:
        for key, value in sorted(self.stores.get(store, {}).items()):
            if start <= key < end:
                self.scanned += 1
                yield key, value

    def apply(self, outcome: Outcome) -> None:
        for (store, key), value in outcome.writes.items():
            if value is None:
                self.stores.get(store, {}).pop(key, None)
            else:
                self.stores.setdefault(store, {})[key] = value

    def snapshot(self) -> dict[str, dict[bytes, bytes]]:
        return {name: dict(pairs) for name, pairs in self.stores.items()}
