"""Bulk bodies: sealed in chunks that stream in constant memory and are checked one by one (I8).

Every chunk is a COSE_Encrypt0 whose nonce holds its index and whether it is the last (the STREAM
construction of Hoang, Reyhanitabar, Rogaway and Vizár, 2015), so a chunk opens at its own place and
nowhere else, and a cut body has no last chunk. The content key is fresh for each body and derives key
and Base IV; a frame carries index and last-flag as its Partial IV (RFC 9052 §3.1). A Merkle root over
the sealed chunks fixes the whole body: the AEADs commit neither to their key nor to their message, and
the root is what the sender's signature covers.

The descriptor (content key, length, root, locator) travels inside a sealed envelope; the chunks
travel anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self, final

from lockgate.codec import cbor
from lockgate.crypto.hashes import SHA256, equal
from lockgate.crypto.kdf import hkdf
from lockgate.envelope.chunk_tree import HASH_BYTES, RootBuilder, leaf_hash, root_from_path
from lockgate.envelope.cose.algorithms import A256GCM, CHACHA20_POLY1305_ID
from lockgate.envelope.cose.frame import NONCE_BYTES, Framer, NonceLabel, frame_bytes
from lockgate.envelope.errors import ChunkRefused, DescriptorMalformed, StreamLength, StreamMisuse
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.sealed import Sealed

CHUNK_BYTES: Final = 65_536  # of content; larger frames gain below 5 %, and this one fits a socket buffer
MAX_CHUNKS: Final = 1 << 24  # 1 TiB under one key: AES-GCM's distinguishing advantage stays below 2^-56
MAX_LOCATOR: Final = 1_024  # characters; a path or an address with room to spare
CONTENT_KEY_BYTES: Final = 32
FORMAT: Final = 1
_LABEL: Final = b"lockgate/chunks/1"
_PART_BYTES: Final = 5  # index in four bytes, then 1 on the last chunk and 0 before
_ALGORITHMS: Final = frozenset({A256GCM, CHACHA20_POLY1305_ID})
Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Layout:
    """How the sealed chunks of a body lie one behind another; all but the last have one length."""

    count: int  # at least 1
    full: int  # bytes of a sealed chunk that is not the last
    last: int  # bytes of the last one

    @property
    def total(self) -> int:
        """Bytes of the whole sealed body."""
        return (self.count - 1) * self.full + self.last

    def size(self, index: int) -> int:
        """Bytes of sealed chunk `index`."""
        return self.full if index < self.count - 1 else self.last

    def offset(self, index: int) -> int:
        """Where sealed chunk `index` begins; `count` gives the end of the body."""
        return index * self.full if index < self.count else self.total


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """What opens a chunked body, and the body it must be. Source: schema chunk-descriptor, I8."""

    alg: int  # COSE number of the AEAD: 3 AES-256-GCM, 24 ChaCha20/Poly1305
    content_key: bytes = field(repr=False)  # 32 bytes, of this body alone
    length: int  # of the content in bytes
    root: bytes  # 32 bytes, over the sealed chunks
    locator: str  # where the chunks are, for the transport; 1..1024 characters

    @property
    def count(self) -> int:
        """How many chunks there are; an empty body has one."""
        return max(1, -(-self.length // CHUNK_BYTES))

    def content_bytes(self, index: int) -> int:
        """Length of the content of chunk `index`."""
        return CHUNK_BYTES if index < self.count - 1 else self.length - (self.count - 1) * CHUNK_BYTES

    @property
    def layout(self) -> Layout:
        """Lengths of the sealed chunks."""
        full, last = (
            frame_bytes(self.alg, NonceLabel.PARTIAL_IV, _PART_BYTES, size)
            for size in (CHUNK_BYTES, self.content_bytes(self.count - 1))
        )
        return Layout(self.count, full, last)

    def encode(self) -> bytes:
        return cbor.encode(self.to_value())

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a descriptor. Raises DescriptorMalformed."""
        return cls.from_value(_item(data))

    def to_value(self) -> list[Any]:
        return [FORMAT, self.alg, self.content_key, self.length, self.root, self.locator]

    @classmethod
    def from_value(cls, item: Any) -> Self:
        form, alg, key, length, root, locator = _array(item, 6)
        if type(form) is not int or form != FORMAT or type(alg) is not int or alg not in _ALGORITHMS:
            raise DescriptorMalformed("unknown format or algorithm", format=form, algorithm=alg)
        if type(length) is not int or not 0 <= length <= CHUNK_BYTES * MAX_CHUNKS:
            raise DescriptorMalformed("the length is out of range")
        if not _is_bytes(key, CONTENT_KEY_BYTES) or not _is_bytes(root, HASH_BYTES):
            raise DescriptorMalformed("key and root have 32 bytes")
        if type(locator) is not str or not 0 < len(locator) <= MAX_LOCATOR:
            raise DescriptorMalformed("a locator has 1 to 1,024 characters")
        return cls(alg=alg, content_key=key, length=length, root=root, locator=locator)


