"""The folder of a host that no backup is to have: a copy of what lies there undoes the erasure of keys (P18)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_TAG: Final = (
    "Signature: 8a477f597d28d172789f06886806bc55\n# Keys that are erased in time: a copy of them undoes that.\n"
)


def unsaved_folder(folder: Path) -> Path:
    """`unsaved` in a host's folder, made where it is not there, with the mark that tools of backup heed."""
    unsaved = folder / "unsaved"
    unsaved.mkdir(mode=0o700, parents=True, exist_ok=True)
    (unsaved / "CACHEDIR.TAG").write_text(_TAG)
    return unsaved


def sync_folder(folder: Path) -> None:
    """Make names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


__all__ = ("sync_folder", "unsaved_folder")
