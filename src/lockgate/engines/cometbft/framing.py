"""Messages on an ABCI socket: each behind its length as a varint. Source: CometBFT v0.38, abci/types `WriteMessage`."""

from __future__ import annotations

from typing import Final

from lockgate.primitives.errors import PeerFault

MAX_REQUEST: Final = 128 * 1024 * 1024  # a block of the node's greatest size, with what stands around it
MAX_LENGTH_BYTES: Final = 5


class BadRequest(PeerFault):
    code = "cometbft.bad_request"
    summary = "What arrived on the application's socket is no ABCI request."
    untouched = "Nothing was executed; the connection was closed."
    next_step = "Only the ledger's own node, of the 0.38 line, speaks on this socket."


class Frames:
    """The messages in a stream that arrives in pieces."""

    def __init__(self) -> None:
        self._open = bytearray()
        self._needed = 0  # bytes before anything can be told of the message that is open

    def feed(self, data: bytes) -> list[bytes]:
        """Take a piece; returns the messages that it completes. Raises BadRequest, and takes nothing after that."""
        opened = self._open
        opened += data
        if len(opened) < self._needed:
            return []
        found, at = [], 0
        while (head := self._length(at)) is not None:
            length, start = head
            end = start + length
            if end > len(opened):
                self._needed = end - at
                break
            found.append(bytes(opened[start:end]))
            at = end
        else:
            self._needed = 0
        del opened[:at]
        return found

    def end(self) -> None:
        """The stream ended. Raises BadRequest inside a message."""
        if self._open:
            raise BadRequest("the connection ended inside a message", arrived=len(self._open))

    def _length(self, at: int) -> tuple[int, int] | None:
        """Length of the message at a place, and where it begins; None where more must arrive to tell."""
        length = 0
        for place in range(MAX_LENGTH_BYTES):
            if at + place >= len(self._open):
                return None
            byte = self._open[at + place]
            length |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                if length > MAX_REQUEST:
                    raise BadRequest("too long", length=length, most=MAX_REQUEST)
                return length, at + place + 1
        raise BadRequest("the length takes more than five bytes")


__all__ = ("BadRequest", "Frames")