@dataclass(frozen=True, slots=True)
class SealedChunk:
    """`frame` goes to the receiver; `leaf` is kept by whoever wants to make audit paths later."""

    index: int
    frame: bytes | bytearray
    leaf: bytes


class ChunkSealer:
    """Seals one body. Feed full chunks in order and mark the last one; then ask for the descriptor.

    A content key must be fresh: two bodies under one key would repeat nonces.
    """

    __slots__ = ("_alg", "_base", "_content_key", "_done", "_framer", "_length", "_tree")

    def __init__(self, content_key: bytes, alg: int) -> None:
        self._framer, self._base = _stream(content_key, alg)
        self._content_key, self._alg = content_key, alg
        self._tree = RootBuilder()
        self._length = 0
        self._done = False

    def seal(self, content: Buffer, *, last: bool) -> SealedChunk:
        """Seal the next chunk. Raises StreamMisuse after the last, or on a chunk of another length."""
        index = self._tree.count
        if self._done or index >= MAX_CHUNKS:
            raise StreamMisuse("the stream has ended", chunks=index)
        if len(content) > CHUNK_BYTES or (len(content) < CHUNK_BYTES and not last) or (not len(content) and index):
            raise StreamMisuse("only the last chunk is short", index=index, size=len(content))
        part = _part(index, last=last)
        frame = self._framer.seal(_nonce(self._base, part), part, content)
        leaf = leaf_hash(frame)
        self._tree.append(leaf)
        self._length += len(content)
        self._done = last
        return SealedChunk(index, frame, leaf)

    def finish(self, locator: str) -> Descriptor:
        """Return the descriptor of the sealed body. Raises StreamMisuse before the last chunk."""
        if not self._done or not 0 < len(locator) <= MAX_LOCATOR:
            raise StreamMisuse("no last chunk yet, or no locator", chunks=self._tree.count)
        return Descriptor(
            alg=self._alg,
            content_key=self._content_key,
            length=self._length,
            root=self._tree.root(),
            locator=locator,
        )


def seal_stream(sealer: ChunkSealer, pieces: Iterable[Buffer]) -> Iterator[SealedChunk]:
    """Cut `pieces` of any length into chunks and seal them; holds one chunk at a time."""
    held = bytearray()
    for piece in pieces:
        view = memoryview(piece)
        while view:
            if len(held) == CHUNK_BYTES:
                yield sealer.seal(held, last=False)
                held = bytearray()
            room = CHUNK_BYTES - len(held)
            held += view[:room]
            view = view[room:]
    yield sealer.seal(held, last=True)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a body was received: kept on disk, it lets a later process go on."""

    root: bytes  # of the body it belongs to
    count: int  # chunks received
    peaks: tuple[bytes, ...]

    def encode(self) -> bytes:
        return cbor.encode(self.to_value())

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a resume record. Raises DescriptorMalformed."""
        return cls.from_value(_item(data))

    def to_value(self) -> list[Any]:
        return [FORMAT, self.root, self.count, self.peaks]

    @classmethod
    def from_value(cls, item: Any) -> Self:
        form, root, count, peaks = _array(item, 4)
        if form != FORMAT or type(form) is not int or not _is_bytes(root, HASH_BYTES):
            raise DescriptorMalformed("unknown format or root")
        if type(count) is not int or not 0 <= count <= MAX_CHUNKS or type(peaks) is not tuple:
            raise DescriptorMalformed("the count is out of range")
        if len(peaks) != count.bit_count() or not all(_is_bytes(peak, HASH_BYTES) for peak in peaks):
            raise DescriptorMalformed("the peaks do not fit the count")
        return cls(root, count, peaks)


@final
@dataclass(frozen=True, slots=True)
class Complete(metaclass=Sealed):
    """A body that was received whole and has its descriptor's root; only `ChunkOpener` makes one."""

    descriptor: Descriptor


