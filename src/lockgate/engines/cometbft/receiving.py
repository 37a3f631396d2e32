"""Taking in a snapshot that other nodes send, verified against a root that a light client has proven.

Everything is written in one database transaction: a process that dies half-way begins with an empty store again.
A chunk is compared with its hash when it comes. The hashes are the senders' own word, so the whole is compared with
what is proven: each tree with its root, those with the app hash; the headers with the link in the state; each
packet that waits with its commitment.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from lockgate.engines.cometbft import snapshot
from lockgate.engines.cometbft.snapshot import BadSnapshot, Body, Header, Link, Metadata, Store
from lockgate.engines.shared.ports import AppStore
from lockgate.ibc import host
from lockgate.ibc import wire as wire_packets
from lockgate.ibc.commitment import commit_packet
from lockgate.machine import history, inbox, keys
from lockgate.machine.context import OwnHeader
from lockgate.machine.genesis import Genesis
from lockgate.machine.history import TrailRecord
from lockgate.merkle.multistore import MultiStore
from lockgate.merkle.transfer import Part
from lockgate.primitives.errors import LockgateError

KeepHeader = Callable[[int, OwnHeader, bytes], None]  # height, header, the link after it
_ORDER: Final = (Body, Link, Header, Store)


class Receiving:
    """One snapshot on its way in, inside an open transaction of the store."""

    def __init__(
        self, genesis: Genesis, store: AppStore, state: MultiStore, metadata: Metadata, keep_header: KeepHeader
    ) -> None:
        self.metadata = metadata
        self.next = 0  # index of the chunk that is to come
        self.senders: set[str] = set()
        self._store = store
        self._state = state
        self._keep_header = keep_header
        self._arrival = state.arrival(metadata.height)
        self._first = first_kept(genesis, metadata.height)
        self._phase = 0
        self._link = b""
        self._before: tuple[int, bytes] = (0, b"")
        self._height = self._first - 1  # of the last header that came
        self._bodies: dict[bytes, bytes] = {}
        self._last_body = b""
        self._body_count = 0

    @property
    def complete(self) -> bool:
        return self.next == len(self.metadata.chunks)

    @property
    def link(self) -> bytes:
        """The link after the newest header."""
        return self._link

    @property
    def before(self) -> tuple[int, bytes]:
        """Height before the first header, and the link there."""
        return self._before

    def is_next(self, index: int, chunk: bytes) -> bool:
        """Is this the chunk that is to come, with the bytes that were announced?"""
        return index == self.next and snapshot.digest(chunk) == self.metadata.chunks[index]

    def take(self, chunk: bytes) -> None:
        """Write a chunk. Raises BadSnapshot, BadTransfer: then the transaction is to be given up."""
        for place, item in enumerate(snapshot.decode(chunk)):
            if place and len(chunk) > snapshot.CHUNK_BYTES:
                raise BadSnapshot("a chunk is longer than it needs to be", length=len(chunk))
            match item:
                case Part():
                    self._arrival.take(item)
                case Store(name):
                    self._enter(Store)
                    self._arrival.open(name)
                case Header(height, header):
                    self._enter(Header)
                    self._take_header(height, header)
                case Link(link):
                    if self._phase >= _ORDER.index(Link):
                        raise BadSnapshot("a second link")
                    self._enter(Link)
                    self._link, self._before = link, (self._first - 1, link)
                case Body(key, data):
                    self._enter(Body)
                    self._take_body(key, data)
        self._arrival.flush()
        self._store.add_bodies(dict(self._bodies))
        self._bodies.clear()
        self.next += 1

    def finish(self) -> None:
        """Compare the whole with what is proven. Raises BadSnapshot or what makes it no state at all."""
        roots = self._arrival.finish()
        if tuple(roots.items()) != self.metadata.roots:
            raise BadSnapshot("a store has another root", height=self.metadata.height)
        self._state.rollback()
        self._check_headers()
        self._check_bodies()

    def _enter(self, kind: type) -> None:
        phase = _ORDER.index(kind)
        if phase < self._phase or (phase > _ORDER.index(Link) and not self._link):
            raise BadSnapshot("items come in another order", item=kind.__name__)
        self._phase = phase

    def _take_header(self, height: int, header: OwnHeader) -> None:
        if height != self._height + 1 or height > self.metadata.height:
            raise BadSnapshot("headers follow one another", height=height, expected=self._height + 1)
        self._height, self._link = height, history.follow(self._link, height, header)
        self._keep_header(height, header, self._link)

    def _take_body(self, key: bytes, data: bytes) -> None:
        if not key or key <= self._last_body or not data:
            raise BadSnapshot("packets that wait ascend by key")
        self._last_body = key
        self._bodies[key] = data
        self._body_count += 1

    def _check_headers(self) -> None:
        data = self._state.get(keys.LOG, keys.TRAIL)
        if data is None:
            raise BadSnapshot("the state binds no headers")
        trail = TrailRecord.from_bytes(data)
        if (trail.height, trail.link) != (self._height, self._link) or self._height != self.metadata.height:
            raise BadSnapshot("the headers are not those that the state binds", height=self._height)

    def _check_bodies(self) -> None:
        count = 0
        for client, sequence, entry in inbox.every(self._state):
            count += 1
            data = self._store.body(host.async_packet(client, sequence))
            try:
                good = data is not None and commit_packet(wire_packets.read_packet(data)) == entry.commitment
            except LockgateError:
                good = False
            if not good:
                raise BadSnapshot("a packet that waits is missing or another", client=client, sequence=sequence)
        if count != self._body_count:
            raise BadSnapshot("there are packets that nothing waits for", waiting=count, sent=self._body_count)


def first_kept(genesis: Genesis, height: int) -> int:
    """The oldest own header that a ledger keeps after a block: what its memory covers, as it was at first."""
    return max(1, height - genesis.parameters.header_memory + 1)


__all__ = ("Receiving", "first_kept")
