"""`lockgate`, as a program of its own, with one thing more: a host appends each book of its sessions to a file.

What no host of ours does, so that a test can hold the keys that were erased: `LOCKGATE_TEST_TELL` names the file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from lockgate.cli import main as cli
from lockgate.session import Book
from lockgate.storage.sessions import SessionVault

TELL = "LOCKGATE_TEST_TELL"
_save = SessionVault.save


def _telling(vault: SessionVault, book: bytes, /) -> None:
    with Path(os.environ[TELL]).open("ab") as file:
        file.write(len(book).to_bytes(4, "big") + book)
    _save(vault, book)


def told(file: Path) -> Iterator[Book]:
    """The books that a host told of, oldest first."""
    data, at = file.read_bytes() if file.exists() else b"", 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        yield Book.from_bytes(data[at + 4 : at + 4 + size])
        at += 4 + size


if __name__ == "__main__":
    SessionVault.save = _telling  # type: ignore[method-assign]
    cli.main()
