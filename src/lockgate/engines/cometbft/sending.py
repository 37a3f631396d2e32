"""Making snapshots, a little at a time, and handing them out. A validator's blocks never wait for one.

What waits for its answer is copied when the block is committed, since that table has no past. The trees and the
headers do, so they are read in between, some items at a time. The last two snapshots are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from lockgate.engines.cometbft import snapshot
from lockgate.engines.cometbft.snapshot import Header, Item, Link, Metadata, Store
from lockgate.engines.shared.ports import AppStore, SnapshotStore
from lockgate.machine.context import OwnHeader
from lockgate.merkle.multistore import MultiStore

KEPT: Final = 2
ITEMS_AT_ONCE: Final = 500  # some ten milliseconds

ReadHeader = Callable[[int], OwnHeader | None]


class _Overtaken(Exception):
    """The ledger let go what the snapshot was still to hold."""


class Sending:
    """Snapshots that other nodes may ask for."""

    def __init__(self, store: AppStore, state: MultiStore, kept: SnapshotStore) -> None:
        self._store = store
        self._state = state
        self._kept = kept
        self._height = 0  # of the one that is being made
        self._items: Iterator[Item] | None = None
        self._open = bytearray()
        self._chunks: list[bytes] = []

    @property
    def busy(self) -> bool:
        """Is one being made?"""
        return self._items is not None

    def begin(self, height: int, first: int, link: bytes, read_header: ReadHeader) -> None:
        """Begin a snapshot of the newest committed state. `link` is the one before the header of height `first`."""
        if self.busy:
            return  # the state grew faster than it could be written; the next one may come through
        self._kept.begin(height)
        self._height, self._open, self._chunks = height, bytearray(), []
        for key, data in self._store.bodies():
            self._put(snapshot.Body(key, data))
        self._items = self._rest(height, first, link, read_header)

    def step(self) -> bool:
        """Go on with the one that is being made; tells whether more is to do.

        Raises what a store raises; the snapshot is dropped then, as is one whose headers or
        versions were let go meanwhile.
        """
        items = self._items
        if items is None:
            return False
        try:
            for _ in range(ITEMS_AT_ONCE):
                item = next(items, None)
                if item is None:
                    self._finish()
                    return False
                self._put(item)
        except _Overtaken:
            self._items = None
            return False
        except BaseException:
            self._items = None
            if self._state.oldest > self._height:
                return False
            raise
        return True

    def listed(self) -> list[tuple[int, Metadata, bytes]]:
        """Height, metadata, and the metadata's own bytes; the newest first."""
        return [(height, Metadata.from_bytes(data), data) for height, data in self._kept.listed()]

    def chunk(self, height: int, index: int) -> bytes:
        """A chunk; empty where there is none."""
        return self._kept.chunk(height, index) or b""

    def _rest(self, height: int, first: int, link: bytes, read_header: ReadHeader) -> Iterator[Item]:
        yield Link(link)
        for at in range(first, height + 1):
            header = read_header(at)
            if header is None:
                raise _Overtaken
            yield Header(at, header)
        for name in self._state.roots(height):
            yield Store(name)
            yield from self._state.parts(height, name)

    def _put(self, item: Item) -> None:
        encoded = snapshot.encode(item)
        if self._open and len(self._open) + len(encoded) > snapshot.CHUNK_BYTES:
            self._close()
        self._open += encoded

    def _close(self) -> None:
        chunk = bytes(self._open)
        self._kept.add_chunk(chunk)
        self._chunks.append(snapshot.digest(chunk))
        self._open = bytearray()

    def _finish(self) -> None:
        self._close()
        roots = tuple(self._state.roots(self._height).items())
        self._items = None
        if len(self._chunks) > snapshot.MAX_CHUNKS:
            return  # nobody could take it; it is never finished, and the next one clears it away
        self._kept.finish(Metadata(self._height, roots, tuple(self._chunks)).to_bytes())
        for height, _ in self._kept.listed()[KEPT:]:
            self._kept.remove(height)


__all__ = ("KEPT", "Sending")
