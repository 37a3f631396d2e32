"""A host's sessions on disk, so that what was erased stays erased (P18).

Two files. `sessions.sealed` is the book under a key that is new at each save. `unsaved/sessions.key` has two places for
such keys, and each save ends with zeros over the place of the key before: from then on nothing opens what was saved
before, wherever a copy of it lies. The key file is never copied by those who heed its CACHEDIR.TAG; where a backup has
it all the same, it opens that one state of the book and no other.

What no program decides: a file system or a flash disk may keep what was overwritten (docs/explanation/erasure.md).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, Self

from lockgate.crypto.aead import AES_256_GCM
from lockgate.crypto.errors import OpenFailed
from lockgate.primitives.ports import Rng
from lockgate.session.errors import SessionDamaged
from lockgate.storage.ledger import StoreFull
from lockgate.storage.unsaved import sync_folder, unsaved_folder

KEY_BYTES: Final = 32
SLOTS: Final = 2
_MAGIC: Final = b"lockgate/sessions/1\x00"
_NONCE: Final = bytes(AES_256_GCM.nonce_bytes)  # each key seals one book


class SessionVault:
    """Meets `hosting.sessions.Vault` in a host's folder."""

    def __init__(self, sealed: Path, key_file: int, rng: Rng) -> None:
        self._sealed = sealed
        self._key_file = key_file
        self._rng = rng

    @classmethod
    def open(cls, folder: Path, rng: Rng) -> Self:
        unsaved = unsaved_folder(folder)
        path = unsaved / "sessions.key"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if os.fstat(descriptor).st_size < SLOTS * KEY_BYTES:
            os.pwrite(descriptor, bytes(SLOTS * KEY_BYTES), 0)
            os.fsync(descriptor)
            sync_folder(unsaved)
        return cls(folder / "sessions.sealed", descriptor, rng)

    def close(self) -> None:
        if self._key_file >= 0:
            os.close(self._key_file)
            self._key_file = -1

    def load(self) -> bytes | None:
        """The book as it was last saved; None where there is none. Raises SessionDamaged.

        Finishes a save that was interrupted: the key of the book before goes.
        """
        self._draft.unlink(missing_ok=True)
        try:
            data = self._sealed.read_bytes()
        except FileNotFoundError:
            return None
        if data[: len(_MAGIC)] != _MAGIC or len(data) <= len(_MAGIC) or data[len(_MAGIC)] >= SLOTS:
            raise SessionDamaged("the file is not a host's sessions", file=str(self._sealed))
        slot = data[len(_MAGIC)]
        key = os.pread(self._key_file, KEY_BYTES, slot * KEY_BYTES)
        try:
            book = AES_256_GCM.open(key, _NONCE, data[len(_MAGIC) + 1 :], data[: len(_MAGIC) + 1])
        except OpenFailed as error:
            raise SessionDamaged("its key is gone: the file is a copy of before", file=str(self._sealed)) from error
        self._write_key(1 - slot, bytes(KEY_BYTES))
        return book

    def save(self, book: bytes, /) -> None:
        """Returns when the book is on disk and the key of the one before is not. Raises StoreFull."""
        slot = 1 - self._slot()
        key, head = self._rng.bytes(KEY_BYTES), _MAGIC + bytes((slot,))
        try:
            self._write_key(slot, key)
            descriptor = os.open(self._draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                data = memoryview(head + AES_256_GCM.seal(key, _NONCE, book, head))
                while data:
                    data = data[os.write(descriptor, data) :]
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            self._draft.rename(self._sealed)
            sync_folder(self._sealed.parent)
        except OSError as error:
            raise StoreFull(str(error.strerror), file=str(self._sealed)) from error
        self._write_key(1 - slot, bytes(KEY_BYTES))

    def _slot(self) -> int:
        """The place of the key that the saved book is under."""
        try:
            with self._sealed.open("rb") as file:
                head = file.read(len(_MAGIC) + 1)
        except FileNotFoundError:
            return 0
        return head[-1] & 1 if head else 0

    def _write_key(self, slot: int, key: bytes) -> None:
        os.pwrite(self._key_file, key, slot * KEY_BYTES)
        os.fsync(self._key_file)

    @property
    def _draft(self) -> Path:
        return self._sealed.with_suffix(".draft")


__all__ = ("SessionVault",)
