"""Frames of a link: four bytes, then as many as they say. A length is judged before a byte of memory is taken.

    frame = kind (u8) ‖ length of what follows (u24) ‖ a message of EDHOC, or a sealed record

The kind is not secret and is authenticated in every record. Source: docs/spec/handshake.md.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from lockgate.session.edhoc.messages import MAX_MESSAGE
from lockgate.session.link.errors import FrameRefused

HEADER_BYTES: Final = 4
MAX_CONTENT: Final = 65_536  # bytes of the application in one record
MAX_FIRST: Final = 4_096  # message_1 of strangers: 1,222 bytes in the hybrid suites
MAX_SECOND: Final = 16_384  # message_2, without authorisation data: 4,532 bytes


class Kind(IntEnum):
    """What a frame carries. In the clear: HANDSHAKE before the link is open, and BUSY instead of its rest."""

    HANDSHAKE = 1  # a message of EDHOC
    DATA = 2
    UPDATE = 3  # the sender's next record is under its next key
    SWITCH = 4  # the sender's next record is under the epoch of the fresh handshake
    CLOSE = 5  # the sender sends nothing more
    BUSY = 6


_KINDS: Final = {int(kind): kind for kind in Kind}
_MOST: Final = {Kind.DATA: MAX_CONTENT, Kind.HANDSHAKE: MAX_MESSAGE, Kind.UPDATE: 0, Kind.SWITCH: 0, Kind.CLOSE: 0}


def header(kind: Kind, length: int) -> bytes:
    return (kind << 24 | length).to_bytes(HEADER_BYTES)


def read_header(data: bytes | bytearray) -> tuple[Kind, int]:
    """Raises FrameRefused."""
    kind = _KINDS.get(data[0])
    if kind is None:
        raise FrameRefused("no such kind", kind=data[0])
    return kind, int.from_bytes(data) & 0xFFFFFF


def check_record(kind: Kind, length: int, tag_bytes: int) -> None:
    """Raise FrameRefused unless a record of this kind may be so long."""
    if not tag_bytes <= length <= _MOST.get(kind, -1) + tag_bytes:
        raise FrameRefused("no record of this kind and length", kind=kind.name, length=length)


__all__ = (
    "HEADER_BYTES",
    "MAX_CONTENT",
    "MAX_FIRST",
    "MAX_SECOND",
    "Kind",
    "check_record",
    "header",
    "read_header",
)
