"""COSE_Encrypt0 framed by hand: the same bytes as `encrypt`, with one pass over the content.

A stream or session seals many messages of one shape under one key. Everything but nonce, length and
ciphertext is then constant, and the cipher can write straight into the frame. On opening, the constant
part is compared instead of parsed: what differs in one byte is refused before anything is decrypted.
The shape: tag 16, protected {1: algorithm}, unprotected {5: IV} or {6: Partial IV}, ciphertext inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from lockgate.codec import cbor
from lockgate.envelope.cose import labels
from lockgate.envelope.cose.algorithms import A256GCM, CHACHA20_POLY1305_ID, content_algorithm
from lockgate.envelope.cose.structures import ENCRYPT0, enc_structure
from lockgate.envelope.errors import AlgorithmNotAllowed, CoseMalformed, DecryptionRefused, MessageMisuse

NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
Buffer = bytes | bytearray | memoryview
_CIPHERS: Final[Mapping[int, type[AESGCM] | type[ChaCha20Poly1305]]] = {
    A256GCM: AESGCM,
    CHACHA20_POLY1305_ID: ChaCha20Poly1305,
}
_COPIED: Final = 8_192  # up to here copying the ciphertext behind its head is cheaper than a buffer


class NonceLabel(IntEnum):
    """How a frame tells its nonce: whole, or as the part that is xored to a Base IV both sides hold."""

    IV = labels.IV
    PARTIAL_IV = labels.PARTIAL_IV


class Framer:
    """Seals and opens frames under one key. Nonces are the caller's and must never repeat.

    `part_bytes` is the length of the nonce part a frame carries. Raises AlgorithmNotAllowed for
    algorithms that no frame of ours uses, MessageMisuse for a key of another length.
    """

    __slots__ = ("_aad", "_cipher", "_offset", "_opened", "_sealed", "_start", "part_bytes")

    def __init__(self, alg: int, key: bytes, *, label: NonceLabel, part_bytes: int, external_aad: bytes) -> None:
        if alg not in _CIPHERS:
            raise AlgorithmNotAllowed("not an algorithm of frames", algorithm=alg)
        if len(key) != content_algorithm(alg).key_bytes or not 0 < part_bytes <= NONCE_BYTES:
            raise MessageMisuse("key or nonce part has the wrong length", algorithm=alg)
        self._cipher = _CIPHERS[alg](key)
        self._aad = enc_structure(ENCRYPT0, _protected(alg), external_aad)
        self._start = _start(alg, label, part_bytes)
        self._offset = len(self._start) + part_bytes
        self._sealed = (0, b"")  # ciphertext length and head of the last frame sealed
        self._opened = (0, b"", 0)  # length, ciphertext head and offset of the last frame opened
        self.part_bytes: Final = part_bytes

    def __repr__(self) -> str:
        return f"Framer({type(self._cipher).__name__}, key=…)"

    def frame_bytes(self, content_bytes: int) -> int:
        """Length of the frame of a content."""
        return _length(self._offset, content_bytes)

    def seal(self, nonce: bytes, part: bytes, content: Buffer) -> bytes | bytearray:
        """Return the frame of `content`. `part` is what it carries of `nonce` (12 bytes)."""
        if len(part) != self.part_bytes:
            raise MessageMisuse("the nonce part has the wrong length", got=len(part))
        size = len(content) + TAG_BYTES
        known, head = self._sealed
        if known != size:
            head = cbor.head(0x40, size)
            self._sealed = size, head
        try:
            if size <= _COPIED:
                return self._start + part + head + self._cipher.encrypt(nonce, content, self._aad)
            offset = self._offset + len(head)
            frame = bytearray(offset + size)
            frame[:offset] = self._start + part + head
            self._cipher.encrypt_into(nonce, content, self._aad, memoryview(frame)[offset:])
        except (ValueError, OverflowError) as error:
            raise MessageMisuse("the nonce has the wrong length, or the content is too long") from error
        return frame

    def open(self, nonce: bytes, part: bytes, frame: Buffer) -> bytes:
        """Return the content of a frame that carries exactly `part`.

        Raises CoseMalformed when the frame has any other shape, DecryptionRefused when it does not
        authenticate under `nonce`.
        """
        length, head, offset = self._opened
        if length != len(frame):
            length, head, offset = self._opened = self._lay_out(len(frame))
        if frame[:offset] != self._start + part + head:
            raise CoseMalformed("not a frame of this stream at this place")
        try:
            return self._cipher.decrypt(nonce, memoryview(frame)[offset:], self._aad)
        except (InvalidTag, ValueError, OverflowError) as error:
            raise DecryptionRefused from error

    def _lay_out(self, length: int) -> tuple[int, bytes, int]:
        """(frame length, head of the ciphertext, its offset). A length has one layout at most."""
        rest = length - self._offset
        for width in (1, 2, 3, 5):
            if rest - width >= TAG_BYTES:
                head = cbor.head(0x40, rest - width)
                if len(head) == width:
                    return length, head, length - rest + width
        raise CoseMalformed("no frame has this length", length=length)


def frame_bytes(alg: int, label: NonceLabel, part_bytes: int, content_bytes: int) -> int:
    """Length of a frame, told without its key: what whoever only stores or carries frames must know."""
    return _length(len(_start(alg, label, part_bytes)) + part_bytes, content_bytes)


def _protected(alg: int) -> bytes:
    return cbor.encode({labels.ALG: alg})


def _start(alg: int, label: NonceLabel, part_bytes: int) -> bytes:
    """The constant bytes before the nonce part."""
    protected = cbor.encode(_protected(alg))
    return b"\xd0\x83" + protected + b"\xa1" + cbor.encode(int(label)) + cbor.head(0x40, part_bytes)


def _length(offset: int, content_bytes: int) -> int:
    size = content_bytes + TAG_BYTES
    return offset + len(cbor.head(0x40, size)) + size


__all__ = ("NONCE_BYTES", "TAG_BYTES", "Framer", "NonceLabel", "frame_bytes")
