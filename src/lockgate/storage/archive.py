"""What a host keeps of bodies is readable for so long after their messages ended, and no longer (P18).

Bodies, replies and words of refusals lie in the host's file sealed under the key of a *slice* of time. The keys lie in
`unsaved/archive.keys`, which those who make backups leave out, in places that are written over. When a slice is over,
what is open of its messages moves to the newest one, and its key is overwritten with zeros: from then on nothing opens
the rest, in the file, in its write-ahead log, in free pages, or in any copy of them.

Time is the ledger's: what a clock says erases nothing.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from lockgate.crypto.aead import AES_256_GCM
from lockgate.crypto.errors import OpenFailed
from lockgate.primitives.ports import Rng
from lockgate.primitives.time import UnixNanos, seconds
from lockgate.storage.ledger import StoreFull
from lockgate.storage.unsaved import unsaved_folder

KEY_BYTES: Final = 32
SLICES: Final = 4  # of the time that bodies are kept: they stay a quarter longer at most
PLACES: Final = 8  # slices that are alive: those four, the newest, one that is over, and room
_PLACE: Final = struct.Struct(
    f">QQ{KEY_BYTES}s"
)  # number of the slice (0: empty), when it began (0: not known), its key
_LABEL: Final = b"lockgate/archive/1\x00"


@dataclass(slots=True)
class _Slice:
    number: int
    began: int  # nanoseconds of the own ledger's time; 0 until that is known
    key: bytes = field(repr=False)


class Archive:
    """Keys of slices. With `keep_s` None nothing new is sealed; what was is read as long as its keys are there."""

    def __init__(self, keys: int, keep_s: int | None, rng: Rng | None) -> None:
        self.keep_s = keep_s
        self._keys = keys
        self._rng = rng
        self._now = UnixNanos(0)  # as it was proven last
        self._places: list[_Slice | None] = []
        self._newest: _Slice | None = None  # what is sealed now goes there
        if keys >= 0:
            size = os.fstat(keys).st_size // _PLACE.size * _PLACE.size  # a place that was added by half is none
            for number, began, key in _PLACE.iter_unpack(os.pread(keys, size, 0)):
                self._places.append(_Slice(number, began, key) if number else None)
            # One whose beginning is not known was begun last: the process ended before it had proven any time.
            self._newest = max(self._living(), key=lambda one: (not one.began, one.began), default=None)

    @classmethod
    def open(cls, folder: Path, keep_s: int | None, rng: Rng) -> Self:
        """In a host's folder. Bodies of what has ended are kept for `keep_s` seconds; None: for good, plain."""
        path = unsaved_folder(folder) / "archive.keys"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if os.fstat(descriptor).st_size < PLACES * _PLACE.size:
            os.pwrite(descriptor, bytes(PLACES * _PLACE.size), 0)
            os.fsync(descriptor)
        return cls(descriptor, keep_s, rng)

    @classmethod
    def reading(cls, folder: Path) -> Self:
        """Of a host's folder, to look at what it kept."""
        try:
            descriptor = os.open(folder / "unsaved" / "archive.keys", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return cls(-1, None, None)
        return cls(descriptor, None, None)

    def close(self) -> None:
        if self._keys >= 0:
            os.close(self._keys)
            self._keys = -1

    @property
    def sealing(self) -> bool:
        """Is what comes sealed?"""
        return self.keep_s is not None

    def seal(self, owner: bytes, plain: bytes) -> tuple[int | None, bytes]:
        """Under the newest slice's key; its number is None where nothing is sealed. Raises StoreFull.

        `owner` names the row. The key is on disk when this returns.
        """
        if not self.sealing:
            return None, plain
        assert self._rng is not None, "who seals draws"
        newest = self._newest or self._begin()
        nonce = self._rng.bytes(AES_256_GCM.nonce_bytes)
        return newest.number, nonce + AES_256_GCM.seal(newest.key, nonce, plain, _LABEL + owner)

    def open_(self, owner: bytes, number: int | None, data: bytes) -> bytes | None:
        """What was sealed; None where its key is gone."""
        if number is None:
            return data
        found = next((one for one in self._living() if one.number == number), None)
        if found is None:
            return None
        size = AES_256_GCM.nonce_bytes
        try:
            return AES_256_GCM.open(found.key, data[:size], data[size:], _LABEL + owner)
        except OpenFailed:  # a power cut tore the key while it was overwritten
            return None

    def overdue(self, now: UnixNanos) -> bool:
        """May a slice be over by now?"""
        return any(one.began and self._end(one) <= now for one in self._living())

    def over(self, now: UnixNanos) -> list[int]:
        """Slices whose keys are to go by the ledger's proven time. From here on the newest is a young one."""
        self._now = now
        for one in self._living():
            if not one.began:
                one.began = now
                self._write(self._places.index(one))
        if self._newest is not None and self._newest.began + self._length <= now:
            self._newest = None
        return [one.number for one in self._living() if self._end(one) <= now]

    def erase(self, numbers: list[int]) -> None:
        """Overwrite keys. Raises StoreFull."""
        for place, one in enumerate(self._places):
            if one is not None and one.number in numbers:
                self._places[place] = None
                self._write(place)

    def living(self) -> list[int]:
        """Numbers of the slices that open."""
        return [one.number for one in self._living()]

    @property
    def _length(self) -> int:
        return max(seconds(self.keep_s or 0) // SLICES, seconds(1))

    def _end(self, one: _Slice) -> int:
        return one.began + self._length + seconds(self.keep_s or 0)

    def _living(self) -> list[_Slice]:
        return [one for one in self._places if one is not None]

    def _begin(self) -> _Slice:
        assert self._rng is not None, "who seals draws"
        free = next((place for place, one in enumerate(self._places) if one is None), None)
        if free is None:
            # The setting was changed to a longer time, and slices of the shorter one live for the longer: six of each
            # setting at most. None is taken before it is over: messages that are open may lie in it.
            free = len(self._places)
            self._places.append(None)
        number = int.from_bytes(self._rng.bytes(6), "big") + 1
        made = _Slice(number, self._now, self._rng.bytes(KEY_BYTES))
        self._newest = self._places[free] = made
        self._write(free)
        return made

    def _write(self, place: int) -> None:
        one = self._places[place]
        data = bytes(_PLACE.size) if one is None else _PLACE.pack(one.number, one.began, one.key)
        try:
            os.pwrite(self._keys, data, place * _PLACE.size)
            os.fsync(self._keys)
        except OSError as error:
            raise StoreFull(str(error.strerror), file="archive.keys") from error


__all__ = ("Archive",)
