"""Encrypted key files on disk: owner only (0600), replaced atomically, never half written."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from lockgate.keystore.errors import KeyFileExists, KeyFileExposed, KeyFileUnavailable
from lockgate.keystore.sealed import MAX_FILE_BYTES, StoredKey, open_keys, seal_keys
from lockgate.keystore.software import OsEntropy
from lockgate.keystore.stretch import DEFAULT_COST, Cost, Passphrase
from lockgate.keystore.whole import write_whole

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def write_key_file(
    path: Path,
    keys: Mapping[str, StoredKey],
    passphrase: Passphrase,
    *,
    overwrite: bool = False,
    cost: Cost = DEFAULT_COST,
) -> None:
    """Write `keys` under a fresh file salt. A crash leaves the old file or the new one, whole.

    Raises WeakPassphrase, KeyFileExists unless `overwrite`, KeyFileUnavailable.
    """
    data = seal_keys(keys, passphrase, OsEntropy(), cost)
    try:
        write_whole(path, data, overwrite=overwrite)
    except FileExistsError as error:
        raise KeyFileExists(path=path) from error
    except OSError as error:
        raise KeyFileUnavailable(path=path, reason=error.strerror) from error


def read_key_file(path: Path, passphrase: Passphrase) -> dict[str, StoredKey]:
    """Return the keys of a file.

    Raises KeyFileUnavailable, KeyFileExposed, KeyFileDamaged, WrongPassphrase.
    """
    try:
        # O_NONBLOCK: opening a pipe put in the file's place must not hang the host.
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            _require_private(path, os.fstat(file.fileno()))
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise KeyFileUnavailable(path=path, reason=error.strerror) from error
    return open_keys(data, passphrase)


def _require_private(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise KeyFileExposed("not a plain file", path=path)
    if status.st_uid != os.geteuid():
        raise KeyFileExposed("the file belongs to another user", path=path)
    if status.st_mode & _OTHERS:
        raise KeyFileExposed(path=path, mode=oct(stat.S_IMODE(status.st_mode)))


__all__ = ("read_key_file", "write_key_file")
