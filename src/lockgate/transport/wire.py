"""The blob protocol over a stream socket: one request, one answer, then the connection ends.

    request = "LGB1" ‖ blob id (32) ‖ offset (u64) ‖ length (u64)                52 bytes
    answer  = "LGB1" ‖ status (u8), then, when the status is 0, exactly `length` bytes of the blob

It carries byte ranges, not chunks: a server knows nothing of what it serves, and a client knows every
length beforehand, so neither side ever believes a number of the other's. Source: docs/spec/envelopes.md.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from typing import Final, Self

from lockgate.envelope.bulk import BlobId
from lockgate.envelope.errors import ChannelBroken

MAGIC: Final = b"LGB1"
_REQUEST: Final = struct.Struct(">4s32sQQ")
REQUEST_BYTES: Final = _REQUEST.size
ANSWER_BYTES: Final = len(MAGIC) + 1


class Status(enum.IntEnum):
    """How a server answers."""

    SERVED = 0
    GONE = 1  # no such blob, or no such part of it
    BUSY = 2  # more connections than it serves at once


@dataclass(frozen=True, slots=True)
class Request:
    """Bytes `offset`..`offset + length` of a blob; `length` is at least 1."""

    blob: BlobId
    offset: int
    length: int

    def encode(self) -> bytes:
        return _REQUEST.pack(MAGIC, self.blob, self.offset, self.length)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read `REQUEST_BYTES` bytes. Raises ChannelBroken."""
        magic, blob, offset, length = _REQUEST.unpack(data)
        if magic != MAGIC or not length:
            raise ChannelBroken("not a request of this protocol")
        return cls(BlobId(blob), offset, length)


def encode_answer(status: Status) -> bytes:
    return MAGIC + bytes([status])


def decode_answer(data: bytes) -> Status:
    """Read `ANSWER_BYTES` bytes. Raises ChannelBroken."""
    if data[:-1] != MAGIC or data[-1] >= len(Status):
        raise ChannelBroken("not an answer of this protocol")
    return Status(data[-1])


__all__ = ("ANSWER_BYTES", "REQUEST_BYTES", "Request", "Status", "decode_answer", "encode_answer")
