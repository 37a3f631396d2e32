"""One-way chains: from an epoch's secret to the key of one message, with no way back. Source: PROTOCOL P8, P18.

    epoch secret ── direction ── start 0 ── start 1 ── …          each step forgets the one before
                                   │ salt
                                 message 0 ── message 1 ── …      each step forgets the one before
                                   │
                                 key ── reply key

Every step is HKDF-Expand over SHA-256 with a label of its own. Whoever drops a link cannot make it from a later one.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from lockgate.crypto.hashes import SHA256
from lockgate.crypto.kdf import hkdf_expand, hkdf_extract
from lockgate.session.edhoc.established import Established

SECRET_BYTES: Final = 32
SALT_BYTES: Final = 32  # drawn by each process start of a sender
SESSION_BYTES: Final = 32
_ROOT: Final = 40_001  # exporter labels of ours: RFC 9528 §10.1 leaves 32768 and above to private use
_NAME: Final = 40_002
_LINK: Final = 40_003
_PREFIX: Final = b"lockgate/session/1\x00"


class Direction(IntEnum):
    """Who sends: the handshake's initiator, or its responder. Each has keys of its own, so no message comes back."""

    INITIATOR = 0
    RESPONDER = 1

    @property
    def other(self) -> Direction:
        return Direction(1 - self)


def _step(secret: bytes, label: bytes, context: bytes = b"", length: int = SECRET_BYTES) -> bytes:
    return hkdf_expand(SHA256, secret, _PREFIX + label + b"\x00" + context, length)


def session_of(done: Established, context: bytes) -> tuple[bytes, bytes]:
    """The session's name (public, 32 bytes) and the secret of its epoch 0. `context` is what both sides meet for."""
    return done.export(_NAME, context, SESSION_BYTES), done.export(_ROOT, context, SECRET_BYTES)


def link_of(done: Established, context: bytes) -> tuple[bytes, bytes]:
    """A link's name (public: a channel binding) and its secret; sessions and links share no key."""
    return done.export(_NAME, context, SESSION_BYTES), done.export(_LINK, context, SECRET_BYTES)


def onward_of(secret: bytes) -> bytes:
    """What is kept of an epoch's secret for the epoch after it: none of this epoch's keys comes from it."""
    return _step(secret, b"epoch")


def next_epoch(onward: bytes, fresh: bytes) -> bytes:
    """The secret of the epoch after one. `fresh` is a secret of a key exchange in between: it heals (P18).

    Both enter: whoever knows only one of them knows nothing.
    """
    return hkdf_extract(SHA256, onward, fresh)


def fresh_of(shared: bytes, asked: bytes, answered: bytes) -> bytes:
    """A fresh secret, from a key exchange and both public halves of it."""
    return hkdf_extract(SHA256, SHA256.digest(asked + answered), shared)


def direction_of(secret: bytes, direction: Direction) -> bytes:
    """The first link of a direction's chain of starts."""
    return _step(secret, b"direction", bytes((direction,)))


def next_start(link: bytes) -> bytes:
    return _step(link, b"next start")


def start_of(link: bytes, salt: bytes) -> bytes:
    """The first link of a start's chain of messages. A copy of the sender draws another salt: no key repeats (P8)."""
    return _step(link, b"start", salt)


def next_message(link: bytes) -> bytes:
    return _step(link, b"next message")


def message_of(link: bytes) -> bytes:
    """The key of one message."""
    return _step(link, b"message")


def reply_of(message_key: bytes) -> bytes:
    """The key of the reply to a message; it outlives the message's own until the packet has ended (P18)."""
    return _step(message_key, b"reply")


def next_key(link: bytes) -> bytes:
    """The link of a direction's next record key (key update): there is no way back from it."""
    return _step(link, b"next key")


def record_key_of(link: bytes, key_bytes: int, nonce_bytes: int) -> tuple[bytes, bytes]:
    """The key and the first nonce of a run of records."""
    return _step(link, b"record key", length=key_bytes), _step(link, b"record nonce", length=nonce_bytes)


__all__ = (
    "SALT_BYTES",
    "SECRET_BYTES",
    "SESSION_BYTES",
    "Direction",
    "direction_of",
    "fresh_of",
    "link_of",
    "message_of",
    "next_epoch",
    "next_key",
    "next_message",
    "next_start",
    "onward_of",
    "record_key_of",
    "reply_of",
    "session_of",
    "start_of",
)
