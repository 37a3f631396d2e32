"""Making snapshots, a little at a time, and handing them out. A validator's blocks never wait for one.

Everything is read in between, some items at a time. The trees have a past; what waits for its answer and the headers
have none, so what a later block is about to take away of them is copied just before. The last two snapshots are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from typing import Final

from lockgate.engines.cometbft import snapshot
from lockgate.engines.cometbft.snapshot import BadSnapshot, Header, Item, Link, Metadata, Store
from lockgate.engines.shared.ports import AppStore, SnapshotStore
from lockgate.machine.context import OwnHeader
from lockgate.merkle.multistore import MultiStore

KEPT: Final = 2
ITEMS_AT_ONCE: Final = 500  # some ten milliseconds
BYTES_AT_ONCE: Final = 1024 * 1024
COPIED_BYTES: Final = 64 * 1024 * 1024  # of what was taken away meanwhile; packets are written first, within seconds

ReadHeader = Callable[[int], OwnHeader | None]


class _Overtaken(Exception):
    """The ledger let go what the snapshot was still to hold, or more than is copied for it."""


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
        self._waiting: dict[
            bytes, bytes
        ] = {}  # keys of packets that are still to be written; copies of those that ended
        self._copied = 0  # bytes
        self._gone: dict[int, OwnHeader] = {}  # headers that the ledger let go meanwhile
        self._next_header = 0
        self._read_header: ReadHeader = lambda _: None

    @property
    def busy(self) -> bool:
        """Is one being made?"""
        return self._items is not None

    def begin(self, height: int, first: int, link: bytes, read_header: ReadHeader) -> None:
        """Begin a snapshot of the newest committed state. `link` is the one before the header of height `first`."""
        if self.busy:
            return  # the state grew faster than it could be written; the next one may come through
        self._height, self._open, self._chunks = height, bytearray(), []
        self._waiting, self._copied, self._gone = dict.fromkeys(self._store.body_keys(), b""), 0, {}
        self._next_header, self._read_header = first, read_header
        self._items = self._all(link)

    def replacing(self, bodies: Collection[bytes], header: int) -> None:
        """A block is about to change these packets that wait and to let a header go: copy what is not written yet."""
        if not self.busy:
            return
        try:
            for key in bodies:
                if self._waiting.get(key) == b"":
                    self._waiting[key] = self._body(key)
                    self._copied += len(self._waiting[key])
            if self._copied > COPIED_BYTES:
                raise _Overtaken
            if self._next_header <= header <= self._height:
                self._gone[header] = self._header(header)
        except _Overtaken:
            self._drop()
        except BaseException:
            self._drop()
            raise

    def step(self) -> bool:
        """Go on with the one that is being made; tells whether more is to do.

        Raises what a store raises; the snapshot is dropped then, as is one whose headers or
        versions were let go meanwhile.
        """
        items = self._items
        if items is None:
            return False
        try:
            written = 0
            for _ in range(ITEMS_AT_ONCE):
                item = next(items, None)
                if item is None:
                    self._finish()
                    return False
                written += self._put(item)
                if written > BYTES_AT_ONCE:
                    break
        except _Overtaken:
            self._drop()
            return False
        except BaseException:
            self._drop()
            if self._state.oldest > self._height:
                return False
            raise
        return True

    def listed(self) -> list[tuple[int, Metadata, bytes]]:
        """Height, metadata, and the metadata's own bytes; the newest first. One that is damaged is none."""
        found = []
        for height, data in self._kept.listed():
            with suppress(BadSnapshot):
                found.append((height, Metadata.from_bytes(data), data))
        return found

    def chunk(self, height: int, index: int) -> bytes:
        """A chunk; empty where there is none."""
        return self._kept.chunk(height, index) or b""

    def _all(self, link: bytes) -> Iterator[Item]:
        self._kept.begin(self._height)
        for key in list(self._waiting):
            yield snapshot.Body(key, self._waiting.pop(key) or self._body(key))
        yield Link(link)
        while self._next_header <= self._height:
            at = self._next_header
            header = self._gone.pop(at, None) or self._header(at)
            self._next_header += 1
            yield Header(at, header)
        for name in self._state.roots(self._height):
            yield Store(name)
            yield from self._state.parts(self._height, name)

    def _body(self, key: bytes) -> bytes:
        data = self._store.body(key)
        if data is None:
            raise _Overtaken
        return data

    def _header(self, height: int) -> OwnHeader:
        header = self._read_header(height)
        if header is None:
            raise _Overtaken
        return header

    def _drop(self) -> None:
        self._items = None
        self._waiting, self._gone = {}, {}

    def _put(self, item: Item) -> int:
        encoded = snapshot.encode(item)
        if self._open and len(self._open) + len(encoded) > snapshot.CHUNK_BYTES:
            self._close()
        self._open += encoded
        return len(encoded)

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
