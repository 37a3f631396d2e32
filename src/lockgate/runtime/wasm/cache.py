"""Compiled guests on disk, authenticated, because loading machine code runs it.

A file's name is a hash over everything its content depends on: the component, wasmtime's version, the
engine's configuration and the CPU. Its content starts with an HMAC over that key and the machine code,
under a random key of this installation. A file that fails it is never handed to wasmtime: the guest
is compiled again and the file replaced. Folder 0700, files 0600, the HMAC key in a file of its own,
so that a cache copied, shared or restored from elsewhere is just a miss.
"""

from __future__ import annotations

import contextlib
import enum
import hashlib
import hmac
import os
import platform
import secrets
import tempfile
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Final

from lockgate.runtime.errors import CacheNotPrivate

_FORMAT: Final = b"lockgate code cache v1\n"
_KEY_BYTES: Final = 32
_TAG_BYTES: Final = 32
MAX_FILES: Final = 16  # 40 MB each for Python guests: the shipped ones in some versions, and a few more
MAX_CODE: Final = 512 << 20  # bytes; machine code is about twice its component, which is at most 64 MiB


class Found(enum.Enum):
    """What the cache had for a component."""

    HIT = "hit"
    ABSENT = "absent"
    TAMPERED = "tampered"
    STALE = "stale"


class CodeCache:
    """Machine code by component, in one private folder."""

    def __init__(self, folder: Path, key_file: Path) -> None:
        """Open or create the cache; raises CacheNotPrivate if folder or key is somebody else's."""
        self._folder = folder
        _private_folder(folder)
        _private_folder(key_file.parent)
        self._key = _own_key(key_file)

    def read(self, component_hash: bytes, settings: str) -> tuple[bytes | None, Found]:
        """Return authentic machine code, or None and why there is none."""
        key = _key(component_hash, settings)
        try:
            with self._path(key).open("rb") as file:
                if os.fstat(file.fileno()).st_size > MAX_CODE:
                    return None, Found.TAMPERED
                data = file.read()
        except OSError:
            return None, Found.ABSENT
        start = len(_FORMAT) + _TAG_BYTES
        code = data[start:]
        if len(data) < start or not hmac.compare_digest(data[:start], _FORMAT + self._tag(key, code)):
            return None, Found.TAMPERED
        with contextlib.suppress(OSError):
            os.utime(self._path(key))  # used: not the next one to go
        return code, Found.HIT

    def write(self, component_hash: bytes, settings: str, code: bytes) -> bool:
        """Keep machine code, whole or not at all; False where the disk does not take it."""
        key = _key(component_hash, settings)
        try:
            _write_private(self._path(key), _FORMAT + self._tag(key, code) + code)
        except OSError:
            return False  # the guest is compiled again next time, which is slow and nothing worse
        self._evict()
        return True

    def holds(self, component_hash: bytes, settings: str) -> bool:
        """Tell whether a file is there, without reading it."""
        return self._path(_key(component_hash, settings)).is_file()

    def _evict(self) -> None:
        """Keep the files used last. One that another process removes first is no loss."""
        with contextlib.suppress(OSError):
            files = sorted(self._folder.glob("*.code"), key=lambda file: file.stat().st_mtime_ns)
            for file in files[:-MAX_FILES]:
                file.unlink(missing_ok=True)

    def _path(self, key: bytes) -> Path:
        return self._folder / f"{key.hex()}.code"

    def _tag(self, key: bytes, code: bytes) -> bytes:
        return hmac.digest(self._key, key + code, "sha256")


def _key(component_hash: bytes, settings: str) -> bytes:
    parts = (component_hash, version("wasmtime").encode(), settings.encode(), _cpu().encode())
    framed = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return hashlib.sha256(framed).digest()


@cache
def _cpu() -> str:
    """Describe the CPU as compiled code sees it: architecture and, where it can be read, its features."""
    features = ""
    with contextlib.suppress(OSError), Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith(("flags", "Features")):
                features = " ".join(sorted(line.partition(":")[2].split()))
                break
    return f"{platform.system()} {platform.machine()} {features}"


def _private_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.stat()
    if status.st_uid != os.getuid():
        raise CacheNotPrivate("another user's folder", folder=folder, owner=status.st_uid)
    if status.st_mode & 0o077:
        folder.chmod(0o700)


def _own_key(path: Path) -> bytes:
    """Return this installation's key. One that others could have read is replaced: a cold cache, no more."""
    with contextlib.suppress(FileNotFoundError):
        status = path.lstat()
        if status.st_uid != os.getuid():
            raise CacheNotPrivate("another user's key file", file=path, owner=status.st_uid)
        key = path.read_bytes()
        if not status.st_mode & 0o077 and len(key) == _KEY_BYTES:
            return key
        path.unlink(missing_ok=True)
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    _write_private(fresh, secrets.token_bytes(_KEY_BYTES))
    try:
        os.link(fresh, path)  # fails if another process was first: then its key is the key
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
    return path.read_bytes()


def _write_private(path: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".writing-")  # 0600 from the start
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


__all__ = ("CodeCache", "Found")
