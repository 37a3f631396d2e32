"""What an attestor has signed of a ledger, outside every database and backup: one (time, root) for a height.

A statement is on disk before its signature leaves the process, so that no restart, and no two relayers that
ask at once, can have an attestor say two things of one height. A signer set plays no part: what was said under one
epoch holds under the next. The file is a head and records of fixed length, appended; a torn last one was never
signed. Old heights are forgotten in bulk, and then nothing below the lowest one kept is signed any more.
"""

from __future__ import annotations

import hashlib
import os
import struct
from bisect import bisect_left, insort
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lockgate.primitives.errors import Refused
from lockgate.primitives.time import UnixNanos
from lockgate.storage.ledger import take_lock
from lockgate.storage.unsaved import sync_folder

MAGIC: Final = b"LGATST1\n"
KEPT: Final = 65_536  # heights: a day and more of blocks; a client's relayers ask for recent ones
DIGEST_BYTES: Final = 16
_HEAD: Final = struct.Struct(">8sQ32s")  # magic, lowest height that may be signed, domain of the ledger
_RECORD: Final = struct.Struct(">QQ32s")


class SaidOtherwise(Refused):
    code = "attestor.said_otherwise"
    summary = "The attestor has signed another time or root of this height, or of one that this contradicts."
    untouched = "Nothing was signed, and nothing that contradicts what was signed ever is."
    next_step = (
        "The ledger has two histories, or a node shows one that is none: compare its headers before anything else."
    )


class TooOld(Refused):
    code = "attestor.too_old"
    summary = "The height is below every one of which it is remembered what was signed."
    untouched = "Nothing was signed."
    next_step = "Ask for a newer height; the newest proves as much."


class AttestedStateBroken(Refused):
    code = "attestor.state_broken"
    summary = "The record of what this attestor signed is missing, damaged, or of another ledger."
    untouched = "Nothing is signed: nobody knows what was signed before."
    next_step = "Restore the file itself; where it is lost, retire the key by a rotation and make a new attestor."


@dataclass(frozen=True, slots=True)
class Said:
    """What was signed of one height."""

    height: int
    timestamp: UnixNanos
    root: bytes


class AttestedState:
    """The file, held by this process alone. `record` returns only after the bytes are on disk."""

    def __init__(self, path: Path, domain: bytes, lock: int) -> None:
        self._path = path
        self._domain = domain
        self._lock = lock
        self._floor = 0
        self._said: dict[int, Said] = {}
        self._heights: list[int] = []  # of _said, ascending
        self._descriptor = -1

    @classmethod
    def create(cls, path: Path, domain: bytes) -> None:
        """Make the file of an attestor that has signed nothing yet. Raises FileExistsError where there is one."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, _head(0, domain))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        sync_folder(path.parent)

    @classmethod
    def open(cls, path: Path, domain: bytes) -> AttestedState:
        """Read the file. Raises AttestedStateBroken, StoreInUse."""
        if not path.exists():
            raise AttestedStateBroken("the file is missing", file=str(path))
        state = cls(path, domain, take_lock(path.with_suffix(".lock")))
        try:
            state._load(path.read_bytes())
            state._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            os.ftruncate(state._descriptor, _HEAD.size + DIGEST_BYTES + len(state._heights) * RECORD_BYTES)
        except BaseException:
            state.close()
            raise
        return state

    @property
    def newest(self) -> int:
        """The highest height that was signed; 0 for none."""
        return self._heights[-1] if self._heights else 0

    def record(self, height: int, timestamp: UnixNanos, root: bytes) -> None:
        """Make a statement durable before it is signed. Raises SaidOtherwise, TooOld."""
        said = Said(height, timestamp, root)
        known = self._said.get(height)
        if known == said:
            return
        if height <= 0 or height < self._floor:
            raise TooOld(height=height, lowest=self._floor)
        place = bisect_left(self._heights, height)
        below = self._said[self._heights[place - 1]] if place else None
        above = self._said[self._heights[place]] if place < len(self._heights) else None
        contradicted = (
            known
            or (below if below is not None and below.timestamp >= timestamp else None)
            or (above if above is not None and above.timestamp <= timestamp else None)
        )
        if contradicted is not None:
            raise SaidOtherwise(height=height, root=root, before=contradicted.root, of=contradicted.height)
        if len(self._heights) >= 2 * KEPT:
            self._forget()
        os.write(self._descriptor, _record(said, self._domain))
        os.fdatasync(self._descriptor)
        self._keep(said)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        os.close(self._lock)

    def _keep(self, said: Said) -> None:
        self._said[said.height] = said
        insort(self._heights, said.height)

    def _load(self, data: bytes) -> None:
        head, body = data[: _HEAD.size + DIGEST_BYTES], data[_HEAD.size + DIGEST_BYTES :]
        try:
            magic, self._floor, domain = _HEAD.unpack(head[: _HEAD.size])
        except struct.error as error:
            raise AttestedStateBroken("the head is torn", file=str(self._path)) from error
        if magic != MAGIC or head != _head(self._floor, domain):
            raise AttestedStateBroken("the head does not read", file=str(self._path))
        if domain != self._domain:
            raise AttestedStateBroken("it is of another ledger", file=str(self._path))
        for start in range(0, len(body), RECORD_BYTES):
            raw = body[start : start + RECORD_BYTES]
            said = _read(raw, self._domain)
            if said is None:
                if len(body) - start > RECORD_BYTES:
                    raise AttestedStateBroken("a record does not read", file=str(self._path), offset=start)
                return  # the last one was not on disk when the process ended: it was not signed
            if said.height in self._said:
                raise AttestedStateBroken("a height stands twice", file=str(self._path), height=said.height)
            self._keep(said)

    def _forget(self) -> None:
        """Write the newest heights to a new file, and let it take this one's place."""
        kept = self._heights[-KEPT:]
        fresh = self._path.with_suffix(".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, _head(kept[0], self._domain))
            os.write(descriptor, b"".join(_record(self._said[height], self._domain) for height in kept))
            os.fsync(descriptor)
            fresh.replace(self._path)
            sync_folder(self._path.parent)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(self._descriptor)
        self._descriptor, self._floor = descriptor, kept[0]
        self._said = {height: self._said[height] for height in kept}
        self._heights = kept


RECORD_BYTES: Final = _RECORD.size + DIGEST_BYTES


def _head(floor: int, domain: bytes) -> bytes:
    head = _HEAD.pack(MAGIC, floor, domain)
    return head + _digest(head, domain)


def _record(said: Said, domain: bytes) -> bytes:
    record = _RECORD.pack(said.height, said.timestamp, said.root)
    return record + _digest(record, domain)


def _read(raw: bytes, domain: bytes) -> Said | None:
    record = raw[: _RECORD.size]
    if len(raw) != RECORD_BYTES or raw[_RECORD.size :] != _digest(record, domain):
        return None
    height, timestamp, root = _RECORD.unpack(record)
    return Said(height, UnixNanos(timestamp), root)


def _digest(data: bytes, domain: bytes) -> bytes:
    return hashlib.sha256(domain + data).digest()[:DIGEST_BYTES]


__all__ = ("AttestedState", "AttestedStateBroken", "Said", "SaidOtherwise", "TooOld")
