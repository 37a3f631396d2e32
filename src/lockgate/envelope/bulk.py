"""Bodies too large for a packet: what the packet carries of them, and what a guest is told (I8).

A locator is a capability and nothing else: 32 random bytes under a fixed word. It names no address and
no path, so a sender cannot make a receiver contact or read anything: where a peer's blobs are fetched
stands in the receiver's own configuration. Whoever holds a locator gets ciphertext.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, NewType, Self

from lockgate.codec import cbor
from lockgate.codec.errors import Malformed
from lockgate.codec.registry import SchemaName, Version
from lockgate.envelope.chunk_tree import HASH_BYTES
from lockgate.envelope.chunks import CHUNK_BYTES, MAX_CHUNKS, Descriptor
from lockgate.envelope.errors import BulkMalformed, DescriptorMalformed, ForeignLocator

BlobId = NewType("BlobId", bytes)  # 32 random bytes: who knows them may fetch the sealed chunks
BLOB_ID_BYTES: Final = 32
BODY_SCHEMA: Final = SchemaName("bulk/body", Version(1, 0))
NOTICE_SCHEMA: Final = SchemaName("bulk/notice", Version(1, 0))
FORMAT: Final = 1
_LOCATOR: Final = re.compile(r"blob-1:([0-9a-f]{64})\Z")


def locator_of(blob: BlobId) -> str:
    return f"blob-1:{blob.hex()}"


def blob_of(locator: str) -> BlobId:
    """Read a locator. Raises ForeignLocator."""
    match = _LOCATOR.match(locator)
    if match is None:
        raise ForeignLocator
    return BlobId(bytes.fromhex(match[1]))


@dataclass(frozen=True, slots=True)
class BulkBody:
    """Stands in an envelope in place of the body it describes. Source: schema bulk-body."""

    schema: SchemaName  # of the body in the chunks
    descriptor: Descriptor

    def encode(self) -> bytes:
        return cbor.encode(self.to_value())

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a record. Raises BulkMalformed."""
        return cls.from_value(_item(data))

    def to_value(self) -> list[Any]:
        return [FORMAT, self.schema.to_value(), self.descriptor.to_value()]

    @classmethod
    def from_value(cls, item: Any) -> Self:
        schema, descriptor = _fields(item, 3)
        try:
            return cls(SchemaName.from_value(schema), Descriptor.from_value(descriptor))
        except (DescriptorMalformed, Malformed) as error:
            raise BulkMalformed("the schema or the descriptor") from error


@dataclass(frozen=True, slots=True)
class BulkNotice:
    """What a guest is handed in place of the body, which lies with its host, whole. Source: schema bulk-notice."""

    schema: SchemaName  # of the body
    length: int  # bytes
    root: bytes  # 32 bytes, of the descriptor: names the body as its sender signed it

    def encode(self) -> bytes:
        return cbor.encode(self.to_value())

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a notice. Raises BulkMalformed."""
        return cls.from_value(_item(data))

    def to_value(self) -> list[Any]:
        return [FORMAT, self.schema.to_value(), self.length, self.root]

    @classmethod
    def from_value(cls, item: Any) -> Self:
        name, length, root = _fields(item, 4)
        if type(length) is not int or not 0 <= length <= CHUNK_BYTES * MAX_CHUNKS:
            raise BulkMalformed("the length is out of range")
        if type(root) is not bytes or len(root) != HASH_BYTES:
            raise BulkMalformed("a root has 32 bytes")
        try:
            return cls(SchemaName.from_value(name), length, root)
        except Malformed as error:
            raise BulkMalformed("the schema") from error


def _item(data: bytes) -> Any:
    try:
        return cbor.decode(data)
    except Malformed as error:
        raise BulkMalformed("not deterministic CBOR") from error


def _fields(item: Any, count: int) -> tuple[Any, ...]:
    """The fields behind the format."""
    if type(item) is not tuple or len(item) != count or type(item[0]) is not int or item[0] != FORMAT:
        raise BulkMalformed("not an array of a known format", expected=count)
    return item[1:]


__all__ = (
    "BLOB_ID_BYTES",
    "BODY_SCHEMA",
    "NOTICE_SCHEMA",
    "BlobId",
    "BulkBody",
    "BulkNotice",
    "blob_of",
    "locator_of",
)
