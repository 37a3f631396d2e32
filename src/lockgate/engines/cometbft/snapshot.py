"""What a snapshot of a ledger's state is made of, in bytes. The same state gives the same bytes on every node.

A snapshot is the state after one block, with what stands beside the tree: the packets that wait, and the own headers
that `lane.open` may ask for. Metadata is CBOR [format, height, [[store, root hash], …], [hash of a chunk, …]], and its
SHA-256 names the snapshot. Chunks hold whole items, one after the other:

    01 key data              a packet that waits; ascending by key
    02 link                  32 bytes: the chain over own headers before the first one that follows
    03 height time root next an own header; ascending, without a gap
    04 name                  a store; then its tree, children before parents
    05 version key value     a leaf
    06 version height key    an inner node

Numbers are varints; byte strings have their length in front, but for hashes, which have 32 bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

from lockgate.codec import cbor
from lockgate.codec.errors import Malformed
from lockgate.machine.context import OwnHeader
from lockgate.merkle import store_map, tree
from lockgate.merkle.transfer import Part
from lockgate.merkle.varint import read_uvarint, uvarint
from lockgate.primitives.errors import PeerFault
from lockgate.primitives.time import UnixNanos

FORMAT: Final = 1
CHUNK_BYTES: Final = 4 * 1024 * 1024  # CometBFT carries 16 MB; this leaves room for the longest item
MAX_CHUNKS: Final = 16_384  # 64 GB of state; metadata stays below its 4 MB
MAX_STORES: Final = 64
HASH: Final = 32
BODY, LINK, HEADER, STORE, LEAF, INNER = range(1, 7)


class BadSnapshot(PeerFault):
    code = "cometbft.bad_snapshot"
    summary = "A snapshot that another node offered is not the state it claims to be."
    untouched = "Nothing of it was kept; the application is as empty as before."
    next_step = "Nothing: the node asks others. If all of them fail, let it play the blocks from the first one."


class Body(NamedTuple):
    key: bytes
    data: bytes


class Header(NamedTuple):
    height: int
    header: OwnHeader


@dataclass(frozen=True, slots=True)
class Link:
    link: bytes


@dataclass(frozen=True, slots=True)
class Store:
    name: str


Item = Body | Link | Header | Store | Part


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is said of a snapshot before any of it is sent. Nothing of it is believed but what a header proves."""

    height: int
    roots: tuple[tuple[str, bytes], ...]
    chunks: tuple[bytes, ...]

    @property
    def app_hash(self) -> bytes:
        """The root over all stores, which the header of the next height has."""
        return tree.root_of_hashes([store_map.leaf_hash(name, root) for name, root in self.roots])

    def to_bytes(self) -> bytes:
        return cbor.encode([FORMAT, self.height, [list(root) for root in self.roots], list(self.chunks)])

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Raises BadSnapshot."""
        try:
            value: Any = cbor.decode(data)
            form, height, roots, chunks = value
            made = cls(height, tuple((name, root) for name, root in roots), tuple(chunks))
            names = [name for name, _ in made.roots]
            hashes = [*made.chunks, *(root for _, root in made.roots)]
            good = (
                form == FORMAT
                and type(height) is int
                and height > 0
                and 0 < len(made.chunks) <= MAX_CHUNKS
                and 0 < len(names) <= MAX_STORES
                and names == sorted(set(names))
                and all(type(each) is bytes and len(each) == HASH for each in hashes)
            )
        except (Malformed, TypeError, ValueError) as error:
            raise BadSnapshot("its metadata does not decode") from error
        if not good or made.to_bytes() != data:
            raise BadSnapshot("its metadata has another form")
        return made


def encode(item: Item) -> bytes:
    """An item as it stands in a chunk."""
    match item:
        case Body(key, data):
            return bytes((BODY,)) + _framed(key) + _framed(data)
        case Link(link):
            return bytes((LINK,)) + link
        case Header(height, header):
            fixed = header.app_hash + header.next_validators_hash
            return bytes((HEADER,)) + uvarint(height) + uvarint(header.time) + fixed
        case Store(name):
            return bytes((STORE,)) + _framed(name.encode())
        case Part(version, 0, key, value):
            return bytes((LEAF,)) + uvarint(version) + _framed(key) + _framed(value)
        case Part(version, height, key, _):
            return bytes((INNER,)) + uvarint(version) + uvarint(height) + _framed(key)
    raise AssertionError("every item is one of these")


def decode(chunk: bytes) -> Iterator[Item]:
    """The items of a chunk. Raises BadSnapshot."""
    reader = _Reader(chunk)
    while reader.at < len(chunk):
        match reader.taken(1)[0]:
            case 1:
                yield Body(reader.framed(), reader.framed())
            case 2:
                yield Link(reader.taken(HASH))
            case 3:
                height, time = reader.number(), reader.number()
                yield Header(height, OwnHeader(UnixNanos(time), reader.taken(HASH), reader.taken(HASH)))
            case 4:
                yield Store(reader.framed().decode(errors="replace"))
            case 5:
                yield Part(reader.number(), 0, reader.framed(), reader.framed())
            case 6:
                version, height, key = reader.number(), reader.number(), reader.framed()
                if not height:
                    raise BadSnapshot("an inner node of height 0")
                yield Part(version, height, key, b"")
            case other:
                raise BadSnapshot("an item of an unknown kind", kind=other)


def digest(data: bytes) -> bytes:
    """What names a chunk, and a snapshot by its metadata."""
    return hashlib.sha256(data).digest()


def _framed(data: bytes) -> bytes:
    return uvarint(len(data)) + data


class _Reader:
    """Reads a chunk from its start; every length is checked against what is there."""

    __slots__ = ("_data", "at")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def taken(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self._data):
            raise BadSnapshot("a chunk is cut short", length=len(self._data))
        found, self.at = self._data[self.at : end], end
        return found

    def number(self) -> int:
        found, at = read_uvarint(self._data, self.at)
        if at < 0 or found >= 1 << 63:
            raise BadSnapshot("a number is cut short or too great", length=len(self._data))
        self.at = at
        return found

    def framed(self) -> bytes:
        return self.taken(self.number())


__all__ = (
    "CHUNK_BYTES",
    "FORMAT",
    "MAX_CHUNKS",
    "BadSnapshot",
    "Body",
    "Header",
    "Item",
    "Link",
    "Metadata",
    "Store",
    "decode",
    "digest",
    "encode",
)
