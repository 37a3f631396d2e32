"""One direction of a link: a chain of keys, and a number for every record, which is nowhere on the wire.

A record that is altered, repeated, missing or moved is opened under the wrong nonce, and so does not open. Whoever
drops a key cannot make it from a later one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lockgate.crypto.aead import Aead, KeyedAead
from lockgate.primitives.time import NANOS_PER_SECOND
from lockgate.session.chain import next_key, record_key_of

MAX_RECORDS: Final = 1 << 20  # under one key, whatever the limits say: far below what the ciphers bear
_SPARE: Final = 16  # for records that are not the application's


@dataclass(frozen=True, slots=True)
class LinkLimits:
    """After which use a key is followed by its next, and an epoch by a fresh handshake. Times by a monotonic clock."""

    records: int = 1 << 12
    size: int = 64 << 20  # bytes under one key
    age_ns: int = 60 * NANOS_PER_SECOND
    heal_ns: int = 3_600 * NANOS_PER_SECOND  # then a fresh handshake is due
    stale_ns: int = 2 * 3_600 * NANOS_PER_SECOND  # and without one the link ends


class RecordKeys:
    """The key of a direction as it stands: seals, or opens, the next record and no other."""

    __slots__ = ("_aead", "_cipher", "_limits", "_link", "_most", "_nonce", "_nonce_bytes", "_until", "records", "size")

    def __init__(self, aead: Aead, link: bytes, limits: LinkLimits, now: int) -> None:
        self._aead = aead
        self._limits = limits
        self._nonce_bytes = aead.nonce_bytes
        self._most = min(limits.records, MAX_RECORDS - _SPARE)
        self._start(link, now)

    def __repr__(self) -> str:
        return f"RecordKeys({self._aead.name}, records={self.records})"

    @property
    def tag_bytes(self) -> int:
        return self._aead.tag_bytes

    def _start(self, link: bytes, now: int) -> None:
        key, nonce = record_key_of(link, self._aead.key_bytes, self._nonce_bytes)
        self._link = link
        self._cipher: KeyedAead = self._aead.keyed(key)
        self._nonce = int.from_bytes(nonce)
        self._until = now + self._limits.age_ns
        self.records = 0
        self.size = 0

    def update(self, now: int) -> None:
        """Go on to the next key; the one before is gone."""
        self._start(next_key(self._link), now)

    def spent(self, now: int) -> bool:
        """Has the key served as long as it should? One that sealed nothing has not."""
        used = self.records >= self._most or self.size >= self._limits.size or now >= self._until
        return used and self.records > 0

    def seal(self, header: bytes, content: bytes) -> bytes:
        nonce = (self._nonce ^ self.records).to_bytes(self._nonce_bytes)
        self.records += 1
        self.size += len(content)
        return self._cipher.seal(nonce, content, header)

    def open(self, header: bytes, sealed: bytes | bytearray) -> bytes:
        """Raises OpenFailed."""
        nonce = (self._nonce ^ self.records).to_bytes(self._nonce_bytes)
        self.records += 1
        return self._cipher.open(nonce, sealed, header)


__all__ = ("MAX_RECORDS", "LinkLimits", "RecordKeys")
