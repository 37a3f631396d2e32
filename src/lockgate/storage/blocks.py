"""A block store in plain dictionaries, for the lab and for measurements: same answers as the SQLite file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType

from lockgate.primitives.errors import Misuse
from lockgate.storage.ledger import MAX_HEIGHT, MAX_SEARCH_ROWS, StoredBlock

EventRow = tuple[str, str, int, int]  # type.attribute, value, height, transaction number


class MemoryBlocks:
    """Meets `engines.embedded.ports.BlockStore`. What is added inside `commit()` shows when it ends well."""

    def __init__(self) -> None:
        self._blocks: dict[int, StoredBlock] = {}
        self._heights: dict[bytes, int] = {}
        self._transactions: dict[bytes, tuple[int, int]] = {}
        self._meta: dict[str, bytes] = {}
        self._events: dict[tuple[str, str], set[tuple[int, int]]] = {}
        self._unindexed: list[list[EventRow]] = []  # a search indexes them; most ledgers here are never searched
        self._bodies: dict[bytes, bytes] = {}
        self._open: _Commit | None = None

    def commit(self) -> _Commit:
        if self._open is not None:
            raise Misuse("a commit is open already")
        self._open = _Commit(self)
        return self._open

    def add_block(
        self,
        *,
        height: int,
        hash: bytes,  # the field's own name in every CometBFT structure
        block: bytes,
        signed: bytes,
        results: bytes,
        app_hash: bytes,
        time: int,
    ) -> None:
        if height in self._blocks:
            raise Misuse("a block of this height is stored", height=height)
        self._writing().blocks.append(StoredBlock(height, hash, block, signed, results, app_hash, time))

    def add_transactions(self, height: int, hashes: list[bytes], /) -> None:
        # The same bytes can stand in two blocks (the second one refused): the first keeps the index.
        self._writing().transactions += [(digest, (height, number)) for number, digest in enumerate(hashes)]

    def add_events(self, rows: list[EventRow], /) -> None:
        self._writing().events += rows

    def set_meta(self, name: str, value: bytes, /) -> None:
        self._writing().meta[name] = value

    def remove_block(self, height: int, hashes: list[bytes], rows: list[EventRow], /) -> None:
        self._writing().removed.append((height, hashes, rows))

    def add_bodies(self, bodies: Mapping[bytes, bytes | None], /) -> None:
        self._writing().bodies.update(bodies)

    def body(self, key: bytes, /) -> bytes | None:
        return self._bodies.get(key)

    def block(self, height: int, /) -> StoredBlock | None:
        return self._blocks.get(height)

    def tip(self) -> StoredBlock | None:
        # Heights rise, and dictionaries keep the order.
        return self._blocks[next(reversed(self._blocks))] if self._blocks else None

    def base_height(self) -> int:
        return next(iter(self._blocks), 0)

    def height_of_hash(self, digest: bytes, /) -> int | None:
        return self._heights.get(digest)

    def transaction(self, digest: bytes, /) -> tuple[int, int] | None:
        return self._transactions.get(digest)

    def search(
        self, terms: Sequence[tuple[str, str]], low: int = 0, high: int = MAX_HEIGHT, /
    ) -> list[tuple[int, int]]:
        """(height, transaction number) pairs that match every `(name, value)` term, ascending."""
        for rows in self._unindexed:
            for name, value, height, number in rows:
                self._events.setdefault((name, value), set()).add((height, number))
        self._unindexed.clear()
        found = set.intersection(*(self._events.get(term, set()) for term in terms))
        return sorted(place for place in found if low <= place[0] <= high)[:MAX_SEARCH_ROWS]

    def meta(self, name: str, /) -> bytes | None:
        return self._meta.get(name)

    def _writing(self) -> _Commit:
        if self._open is None:
            raise Misuse("writes stand inside a commit")
        return self._open

    def _end(self, done: _Commit | None) -> None:
        self._open = None
        if done is None:
            return
        for row in done.blocks:
            self._blocks[row.height] = row
            self._heights[row.hash] = row.height
        for digest, place in done.transactions:
            self._transactions.setdefault(digest, place)
        if done.events:
            self._unindexed.append(done.events)
        self._meta |= done.meta
        for height, hashes, rows in done.removed:
            self._remove(height, hashes, rows)
        for key, data in done.bodies.items():
            if data is None:
                self._bodies.pop(key, None)
            else:
                self._bodies[key] = data

    def _remove(self, height: int, hashes: list[bytes], rows: list[EventRow]) -> None:
        row = self._blocks.pop(height, None)
        if row is not None:
            del self._heights[row.hash]
        for digest in hashes:
            if self._transactions.get(digest, (0, 0))[0] == height:
                del self._transactions[digest]
        self._unindexed = [[row for row in batch if row[2] != height] for batch in self._unindexed]
        for name, value, at, number in rows:
            self._events.get((name, value), set()).discard((at, number))


class _Commit:
    """What one transaction adds; nothing of it stays when the body raises."""

    __slots__ = ("_store", "blocks", "bodies", "events", "meta", "removed", "transactions")

    def __init__(self, store: MemoryBlocks) -> None:
        self._store = store
        self.blocks: list[StoredBlock] = []
        self.transactions: list[tuple[bytes, tuple[int, int]]] = []
        self.events: list[EventRow] = []
        self.meta: dict[str, bytes] = {}
        self.bodies: dict[bytes, bytes | None] = {}
        self.removed: list[tuple[int, list[bytes], list[EventRow]]] = []

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._store._end(self if kind is None else None)


__all__ = ("MemoryBlocks",)