class ChunkOpener:
    """Opens one body in order. Each chunk's content may be used when it is returned: only the sender,
    whose envelope named the content key, can have sealed it there. The body is whole after `finish`.
    """

    __slots__ = ("_base", "_framer", "_tree", "descriptor")

    def __init__(self, descriptor: Descriptor, progress: Progress | None = None) -> None:
        if progress is not None and (progress.root != descriptor.root or progress.count > descriptor.count):
            raise StreamMisuse("the progress is that of another body")
        self._framer, self._base = _stream(descriptor.content_key, descriptor.alg)
        self._tree = RootBuilder() if progress is None else RootBuilder(progress.count, progress.peaks)
        self.descriptor: Final = descriptor

    @property
    def progress(self) -> Progress:
        return Progress(self.descriptor.root, self._tree.count, tuple(self._tree.peaks))

    @property
    def next_frame_bytes(self) -> int:
        """Length of the frame to feed next; 0 when all are there."""
        index = self._tree.count
        if index == self.descriptor.count:
            return 0
        return self._framer.frame_bytes(self.descriptor.content_bytes(index))

    def open(self, frame: Buffer) -> bytes:
        """Return the content of the next chunk; a refused chunk leaves everything as it was.

        The last chunk is returned only if the root is the descriptor's. Raises ChunkRefused,
        StreamLength.
        """
        index, descriptor = self._tree.count, self.descriptor
        if index == descriptor.count:
            raise StreamLength("a chunk after the last", chunks=index)
        content = _open(self._framer, self._base, descriptor, index, frame)
        leaf = leaf_hash(frame)
        if index == descriptor.count - 1:
            tree = RootBuilder(index, self._tree.peaks)
            tree.append(leaf)
            if not equal(tree.root(), descriptor.root):
                raise ChunkRefused("the body is not the one its descriptor names", expected=descriptor.root)
        self._tree.append(leaf)
        return content

    def finish(self) -> Complete:
        """Return the proof that the body is whole. Raises StreamLength when chunks are missing."""
        if self._tree.count != self.descriptor.count:
            raise StreamLength("chunks are missing", have=self._tree.count, expected=self.descriptor.count)
        return Sealed.make(Complete, self.descriptor)


def open_stream(opener: ChunkOpener, frames: Iterable[Buffer]) -> Iterator[bytes]:
    """Open all frames and yield their contents; ends with StreamLength unless the body is whole."""
    for frame in frames:
        yield opener.open(frame)
    opener.finish()


def open_chunk(descriptor: Descriptor, index: int, frame: Buffer, path: Sequence[bytes]) -> bytes:
    """Open one chunk out of order, against the root. Raises ChunkRefused.

    `path` are its siblings in the tree (`chunk_tree.audit_path`), from whoever serves the chunk.
    """
    if not verify_chunk(descriptor.root, descriptor.count, index, frame, path):
        raise ChunkRefused("the chunk is not under the root at this index", index=index)
    framer, base = _stream(descriptor.content_key, descriptor.alg)
    return _open(framer, base, descriptor, index, frame)


def verify_chunk(root: bytes, count: int, index: int, frame: Buffer, path: Sequence[bytes]) -> bool:
    """Whether a sealed chunk stands at `index` under `root`. Needs no key. Never raises."""
    found = root_from_path(leaf_hash(frame), index, count, path)
    return found is not None and equal(found, root)


def _open(framer: Framer, base: int, descriptor: Descriptor, index: int, frame: Buffer) -> bytes:
    last = index == descriptor.count - 1
    if len(frame) != framer.frame_bytes(descriptor.content_bytes(index)):
        raise ChunkRefused("the chunk has the wrong length", index=index, got=len(frame))
    part = _part(index, last=last)
    try:
        return framer.open(_nonce(base, part), part, frame)
    except LockgateError as error:
        raise ChunkRefused(index=index, last=last) from error


def _stream(content_key: bytes, alg: int) -> tuple[Framer, int]:
    """The cipher of a body and its Base IV as a number."""
    if len(content_key) != CONTENT_KEY_BYTES or alg not in _ALGORITHMS:
        raise StreamMisuse("a content key has 32 bytes, and an algorithm of frames", algorithm=alg)
    info = _LABEL + alg.to_bytes(2)
    derived = hkdf(SHA256, content_key, b"", info, CONTENT_KEY_BYTES + NONCE_BYTES)
    key, base = derived[:CONTENT_KEY_BYTES], int.from_bytes(derived[CONTENT_KEY_BYTES:])
    label = NonceLabel.PARTIAL_IV
    return Framer(alg, key, label=label, part_bytes=_PART_BYTES, external_aad=_LABEL), base


def _part(index: int, *, last: bool) -> bytes:
    return (index << 8 | last).to_bytes(_PART_BYTES)


def _nonce(base: int, part: bytes) -> bytes:
    return (base ^ int.from_bytes(part)).to_bytes(NONCE_BYTES)


def _item(data: bytes) -> Any:
    try:
        return cbor.decode(data)
    except LockgateError as error:
        raise DescriptorMalformed("not deterministic CBOR") from error


def _array(item: Any, count: int) -> tuple[Any, ...]:
    if type(item) is not tuple or len(item) != count:
        raise DescriptorMalformed("not an array of the expected length", expected=count)
    return item


def _is_bytes(value: object, size: int) -> bool:
    return type(value) is bytes and len(value) == size


__all__ = (
    "CHUNK_BYTES",
    "CONTENT_KEY_BYTES",
    "MAX_CHUNKS",
    "MAX_LOCATOR",
    "ChunkOpener",
    "ChunkSealer",
    "Complete",
    "Descriptor",
    "Layout",
    "Progress",
    "SealedChunk",
    "open_chunk",
    "open_stream",
    "seal_stream",
    "verify_chunk",
)
