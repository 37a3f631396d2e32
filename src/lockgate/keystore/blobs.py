"""What a TPM has wrapped for itself, on disk: useless without that TPM, so secret from nobody, but not to be lost.

A file is magic ‖ deterministic CBOR [label, PCRs, private, public], in the TPM's own marshalled forms. The TPM
checks the two against each other; label and PCRs are believed by nobody: the key file holds the public key, and
the policy is computed anew.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lockgate.codec import cbor
from lockgate.keystore.errors import DeviceKeyExists, KeyFileDamaged, KeyFileUnavailable
from lockgate.keystore.whole import make_folder, write_whole
from lockgate.primitives.errors import LockgateError

MAGIC: Final = b"lockgate-tpm\x00\x00\x00\x01"
MAX_BLOB_BYTES: Final = 4_096  # a P-256 key has 300
SUFFIX: Final = ".tpm"


@dataclass(frozen=True, slots=True)
class Blob:
    """A wrapped object: TPM2B_PRIVATE and TPM2B_PUBLIC as the TPM marshals them."""

    label: str
    pcrs: tuple[int, ...]
    private: bytes
    public: bytes


class BlobFolder:
    """Blobs by label, one file each, written whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, label: str) -> Blob | None:
        """Raises KeyFileDamaged, KeyFileUnavailable."""
        path = self._path(label)
        try:
            data = path.read_bytes() if path.stat().st_size <= MAX_BLOB_BYTES else b""
        except FileNotFoundError:
            return None
        except OSError as error:
            raise KeyFileUnavailable(path=path, reason=error.strerror) from error
        blob = _decode(data, path)
        if blob.label != label:
            raise KeyFileDamaged("the blob is of another key", path=path)
        return blob

    def write(self, blob: Blob) -> None:
        """Raises DeviceKeyExists, KeyFileUnavailable."""
        path = self._path(blob.label)
        data = MAGIC + cbor.encode([blob.label, list(blob.pcrs), blob.private, blob.public])
        try:
            make_folder(self._folder)
            write_whole(path, data, overwrite=False)  # fails where the label is taken
        except FileExistsError as error:
            raise DeviceKeyExists(label=blob.label) from error
        except OSError as error:
            raise KeyFileUnavailable(path=path, reason=error.strerror) from error

    def remove(self, label: str) -> None:
        try:
            self._path(label).unlink(missing_ok=True)
        except OSError as error:
            raise KeyFileUnavailable(path=self._path(label), reason=error.strerror) from error

    def all(self) -> Iterator[Blob]:
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                yield _decode(path.read_bytes()[: MAX_BLOB_BYTES + 1], path)

    def _path(self, label: str) -> Path:
        return self._folder / (hashlib.sha256(label.encode()).hexdigest()[:32] + SUFFIX)


def _decode(data: bytes, path: Path) -> Blob:
    try:
        if not data.startswith(MAGIC):
            raise ValueError
        label, pcrs, private, public = fields = cbor.decode(data[len(MAGIC) :])
        good: Any = [type(field) for field in fields] == [str, tuple, bytes, bytes]
        if not good or not all(type(pcr) is int for pcr in pcrs):
            raise ValueError
    except (LockgateError, TypeError, ValueError) as error:
        raise KeyFileDamaged("not a TPM's blob of this format", path=path) from error
    return Blob(label, pcrs, private, public)


__all__ = ("Blob", "BlobFolder")
